//! Sequence numbers of 32 bits that wrap.

use std::fmt;

use crate::compact::compact;

/// A sequence or acknowledgment number (RFC 9293 3.4).
///
/// Numbers wrap, so there is no order and no difference as such: only [`Seq::distance`], which is
/// right while the two are less than 2^31 apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(pub u32);

compact!(struct Seq as (number));

impl Seq {
    /// The number `count` bytes further on.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number `count` bytes back.
    #[must_use]
    pub const fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// How far `self` lies after `earlier`; negative when it lies before.
    #[must_use]
    pub const fn distance(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Whether `self` lies after `other`.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.distance(other) > 0
    }

    /// Whether `self` lies before `other`.
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        self.distance(other) < 0
    }

    /// Whether `self` is `other` or lies after it.
    #[must_use]
    pub const fn is_at_or_after(self, other: Self) -> bool {
        self.distance(other) >= 0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let before = Seq(u32::MAX - 1);
        let after = before.plus(4);
        assert_eq!(after, Seq(2));
        assert!(after.is_after(before) && before.is_before(after));
        assert_eq!(after.distance(before), 4);
        assert_eq!(after.minus(4), before);
    }
}
