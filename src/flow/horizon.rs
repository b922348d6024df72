//! Places in the order in which segments of several sources are merged.

use crate::stamp::Time;

/// A place in the order in which segments of several sources are merged: by time, then by source.
///
/// The time is the highest one that the source has had up to there, so that a source's own order
/// is kept, unless its segments were put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Horizon {
    /// The source's clock.
    pub time: Time,
    /// Index of the input.
    pub source: u32,
}

impl Horizon {
    /// Behind everything.
    pub const END: Self = Self { time: Time::MAX, source: u32::MAX };

    /// Where input `source` is when its clock shows `time`.
    #[must_use]
    pub const fn new(time: Time, source: u32) -> Self {
        Self { time, source }
    }
}
