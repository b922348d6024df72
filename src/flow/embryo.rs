//! Handshakes that have not advanced beyond SYN and SYN-ACK, in a few dozen bytes each.
//!
//! A flood leaves millions of these. An embryo keeps the segments themselves and understands none
//! of them: the connection is built by replaying them, so it cannot differ from one that was
//! built at once.

use super::slab::Slab;
use super::table::Key;
use crate::connection::{Beginning, Connection, Effects};
use crate::settings::Settings;
use crate::stamp::{Span, Time};
use crate::tcp::{Control, Extras, FourTuple, Segment, SynOptions, TunnelLayer};

/// Segments that an embryo holds at most; a longer handshake gets a connection.
const MAX_SEGMENTS: u8 = 16;

/// Silence after which an embryo becomes a connection, which knows whether it has timed out.
/// Shorter than the time for which any connection waits for stragglers.
const MAX_SILENCE: Span = Span::from_secs(35);

/// An index that stands for none.
const NONE: u32 = u32::MAX;

/// A first SYN, and what followed it.
#[derive(Debug)]
pub(super) struct Embryo {
    first: Held,
    /// The connection's id: position of the SYN's frame in the run.
    pub(super) id: u64,
    pub(super) key: Key,
    /// The last held segment behind the first.
    last: u32,
    count: u8,
}

/// A held segment, its options packed.
#[derive(Clone, Copy, Debug)]
struct Held {
    segment: Segment,
    options: u64,
    /// The held segment before this one.
    before: u32,
    forward: bool,
}

/// The embryos of a shard.
#[derive(Debug)]
pub(super) struct Embryos {
    heads: Slab<Embryo>,
    followers: Slab<Held>,
}

impl Embryos {
    pub(super) const fn new() -> Self {
        Self { heads: Slab::new(), followers: Slab::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Embryo> {
        self.heads.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Embryo)> {
        self.heads.iter()
    }

    /// Whether a flow can begin as an embryo: with a SYN that the capture clock agrees with and
    /// whose options can be held.
    pub(super) fn accepts(segment: &Segment, extras: &Extras, clock: Time) -> bool {
        segment.control() == Control::Syn
            && !segment.flags.fin()
            && segment.time == clock
            && pack(extras).is_some()
    }

    /// Stores an accepted first SYN.
    pub(super) fn begin(
        &mut self,
        (id, key): (u64, Key),
        forward: bool,
        segment: &Segment,
        extras: &Extras,
    ) -> u32 {
        let options = pack(extras).unwrap_or_default();
        let first = Held { segment: *segment, options, before: NONE, forward };
        self.heads.insert(Embryo { first, id, key, last: NONE, count: 1 })
    }

    /// Stores a segment that leaves the handshake where it is: the same SYN again, or the SYN-ACK
    /// that answers it. False where the connection has to be built instead.
    pub(super) fn extend(
        &mut self,
        index: u32,
        forward: bool,
        segment: &Segment,
        extras: &Extras,
        clock: Time,
    ) -> bool {
        let Some(head) = self.heads.get(index) else { return false };
        let last = self.followers.get(head.last).unwrap_or(&head.first);
        let Some(options) = pack(extras).filter(|_| {
            head.count < MAX_SEGMENTS
                && segment.time == clock
                && clock.since(last.segment.time) <= MAX_SILENCE
                && !segment.flags.fin()
                && self.belongs(head, forward, segment)
        }) else {
            return false;
        };
        let follower = Held { segment: *segment, options, before: head.last, forward };
        let at = self.followers.insert(follower);
        if let Some(head) = self.heads.get_mut(index) {
            head.last = at;
            head.count += 1;
        }
        true
    }

    /// Takes an embryo out and builds its connection, on the flow with the tuple `canonical`.
    pub(super) fn hatch(
        &mut self,
        index: u32,
        flow: (FourTuple, Vec<TunnelLayer>),
        settings: &Settings,
    ) -> Option<Hatched> {
        let Embryo { first, id, key, last, count } = self.heads.remove(index)?;
        let mut held = [first; MAX_SEGMENTS as usize];
        let held = held.get_mut(..usize::from(count))?;
        let mut at = last;
        for place in held.iter_mut().skip(1).rev() {
            let Some(follower) = self.followers.remove(at) else { break };
            at = follower.before;
            *place = follower;
        }
        let time = held.last().map_or(first.segment.time, |last| last.segment.time);
        let (connection, _) = build(held, id, flow, settings)?;
        Some(Hatched { connection, id, key, time })
    }

    /// The connection as it would hatch now, and what its last segment did; the embryo stays.
    pub(super) fn replay(
        &self,
        index: u32,
        flow: (FourTuple, Vec<TunnelLayer>),
        settings: &Settings,
    ) -> Option<(Connection, Effects)> {
        let Embryo { first, id, last, count, .. } = *self.heads.get(index)?;
        let mut held = [first; MAX_SEGMENTS as usize];
        let held = held.get_mut(..usize::from(count))?;
        let mut at = last;
        for place in held.iter_mut().skip(1).rev() {
            let Some(follower) = self.followers.get(at) else { break };
            at = follower.before;
            *place = *follower;
        }
        build(held, id, flow, settings)
    }

    fn belongs(&self, head: &Embryo, forward: bool, segment: &Segment) -> bool {
        let same_side = forward == head.first.forward;
        match segment.control() {
            Control::Syn => same_side && segment.seq == head.first.segment.seq,
            Control::SynAck => {
                !same_side
                    && segment.ack == head.first.segment.seq.plus(1)
                    && self.syn_ack(head).is_none_or(|earlier| earlier.segment.seq == segment.seq)
            }
            Control::None | Control::Fin | Control::Rst => false,
        }
    }

    /// A SYN-ACK among the held segments; all that were accepted have the same number.
    fn syn_ack(&self, head: &Embryo) -> Option<&Held> {
        let mut at = head.last;
        while let Some(follower) = self.followers.get(at) {
            if follower.forward != head.first.forward {
                return Some(follower);
            }
            at = follower.before;
        }
        None
    }
}

/// A connection fresh from its embryo.
#[derive(Debug)]
pub(super) struct Hatched {
    pub(super) connection: Connection,
    pub(super) id: u64,
    pub(super) key: Key,
    /// The time of the last replayed segment.
    pub(super) time: Time,
}

/// The connection of these segments, on a flow with its canonical tuple and its tunnel, and what
/// the last of them did.
fn build(
    held: &[Held],
    id: u64,
    (canonical, tunnel): (FourTuple, Vec<TunnelLayer>),
    settings: &Settings,
) -> Option<(Connection, Effects)> {
    let first = held.first()?;
    let tuple = if first.forward { canonical } else { canonical.reversed() };
    let beginning = Beginning { id, tuple, forward: first.forward, tunnel };
    let mut connection = Connection::new(beginning, &first.segment);
    let mut effects = None;
    for held in held {
        let extras = unpack(held.options);
        effects = Some(connection.observe(held.forward, &held.segment, &extras, settings));
    }
    Some((connection, effects?))
}

/// Handshake options in 64 bits; none where there is more than those.
fn pack(extras: &Extras) -> Option<u64> {
    if extras.is_none() {
        return Some(0);
    }
    if !extras.sack.as_slice().is_empty() || extras.framed_len.is_some() {
        return None;
    }
    let optional = |value: Option<u64>, at: u32| value.map_or(0, |value| (value << 1 | 1) << at);
    let SynOptions { mss, window_scale, sack_permitted, fast_open } = extras.syn;
    Some(
        optional(mss.map(u64::from), 0)
            | optional(window_scale.map(u64::from), 17)
            | optional(fast_open.map(u64::from), 26)
            | optional(extras.mptcp.map(u64::from), 35)
            | u64::from(sack_permitted) << 44
            | u64::from(extras.signed) << 45
            | u64::from(extras.malformed) << 46,
    )
}

fn unpack(bits: u64) -> Extras {
    let flag = |at: u32| bits >> at & 1 == 1;
    #[expect(clippy::cast_possible_truncation, reason = "the field's own bits are kept")]
    let optional = |at: u32| flag(at).then_some((bits >> (at + 1)) as u8);
    #[expect(clippy::cast_possible_truncation, reason = "the field's own bits are kept")]
    let mss = flag(0).then_some((bits >> 1) as u16);
    let syn = SynOptions {
        mss,
        window_scale: optional(17),
        fast_open: optional(26),
        sack_permitted: flag(44),
    };
    let (mptcp, signed, malformed) = (optional(35), flag(45), flag(46));
    Extras { syn, mptcp, signed, malformed, ..Extras::NONE }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_embryo_takes_at_most_two_cache_lines() {
        assert!(size_of::<Option<Embryo>>() <= 112, "{}", size_of::<Option<Embryo>>());
        assert!(size_of::<Option<Held>>() <= 72);
    }

    proptest! {
        #[test]
        fn handshake_options_survive_packing(
            mss: Option<u16>, window_scale: Option<u8>, fast_open: Option<u8>,
            mptcp: Option<u8>, flags: [bool; 3],
        ) {
            let [sack_permitted, signed, malformed] = flags;
            let syn = SynOptions { mss, window_scale, sack_permitted, fast_open };
            let extras = Extras { syn, mptcp, signed, malformed, ..Extras::NONE };
            prop_assert_eq!(pack(&extras).map(unpack), Some(extras));
        }
    }
}
