//! Segments that change how many sockets a host or a listener has, as the batches hold them.
//!
//! Each SYN, FIN and RST does. An acknowledgment does only where a handshake or a FIN waits for one; which
//! flows those are, is marked before the acknowledgments are gone through.

use super::packed::Packed;
use super::{Batch, Horizon};
use crate::stamp::{FrameId, Time};
use crate::tcp::{FourTuple, Segment, Seq};
use std::net::IpAddr;

/// A segment that changes how many sockets a host or a listener has.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Where it stands in the order of the capture.
    pub(super) place: (Horizon, FrameId),
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
}

/// Flows whose acknowledgments count. One may be marked for another.
#[derive(Debug, Default)]
pub struct Marked {
    bits: Vec<u64>,
}

impl Marked {
    const BITS: usize = 1 << 18;

    /// Marks the flow of `tuple`, in both directions.
    pub(super) fn add(&mut self, tuple: FourTuple) {
        self.bits.resize(Self::BITS / 64, 0);
        let place = Self::place(tuple);
        if let Some(word) = self.bits.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    fn has(&self, tuple: FourTuple) -> bool {
        let place = Self::place(tuple);
        self.bits.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    pub(super) fn clear(&mut self) {
        self.bits.fill(0);
    }

    fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    #[expect(clippy::cast_possible_truncation, reason = "any 18 bits do")]
    fn place(tuple: FourTuple) -> usize {
        let fold = |address| match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() ^ address.to_bits() >> 64) as u64,
        };
        let end = |it: crate::tcp::Endpoint| {
            (fold(it.address) ^ u64::from(it.port) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        // The same for both directions.
        let sum = end(tuple.source).wrapping_add(end(tuple.destination));
        (sum >> 46) as usize
    }
}

impl Batch {
    /// What its SYNs, FINs and RSTs change, in the order of the batch.
    #[must_use]
    pub fn turns(&self) -> Vec<Turn> {
        self.turns_of(Packed::may_turn, |_| true)
    }

    /// Its acknowledgments that count.
    #[must_use]
    pub fn acknowledgments(&self, marked: &Marked) -> Vec<Turn> {
        if marked.is_empty() {
            return Vec::new();
        }
        self.turns_of(Packed::acknowledges_alone, |tuple| marked.has(tuple))
    }

    fn turns_of(
        &self,
        is_wanted: impl Fn(&Packed) -> bool,
        counts: impl Fn(FourTuple) -> bool,
    ) -> Vec<Turn> {
        let mut turns = Vec::new();
        for (strip, packed) in self.of_all_shards().filter(|(_, it)| is_wanted(it)) {
            let tuple = self.tuple_of(packed);
            if counts(tuple) {
                let segment = packed.segment(strip.first);
                turns.extend(Turn::of(self.place(strip, packed), tuple, &segment));
            }
        }
        turns.sort_unstable_by_key(|turn| turn.place);
        turns
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
        assert!(!marked.has(tuple(1)));
        (1_000..2_000).for_each(|port| marked.add(tuple(port)));
        assert!(marked.has(tuple(1_500)) && marked.has(tuple(1_500).reversed()));
        let others = (2_000..12_000).filter(|port| marked.has(tuple(*port))).count();
        assert!(others < 200, "{others} of 10,000");
        marked.clear();
        assert!(!marked.has(tuple(1_500)));
    }
}
