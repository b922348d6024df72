//! Values in few bits, for what is put away for later: a connection that sleeps.
//!
//! A value is a string of bits without names: its parts follow one another, and whoever reads them
//! knows what they are. What has parts begins with a bit for each that tells whether it is empty: zero,
//! none, a list without entries, parts that are all empty. Only what is not empty follows. A number that
//! was written before is told by its place among 64 recent ones, and any other by how many bits it has,
//! and those bits. A time is told by its place or by its distance from the last one, and a frame, as a
//! rule, by one bit: it is the one that was written with that time before. A connection tells the times
//! and frames of some fifteen segments about fifty times.
//!
//! A type says what its parts are by one line, `compact!(struct Name { field, ... })`, which does not
//! compile if one is forgotten.

mod kinds;
mod pack;
mod recent;
mod unpack;

pub(crate) use pack::Packer;
pub use pack::Room;
pub(crate) use unpack::Unpacker;

/// What can be written in few bits, and read again.
pub(crate) trait Compact: Sized {
    /// Whether what is written of a value tells even that it is empty: no bit in front needs to.
    const TELLS_EMPTY: bool;

    /// The empty value.
    fn empty() -> Self;

    /// Whether it is that.
    fn is_empty(&self) -> bool;

    /// Writes it, if it is not empty, or if that is told.
    fn pack(&self, to: &mut Packer<'_>);

    /// Reads what was written. Of bits that nobody wrote, it makes some value.
    fn unpack(from: &mut Unpacker<'_>) -> Self;

    /// Writes it, whether it is empty or not.
    #[inline]
    fn pack_any(&self, to: &mut Packer<'_>) {
        if Self::TELLS_EMPTY {
            return self.pack(to);
        }
        let is_some = !self.is_empty();
        to.put(is_some.into(), 1);
        if is_some {
            self.pack(to);
        }
    }

    /// Reads what [`Compact::pack_any`] wrote.
    #[inline]
    fn unpack_any(from: &mut Unpacker<'_>) -> Self {
        if Self::TELLS_EMPTY || from.take(1) == 1 { Self::unpack(from) } else { Self::empty() }
    }
}

/// The compact form of a type: a bit for each of its parts that tells whether it is empty, and behind
/// them those that are not.
///
/// A structure names its fields, and behind a semicolon those that are left out and come back empty; a
/// tuple gives names to its values, an enum lists its variants, of which the first counts as empty, and
/// what is generic stands before it.
macro_rules! compact {
    (struct $name:ty { $($field:ident),+ $(; $($apart:ident),+)? $(,)? }) => {
        $crate::compact::compact!([] struct $name { $($field),+ $(; $($apart),+)? });
    };
    (struct $name:ty as ($($value:ident),+)) => {
        $crate::compact::compact!([] struct $name as ($($value),+));
    };
    ([$($generics:tt)*] struct $name:ty { $($field:ident),+ $(; $($apart:ident),+)? $(,)? }) => {
        impl<$($generics)*> $crate::compact::Compact for $name {
            $crate::compact::compact!(
                parts ($($field),+)
                of (Self { $($field),+ $(, $($apart: _),+)? })
                made (Self { $($field),+ $(, $($apart: Default::default()),+)? })
            );
        }
    };
    ([$($generics:tt)*] struct $name:ty as ($($value:ident),+)) => {
        impl<$($generics)*> $crate::compact::Compact for $name {
            $crate::compact::compact!(
                parts ($($value),+) of (Self($($value),+)) made (Self($($value),+))
            );
        }
    };
    (parts ($($part:ident),+) of ($pattern:pat) made ($made:expr)) => {
        const TELLS_EMPTY: bool = true;

        #[inline]
        fn empty() -> Self {
            $(let $part = $crate::compact::Compact::empty();)+
            $made
        }

        #[inline]
        fn is_empty(&self) -> bool {
            let $pattern = self;
            $($crate::compact::Compact::is_empty($part))&&+
        }

        #[inline]
        fn pack(&self, to: &mut $crate::compact::Packer<'_>) {
            let $pattern = self;
            let (mut some, mut place) = (0, 0);
            $(
                some |= u64::from(!$crate::compact::Compact::is_empty($part)) << place;
                place += 1;
            )+
            to.put(some, place);
            $(
                if some & 1 == 1 {
                    $crate::compact::Compact::pack($part, to);
                }
                some >>= 1;
            )+
            let _ = some;
        }

        #[inline]
        fn unpack(from: &mut $crate::compact::Unpacker<'_>) -> Self {
            let mut some = from.take(const { $crate::compact::bits([$(stringify!($part)),+].len()) });
            $(
                let $part = if some & 1 == 1 {
                    $crate::compact::Compact::unpack(from)
                } else {
                    $crate::compact::Compact::empty()
                };
                some >>= 1;
            )+
            let _ = some;
            $made
        }
    };
    (enum $name:ident { $first:ident, $($variant:ident $(($value:ident))?),+ $(,)? }) => {
        const _: () = {
            /// The variants without what they hold.
            enum Tag { $first, $($variant),+ }

            /// Bits that tell them apart.
            const BITS: u32 = [$(Tag::$variant as u64),+].len().ilog2() + 1;

            impl $crate::compact::Compact for $name {
                const TELLS_EMPTY: bool = true;

                #[inline]
                fn empty() -> Self {
                    Self::$first
                }

                #[inline]
                fn is_empty(&self) -> bool {
                    matches!(self, Self::$first)
                }

                #[inline]
                fn pack(&self, to: &mut $crate::compact::Packer<'_>) {
                    match self {
                        Self::$first => to.put(Tag::$first as u64, BITS),
                        $(Self::$variant $(($value))? => {
                            to.put(Tag::$variant as u64, BITS);
                            $($crate::compact::Compact::pack_any($value, to);)?
                        })+
                    }
                }

                #[inline]
                fn unpack(from: &mut $crate::compact::Unpacker<'_>) -> Self {
                    let tag = from.take(BITS);
                    $(if tag == Tag::$variant as u64 {
                        $(let $value = $crate::compact::Compact::unpack_any(from);)?
                        return Self::$variant $(($value))?;
                    })+
                    Self::$first
                }
            }
        };
    };
}

pub(crate) use compact;

/// Bits that tell which of so many parts are empty.
pub(crate) const fn bits(parts: usize) -> u32 {
    assert!(parts <= Packer::MOST as usize);
    (1_u64 << parts).trailing_zeros()
}

#[cfg(test)]
mod tests;
