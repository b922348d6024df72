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

/// What a structure wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that is written as it is.
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

/// Numbers that are written at once, one after the other in as few bytes as each needs, behind a word
/// that tells how many bytes those are: four bits for each number.
///
/// Perf: so all that this takes stays in the core's registers.
pub(super) const GROUP: usize = 16;

/// Bytes of a word, and of the longest number.
pub(super) const WORD: usize = size_of::<u64>();

/// What is told in bits, which lie together in words before all numbers. None crosses from one word
/// into the next.
pub(super) mod bits {
    /// A time or a frame was written before: its place among the recent ones follows.
    pub(in super::super) const KNOWN: u32 = 1;
    /// A place among the recent ones.
    pub(in super::super) const PLACE: u32 = 6;
    /// Which variant it is, or [`MANY`].
    pub(in super::super) const VARIANT: u32 = 4;
    /// In place of a variant's index: one that is not smaller follows as a number.
    pub(in super::super) const MANY: u32 = 15;
    /// Words of bits that a value may have.
    pub(in super::super) const WORDS: usize = 255;
}

/// Four places, of which most are empty as a rule: a bit each tells.
pub(in super::super) mod seldom {
    use serde::ser::SerializeTuple;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[inline]
    pub(in super::super::super) fn serialize<T: Serialize + Default + PartialEq, S: Serializer>(
        places: &[T; 4],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut parts = to.serialize_tuple(places.len())?;
        for place in places {
            parts.serialize_element(&Some(place).filter(|place| **place != T::default()))?;
        }
        parts.end()
    }

    #[inline]
    pub(in super::super::super) fn deserialize<'de, T, D>(from: D) -> Result<[T; 4], D::Error>
    where
        T: Deserialize<'de> + Default,
        D: Deserializer<'de>,
    {
        let places = <[Option<T>; 4]>::deserialize(from)?;
        Ok(places.map(Option::unwrap_or_default))
    }
}

/// The times, or the frames, that were written lately: each has a place, until a later one takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    places: [u64; 1 << bits::PLACE],
    /// The one that was last written in full.
    last: u64,
}

impl Recent {
    /// 2^64 divided by the golden ratio: spreads neighbours.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Knows the times that stand for "none", which are no neighbours of any other.
    pub(super) fn times() -> Self {
        Self::with([Time::MAX.nanos().cast_unsigned(), Time::MIN.nanos().cast_unsigned()])
    }

    /// Knows the frame that stands for "none".
    pub(super) fn frames() -> Self {
        Self::with([FrameId::default().stored()])
    }

    fn with<const N: usize>(known: [u64; N]) -> Self {
        let mut recent = Self { places: [0; 1 << bits::PLACE], last: 0 };
        for number in known {
            recent.remember(number);
        }
        recent
    }

    #[inline]
    const fn place(number: u64) -> u8 {
        let [place, ..] =
            (number.wrapping_mul(Self::SPREAD) >> (u64::BITS - bits::PLACE)).to_le_bytes();
        place
    }

    /// Where a number is, if it is known; else it is from now on.
    #[inline]
    pub(super) fn remember(&mut self, number: u64) -> Option<u8> {
        let place = Self::place(number);
        let known = self.places.get_mut(usize::from(place))?;
        if *known == number {
            return Some(place);
        }
        *known = number;
        None
    }

    /// The number at `place`.
    #[inline]
    pub(super) fn at(&self, place: u64) -> u64 {
        usize::try_from(place)
            .ok()
            .and_then(|place| self.places.get(place))
            .copied()
            .unwrap_or_default()
    }

    /// What is written in full for a number.
    #[inline]
    pub(super) const fn distance(&mut self, number: u64) -> u64 {
        let last = std::mem::replace(&mut self.last, number);
        zigzag(number.wrapping_sub(last).cast_signed())
    }

    /// The number for which `distance` was written in full; it is known from now on.
    #[inline]
    pub(super) fn number(&mut self, distance: u64) -> u64 {
        self.last = self.last.wrapping_add_signed(unzigzag(distance));
        self.remember(self.last);
        self.last
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
