//! How the capture began: with a connection, or in the middle of traffic.
//!
//! What a connection cannot know of its neighbours. Where the first segments belong to connections that
//! were open already, a SYN soon after may have been sent before the capture began. Only the first input
//! is looked at: others may follow upon it.

use super::Batch;
use super::packed::Packed;
use super::strip::Strip;
use crate::connection::Begun;
use crate::stamp::{FrameId, Time};
use crate::tcp::{Flags, FourTuple, Segment};

/// The first segments of the first input.
#[derive(Debug, Default)]
pub struct Start {
    first: Option<Time>,
    /// The first segment of a connection that was open already.
    open: Option<FrameId>,
    /// Tuples whose SYN was seen, from lower to higher endpoint.
    begun: Vec<FourTuple>,
    segments: usize,
}

/// A segment, as far as it tells.
pub(super) struct Opener {
    pub(super) frame: FrameId,
    pub(super) time: Time,
    pub(super) tuple: FourTuple,
    pub(super) flags: Flags,
}

impl Start {
    /// Segments that are looked at.
    const MAX_SEGMENTS: usize = 64;

    /// Whether nothing more is to be learnt.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.open.is_some() || self.segments >= Self::MAX_SEGMENTS
    }

    /// Looks at the next batch of the first input.
    pub fn read(&mut self, batch: &Batch) {
        if self.is_known() {
            return;
        }
        let mut openers = batch.openers();
        openers.sort_unstable_by_key(|opener| opener.frame);
        for opener in openers {
            if self.is_known() {
                return;
            }
            self.take(&opener);
        }
    }

    fn take(&mut self, opener: &Opener) {
        let (tuple, _) = opener.tuple.canonical();
        self.segments += 1;
        self.first.get_or_insert(opener.time);
        if opener.flags.syn() && !opener.flags.ack() {
            self.begun.push(tuple);
        } else if !opener.flags.rst() && !self.begun.contains(&tuple) {
            self.open = Some(opener.frame);
        }
    }

    /// How the capture began, for a connection that begins with `frame`.
    #[must_use]
    pub fn before(&self, frame: FrameId) -> Option<Begun> {
        let in_traffic = self.open.is_some_and(|open| open < frame);
        self.first.map(|at| Begun { at, in_traffic })
    }
}

impl Batch {
    /// The segments of the first input.
    fn openers(&self) -> Vec<Opener> {
        let first =
            self.of_all_shards().filter(|(strip, it)| strip.first.file() == 0 && !it.is_quote());
        let opener = |(strip, packed): (&Strip, &Packed)| {
            let Segment { frame, time, flags, .. } = packed.segment(strip.first);
            Opener { frame, time, tuple: self.tuple_of(packed), flags }
        };
        first.map(opener).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Endpoint;

    /// Segments by the port of the client, each with its flags; when the first one came, and which one
    /// shows that the capture began in the middle.
    fn start(segments: &[(u16, Flags)]) -> (Option<Time>, Option<FrameId>) {
        let mut start = Start::default();
        for (number, (port, flags)) in (1..).zip(segments) {
            let end = |port| Endpoint { address: [10, 0, 0, 1].into(), port };
            let tuple = FourTuple { source: end(*port), destination: end(80) };
            let (frame, time) = (FrameId::new(0, number), Time::from_nanos(7));
            start.take(&Opener { frame, time, tuple, flags: *flags });
        }
        (start.first, start.open)
    }

    #[test]
    fn a_capture_began_in_traffic_if_it_shows_a_connection_without_its_syn() {
        let (syn, ack) = (Flags::SYN, Flags::ACK);
        let answer = Flags::SYN | Flags::ACK;
        assert_eq!(start(&[(1, syn), (1, answer), (1, ack), (2, syn)]).1, None);
        assert_eq!(start(&[(1, syn), (2, ack), (1, answer)]).1, Some(FrameId::new(0, 2)));
        assert_eq!(start(&[(1, answer)]).1, Some(FrameId::new(0, 1)));
        assert_eq!(start(&[(1, Flags::RST), (2, syn)]), (Some(Time::from_nanos(7)), None));
    }

    #[test]
    fn only_what_comes_later_is_in_traffic() {
        let open = FrameId::new(0, 2);
        let start = Start { first: Some(Time::MIN), open: Some(open), ..Start::default() };
        let in_traffic = |number| start.before(FrameId::new(0, number)).unwrap().in_traffic;
        assert_eq!((in_traffic(1), in_traffic(3)), (false, true));
        assert_eq!(Start::default().before(open), None);
    }
}
