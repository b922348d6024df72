//! Handshakes that have not advanced beyond SYN and SYN-ACK, or were refused at once, and flows of which
//! nothing but one segment without timestamps was seen, in a few dozen bytes each.
//!
//! Floods leave millions of these. An embryo keeps the segments themselves and understands none
//! of them: the connection is built by replaying them, so it cannot differ from one that was
//! built at once.

use std::num::NonZeroU8;

use super::arrival::Arrival;
use super::options::{BITS, pack, unpack};
use super::slab::Slab;
use super::table::Key;
use crate::connection::{Beginning, Connection, Effects};
use crate::settings::Settings;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Control, Extras, Flags, FourTuple, Marks, Segment, Seq, Timestamps, TunnelLayer};

/// Segments that an embryo holds at most; a longer handshake gets a connection.
const MAX_SEGMENTS: u8 = 16;

/// Silence after which an embryo becomes a connection, which knows whether it has timed out.
/// Shorter than the time for which any connection waits for stragglers.
const MAX_SILENCE: Span = Span::from_secs(35);

/// Silence after which no server waits for the end of a handshake: beyond the longest wait between
/// two SYN-ACKs (RFC 6298 5.7: the timer doubles, at most 120 s in Linux).
const MAX_HALF_OPEN: Span = Span::from_secs(120);

/// An index that stands for none.
const NONE: u32 = u32::MAX;

/// A first segment, and what followed it if it is a SYN: one cache line, in which every field of the
/// segment that can matter to a connection is kept.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Embryo {
    time: Time,
    frame: FrameId,
    /// Packed options, and above them [`Embryo::FORWARD`], [`Embryo::WIDE`],
    /// [`Embryo::ANSWERED`] and the interface.
    options: u64,
    flow: [u32; 3],
    seq: u32,
    /// The timestamp of a SYN; of what is none, and has no timestamps, what it acknowledges.
    timestamp_or_ack: u32,
    /// The last held segment behind the first.
    last: u32,
    payload_len: u16,
    header_len: u16,
    window: u16,
    flags: u16,
    ip_id: u16,
    checksum: u16,
    /// Held segments with the first.
    count: NonZeroU8,
    ttl: u8,
    traffic_class: u8,
    marks: u8,
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

impl Embryo {
    const FORWARD: u64 = 1 << BITS;
    const WIDE: u64 = 1 << (BITS + 1);
    const ANSWERED: u64 = 1 << (BITS + 2);
    /// Where the interface begins, which takes all bits from there on.
    const INTERFACE: u32 = BITS + 3;

    pub(super) const fn frame(&self) -> FrameId {
        self.frame
    }

    pub(super) const fn key(&self) -> Key {
        if self.options & Self::WIDE == 0 {
            Key::Narrow(self.flow)
        } else {
            let [index, ..] = self.flow;
            Key::Wide(index)
        }
    }

    /// The first of the held segments. What a SYN without ACK would acknowledge or echo is not kept: it
    /// has no meaning (RFC 9293 3.1, RFC 7323 3.2).
    const fn first(&self) -> Held {
        let (value, ack) =
            if self.is_syn() { (self.timestamp_or_ack, 0) } else { (0, self.timestamp_or_ack) };
        let segment = Segment {
            time: self.time,
            frame: self.frame,
            seq: Seq(self.seq),
            ack: Seq(ack),
            timestamps: Timestamps { value, echo: 0 },
            payload_len: self.payload_len as u32,
            header_len: self.header_len,
            window: self.window,
            flags: Flags(self.flags),
            ip_id: self.ip_id,
            checksum: self.checksum,
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            marks: Marks(self.marks),
            interface: self.interface(),
        };
        Held { segment, options: self.options, before: NONE, forward: self.is_forward() }
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are no more bits than these")]
    const fn interface(&self) -> u8 {
        (self.options >> Self::INTERFACE) as u8
    }

    /// It is a handshake.
    const fn is_syn(&self) -> bool {
        matches!(Flags(self.flags).control(), Control::Syn)
    }

    /// A SYN-ACK answered it.
    const fn is_answered(&self) -> bool {
        self.options & Self::ANSWERED != 0
    }

    const fn is_forward(&self) -> bool {
        self.options & Self::FORWARD != 0
    }

    /// What its SYN looks like: that of two is the same where they differ in nothing but who sent them to
    /// whom, when, how long they were, and in numbers that mean nothing by themselves.
    pub(super) const fn looks(&self) -> Looks {
        Looks {
            options: self.options,
            flags: self.flags,
            window: self.window,
            traffic_class: self.traffic_class,
            marks: self.marks,
        }
    }

    /// The connection of its SYN alone.
    pub(super) fn alone(&self, beginning: Beginning, settings: &Settings) -> Connection {
        let first = self.first();
        let mut connection = Connection::new(beginning, &first.segment);
        connection.observe(first.forward, &first.segment, &unpack(first.options), settings);
        connection
    }
}

/// See [`Embryo::looks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    options: u64,
    flags: u16,
    window: u16,
    traffic_class: u8,
    marks: u8,
}

/// The embryos of a shard.
#[derive(Debug)]
pub(super) struct Embryos {
    heads: Slab<Embryo>,
    followers: Slab<Held>,
    /// How many were answered.
    answered: usize,
}

impl Embryos {
    /// What no SYN has that counts as others do.
    const UNSOUND: u8 = Marks::BAD_CHECKSUM.0 | Marks::CUT_HEADER.0 | Marks::GUESSED_LENGTH.0;

    pub(super) const fn new() -> Self {
        Self { heads: Slab::new(), followers: Slab::new(), answered: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Embryo> {
        self.heads.get(index)
    }

    /// Asks the memory for an embryo.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        self.heads.prefetch(index);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Embryo)> {
        self.heads.iter()
    }

    /// The packed options of a segment with which a flow can begin as an embryo: one that the capture clock
    /// agrees with and whose options can be held, a SYN, or any other without timestamps.
    #[inline]
    pub(super) fn accepts(arrival: &Arrival<'_>) -> Option<u64> {
        let Arrival { segment, extras, options, clock, .. } = arrival;
        let is_kind = match segment.control() {
            Control::Syn => !segment.flags.fin(),
            _ => segment.timestamps == Timestamps { value: 0, echo: 0 },
        };
        let is_accepted =
            is_kind && segment.time == *clock && u16::try_from(segment.payload_len).is_ok();
        if is_accepted { options.or_else(|| pack(extras)) } else { None }
    }

    /// Stores an accepted first segment with its packed options.
    pub(super) fn begin(
        &mut self,
        key: Key,
        forward: bool,
        segment: &Segment,
        options: u64,
    ) -> u32 {
        let (flow, wide) = match key {
            Key::Narrow(flow) => (flow, 0),
            Key::Wide(index) => ([index, 0, 0], Embryo::WIDE),
        };
        let direction = if forward { Embryo::FORWARD } else { 0 };
        let interface = u64::from(segment.interface) << Embryo::INTERFACE;
        self.heads.insert(Embryo {
            time: segment.time,
            frame: segment.frame,
            options: options | direction | wide | interface,
            flow,
            seq: segment.seq.0,
            timestamp_or_ack: match segment.control() {
                Control::Syn => segment.timestamps.value,
                _ => segment.ack.0,
            },
            last: NONE,
            payload_len: u16::try_from(segment.payload_len).unwrap_or(u16::MAX),
            header_len: segment.header_len,
            window: segment.window,
            flags: segment.flags.0,
            ip_id: segment.ip_id,
            checksum: segment.checksum,
            count: NonZeroU8::MIN,
            ttl: segment.ttl,
            traffic_class: segment.traffic_class,
            marks: segment.marks.0,
        })
    }

    /// Stores a segment that leaves the handshake where it is, the same SYN again, or the SYN-ACK that
    /// answers it; or the RST that refuses it, after which nothing is stored any more. False where the
    /// connection has to be built instead.
    pub(super) fn extend(
        &mut self,
        index: u32,
        forward: bool,
        segment: &Segment,
        extras: &Extras,
        clock: Time,
    ) -> bool {
        let Some(head) = self.heads.get(index) else { return false };
        let last = self.followers.get(head.last);
        let is_refused = last.is_some_and(|held| held.segment.flags.rst());
        let last = last.map_or(head.time, |held| held.segment.time);
        let Some(options) = pack(extras).filter(|_| {
            !is_refused
                && head.count.get() < MAX_SEGMENTS
                && segment.time == clock
                && clock.since(last) <= MAX_SILENCE
                && !segment.flags.fin()
                && self.belongs(head, forward, segment)
        }) else {
            return false;
        };
        let follower = Held { segment: *segment, options, before: head.last, forward };
        let at = self.followers.insert(follower);
        if let Some(head) = self.heads.get_mut(index) {
            head.last = at;
            head.count = head.count.saturating_add(1);
            if segment.control() == Control::SynAck && !head.is_answered() {
                head.options |= Embryo::ANSWERED;
                self.answered += 1;
            }
        }
        true
    }

    /// Takes an embryo out and builds its connection with this id, on a flow with its canonical
    /// tuple and its tunnel, in a spare place if there is one.
    pub(super) fn hatch(
        &mut self,
        index: u32,
        id: u64,
        flow: (FourTuple, Vec<TunnelLayer>),
        spare: Option<Box<Connection>>,
        settings: &Settings,
    ) -> Option<Hatched> {
        let embryo = self.heads.get(index)?;
        let (key, mut follower) = (embryo.key(), embryo.last);
        let time = self.followers.get(follower).map_or(embryo.time, |held| held.segment.time);
        let (connection, _) = self.build(embryo, id, flow, spare, settings);
        let removed = self.heads.remove(index);
        self.answered -= usize::from(removed.is_some_and(|head| head.is_answered()));
        while let Some(removed) = self.followers.remove(follower) {
            follower = removed.before;
        }
        Some(Hatched { connection, id, key, time, embryo: Some(index) })
    }

    /// The connection as it would hatch now, and what its last segment did; the embryo stays.
    pub(super) fn replay(
        &self,
        index: u32,
        id: u64,
        flow: (FourTuple, Vec<TunnelLayer>),
        settings: &Settings,
    ) -> Option<(Box<Connection>, Effects)> {
        Some(self.build(self.heads.get(index)?, id, flow, None, settings))
    }

    /// The connection of an embryo, on a flow with its canonical tuple and its tunnel, and what the
    /// last of its segments did.
    fn build(
        &self,
        embryo: &Embryo,
        id: u64,
        (canonical, tunnel): (FourTuple, Vec<TunnelLayer>),
        spare: Option<Box<Connection>>,
        settings: &Settings,
    ) -> (Box<Connection>, Effects) {
        let first = embryo.first();
        let tuple = if first.forward { canonical } else { canonical.reversed() };
        let beginning = Beginning { id, tuple, forward: first.forward, tunnel };
        let connection = Connection::new(beginning, &first.segment);
        let mut connection = match spare {
            Some(mut place) => {
                *place = connection;
                place
            }
            None => Box::new(connection),
        };
        let mut take = |held: &Held| {
            let extras = unpack(held.options);
            connection.observe(held.forward, &held.segment, &extras, settings)
        };
        let mut effects = take(&first);
        // They name the one before, so that the first comes last.
        let (mut followers, mut at) = ([NONE; MAX_SEGMENTS as usize], embryo.last);
        let mut count = 0;
        while let (Some(follower), Some(place)) = (self.followers.get(at), followers.get_mut(count))
        {
            (*place, at, count) = (at, follower.before, count + 1);
        }
        for at in followers.iter().take(count).rev() {
            if let Some(follower) = self.followers.get(*at) {
                effects = take(follower);
            }
        }
        (connection, effects)
    }

    /// Whether an embryo should stay where others can leave instead at `clock`: a server holds it
    /// half-open, and how many it holds at once is what matters most in a flood. Of all places only
    /// half are spared so, and none for longer than any server waits.
    pub(super) fn is_spared(&self, index: u32, clock: Time) -> bool {
        let Some(head) = self.heads.get(index).filter(|head| head.is_answered()) else {
            return false;
        };
        let last = self.followers.get(head.last).map_or(head.time, |held| held.segment.time);
        self.answered <= self.heads.len() / 2 && clock.since(last) < MAX_HALF_OPEN
    }

    /// An embryo that is a SYN which nothing followed, that SYN, and its direction; none where it has
    /// payload, a wrong checksum, or not all of its header, of which Zeek takes no notice.
    pub(super) fn lone_syn(&self, index: u32) -> Option<(&Embryo, Segment, bool)> {
        let embryo = self.heads.get(index)?;
        let is_sound = embryo.marks & Self::UNSOUND == 0;
        let is_single = embryo.count == NonZeroU8::MIN && embryo.is_syn();
        let is_lone = is_single && embryo.payload_len == 0 && is_sound;
        is_lone.then(|| (embryo, embryo.first().segment, embryo.is_forward()))
    }

    /// Takes an embryo out that nothing followed.
    pub(super) fn drop_lone(&mut self, index: u32) {
        self.heads.remove(index);
    }

    fn belongs(&self, head: &Embryo, forward: bool, segment: &Segment) -> bool {
        let same_side = forward == head.is_forward();
        match segment.control() {
            _ if !head.is_syn() => false,
            Control::Syn => same_side && segment.seq.0 == head.seq,
            Control::SynAck => {
                !same_side
                    && segment.ack == Seq(head.seq).plus(1)
                    && self.syn_ack(head).is_none_or(|earlier| earlier.segment.seq == segment.seq)
            }
            Control::Rst => {
                let accepts = segment.flags.ack() && segment.ack == Seq(head.seq).plus(1);
                !same_side && accepts && !head.is_answered()
            }
            Control::None | Control::Fin => false,
        }
    }

    /// A SYN-ACK among the held segments; all that were accepted have the same number.
    fn syn_ack(&self, head: &Embryo) -> Option<&Held> {
        let mut at = head.last;
        while let Some(follower) = self.followers.get(at) {
            if follower.forward != head.is_forward() {
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
    pub(super) connection: Box<Connection>,
    pub(super) id: u64,
    pub(super) key: Key,
    /// The time of the last replayed segment.
    pub(super) time: Time,
    /// The embryo that it was; none where it was built at once.
    pub(super) embryo: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embryo_takes_one_cache_line() {
        assert_eq!(size_of::<Option<Embryo>>(), 64);
        assert!(size_of::<Option<Held>>() <= 72);
    }
}
