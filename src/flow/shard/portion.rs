//! The segments of a batch that a shard is to take, and how many of them are left.

use std::ops::Range;

use super::block::Places;
use crate::flow::batch::Batch;
use crate::stamp::Time;

/// Segments that stand one after the other in a shard's bucket, as far as they are left.
#[derive(Debug)]
pub struct Portion {
    pub(super) places: Range<usize>,
    /// Which of the first ones were taken already, ahead of others.
    pub(super) taken: Places,
}

impl Portion {
    /// Those that stand at `places`.
    #[must_use]
    pub fn of(places: Range<usize>) -> Self {
        Self { places, taken: Places::default() }
    }

    /// `place` is the first one that is left; `taken` are those behind it that are not.
    pub(super) const fn stop_before(&mut self, place: usize, taken: Places) {
        (self.places.start, self.taken) = (place, taken);
    }
}

impl Batch {
    /// The capture clock at the last segment of a part of a shard's bucket.
    #[must_use]
    pub fn clock_of_last(&self, shard: usize, part: Range<usize>) -> Option<Time> {
        let last = part.end.checked_sub(1).filter(|last| part.contains(last))?;
        let (strip, _) = self.strips_of(shard)?.at(last);
        self.bucket(shard).get(last).map(|packed| self.clock_at(strip, packed))
    }
}
