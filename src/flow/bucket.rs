//! The segments of a batch that wait for one shard.

use std::ops::Range;

use super::options::pack;
use super::packed::Packed;
use crate::near;
use crate::tcp::Extras;

/// The segments for one shard, and the options that do not fit into them: side by side, so that the
/// shard reads both in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucket {
    pub(super) segments: Vec<Packed>,
    pub(super) extras: Vec<Extras>,
    /// Where the strips begin, but for the first one.
    pub(super) begins: Vec<u32>,
}

impl Bucket {
    /// Gives back the memory that it does not need, since it will wait.
    pub(super) fn fit(&mut self) {
        self.segments.shrink_to_fit();
        self.extras.shrink_to_fit();
    }

    /// Empties the bucket. It keeps its memory, but for what only a burst had needed: there are
    /// thousands of buckets, and each of them sees one some day.
    pub(super) fn clear(&mut self) {
        let needed = self.segments.len();
        if self.segments.capacity() > 4 * needed + 32 {
            self.segments.shrink_to(2 * needed);
        }
        self.segments.clear();
        self.extras.clear();
        self.begins.clear();
    }

    /// Asks the memory for the place of the next segment.
    #[inline]
    pub(super) fn prefetch(&self) {
        near::element(&self.segments, self.segments.len());
    }

    /// Where the strip with this index begins, if it is not the first one.
    #[inline]
    pub(super) fn begin_of(&self, strip: usize) -> Option<usize> {
        self.begins.get(strip.wrapping_sub(1)).map(|begin| *begin as usize)
    }

    /// Where the strip's segments lie.
    pub(super) fn range_of(&self, strip: usize) -> Range<usize> {
        let end = self.begin_of(strip + 1).unwrap_or(self.segments.len());
        self.begin_of(strip).unwrap_or(0)..end
    }

    /// Stores a segment's options: in the segment itself where that has room, as a SYN has.
    #[inline]
    pub(super) fn put(&mut self, packed: &mut Packed, extras: Option<&Extras>) {
        let Some(extras) = extras else { return };
        if let Some(bits) = pack(extras).filter(|_| packed.echoes_nothing()) {
            packed.put_options(bits);
        } else {
            packed.extras = index_of(self.extras.len());
            self.extras.push(*extras);
        }
    }
}

/// A batch has fewer segments than a `u32` counts, since its range has fewer bytes.
pub(super) fn index_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(Packed::NO_EXTRAS - 1)
}
