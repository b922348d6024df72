//! The compact form of a value, written: see [`asleep`](super) for the format.

use serde::ser::{self, Serialize, Serializer};

use super::form::{Kind, NotPacked, Recent, first, zigzag};

/// Writes into the room that it is given.
pub(super) struct Packer<'a> {
    room: &'a mut [u8],
    len: usize,
    /// Where the bits of the present group are.
    bits: usize,
    /// How many more of them there are.
    left: u32,
    next: Kind,
    times: Recent,
    frames: Recent,
}

type Packed = Result<(), NotPacked>;

/// The compact form of `value`, in `room`; an error where that is too small.
pub(super) fn pack<'a, T: Serialize>(value: &T, room: &'a mut [u8]) -> Result<&'a [u8], NotPacked> {
    let mut packer = Packer {
        room,
        len: 0,
        bits: 0,
        left: 0,
        next: Kind::Plain,
        times: Recent::times(),
        frames: Recent::frames(),
    };
    value.serialize(&mut packer)?;
    let Packer { room, len, .. } = packer;
    room.get(..len).ok_or(NotPacked)
}

impl Packer<'_> {
    #[inline]
    fn byte(&mut self, byte: u8) -> Packed {
        *self.room.get_mut(self.len).ok_or(NotPacked)? = byte;
        self.len += 1;
        Ok(())
    }

    #[inline]
    fn bit(&mut self, bit: bool) -> Packed {
        if self.left == 0 {
            self.bits = self.len;
            self.byte(0)?;
            self.left = u8::BITS;
        }
        self.left -= 1;
        if bit && let Some(bits) = self.room.get_mut(self.bits) {
            *bits |= 1 << self.left;
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self, number: u64) -> Packed {
        self.bit(number != 0)?;
        if number == 0 { Ok(()) } else { self.in_full(number) }
    }

    /// A time or a frame, which may have been written before.
    #[inline]
    fn near(&mut self, recent: fn(&mut Self) -> &mut Recent, number: u64) -> Packed {
        self.bit(number != 0)?;
        if number == 0 {
            return Ok(());
        }
        if let Some(place) = recent(self).remember(number) {
            return self.byte(first::RECENT | place);
        }
        let distance = recent(self).distance(number);
        self.in_full(distance)
    }

    #[inline]
    fn in_full(&mut self, number: u64) -> Packed {
        let bytes = number.to_le_bytes();
        let [lowest, second, ..] = bytes;
        if number < u64::from(first::BYTES) {
            return self.byte(lowest);
        }
        if number < 1 << 14 {
            self.byte(first::TWO | second)?;
            return self.byte(lowest);
        }
        // One to eight; all eight are written, and what comes next is written over those that are zero.
        let [length, ..] = ((u64::BITS - number.leading_zeros()).div_ceil(u8::BITS)).to_le_bytes();
        self.byte(first::BYTES + (length - 1))?;
        let room = self.room.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut);
        *room.ok_or(NotPacked)? = bytes;
        self.len += usize::from(length);
        Ok(())
    }

    fn length(&mut self, length: usize) -> Packed {
        self.number(u64::try_from(length).map_err(|_| NotPacked)?)
    }

    fn raw(&mut self, bytes: &[u8]) -> Packed {
        self.length(bytes.len())?;
        let end = self.len + bytes.len();
        self.room.get_mut(self.len..end).ok_or(NotPacked)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// One method for each kind of number: as it is, or folded by `zigzag`.
macro_rules! numbers {
    ($($method:ident($kind:ty) => $fold:expr;)*) => {$(
        #[inline]
        fn $method(self, number: $kind) -> Packed {
            self.number($fold(number))
        }
    )*};
}

impl Serializer for &mut Packer<'_> {
    type Ok = ();
    type Error = NotPacked;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = ser::Impossible<(), NotPacked>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_i8(i8) => |n| zigzag(i64::from(n));
        serialize_i16(i16) => |n| zigzag(i64::from(n));
        serialize_i32(i32) => |n| zigzag(i64::from(n));
        serialize_u16(u16) => u64::from;
        serialize_u32(u32) => u64::from;
        serialize_f32(f32) => |n: f32| u64::from(n.to_bits());
        serialize_f64(f64) => f64::to_bits;
        serialize_char(char) => u64::from;
    }

    #[inline]
    fn serialize_i64(self, number: i64) -> Packed {
        match std::mem::take(&mut self.next) {
            Kind::Time => self.near(|packer| &mut packer.times, number.cast_unsigned()),
            Kind::Plain | Kind::Frame => self.number(zigzag(number)),
        }
    }

    #[inline]
    fn serialize_u64(self, number: u64) -> Packed {
        match std::mem::take(&mut self.next) {
            Kind::Frame => self.near(|packer| &mut packer.frames, number),
            Kind::Plain | Kind::Time => self.number(number),
        }
    }

    #[inline]
    fn serialize_bool(self, bit: bool) -> Packed {
        self.bit(bit)
    }

    #[inline]
    fn serialize_u8(self, byte: u8) -> Packed {
        self.bit(byte != 0)?;
        if byte == 0 { Ok(()) } else { self.byte(byte) }
    }

    fn serialize_str(self, text: &str) -> Packed {
        self.raw(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Packed {
        self.raw(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Packed {
        self.bit(false)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Packed {
        self.bit(true)?;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Packed {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Packed {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Packed {
        self.number(u64::from(index))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Packed {
        self.next = Kind::wrapped_by(name);
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Packed {
        self.number(u64::from(index))?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, NotPacked> {
        self.length(length.ok_or(NotPacked)?)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, NotPacked> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, NotPacked> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotPacked> {
        self.number(u64::from(index))?;
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, NotPacked> {
        Err(NotPacked)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, NotPacked> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotPacked> {
        self.number(u64::from(index))?;
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of what has parts follow one another.
macro_rules! parts {
    ($($kind:ident::$method:ident($($name:ident)?);)*) => {$(
        impl ser::$kind for &mut Packer<'_> {
            type Ok = ();
            type Error = NotPacked;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Packed {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Packed {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(_name);
    SerializeStructVariant::serialize_field(_name);
}
