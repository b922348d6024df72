//! Which acknowledgments of a flow can matter.
//!
//! Of a handshake it is the first one behind the SYN-ACK; of a FIN those that acknowledge it. All others,
//! nearly all that an open connection has, change nothing: they are told by where they stand and what they
//! acknowledge, before they are unpacked and put in order.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::turns::{Kind, Place, Turn};
use crate::flow::deal::fold;
use crate::tcp::{Orientation, Seq};

/// A segment that asks for an acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// A SYN-ACK there: the first acknowledgment behind it counts.
    SynAck(Place),
    /// A FIN that ends there: what acknowledges that counts.
    Fin(Seq),
}

/// Segments of a wave that ask for acknowledgments, by the three words that their canonical flow is dealt by,
/// each with the direction in which those travel.
#[derive(Debug, Default)]
pub(super) struct Signs(HashMap<[u32; 3], Vec<(Orientation, Sign)>, RandomState>);

impl Signs {
    pub(super) fn add(&mut self, turn: &Turn) {
        let sign = match turn.kind {
            Kind::SynAck => Sign::SynAck(turn.place),
            Kind::Fin => Sign::Fin(turn.end),
            Kind::Syn | Kind::Rst | Kind::Ack => return,
        };
        let (canonical, orientation) = turn.tuple.reversed().canonical();
        self.0.entry(fold(canonical)).or_default().push((orientation, sign));
    }

    pub(super) fn of(&self, flow: [u32; 3]) -> &[(Orientation, Sign)] {
        self.0.get(&flow).map_or(&[], Vec::as_slice)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What waits for the acknowledgments of a flow, which are gone through one by one.
#[derive(Debug)]
pub(super) struct Awaited {
    signs: Vec<(Orientation, Sign)>,
    /// Of each direction.
    seen: [Seen; 2],
}

/// Acknowledgments of one direction that were gone through.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// SYN-ACKs before the last one that counts for them.
    syn_acks: usize,
    latest: Option<Place>,
}

impl Awaited {
    /// Where a flow has more than so many, all of its acknowledgments count.
    const MOST: usize = 16;

    pub(super) fn new(signs: Vec<(Orientation, Sign)>) -> Self {
        Self { signs, seen: [Seen::default(); 2] }
    }

    /// Whether an acknowledgment may change anything.
    pub(super) fn counts(&mut self, orientation: Orientation, place: Place, ack: Seq) -> bool {
        if self.signs.len() > Self::MOST {
            return true;
        }
        let (mut syn_acks, mut is_of_fin) = (0, false);
        for (_, sign) in self.signs.iter().filter(|(towards, _)| *towards == orientation) {
            match sign {
                Sign::SynAck(at) => syn_acks += usize::from(*at < place),
                Sign::Fin(end) => is_of_fin |= ack.distance(*end) >= 0,
            }
        }
        let [forward, backward] = &mut self.seen;
        let seen = if orientation == Orientation::Forward { forward } else { backward };
        // What stands before one that was gone through already may be the first one.
        let is_late = seen.latest.is_some_and(|latest| place < latest);
        let is_first = syn_acks > 0 && (syn_acks > seen.syn_acks || is_late);
        seen.syn_acks = seen.syn_acks.max(syn_acks);
        seen.latest = seen.latest.max(Some(place));
        is_first || is_of_fin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Horizon;
    use crate::stamp::{FrameId, Time};

    fn place(frame: u64) -> Place {
        (Horizon::new(Time::from_nanos(7), 0), FrameId::new(0, frame))
    }

    #[test]
    fn the_first_acknowledgment_behind_each_syn_ack_counts_and_those_of_a_fin() {
        let (to, back) = (Orientation::Forward, Orientation::Backward);
        let signs = [place(3), place(9)].map(|at| (to, Sign::SynAck(at)));
        let mut awaited = Awaited::new([&signs[..], &[(back, Sign::Fin(Seq(100)))]].concat());
        let mut counts =
            |frame, orientation, ack| awaited.counts(orientation, place(frame), Seq(ack));
        assert!(!counts(2, to, 500));
        assert!(counts(5, to, 10) && !counts(6, to, 20) && counts(4, to, 10), "4 is before 5");
        assert!(counts(10, to, 10) && !counts(11, to, 500));
        assert!(!counts(12, back, 99) && counts(13, back, 100) && counts(14, back, 101));
    }

    #[test]
    fn where_there_are_too_many_signs_every_acknowledgment_counts() {
        let signs = vec![(Orientation::Forward, Sign::Fin(Seq(100))); Awaited::MOST + 1];
        assert!(Awaited::new(signs).counts(Orientation::Backward, place(1), Seq(0)));
    }
}
