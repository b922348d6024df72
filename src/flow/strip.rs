//! What the segments of one range of an input have in common, and where each range's segments lie
//! in a batch that holds several.
//!
//! As a rule a batch has one strip. Files that are smaller than a chunk share one, each with a strip
//! of its own, so that a shard looks at as many segments at once as of a large file.

use std::ops::Range;

use super::batch::Batch;
use super::bucket::Bucket;
use super::packed::Packed;
use crate::stamp::{FrameId, Time};

/// A range of an input whose segments lie in a batch. All but the segments is worked out after they
/// were decoded.
#[derive(Clone, Debug)]
pub struct Strip {
    /// The first frame of the range, whether or not it holds a segment.
    pub first: FrameId,
    /// What the number of a frame in its file is added to, less that of the file's frames before
    /// the range, to name the frame in the run: frames of the run before the range, where inputs
    /// follow one another.
    pub frames_before: u64,
    /// The capture clock before the range: the highest time of the range's source, which is what
    /// sources are merged by.
    pub clock: Time,
    /// Which inputs the range's input overlaps with in time: they share this number.
    pub group: u32,
    /// From here on sightings of segments are remembered, to be found again in other inputs of
    /// the group.
    pub watched_from: Time,
    /// Up to here no other input of the group has shown anything: what comes before is remembered,
    /// and need not be looked for.
    pub alone_until: Time,
    /// The highest time in the range.
    pub(super) latest: Time,
    pub(super) segments: u64,
    /// ICMP errors that quote segments.
    pub(super) quotes: u64,
    /// Where its late frames stand in the batch's list of them.
    pub(super) late: Range<usize>,
}

impl Default for Strip {
    fn default() -> Self {
        Self {
            first: FrameId::default(),
            frames_before: 0,
            clock: Time::MIN,
            group: 0,
            watched_from: Time::MAX,
            alone_until: Time::MIN,
            latest: Time::MIN,
            segments: 0,
            quotes: 0,
            late: 0..usize::MAX,
        }
    }
}

impl Strip {
    /// The capture clock behind the range.
    #[must_use]
    pub fn clock_after(&self) -> Time {
        self.clock.max(self.latest)
    }

    /// Segments of the range.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// It holds neither segments nor ICMP errors.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.segments == 0 && self.quotes == 0
    }

    /// What the segment's frame is called in the run.
    #[inline]
    pub(super) fn name_of(&self, packed: &Packed) -> u64 {
        self.frames_before + u64::from(packed.frame) + 1
    }

    /// Some of it is watched.
    pub(super) fn is_watched(&self) -> bool {
        self.clock_after() >= self.watched_from
    }

    /// Nothing in it can have been shown by another input before.
    pub(super) fn is_alone(&self) -> bool {
        self.clock_after() < self.alone_until
    }
}

/// Goes along a shard's bucket, and tells which strip is the present one.
#[derive(Debug)]
pub(super) struct Strips<'a> {
    batch: &'a Batch,
    bucket: &'a Bucket,
    index: usize,
}

impl<'a> Strips<'a> {
    pub(super) const fn new(batch: &'a Batch, bucket: &'a Bucket) -> Self {
        Self { batch, bucket, index: 0 }
    }

    /// The strip of the segment at `place`, and where the next strip begins in the bucket. Places go
    /// up from call to call.
    pub(super) fn at(&mut self, place: usize) -> (&'a Strip, usize) {
        while self.bucket.begin_of(self.index + 1).is_some_and(|begin| begin <= place) {
            self.index += 1;
        }
        let end = self.bucket.begin_of(self.index + 1).unwrap_or(usize::MAX);
        (self.batch.strip(self.index), end)
    }
}
