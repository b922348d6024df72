//! Values in few bits, for what is put away for later: a connection that sleeps.
//!
//! A value is a string of bits without names: its parts follow one another, and whoever reads them
//! knows what they are. An option and a boolean take one bit, an enum as many as tell its variants
//! apart. A number takes one bit if it is zero; one that was written before is told by its place among
//! 64 recent ones, and any other by how many bits it has, and those bits. A time is told by its place
//! or by its distance from the last one, and a frame, as a rule, by one bit: it is the one that was
//! written with that time before. A connection tells the times and frames of some fifteen segments
//! about fifty times.
//!
//! A type says what its parts are by one line, `compact!(struct Name { field, ... })`, which does not
//! compile if one is forgotten. Perf: docs/performance.md; what goes by serde's data model, number by
//! number, takes three times as many instructions.

mod kinds;
mod pack;
mod recent;
mod unpack;

pub(crate) use pack::Packer;
pub use pack::Room;
pub(crate) use unpack::Unpacker;

/// What can be written in few bits, and read again.
pub(crate) trait Compact: Sized {
    /// Writes it.
    fn pack(&self, to: &mut Packer<'_>);

    /// Reads what was written. Of bits that nobody wrote, it makes some value.
    fn unpack(from: &mut Unpacker<'_>) -> Self;
}

/// The compact form of a type: of its parts, one after the other.
///
/// A structure names its fields, and behind a semicolon those that are left out and come back empty; a
/// tuple gives names to its values, an enum lists its variants, and what is generic stands before it. A
/// sparse one is nearly always empty, and takes one bit then.
macro_rules! compact {
    (struct $name:ty { $($field:ident),+ $(; $($apart:ident),+)? $(,)? }) => {
        $crate::compact::compact!([] struct $name { $($field),+ $(; $($apart),+)? });
    };
    ([$($generics:tt)*] struct $name:ty { $($field:ident),+ $(; $($apart:ident),+)? $(,)? }) => {
        impl<$($generics)*> $crate::compact::Compact for $name {
            #[inline]
            fn pack(&self, to: &mut $crate::compact::Packer<'_>) {
                let Self { $($field),+ $(, $($apart: _),+)? } = self;
                $($crate::compact::Compact::pack($field, to);)+
            }

            #[inline]
            fn unpack(from: &mut $crate::compact::Unpacker<'_>) -> Self {
                Self {
                    $($field: $crate::compact::Compact::unpack(from),)+
                    $($($apart: Default::default(),)+)?
                }
            }
        }
    };
    (sparse struct $name:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::compact::Compact for $name {
            #[inline]
            fn pack(&self, to: &mut $crate::compact::Packer<'_>) {
                let is_some = *self != Self::default();
                to.put(is_some.into(), 1);
                if is_some {
                    let Self { $($field),+ } = self;
                    $($crate::compact::Compact::pack($field, to);)+
                }
            }

            #[inline]
            fn unpack(from: &mut $crate::compact::Unpacker<'_>) -> Self {
                if from.take(1) == 0 {
                    return Self::default();
                }
                Self { $($field: $crate::compact::Compact::unpack(from)),+ }
            }
        }
    };
    (struct $name:ty as ($($value:ident),+)) => {
        $crate::compact::compact!([] struct $name as ($($value),+));
    };
    ([$($generics:tt)*] struct $name:ty as ($($value:ident),+)) => {
        impl<$($generics)*> $crate::compact::Compact for $name {
            #[inline]
            fn pack(&self, to: &mut $crate::compact::Packer<'_>) {
                let Self($($value),+) = self;
                $($crate::compact::Compact::pack($value, to);)+
            }

            #[inline]
            fn unpack(from: &mut $crate::compact::Unpacker<'_>) -> Self {
                $(let $value = $crate::compact::Compact::unpack(from);)+
                Self($($value),+)
            }
        }
    };
    (enum $name:ident { $first:ident, $($variant:ident $(($value:ident))?),+ $(,)? }) => {
        const _: () = {
            /// The variants without what they hold.
            enum Tag { $first, $($variant),+ }

            /// Bits that tell them apart.
            const BITS: u32 = [$(Tag::$variant as u64),+].len().ilog2() + 1;

            impl $crate::compact::Compact for $name {
                #[inline]
                fn pack(&self, to: &mut $crate::compact::Packer<'_>) {
                    match self {
                        Self::$first => to.put(Tag::$first as u64, BITS),
                        $(Self::$variant $(($value))? => {
                            to.put(Tag::$variant as u64, BITS);
                            $($crate::compact::Compact::pack($value, to);)?
                        })+
                    }
                }

                #[inline]
                fn unpack(from: &mut $crate::compact::Unpacker<'_>) -> Self {
                    let tag = from.take(BITS);
                    $(if tag == Tag::$variant as u64 {
                        $(let $value = $crate::compact::Compact::unpack(from);)?
                        return Self::$variant $(($value))?;
                    })+
                    Self::$first
                }
            }
        };
    };
}

pub(crate) use compact;

#[cfg(test)]
mod tests;
