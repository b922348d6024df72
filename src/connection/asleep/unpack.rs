//! The compact form of a value, read: see [`asleep`](super) for the format.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, SeqAccess};
use serde::de::{VariantAccess, Visitor};

use super::form::{Kind, NotPacked, Recent, first, unzigzag};

/// Reads from the bytes that are left.
struct Unpacker<'a> {
    rest: &'a [u8],
    /// What is left of the present group's bits, the next one uppermost.
    bits: u8,
    /// How many that are.
    left: u32,
    next: Kind,
    times: Recent,
    frames: Recent,
}

/// The value whose compact form `bytes` are.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotPacked> {
    let mut unpacker = Unpacker {
        rest: bytes,
        bits: 0,
        left: 0,
        next: Kind::Plain,
        times: Recent::times(),
        frames: Recent::frames(),
    };
    T::deserialize(&mut unpacker)
}

impl<'a> Unpacker<'a> {
    #[inline]
    fn byte(&mut self) -> Result<u8, NotPacked> {
        let (byte, rest) = self.rest.split_first().ok_or(NotPacked)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn bit(&mut self) -> Result<bool, NotPacked> {
        if self.left == 0 {
            self.bits = self.byte()?;
            self.left = u8::BITS;
        }
        self.left -= 1;
        let bit = self.bits & 0x80 != 0;
        self.bits <<= 1;
        Ok(bit)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, NotPacked> {
        if !self.bit()? {
            return Ok(0);
        }
        let code = self.byte()?;
        self.in_full(code)
    }

    /// A time or a frame, which may have been read before.
    #[inline]
    fn near(&mut self, recent: fn(&mut Self) -> &mut Recent) -> Result<u64, NotPacked> {
        if !self.bit()? {
            return Ok(0);
        }
        let code = self.byte()?;
        if (first::RECENT..first::TWO).contains(&code) {
            return recent(self).at(code - first::RECENT);
        }
        let distance = self.in_full(code)?;
        Ok(recent(self).number(distance))
    }

    /// The number that begins with `code`.
    #[inline]
    fn in_full(&mut self, code: u8) -> Result<u64, NotPacked> {
        match code {
            ..first::BYTES => Ok(code.into()),
            first::BYTES..first::RECENT => self.bytes(code - first::BYTES),
            first::RECENT..first::TWO => Err(NotPacked),
            first::TWO.. => Ok((u64::from(code - first::TWO) << 8) | u64::from(self.byte()?)),
        }
    }

    /// A number of one more byte than `more`, which is at most seven.
    #[inline]
    fn bytes(&mut self, more: u8) -> Result<u64, NotPacked> {
        let (bytes, rest) = self.rest.split_at_checked(usize::from(more) + 1).ok_or(NotPacked)?;
        let number = match self.rest.first_chunk() {
            Some(eight) => u64::from_le_bytes(*eight) & (u64::MAX >> (56 - 8 * u32::from(more))),
            None => bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)),
        };
        self.rest = rest;
        Ok(number)
    }

    fn length(&mut self) -> Result<usize, NotPacked> {
        usize::try_from(self.number()?).map_err(|_| NotPacked)
    }

    fn raw(&mut self) -> Result<&'a [u8], NotPacked> {
        let length = self.length()?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(NotPacked)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, NotPacked> {
        std::str::from_utf8(self.raw()?).map_err(|_| NotPacked)
    }

    fn variant(&mut self) -> Result<u32, NotPacked> {
        u32::try_from(self.number()?).map_err(|_| NotPacked)
    }
}

/// One method for each kind of number: as it is, or unfolded by `unzigzag`.
macro_rules! numbers {
    ($($method:ident => $visit:ident($kind:ty), $unfold:expr;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
            let number: $kind = $unfold(self.number()?).try_into().map_err(|_| NotPacked)?;
            visitor.$visit(number)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Unpacker<'de> {
    type Error = NotPacked;

    numbers! {
        deserialize_i8 => visit_i8(i8), unzigzag;
        deserialize_i16 => visit_i16(i16), unzigzag;
        deserialize_i32 => visit_i32(i32), unzigzag;
        deserialize_u16 => visit_u16(u16), u64::from;
        deserialize_u32 => visit_u32(u32), u64::from;
    }

    #[inline]
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_i64(match std::mem::take(&mut self.next) {
            Kind::Time => self.near(|unpacker| &mut unpacker.times)?.cast_signed(),
            Kind::Plain | Kind::Frame => unzigzag(self.number()?),
        })
    }

    #[inline]
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_u64(match std::mem::take(&mut self.next) {
            Kind::Frame => self.near(|unpacker| &mut unpacker.frames)?,
            Kind::Plain | Kind::Time => self.number()?,
        })
    }

    #[inline]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        let byte = if self.bit()? { self.byte()? } else { 0 };
        visitor.visit_u8(byte)
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_bool(self.bit()?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        let bits = u32::try_from(self.number()?).map_err(|_| NotPacked)?;
        visitor.visit_f32(f32::from_bits(bits))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_f64(f64::from_bits(self.number()?))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        let number = u32::try_from(self.number()?).map_err(|_| NotPacked)?;
        visitor.visit_char(char::from_u32(number).ok_or(NotPacked)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_borrowed_bytes(self.raw()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_borrowed_bytes(self.raw()?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        if self.bit()? { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        self.next = Kind::wrapped_by(name);
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        let left = self.length()?;
        visitor.visit_seq(Parts { of: self, left })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Parts { of: self, left })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Parts { of: self, left })
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Parts { of: self, left: fields.len() })
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_enum(self)
    }

    /// What is not described by its type cannot be read.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotPacked> {
        Err(NotPacked)
    }

    serde::forward_to_deserialize_any! { map identifier ignored_any }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of a value that follow one another.
struct Parts<'u, 'de> {
    of: &'u mut Unpacker<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = NotPacked;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, NotPacked> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.of).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> EnumAccess<'de> for &mut Unpacker<'de> {
    type Error = NotPacked;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), NotPacked> {
        let index = self.variant()?;
        let value = seed.deserialize(serde::de::value::U32Deserializer::new(index))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Unpacker<'de> {
    type Error = NotPacked;

    #[inline]
    fn unit_variant(self) -> Result<(), NotPacked> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, NotPacked> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Parts { of: self, left })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Parts { of: self, left: fields.len() })
    }
}
