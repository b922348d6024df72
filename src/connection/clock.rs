//! The clock of a side, as its timestamps show it (RFC 7323 3): when it sent what came late.
//!
//! Of all its segments one was the quickest to the tap. How much later than that another one came
//! than their timestamps are apart, it was held up on the way. Kept of the segments that take the
//! long way; believed only where the timestamps count milliseconds, as those of Linux do.

use crate::compact::compact;

use crate::stamp::{Span, Time};
use crate::tcp::Segment;

/// What is known of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the quickest segment passed the tap; `Time::MAX` before the first one.
    passed: Time,
    /// Its timestamp.
    value: u32,
    pace: Pace,
}

compact!(struct Clock { passed, value, pace });

/// What one tick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Nothing known yet.
    Unproven,
    /// A millisecond.
    Millisecond,
    /// Something shorter, or nothing regular.
    Other,
}

compact!(
    enum Pace {
        Unproven,
        Millisecond,
        Other,
    }
);

/// The pace shows in segments that are so far apart, and not held up by a quarter of it.
const FAR_APART: i64 = 20_000_000;

/// A clock that gains more than this is none of milliseconds.
const GAIN: i64 = 50_000_000;

/// One tick.
const TICK: i64 = 1_000_000;

impl Default for Clock {
    fn default() -> Self {
        Self { passed: Time::MAX, value: 0, pace: Pace::Unproven }
    }
}

impl Clock {
    /// Looks at a segment's timestamp.
    pub(super) fn read(&mut self, segment: &Segment) {
        let Some(now) = segment.timestamps().map(|stamps| stamps.value) else { return };
        if self.passed == Time::MAX {
            (self.passed, self.value) = (segment.time, now);
            return;
        }
        let apart = segment.time.since(self.passed).nanos();
        let late = apart.saturating_sub(self.ticks_to(now));
        if late < -GAIN - apart / 8 {
            self.pace = Pace::Other;
        } else if self.pace == Pace::Unproven && apart > FAR_APART && late.abs() < apart / 4 {
            self.pace = Pace::Millisecond;
        }
        if late < 0 {
            (self.passed, self.value) = (segment.time, now);
        }
    }

    /// When `segment` would have passed the tap had it been as quick as the quickest; none where
    /// that does not show. It left no later than a millisecond after that.
    pub(super) fn sent(&self, segment: &Segment) -> Option<Time> {
        let now = segment.timestamps()?.value;
        let on_time = self.passed + Span::from_nanos(self.ticks_to(now));
        (self.pace == Pace::Millisecond).then(|| segment.time.min(on_time))
    }

    /// How many ticks there are in `span`; none where that does not show.
    pub(super) fn ticks_in(&self, span: Span) -> Option<u32> {
        let ticks = u32::try_from(span.nanos() / TICK).ok()?;
        (self.pace == Pace::Millisecond).then_some(ticks)
    }

    fn ticks_to(&self, value: u32) -> i64 {
        i64::from(value.wrapping_sub(self.value).cast_signed()) * TICK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Marks, Timestamps};

    fn at(micros: i64, value: u32) -> Segment {
        Segment {
            time: Time::from_nanos(micros * 1_000),
            timestamps: Timestamps { value, echo: 0 },
            marks: Marks::TIMESTAMPS,
            ..Segment::default()
        }
    }

    fn clock(seen: &[(i64, u32)]) -> Clock {
        let mut clock = Clock::default();
        for (micros, value) in seen {
            clock.read(&at(*micros, *value));
        }
        clock
    }

    #[test]
    fn what_was_held_up_had_left_by_its_timestamp() {
        let clock = clock(&[(0, 100), (60_000, 160), (90_000, 170), (140_000, 240)]);
        assert_eq!(clock.sent(&at(500_000, 300)), Some(at(200_000, 0).time));
        assert_eq!(clock.sent(&at(190_000, 300)), Some(at(190_000, 0).time), "no sooner than seen");
    }

    #[test]
    fn clocks_of_another_pace_tell_no_time() {
        for (first, second) in [((0, 7), (100_000, 17)), ((0, 7), (100_000, 100_007))] {
            assert_eq!(clock(&[first, second]).sent(&at(200_000, 27)), None);
        }
        assert_eq!(clock(&[(0, 7), (1_000, 8)]).sent(&at(1_500, 8)), None, "too early to tell");
    }
}
