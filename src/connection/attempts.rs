//! The transmissions of one thing that may be sent again: a SYN, a SYN-ACK, a FIN.
//!
//! Which of them was the one that arrived decides when the receiver changed its state; the echoed
//! timestamp tells, where there is one (RFC 7323 4.1).

use crate::compact::compact;

use super::closing::newer;
use super::several::Several;
use super::{Cause, Mark};
use crate::stamp::{FrameId, Span};
use crate::tcp::Segment;

/// One transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// When and where.
    pub(super) mark: Mark,
    /// Its timestamp value, where it had one.
    pub(super) timestamp: Option<u32>,
    /// What its arrival means to the receiver.
    pub(super) cause: Cause,
    /// Whether it also acknowledges the receiver's own FIN.
    pub(super) acknowledges_fin: bool,
    /// Its payload, at most.
    payload: u16,
}

compact!(struct Attempt { mark, timestamp, cause, acknowledges_fin, payload });

impl Attempt {
    fn of(segment: &Segment, cause: Cause) -> Self {
        Self {
            mark: Mark::of(segment),
            timestamp: segment.timestamps().map(|stamps| stamps.value),
            cause,
            acknowledges_fin: false,
            payload: u16::try_from(segment.payload_len).unwrap_or(u16::MAX),
        }
    }

    /// How far before a FIN that ends at `fin` it begins; nothing for one that filled a gap.
    pub(super) fn start(&self, fin: i64) -> i64 {
        match self.cause {
            Cause::ReceivedFin => fin - i64::from(self.payload),
            _ => i64::MIN,
        }
    }
}

/// Transmissions in the order of capture: the first one and, bounded, the later ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    kept: Several<Attempt, 16>,
    count: u32,
    /// Sightings of the same transmission: a tap may deliver a frame twice.
    copies: u32,
}

compact!(struct Attempts { kept, count, copies });

impl Attempts {
    /// Adds a transmission.
    pub(super) fn push(&mut self, segment: &Segment, cause: Cause) {
        self.add(Attempt::of(segment, cause));
    }

    /// Adds a transmission of a FIN, or of what was missing before it.
    pub(super) fn push_fin(&mut self, segment: &Segment, cause: Cause, acknowledges_fin: bool) {
        self.add(Attempt { acknowledges_fin, ..Attempt::of(segment, cause) });
    }

    fn add(&mut self, attempt: Attempt) {
        self.count = self.count.saturating_add(1);
        self.kept.push(attempt);
    }

    /// How many there were.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Notes that the latest one was seen again.
    pub(super) const fn push_copy(&mut self) {
        self.copies = self.copies.saturating_add(1);
    }

    /// How many segments there were, copies included.
    pub(super) const fn segments(&self) -> u32 {
        self.count.saturating_add(self.copies)
    }

    /// How many there were after the first one.
    pub(super) const fn repeated(&self) -> u32 {
        self.count.saturating_sub(1)
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<Attempt> {
        self.kept.first().copied()
    }

    /// The first one, if none followed it within `span`.
    pub(super) fn first_alone_for(&self, span: Span) -> Option<Attempt> {
        let first = self.first()?;
        let is_alone = |next: &Attempt| next.mark.time.since(first.mark.time) > span;
        self.all().nth(1).is_none_or(is_alone).then_some(first)
    }

    /// The latest one.
    pub(super) fn last(&self) -> Option<Attempt> {
        self.kept.last().copied()
    }

    /// The one that an answer echoing `echo` belongs to: the first with that timestamp, else the last
    /// that is not newer; without an echo that fits, the latest.
    pub(super) fn answered_by(&self, echo: Option<u32>) -> Option<Attempt> {
        let matching = echo.and_then(|echo| {
            let fits = |attempt: &&Attempt| attempt.timestamp == Some(echo);
            let not_newer =
                |attempt: &&Attempt| attempt.timestamp.is_some_and(|value| !newer(value, echo));
            self.all().find(fits).or_else(|| self.all().rfind(not_newer)).copied()
        });
        matching.or_else(|| self.last())
    }

    /// Whether `frame` is one of them.
    pub(super) fn has(&self, frame: FrameId) -> bool {
        self.all().any(|attempt| attempt.mark.frame == frame)
    }

    /// Whether the one in `frame` is a FIN, all others are not, and others came behind it: it waited there
    /// for what was missing.
    pub(super) fn is_only_fin(&self, frame: Option<FrameId>) -> bool {
        let mut fins = self.all().filter(|it| it.cause == Cause::ReceivedFin);
        fins.next().is_some_and(|fin| Some(fin.mark.frame) == frame) && fins.next().is_none()
    }

    /// All that are kept, in the order of capture.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.kept.all()
    }

    /// Times between neighbours, at most `limit`.
    pub(super) fn gaps(&self, limit: usize) -> Vec<Span> {
        if self.kept.is_at_most_one() {
            return Vec::new();
        }
        let times = || self.all().map(|attempt| attempt.mark.time);
        let pairs = times().zip(times().skip(1));
        pairs.map(|(earlier, later)| later.since(earlier)).take(limit).collect()
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Time;
    use crate::tcp::{Marks, Timestamps};

    fn at(secs: i64, value: u32) -> Segment {
        Segment {
            time: Time::from_nanos(secs * 1_000_000_000),
            timestamps: Timestamps { value, echo: 0 },
            marks: Marks::TIMESTAMPS,
            ..Segment::default()
        }
    }

    #[test]
    fn the_echoed_timestamp_tells_which_transmission_arrived() {
        let mut attempts = Attempts::default();
        for (secs, value) in [(0, 100), (1, 1_100), (3, 3_100)] {
            attempts.push(&at(secs, value), Cause::ReceivedSyn);
        }
        let answered = |echo| attempts.answered_by(echo).unwrap().mark.time;
        assert_eq!(answered(Some(1_100)), at(1, 0).time);
        assert_eq!(answered(Some(7)), at(3, 0).time, "an echo of before means the latest");
        assert_eq!(answered(Some(1_150)), at(1, 0).time, "nothing newer than the echo has come");
        assert_eq!(answered(None), at(3, 0).time);
        assert_eq!(attempts.gaps(9), [Span::from_secs(1), Span::from_secs(2)]);
    }
}
