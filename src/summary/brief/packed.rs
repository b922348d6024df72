//! A [`Brief`] in about a hundred bytes, for entries of few connections.
//!
//! Numbers take seven bits a byte, times count from the one before; what is absent or signed is folded
//! into the number, and what is one of few takes a byte. Nothing is lost.
//!
//! How many bytes a number takes is told by the lowest bit that is set in its first byte, so that it is
//! written and read in one step. One of more than eight bytes follows a zero.

use std::net::IpAddr;

use super::{Brief, Sent, Stay};
use crate::compat::zeek::ConnState;
use crate::connection::{CloseOutcome, HandshakeOutcome, State};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::Side;

/// What may be there, as bits.
mod has {
    pub(super) const V6: u64 = 1;
    pub(super) const SYN: u64 = 2;
    pub(super) const SYN_ACK: u64 = 4;
    pub(super) const HANDSHAKE: u64 = 8;
    pub(super) const CLIENT_CONVERSES: u64 = 16;
    pub(super) const SERVER_CONVERSES: u64 = 32;
    /// Something that most connections have none of.
    pub(super) const RARE: u64 = 64;
}

impl Brief {
    /// Appends it.
    pub(in crate::summary) fn pack(&self, into: &mut Vec<u8>) {
        let rare = [
            u64::from(self.syn_retransmissions),
            u64::from(self.syn_ack_retransmissions),
            u64::from(self.syn_acks_after_ack),
            u64::from(self.states_dropped),
            self.copies,
        ];
        let is_rare = rare.iter().any(|count| *count > 0);
        let flags = [
            (self.client.address.is_ipv6(), has::V6),
            (self.syn.is_some(), has::SYN),
            (self.has_syn_ack, has::SYN_ACK),
            (self.handshake.is_some(), has::HANDSHAKE),
            (self.converses.client, has::CLIENT_CONVERSES),
            (self.converses.server, has::SERVER_CONVERSES),
            (is_rare, has::RARE),
        ];
        put(into, flags.iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum());
        match self.client.address {
            IpAddr::V4(address) => into.extend(address.octets()),
            IpAddr::V6(address) => into.extend(address.octets()),
        }
        put(into, self.client.port.into());
        put(into, self.id);
        put(into, self.first_frame.file().into());
        put(into, self.first_frame.number());
        put_signed(into, self.first_time.nanos());
        put_time(into, self.first_time, self.last_time);
        put_time(into, self.last_time, self.known_until);
        if let Some(syn) = self.syn {
            put_time(into, self.first_time, syn);
        }
        if let Some(handshake) = self.handshake {
            put_signed(into, handshake.nanos());
        }
        into.extend([
            place(&HandshakeOutcome::ALL, self.outcome),
            place(&CloseOutcome::ALL, self.close),
            place(&ConnState::ALL, self.zeek),
        ]);
        if is_rare {
            for count in rare {
                put(into, count);
            }
        }
        for side in Side::BOTH {
            self.sent.of(side).pack(into);
            put_states(into, self.first_time, || self.states.of(side).iter().copied());
        }
    }

    /// Becomes the one at the front of `bytes`, and takes it off; none where there is none.
    pub(in crate::summary) fn unpack(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let flags = take(bytes)?;
        let is = |bit| flags & bit != 0;
        self.client.address = if is(has::V6) {
            take_array::<16>(bytes)?.into()
        } else {
            take_array::<4>(bytes)?.into()
        };
        self.client.port = take_small(bytes)?;
        self.id = take(bytes)?;
        let file = take_small(bytes)?;
        self.first_frame = FrameId::new(file, take(bytes)?);
        self.first_time = Time::from_nanos(take_signed(bytes)?);
        self.last_time = take_time(bytes, self.first_time)?;
        self.known_until = take_time(bytes, self.last_time)?;
        self.syn = if is(has::SYN) { Some(take_time(bytes, self.first_time)?) } else { None };
        self.handshake =
            if is(has::HANDSHAKE) { Some(Span::from_nanos(take_signed(bytes)?)) } else { None };
        self.has_syn_ack = is(has::SYN_ACK);
        self.converses.client = is(has::CLIENT_CONVERSES);
        self.converses.server = is(has::SERVER_CONVERSES);
        let [outcome, close, zeek] = take_array(bytes)?;
        self.outcome = one_of(&HandshakeOutcome::ALL, outcome)?;
        self.close = one_of(&CloseOutcome::ALL, close)?;
        self.zeek = one_of(&ConnState::ALL, zeek)?;
        let mut rare = [0; 5];
        if is(has::RARE) {
            for count in &mut rare {
                *count = take(bytes)?;
            }
        }
        let [syns, syn_acks, after_ack, dropped, copies] = rare;
        self.syn_retransmissions = u32::try_from(syns).ok()?;
        self.syn_ack_retransmissions = u32::try_from(syn_acks).ok()?;
        self.syn_acks_after_ack = u32::try_from(after_ack).ok()?;
        self.states_dropped = u32::try_from(dropped).ok()?;
        self.copies = copies;
        for side in Side::BOTH {
            *self.sent.of_mut(side) = Sent::unpack(bytes)?;
            take_states(bytes, self.first_time, self.states.of_mut(side))?;
        }
        Some(())
    }
}

/// How many states there are, and each with its distance from the one before.
fn put_states<I: Iterator<Item = Stay>>(
    into: &mut Vec<u8>,
    mut before: Time,
    states: impl Fn() -> I,
) {
    put(into, states().count() as u64);
    for stay in states() {
        into.push(place(&State::ALL, stay.state));
        put_time(into, before, stay.from);
        before = stay.from;
    }
}

fn take_states(bytes: &mut &[u8], mut before: Time, states: &mut Vec<Stay>) -> Option<()> {
    states.clear();
    let count = take(bytes)?;
    // No more than there can be in the bytes, whatever they say.
    states.reserve(usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len()));
    for _ in 0..count {
        let [state] = take_array(bytes)?;
        let from = take_time(bytes, before)?;
        states.push(Stay { state: one_of(&State::ALL, state)?, from });
        before = from;
    }
    Some(())
}

/// A time as its distance from an earlier one; wrapping, since a hostile capture may hold any.
fn put_time(into: &mut Vec<u8>, before: Time, time: Time) {
    put_signed(into, time.nanos().wrapping_sub(before.nanos()));
}

fn take_time(bytes: &mut &[u8], before: Time) -> Option<Time> {
    Some(Time::from_nanos(before.nanos().wrapping_add(take_signed(bytes)?)))
}

impl Sent {
    /// The common counts come first, then a mark of the rare ones.
    fn pack(&self, into: &mut Vec<u8>) {
        let rare = [
            self.retransmitted_segments,
            self.retransmitted_bytes,
            self.missing_bytes,
            self.zero_windows,
            self.bad_checksums,
        ];
        let is_rare = rare.iter().any(|count| *count > 0);
        put(into, self.segments << 1 | u64::from(is_rare));
        if self.segments == 0 && !is_rare {
            return;
        }
        for count in [self.ip_bytes, self.payload_bytes, self.unique_bytes] {
            put(into, count);
        }
        if is_rare {
            for count in rare {
                put(into, count);
            }
        }
    }

    fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        let first = take(bytes)?;
        let (segments, is_rare) = (first >> 1, first & 1 == 1);
        if segments == 0 && !is_rare {
            return Some(Self::default());
        }
        let [ip_bytes, payload_bytes, unique_bytes] = [take(bytes)?, take(bytes)?, take(bytes)?];
        let mut rare = [0; 5];
        if is_rare {
            for count in &mut rare {
                *count = take(bytes)?;
            }
        }
        let [retransmitted_segments, retransmitted_bytes, missing_bytes, ..] = rare;
        let [.., zero_windows, bad_checksums] = rare;
        Some(Self {
            segments,
            ip_bytes,
            payload_bytes,
            unique_bytes,
            retransmitted_segments,
            retransmitted_bytes,
            missing_bytes,
            zero_windows,
            bad_checksums,
        })
    }
}

#[inline]
pub(in crate::summary) fn put(into: &mut Vec<u8>, value: u64) {
    let length = (u64::BITS - value.leading_zeros()).max(1).div_ceil(SEVEN);
    if length > EIGHT {
        into.push(0);
        into.extend_from_slice(&value.to_le_bytes());
        return;
    }
    let end = into.len() + length as usize;
    // All eight: what is not needed is taken off again.
    into.extend_from_slice(&((value << 1 | 1) << (length - 1)).to_le_bytes());
    into.truncate(end);
}

pub(in crate::summary) fn put_signed(into: &mut Vec<u8>, value: i64) {
    put(into, unsigned(value));
}

/// Small numbers of either sign become small ones without.
pub(in crate::summary) const fn unsigned(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The number that became this one.
pub(in crate::summary) const fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[inline]
pub(in crate::summary) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let word = bytes.first_chunk().copied().map_or_else(|| last_word(bytes), u64::from_le_bytes);
    let length = word.trailing_zeros() + 1;
    if length > EIGHT {
        let (zero, rest) = bytes.split_first()?;
        *bytes = rest;
        return (*zero == 0).then_some(u64::from_le_bytes(take_array(bytes)?));
    }
    *bytes = bytes.get(length as usize..)?;
    Some(word << (u64::BITS - u8::BITS * length) >> (u64::BITS - SEVEN * length))
}

/// The bytes that are left, where they are fewer than eight, and zeros behind them.
#[cold]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << u8::BITS | u64::from(*byte))
}

/// Bits of a byte that hold a number.
const SEVEN: u32 = u8::BITS - 1;
/// Bytes of a number that is written in one step, at most.
const EIGHT: u32 = u64::BITS / u8::BITS;

pub(in crate::summary) fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    Some(signed(take(bytes)?))
}

fn take_small<T: TryFrom<u64>>(bytes: &mut &[u8]) -> Option<T> {
    T::try_from(take(bytes)?).ok()
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*array)
}

fn one_of<T: Copy>(all: &[T], place: u8) -> Option<T> {
    all.get(usize::from(place)).copied()
}

#[expect(clippy::cast_possible_truncation, reason = "fewer than a byte counts")]
fn place<T: Copy + PartialEq, const N: usize>(all: &[T; N], value: T) -> u8 {
    const { assert!(N < 256) }
    all.iter().position(|one| *one == value).unwrap_or(N) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::summary::samples::{aborted, graceful, half_open, open, refused, unanswered};

    #[test]
    fn records_of_every_kind_survive_being_packed() {
        let records = [
            open(1, 0, 90_000),
            graceful(2, 10, 90_000),
            half_open(3, 20, &[1_000], 90_000),
            unanswered(4, 30, &[1_000, 2_000], 90_000),
            refused(5, 40),
            aborted(6, 50, 3),
        ];
        let mut bytes = Vec::new();
        let briefs = records.map(|record| {
            let mut brief = Brief::default();
            brief.read(&record);
            brief.pack(&mut bytes);
            brief
        });
        let (mut rest, mut unpacked) = (bytes.as_slice(), Brief::default());
        for brief in briefs {
            assert_eq!(unpacked.unpack(&mut rest), Some(()));
            assert_eq!(unpacked, brief);
        }
        assert_eq!(unpacked.unpack(&mut rest), None);
    }

    proptest! {
        #[test]
        fn numbers_of_any_size_survive_being_packed(
            counts in any::<[u64; 8]>(),
            small in any::<[u32; 4]>(),
            times in any::<[i64; 6]>(),
            flags in any::<[bool; 5]>(),
            address in any::<[u8; 16]>(),
        ) {
            let [first, last, known, syn, span, stay] = times;
            let [syns, syn_acks, after, dropped] = small;
            let mut brief = Brief {
                id: counts[0],
                first_frame: FrameId::new(syns >> 9, counts[1] >> 30),
                first_time: Time::from_nanos(first),
                last_time: Time::from_nanos(last),
                known_until: Time::from_nanos(known),
                syn: flags[0].then_some(Time::from_nanos(syn)),
                handshake: flags[1].then_some(Span::from_nanos(span)),
                has_syn_ack: flags[2],
                syn_retransmissions: syns,
                syn_ack_retransmissions: syn_acks,
                syn_acks_after_ack: after,
                states_dropped: dropped,
                copies: counts[2],
                ..Brief::default()
            };
            brief.converses.server = flags[3];
            if flags[4] {
                brief.client.address = address.into();
            }
            brief.sent.client = Sent { segments: counts[3] >> 1, ip_bytes: counts[4], ..Sent::default() };
            brief.sent.server = Sent { bad_checksums: counts[5], missing_bytes: counts[6], ..Sent::default() };
            brief.states.server.push(Stay { state: State::TimeWait, from: Time::from_nanos(stay) });
            let mut bytes = Vec::new();
            brief.pack(&mut bytes);
            let (mut rest, mut unpacked) = (bytes.as_slice(), Brief::default());
            prop_assert_eq!(unpacked.unpack(&mut rest), Some(()));
            prop_assert_eq!(&unpacked, &brief);
            prop_assert!(rest.is_empty());
            for cut in 0..bytes.len() {
                prop_assert_eq!(unpacked.unpack(&mut bytes.get(..cut).unwrap()), None);
            }
        }
    }
}
