//! The compact form of numbers, options, lists, and what else the language has.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::recent::{unzigzag, zigzag};
use super::{Compact, Packer, Unpacker, compact};

/// Numbers, of which zero is the empty one: how they become one without a sign, and what that becomes.
macro_rules! numbers {
    ($($kind:ty: $fold:expr, $unfold:expr;)+) => {$(
        impl Compact for $kind {
            const TELLS_EMPTY: bool = false;

            #[inline]
            fn empty() -> Self {
                0
            }

            #[inline]
            fn is_empty(&self) -> bool {
                *self == 0
            }

            #[inline]
            fn pack(&self, to: &mut Packer<'_>) {
                to.number($fold(*self));
            }

            #[inline]
            fn unpack(from: &mut Unpacker<'_>) -> Self {
                // What was written fits.
                $unfold(from.number())
            }
        }
    )+};
}

numbers! {
    u16: u64::from, |number: u64| (number & 0xffff) as u16;
    u32: u64::from, |number: u64| (number & 0xffff_ffff) as u32;
    u64: u64::from, u64::from;
    i64: zigzag, unzigzag;
    usize: |number: usize| number as u64, |number: u64| usize::try_from(number).unwrap_or(0);
}

impl Compact for u8 {
    const TELLS_EMPTY: bool = true;

    #[inline]
    fn empty() -> Self {
        0
    }

    #[inline]
    fn is_empty(&self) -> bool {
        *self == 0
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.put((*self).into(), Self::BITS);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        (from.take(Self::BITS) & 0xff) as Self
    }
}

/// Nothing more is to be said of one that is not empty.
impl Compact for bool {
    const TELLS_EMPTY: bool = false;

    #[inline]
    fn empty() -> Self {
        false
    }

    #[inline]
    fn is_empty(&self) -> bool {
        !*self
    }

    #[inline]
    fn pack(&self, _: &mut Packer<'_>) {}

    #[inline]
    fn unpack(_: &mut Unpacker<'_>) -> Self {
        true
    }
}

impl<T: Compact> Compact for Option<T> {
    const TELLS_EMPTY: bool = false;

    #[inline]
    fn empty() -> Self {
        None
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.is_none()
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        if let Some(value) = self {
            value.pack_any(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Some(T::unpack_any(from))
    }
}

impl<T: Compact> Compact for Box<T> {
    const TELLS_EMPTY: bool = T::TELLS_EMPTY;

    #[inline]
    fn empty() -> Self {
        Self::new(T::empty())
    }

    #[inline]
    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        (**self).pack(to);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::new(T::unpack(from))
    }
}

impl<T: Compact> Compact for Vec<T> {
    const TELLS_EMPTY: bool = false;

    #[inline]
    fn empty() -> Self {
        Self::new()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        self.len().pack(to);
        for value in self {
            value.pack_any(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let len = usize::unpack(from);
        // Every value has a bit at least; of bits that nobody wrote, `len` may be anything.
        let mut values = Self::with_capacity(len.min(from.left()));
        while values.len() < len && !from.is_short() {
            values.push(T::unpack_any(from));
        }
        values
    }
}

impl<T: Compact> Compact for VecDeque<T> {
    const TELLS_EMPTY: bool = false;

    #[inline]
    fn empty() -> Self {
        Self::new()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        self.len().pack(to);
        for value in self {
            value.pack_any(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Vec::unpack(from).into()
    }
}

impl<T: Compact, const N: usize> Compact for [T; N] {
    const TELLS_EMPTY: bool = true;

    #[inline]
    fn empty() -> Self {
        std::array::from_fn(|_| T::empty())
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.iter().all(T::is_empty)
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        let some = self.iter().rev().fold(0, |some, it| some << 1 | u64::from(!it.is_empty()));
        to.put(some, const { super::bits(N) });
        for value in self.iter().filter(|value| !value.is_empty()) {
            value.pack(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let some = from.take(const { super::bits(N) });
        std::array::from_fn(
            |place| {
                if some >> place & 1 == 1 { T::unpack(from) } else { T::empty() }
            },
        )
    }
}

impl<A: Compact, B: Compact> Compact for (A, B) {
    compact!(parts (first, second) of ((first, second)) made ((first, second)));
}

impl Compact for IpAddr {
    const TELLS_EMPTY: bool = true;

    #[inline]
    fn empty() -> Self {
        Self::V4(std::net::Ipv4Addr::UNSPECIFIED)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        *self == Self::empty()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of an address")]
    fn pack(&self, to: &mut Packer<'_>) {
        to.put(self.is_ipv6().into(), 1);
        match self {
            Self::V4(address) => address.to_bits().pack_any(to),
            Self::V6(address) => {
                let bits = address.to_bits();
                [(bits >> u64::BITS) as u64, bits as u64].pack(to);
            }
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        if from.take(1) == 0 {
            return Self::V4(u32::unpack_any(from).into());
        }
        let [high, low] = <[u64; 2]>::unpack(from);
        Self::V6((u128::from(high) << u64::BITS | u128::from(low)).into())
    }
}
