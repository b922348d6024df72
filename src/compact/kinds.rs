//! The compact form of numbers, options, lists, and what else the language has.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::{Compact, Packer, Unpacker};

/// Numbers without a sign that take what they need.
macro_rules! numbers {
    ($($kind:ty),+) => {$(
        impl Compact for $kind {
            #[inline]
            fn pack(&self, to: &mut Packer<'_>) {
                to.number(u64::from(*self));
            }

            #[inline]
            #[expect(clippy::cast_possible_truncation, reason = "what was written fits")]
            fn unpack(from: &mut Unpacker<'_>) -> Self {
                from.number() as Self
            }
        }
    )+};
}

numbers!(u16, u32);

impl Compact for usize {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.number(*self as u64);
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "what was written fits")]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.number() as Self
    }
}

impl Compact for u64 {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.number(*self);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.number()
    }
}

impl Compact for i64 {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.signed(*self);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.signed()
    }
}

/// A bit says whether there is more to it.
impl Compact for u8 {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.put(u64::from(*self) << 1 | u64::from(*self != 0), if *self == 0 { 1 } else { 9 });
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "so many bits are taken")]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        if from.take(1) == 0 { 0 } else { from.take(Self::BITS) as Self }
    }
}

impl Compact for bool {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.put((*self).into(), 1);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.take(1) == 1
    }
}

impl<T: Compact> Compact for Option<T> {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        to.put(self.is_some().into(), 1);
        if let Some(value) = self {
            value.pack(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        (from.take(1) == 1).then(|| T::unpack(from))
    }
}

impl<T: Compact> Compact for Box<T> {
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
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        self.len().pack(to);
        for value in self {
            value.pack(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let len = usize::unpack(from);
        // Every value has a bit at least; of bits that nobody wrote, `len` may be anything.
        let mut values = Self::with_capacity(len.min(from.left()));
        while values.len() < len && !from.is_short() {
            values.push(T::unpack(from));
        }
        values
    }
}

impl<T: Compact> Compact for VecDeque<T> {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        self.len().pack(to);
        for value in self {
            value.pack(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Vec::unpack(from).into()
    }
}

impl<T: Compact, const N: usize> Compact for [T; N] {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        for value in self {
            value.pack(to);
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        std::array::from_fn(|_| T::unpack(from))
    }
}

impl<A: Compact, B: Compact> Compact for (A, B) {
    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        self.0.pack(to);
        self.1.pack(to);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        (A::unpack(from), B::unpack(from))
    }
}

impl Compact for IpAddr {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of an address")]
    fn pack(&self, to: &mut Packer<'_>) {
        to.put(self.is_ipv6().into(), 1);
        match self {
            Self::V4(address) => address.to_bits().pack(to),
            Self::V6(address) => {
                let bits = address.to_bits();
                to.number((bits >> u64::BITS) as u64);
                to.number(bits as u64);
            }
        }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        if from.take(1) == 0 {
            return Self::V4(u32::unpack(from).into());
        }
        let bits = u128::from(from.number()) << u64::BITS | u128::from(from.number());
        Self::V6(bits.into())
    }
}
