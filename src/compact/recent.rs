//! What was written lately, which both ends know.

/// How many bits tell a place.
pub(super) const PLACE: u32 = 6;
/// How many bits tell how many bits a number has behind the highest.
pub(super) const LENGTH: u32 = 6;

/// Numbers that were written lately: each has a place, until a later one takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    places: [u64; 1 << PLACE],
}

impl Recent {
    /// 2^64 divided by the golden ratio: spreads neighbours.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Knows some numbers.
    pub(super) fn with<const N: usize>(known: [u64; N]) -> Self {
        let mut recent = Self { places: [0; 1 << PLACE] };
        for number in known {
            recent.set(Self::place(number), number);
        }
        recent
    }

    /// The place that a number has, or would have.
    #[inline]
    pub(super) const fn place(number: u64) -> u64 {
        number.wrapping_mul(Self::SPREAD) >> (u64::BITS - PLACE)
    }

    /// What is at `place`.
    #[inline]
    pub(super) fn at(&self, place: u64) -> u64 {
        self.places.get((place % (1 << PLACE)) as usize).copied().unwrap_or_default()
    }

    /// Puts a number there.
    #[inline]
    pub(super) fn set(&mut self, place: u64, number: u64) {
        if let Some(known) = self.places.get_mut((place % (1 << PLACE)) as usize) {
            *known = number;
        }
    }
}

/// What was written lately, of each kind.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) numbers: Recent,
    pub(super) times: Recent,
    /// The frame that was written last with the time at the same place.
    pub(super) frames: Recent,
    /// Where the last time is.
    pub(super) place: u64,
    /// The last time, and the last frame, that were written by their distance.
    pub(super) time: u64,
    pub(super) frame: u64,
}

impl Memory {
    /// At the beginning of a value.
    ///
    /// Knows the ends of what can be told, which stand for "none" and "never".
    pub(super) fn new() -> Self {
        let ends = [i64::MAX.cast_unsigned(), i64::MIN.cast_unsigned()];
        Self {
            numbers: Recent::with([u64::MAX, u64::MAX - 1]),
            times: Recent::with(ends),
            frames: Recent::with([]),
            place: 0,
            time: 0,
            frame: 0,
        }
    }

    /// Numbers of so many bits are not remembered: they take no more than a place does.
    pub(super) const SHORT: u32 = 7;
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
