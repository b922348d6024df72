//! What the two ends of the compact form agree on.

use std::fmt;

use serde::{de, ser};

use crate::stamp::{FrameId, Time};

/// The value has no compact form, or not in that room; or bytes are not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotPacked;

impl fmt::Display for NotPacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no compact form")
    }
}

impl std::error::Error for NotPacked {}

impl ser::Error for NotPacked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl de::Error for NotPacked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// What kind of number comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that is written as it is.
    #[default]
    Plain,
    /// A [`Time`]: by its distance from the one before.
    Time,
    /// A [`FrameId`], likewise.
    Frame,
}

impl Kind {
    /// The kind of what a structure of that name wraps.
    #[inline]
    pub(super) fn wrapped_by(name: &str) -> Self {
        match name {
            "Time" => Self::Time,
            "FrameId" => Self::Frame,
            _ => Self::Plain,
        }
    }
}

/// First bytes of a number other than zero. Those below are the number itself.
pub(super) mod first {
    /// So many bytes follow, less one: the lower ones first.
    pub(in super::super) const BYTES: u8 = 0x78;
    /// The place of a number that was written before.
    pub(in super::super) const RECENT: u8 = 0x80;
    /// The upper six bits of fourteen; a byte with the lower ones follows.
    pub(in super::super) const TWO: u8 = 0xc0;
}

/// Numbers that were written lately, each in a place of its own: a later one takes it.
#[derive(Clone, Copy, Debug)]
struct Recent([u64; 1 << Self::BITS]);

impl Recent {
    const BITS: u32 = 6;
    /// 2^64 divided by the golden ratio: spreads neighbours.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    #[inline]
    const fn place(number: u64) -> u8 {
        let [upper, ..] =
            (number.wrapping_mul(Self::SPREAD) >> (u64::BITS - Self::BITS)).to_le_bytes();
        upper
    }
}

/// What was written before, which shortens what comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    numbers: Recent,
    times: Recent,
    frames: Recent,
    /// The time and the frame that were last written in full.
    last_time: u64,
    last_frame: u64,
}

impl Before {
    pub(super) fn new() -> Self {
        let none = Recent([0; 1 << Recent::BITS]);
        let mut before =
            Self { numbers: none, times: none, frames: none, last_time: 0, last_frame: 0 };
        // They stand for "none", and are no neighbours of any other.
        before.remember(Kind::Time, Time::MAX.nanos().cast_unsigned());
        before.remember(Kind::Time, Time::MIN.nanos().cast_unsigned());
        before.remember(Kind::Frame, FrameId::default().stored());
        before
    }

    #[inline]
    const fn recent(&mut self, kind: Kind) -> &mut [u64; 1 << Recent::BITS] {
        match kind {
            Kind::Plain => &mut self.numbers.0,
            Kind::Time => &mut self.times.0,
            Kind::Frame => &mut self.frames.0,
        }
    }

    /// Where a number is, if it was written before; else it is from now on.
    #[inline]
    pub(super) fn remember(&mut self, kind: Kind, number: u64) -> Option<u8> {
        let place = Recent::place(number);
        let known = self.recent(kind).get_mut(usize::from(place))?;
        if *known == number {
            return Some(place);
        }
        *known = number;
        None
    }

    /// The number at `place`.
    #[inline]
    pub(super) fn at(&mut self, kind: Kind, place: u8) -> Result<u64, NotPacked> {
        self.recent(kind).get(usize::from(place)).copied().ok_or(NotPacked)
    }

    /// What is written in full for a number.
    #[inline]
    pub(super) fn distance(&mut self, kind: Kind, number: u64) -> u64 {
        let last = match kind {
            Kind::Plain => return number,
            Kind::Time => &mut self.last_time,
            Kind::Frame => &mut self.last_frame,
        };
        zigzag(number.wrapping_sub(std::mem::replace(last, number)).cast_signed())
    }

    /// The number for which `distance` was written in full.
    #[inline]
    pub(super) fn number(&mut self, kind: Kind, distance: u64) -> u64 {
        let last = match kind {
            Kind::Plain => return distance,
            Kind::Time => &mut self.last_time,
            Kind::Frame => &mut self.last_frame,
        };
        *last = last.wrapping_add_signed(unzigzag(distance));
        *last
    }
}

/// Small numbers of either sign as small numbers: 0, -1, 1, -2 as 0, 1, 2, 3.
#[inline]
pub(super) const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// What [`zigzag`] was given.
#[inline]
pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}
