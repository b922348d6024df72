//! Capture time, spans of it, and frame numbers: the only clock of the program.
//!
//! Everything downstream measures with these types, so that no wall clock can leak into a result.
//! Knows nothing of files' formats or of TCP.

pub(crate) mod digits;
mod rfc3339;

pub use rfc3339::Rfc3339;

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};

use crate::compact::{Compact, Packer, Unpacker, compact};

/// A moment of capture time: nanoseconds since 1970-01-01T00:00:00Z.
///
/// The range is that of an `i64`: the years 1677 to 2262. Arithmetic saturates, since a hostile
/// capture may hold any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Compact for Time {
    const TELLS_EMPTY: bool = true;

    #[inline]
    fn empty() -> Self {
        Self::default()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.time(self.0);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self(from.time())
    }
}

impl Time {
    /// Before every other time.
    pub const MIN: Self = Self(i64::MIN);
    /// After every other time; also "never", for a timer that does not run.
    pub const MAX: Self = Self(i64::MAX);

    /// The time `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`; negative when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Time {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;

    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// RFC 3339 in UTC with nine digits of the second, as every report prints times.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rfc3339::from(*self).fmt(f)
    }
}

/// A length of capture time in nanoseconds; may be negative where a capture's time ran backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

compact!(struct Span as (nanos));

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than every other span.
    pub const MAX: Self = Self(i64::MAX);

    /// A span of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A span of `micros` microseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// A span of `millis` milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A span of `secs` seconds.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// The span in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The span in seconds, for display and for ratios only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for display; 2^53 ns are 104 days")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The distance, whichever of the two times was first.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A frame's name: which input file, and its number there, counted from 1 as Wireshark counts.
///
/// Orders by file, then by number. Packed into 64 bits: 24 for the file, 40 for the number. What is
/// stored is one more than that, so that an optional name takes no more room than a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(NonZeroU64);

impl Default for FrameId {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Compact for FrameId {
    const TELLS_EMPTY: bool = true;

    #[inline]
    fn empty() -> Self {
        Self::default()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.frame(self.packed());
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::of_packed(from.frame())
    }
}

impl Time {
    /// Writes it together with a frame of that time.
    #[inline]
    pub(crate) fn pack_with(self, frame: FrameId, to: &mut Packer<'_>) {
        to.mark(self.0, frame.packed());
    }

    /// Reads what [`Time::pack_with`] wrote.
    #[inline]
    pub(crate) fn unpack_with_frame(from: &mut Unpacker<'_>) -> (Self, FrameId) {
        let (time, frame) = from.mark();
        (Self(time), FrameId::of_packed(frame))
    }
}

impl FrameId {
    const NUMBER_BITS: u32 = 40;
    const NUMBER_MASK: u64 = (1 << Self::NUMBER_BITS) - 1;
    /// How many files can be told apart in one run.
    pub const MAX_FILES: usize = 1 << (64 - Self::NUMBER_BITS);

    /// The frame `number` (from 1) of the file with index `file`.
    #[must_use]
    pub const fn new(file: u32, number: u64) -> Self {
        let packed = ((file as u64) << Self::NUMBER_BITS) | (number & Self::NUMBER_MASK);
        Self::of_packed(packed)
    }

    /// Index of the file in the report's `inputs`.
    #[must_use]
    pub const fn file(self) -> u32 {
        (self.packed() >> Self::NUMBER_BITS) as u32
    }

    /// Number of the frame in its file, from 1.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.packed() & Self::NUMBER_MASK
    }

    /// The frame `count` frames later in the same file.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self::new(self.file(), self.number() + count)
    }

    const fn packed(self) -> u64 {
        self.0.get() - 1
    }

    const fn of_packed(packed: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(packed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_with_nine_digits_in_utc() {
        let time = Time::from_nanos(1_767_323_045_000_000_001);
        assert_eq!(time.to_string(), "2026-01-02T03:04:05.000000001Z");
        assert_eq!(Time::from_nanos(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn arithmetic_on_hostile_times_saturates() {
        assert_eq!(Time::MAX + Span::from_secs(1), Time::MAX);
        assert_eq!(Time::MIN.since(Time::MAX), Span::from_nanos(i64::MIN));
    }

    #[test]
    fn frames_order_by_file_and_then_by_number() {
        assert!(FrameId::new(0, 900) < FrameId::new(1, 1));
        assert_eq!(FrameId::new(3, 7).plus(2), FrameId::new(3, 9));
        assert_eq!((FrameId::new(3, 7).file(), FrameId::new(3, 7).number()), (3, 7));
        assert_eq!((FrameId::default().file(), FrameId::default().number()), (0, 0));
        assert_eq!(size_of::<Option<FrameId>>(), 8);
    }
}
