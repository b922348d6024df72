//! The compact form of a value, read: see [`asleep`](super) for the format.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, SeqAccess};
use serde::de::{IntoDeserializer, VariantAccess, Visitor};

use super::form::{GROUP, Kind, NotPacked, Recent, WORD, bits, unzigzag};

/// Reads from the bytes that are left.
///
/// Perf: where there are none, it reads zeros and remembers that, so that nothing on the way asks for
/// it.
struct Unpacker<'a> {
    /// Words of bits that are left.
    words: &'a [u8],
    bits: u64,
    /// How many bits of the present word are left.
    left: u32,
    /// Numbers that are left.
    numbers: &'a [u8],
    group: [u64; GROUP],
    /// How many numbers of the present group were read.
    read: usize,
    times: Recent,
    frames: Recent,
    /// Bytes were missing.
    is_short: bool,
}

/// The value whose compact form `bytes` are.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotPacked> {
    let (words, rest) = bytes.split_first().ok_or(NotPacked)?;
    let (words, numbers) = rest.split_at_checked(usize::from(*words) * WORD).ok_or(NotPacked)?;
    let mut unpacker = Unpacker {
        words,
        bits: 0,
        left: 0,
        numbers,
        group: [0; GROUP],
        read: GROUP,
        times: Recent::times(),
        frames: Recent::frames(),
        is_short: false,
    };
    let value = T::deserialize(&mut unpacker)?;
    if unpacker.is_short { Err(NotPacked) } else { Ok(value) }
}

/// What numbers of 0 to 8 bytes are made of; there are no longer ones.
const MASKS: [u64; 16] = {
    const fn bytes(length: u32) -> u64 {
        u64::MAX >> (u64::BITS - u8::BITS * length)
    }
    let long = bytes(8);
    [
        0,
        bytes(1),
        bytes(2),
        bytes(3),
        bytes(4),
        bytes(5),
        bytes(6),
        bytes(7),
        long,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]
};

impl Unpacker<'_> {
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        if self.left < count {
            self.next_word();
        }
        let taken = self.bits & !(u64::MAX << count);
        self.bits >>= count;
        self.left = self.left.saturating_sub(count);
        taken
    }

    #[inline(never)]
    fn next_word(&mut self) {
        let Some((word, rest)) = self.words.split_first_chunk() else {
            (self.is_short, self.bits) = (true, 0);
            return;
        };
        self.words = rest;
        (self.bits, self.left) = (u64::from_le_bytes(*word), u64::BITS);
    }

    #[inline]
    fn bit(&mut self) -> bool {
        self.take(1) != 0
    }

    #[inline]
    fn number(&mut self) -> u64 {
        if self.read == GROUP {
            self.next_group();
        }
        let number = self.group.get(self.read).copied().unwrap_or_default();
        self.read += 1;
        number
    }

    #[inline(never)]
    fn next_group(&mut self) {
        self.read = 0;
        let Some((lengths, mut rest)) = self.numbers.split_first_chunk() else {
            (self.is_short, self.group) = (true, [0; GROUP]);
            return;
        };
        let mut lengths = u64::from_le_bytes(*lengths);
        for number in &mut self.group {
            let length = (lengths & 0xf) as usize;
            lengths >>= 4;
            let word = match rest.first_chunk() {
                Some(word) => u64::from_le_bytes(*word),
                None => last_word(rest),
            };
            *number = word & MASKS.get(length).copied().unwrap_or_default();
            match rest.get(length..) {
                Some(left) => rest = left,
                None => self.is_short = true,
            }
        }
        self.numbers = rest;
    }

    #[inline(never)]
    fn time(&mut self) -> i64 {
        self.near(|unpacker| &mut unpacker.times).cast_signed()
    }

    #[inline(never)]
    fn frame(&mut self) -> u64 {
        self.near(|unpacker| &mut unpacker.frames)
    }

    /// A time or a frame, which may have been read before.
    #[inline]
    fn near(&mut self, recent: fn(&mut Self) -> &mut Recent) -> u64 {
        if self.take(bits::KNOWN) == 0 {
            let distance = self.number();
            return recent(self).number(distance);
        }
        let place = self.take(bits::PLACE);
        recent(self).at(place)
    }

    fn length(&mut self) -> Result<usize, NotPacked> {
        usize::try_from(self.number()).map_err(|_| NotPacked)
    }

    fn raw(&mut self) -> Result<Vec<u8>, NotPacked> {
        let length = self.length()?;
        let mut bytes = Vec::new();
        while bytes.len() < length && !self.is_short {
            bytes.push(self.byte());
        }
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, NotPacked> {
        String::from_utf8(self.raw()?).map_err(|_| NotPacked)
    }

    #[inline]
    fn byte(&mut self) -> u8 {
        if !self.bit() {
            return 0;
        }
        let [byte, ..] = self.take(u8::BITS).to_le_bytes();
        byte
    }

    #[inline]
    fn variant(&mut self) -> Result<u32, NotPacked> {
        let few = self.take(bits::VARIANT);
        let index = if few < bits::MANY.into() { few } else { self.number() };
        u32::try_from(index).map_err(|_| NotPacked)
    }
}

/// The bytes that are left, where they are fewer than a word, and zeros behind them.
#[cold]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << u8::BITS | u64::from(*byte))
}

/// One method for each kind of number: as it is, or unfolded by `unzigzag`.
macro_rules! numbers {
    ($($method:ident => $visit:ident($kind:ty), $unfold:expr;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
            let number = $unfold(self.number());
            visitor.$visit(<$kind>::try_from(number).map_err(|_| NotPacked)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Unpacker<'de> {
    type Error = NotPacked;

    numbers! {
        deserialize_i8 => visit_i8(i8), unzigzag;
        deserialize_i16 => visit_i16(i16), unzigzag;
        deserialize_i32 => visit_i32(i32), unzigzag;
        deserialize_i64 => visit_i64(i64), unzigzag;
        deserialize_u16 => visit_u16(u16), u64::from;
        deserialize_u32 => visit_u32(u32), u64::from;
        deserialize_u64 => visit_u64(u64), u64::from;
    }

    #[inline]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_u8(self.byte())
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_bool(self.bit())
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        let bits = u32::try_from(self.number()).map_err(|_| NotPacked)?;
        visitor.visit_f32(f32::from_bits(bits))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_f64(f64::from_bits(self.number()))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        let number = u32::try_from(self.number()).map_err(|_| NotPacked)?;
        visitor.visit_char(char::from_u32(number).ok_or(NotPacked)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_byte_buf(self.raw()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_byte_buf(self.raw()?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        if self.bit() { visitor.visit_some(self) } else { visitor.visit_none() }
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
        match Kind::wrapped_by(name) {
            Kind::Time => visitor.visit_newtype_struct(self.time().into_deserializer()),
            Kind::Frame => visitor.visit_newtype_struct(self.frame().into_deserializer()),
            Kind::Plain => visitor.visit_newtype_struct(self),
        }
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPacked> {
        let left = self.length()?;
        visitor.visit_seq(Parts { of: self, left })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Fields(self))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Fields(self))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Fields(self))
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

/// The fields of a value, which asks for as many as it has.
struct Fields<'u, 'de>(&'u mut Unpacker<'de>);

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = NotPacked;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, NotPacked> {
        seed.deserialize(&mut *self.0).map(Some)
    }
}

/// The elements of a list.
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
        if self.left == 0 || self.of.is_short {
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
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Fields(self))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPacked> {
        visitor.visit_seq(Fields(self))
    }
}
