//! Segments that change how many sockets a host or a listener has, as the batches hold them.
//!
//! Each SYN, FIN and RST does. An acknowledgment does only where a handshake or a FIN waits for one; which
//! flows those are, is marked before the acknowledgments are gone through, and of those flows what waits is
//! looked at (`awaited`).

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Neighbours;
use super::awaited::Awaited;
use crate::flow::deal::{fold, mixed};
use crate::flow::identity::Flow;
use crate::flow::packed::{self, Packed};
use crate::flow::strip::Strip;
use crate::flow::{Batch, Horizon};
use crate::stamp::{FrameId, Time};
use crate::tcp::{FourTuple, Orientation, Segment, Seq};

/// Where a segment stands in the order of the capture.
pub(super) type Place = (Horizon, FrameId);

/// A segment that changes how many sockets a host or a listener has.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Where it stands in the order of the capture.
    pub(super) place: Place,
    /// As it travelled.
    pub(super) tuple: FourTuple,
    pub(super) time: Time,
    pub(super) kind: Kind,
    /// The number behind it, and what it acknowledges.
    pub(super) end: Seq,
    pub(super) ack: Seq,
    /// The IP identification of IPv4, which no socket sends as 0 (`connection::numbers`).
    pub(super) ip_id: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fin,
    Rst,
    Syn,
    SynAck,
    /// Anything else that acknowledges.
    Ack,
}

impl Turn {
    /// What a segment changes, if it may change anything.
    #[must_use]
    pub fn of(place: Horizon, tuple: FourTuple, segment: &Segment) -> Option<Self> {
        let flags = segment.flags;
        let kind = if flags.rst() {
            Kind::Rst
        } else if flags.syn() {
            if flags.ack() { Kind::SynAck } else { Kind::Syn }
        } else if !flags.ack() {
            return None;
        } else if flags.fin() {
            Kind::Fin
        } else {
            Kind::Ack
        };
        Some(Self {
            place: (place, segment.frame),
            tuple,
            time: segment.time,
            kind,
            end: segment.seq_end(),
            ack: segment.ack,
            ip_id: tuple.source.address.is_ipv4().then_some(segment.ip_id),
        })
    }

    /// Whether an acknowledgment of its flow may count that comes behind it.
    pub(super) const fn asks_for_acknowledgment(&self) -> bool {
        !matches!(self.kind, Kind::Ack | Kind::Rst)
    }
}

/// Flows whose acknowledgments count. One may be marked for another.
#[derive(Debug, Default)]
pub(super) struct Marked {
    bits: Vec<u64>,
    /// How often a flow was marked since all were forgotten.
    marks: usize,
}

impl Marked {
    const BITS: usize = 1 << 18;

    /// Marks the flow of `tuple`, in both directions.
    pub(super) fn add(&mut self, tuple: FourTuple) {
        self.bits.resize(Self::BITS / 64, 0);
        let place = Self::place(fold(tuple.canonical().0));
        if let Some(word) = self.bits.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
        self.marks += 1;
    }

    /// How many flows were marked, those counted again that were marked before.
    pub(super) const fn len(&self) -> usize {
        self.marks
    }

    /// Whether a flow is marked. Asked for each acknowledgment, so that of most nothing is unpacked.
    #[inline]
    fn has(&self, flow: Flow<'_>) -> bool {
        let place = Self::place(match flow {
            Flow::Narrow(key) => key,
            Flow::Wide(tuple, _) => fold(tuple),
        });
        self.bits.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    pub(super) fn clear(&mut self) {
        self.bits.fill(0);
        self.marks = 0;
    }

    fn is_empty(&self) -> bool {
        self.marks == 0
    }

    /// Where the bit of a canonical flow stands, in the three words that it is dealt by.
    #[inline]
    const fn place(flow: [u32; 3]) -> usize {
        const { assert!(Self::BITS.is_power_of_two()) }
        (mixed(flow) >> 32) as usize & (Self::BITS - 1)
    }
}

impl Batch {
    /// What its SYNs, FINs and RSTs change, in the order of the batch.
    #[must_use]
    pub fn turns(&self) -> Vec<Turn> {
        self.turns_of(|_, packed| packed.may_turn())
    }

    /// Its acknowledgments that count, once the SYNs, FINs and RSTs of all that is read with it are known;
    /// where something may come that stands before them, as it may where `is_ready` denies it, whatever may
    /// be one.
    // Perf: with `--sysctl`, snaplen 96: an acknowledgment that is handed on takes 1,600 instructions, and one in
    // two was of a flow of which something waits.
    #[must_use]
    pub fn acknowledgments(
        &self,
        neighbours: &Neighbours,
        in_order: bool,
        is_ready: impl Fn(Horizon) -> bool,
    ) -> Vec<Turn> {
        let marked = neighbours.marked();
        if in_order && marked.is_empty() {
            return Vec::new();
        }
        let mut awaited = HashMap::<[u32; 3], Awaited, RandomState>::default();
        self.turns_of(|strip, packed| {
            if !packed.acknowledges_alone() {
                return false;
            }
            let flow = self.flow_of(packed);
            if !marked.has(flow) {
                return !in_order && !is_ready(self.place(strip, packed));
            }
            let (Flow::Narrow(key), true) = (flow, in_order) else { return true };
            let of_flow =
                awaited.entry(key).or_insert_with(|| neighbours.awaited(key, flow.tuple()));
            let is_forward = packed.kind.contains(packed::Kind::FORWARD);
            let direction = if is_forward { Orientation::Forward } else { Orientation::Backward };
            let frame = strip.first.plus(u64::from(packed.frame));
            of_flow.counts(direction, (self.place(strip, packed), frame), packed.acknowledged())
        })
    }

    fn turns_of(&self, mut counts: impl FnMut(&Strip, &Packed) -> bool) -> Vec<Turn> {
        let counting = self.of_all_shards().filter(|(strip, packed)| counts(strip, packed));
        let place = |(strip, packed)| (self.place(strip, packed), packed.frame, strip, packed);
        let mut places: Vec<(Horizon, u32, &Strip, &Packed)> = counting.map(place).collect();
        places.sort_unstable_by_key(|(place, frame, ..)| (*place, *frame));
        let turn = |(place, _, strip, packed): (Horizon, u32, &Strip, &Packed)| {
            Turn::of(place, self.tuple_of(packed), &packed.segment(strip.first))
        };
        places.into_iter().filter_map(turn).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Endpoint;

    #[test]
    fn a_flow_is_marked_in_both_directions_and_few_others_with_it() {
        let tuple = |port| FourTuple {
            source: Endpoint { address: [10, 0, 0, 1].into(), port },
            destination: Endpoint { address: [10, 0, 0, 2].into(), port: 80 },
        };
        let mut marked = Marked::default();
        let has = |marked: &Marked, port| {
            let flow = Flow::Wide(tuple(port).canonical().0, &[]);
            let is_marked = marked.has(flow);
            assert_eq!(marked.has(flow.without_tunnel()), is_marked, "packed or not");
            is_marked
        };
        assert!(!has(&marked, 1));
        (1_000..1_999).for_each(|port| marked.add(tuple(port)));
        marked.add(tuple(1_999).reversed());
        assert!(has(&marked, 1_500) && has(&marked, 1_999));
        let others = (2_000..12_000).filter(|port| has(&marked, *port)).count();
        assert!(others < 200, "{others} of 10,000");
        marked.clear();
        assert!(!has(&marked, 1_500));
    }
}
