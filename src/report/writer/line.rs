//! A value in one line, written into a room of fixed size.
//!
//! What is left of the room goes from value to value and comes back, so that it stays in registers; if
//! there is too little of it, whoever asked tries again with more.

use std::fmt::{self, Display, Write as _};

use serde::ser::{self, Serialize, Serializer};

use super::WriteError;
use super::open::Open;
use super::room::{self, Rest};
use crate::stamp::{Rfc3339, Time};

/// The name of a newtype structure whose value has a short form, for serializers that are not for
/// people, which this one says inside it alone: of a time its nanoseconds as a number, of any value its
/// JSON as bytes.
// Perf: so a time needs neither be a `str` first, which is checked to be one, nor be looked through for what
// must be escaped: a quarter of a connection's line was times.
pub(in super::super) const SHORT: &str = "tcpautopsy::report::Short";

/// Where the next value is written, or its short form.
#[derive(Debug)]
pub(super) struct Line<'a, const IS_SHORT: bool = false> {
    room: &'a mut [u8],
}

/// Why a value did not get into the room.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It is too small.
    Full,
    /// The value cannot stand in JSON. In a box, so that a result fits two registers.
    Refused(Box<WriteError>),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the room is too small"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unfit {}

impl ser::Error for Unfit {
    fn custom<T: Display>(message: T) -> Self {
        Self::Refused(Box::new(WriteError::custom(message)))
    }
}

impl<'a> Line<'a> {
    #[inline]
    pub(super) const fn of(room: &'a mut [u8]) -> Self {
        Self { room }
    }
}

impl<'a, const IS_SHORT: bool> Line<'a, IS_SHORT> {
    /// A value of another kind at the same place.
    #[inline]
    fn rest<T: ?Sized + Serialize>(self, value: &T) -> Rest<'a> {
        value.serialize(Line::of(self.room))
    }

    #[inline]
    const fn open(self, begin: u8, end: &'static [u8]) -> Open<'a> {
        Open::new(self.room, begin, end)
    }

    /// Opens an object that holds a variant's name and its value.
    fn name_variant(self, variant: &'static str) -> Result<Self, Unfit> {
        Ok(Self { room: room::key(self.room, b'{', variant)? })
    }
}

/// Text that is formatted straight into a string.
struct Inside<'a> {
    room: &'a mut [u8],
    /// There was too little room.
    is_full: bool,
}

impl fmt::Write for Inside<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = room::inside(std::mem::take(&mut self.room), text);
        self.is_full |= rest.is_err();
        self.room = rest.map_err(|_| fmt::Error)?;
        Ok(())
    }
}

/// Numbers that no `u64` holds.
macro_rules! wide {
    ($($method:ident: $type:ty),*) => {
        $(
            fn $method(self, value: $type) -> Rest<'a> {
                room::text(self.room, itoa::Buffer::new().format(value).as_bytes())
            }
        )*
    };
}

/// Numbers that are written as wider ones.
macro_rules! narrow {
    ($($method:ident: $type:ty as $wide:ident),*) => {
        $(
            #[inline]
            fn $method(self, value: $type) -> Rest<'a> {
                self.$wide(value.into())
            }
        )*
    };
}

/// Fractions, of which there are few.
macro_rules! fractions {
    ($($method:ident: $type:ty),*) => {
        $(
            fn $method(mut self, value: $type) -> Rest<'a> {
                serde_json::to_writer(&mut self.room, &value).map_err(|_| Unfit::Full)?;
                Ok(self.room)
            }
        )*
    };
}

impl<'a, const IS_SHORT: bool> Serializer for Line<'a, IS_SHORT> {
    type Ok = &'a mut [u8];
    type Error = Unfit;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = Open<'a>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Open<'a>;

    narrow! {
        serialize_i8: i8 as serialize_i64, serialize_i16: i16 as serialize_i64,
        serialize_i32: i32 as serialize_i64, serialize_u8: u8 as serialize_u64,
        serialize_u16: u16 as serialize_u64, serialize_u32: u32 as serialize_u64
    }
    wide! { serialize_i128: i128, serialize_u128: u128 }
    fractions! { serialize_f32: f32, serialize_f64: f64 }

    #[expect(clippy::inline_always, reason = "most numbers have one digit")]
    #[inline(always)]
    fn serialize_u64(self, value: u64) -> Rest<'a> {
        room::number(self.room, value)
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Rest<'a> {
        if IS_SHORT {
            let time = Rfc3339::from(Time::from_nanos(value));
            let room = room::text(self.room, b"\"")?;
            return room::text(room::text(room, time.as_bytes())?, b"\"");
        }
        let room = if value < 0 { room::text(self.room, b"-")? } else { self.room };
        room::number(room, value.unsigned_abs())
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Rest<'a> {
        if value { room::text(self.room, b"true") } else { room::text(self.room, b"false") }
    }

    fn serialize_char(self, value: char) -> Rest<'a> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Rest<'a> {
        room::string(self.room, value)
    }

    fn collect_str<T: ?Sized + Display>(self, value: &T) -> Rest<'a> {
        let mut inside = Inside { room: room::text(self.room, b"\"")?, is_full: false };
        match write!(inside, "{value}") {
            Ok(()) => room::text(inside.room, b"\""),
            Err(_) if inside.is_full => Err(Unfit::Full),
            Err(error) => Err(ser::Error::custom(error)),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Rest<'a> {
        if IS_SHORT { room::text(self.room, value) } else { self.collect_seq(value) }
    }

    #[inline]
    fn serialize_none(self) -> Rest<'a> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Rest<'a> {
        self.rest(value)
    }

    #[inline]
    fn serialize_unit(self) -> Rest<'a> {
        room::text(self.room, b"null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Rest<'a> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Rest<'a> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Rest<'a> {
        match name {
            SHORT => value.serialize(Line::<true> { room: self.room }),
            _ => self.rest(value),
        }
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Rest<'a> {
        room::text(self.name_variant(variant)?.rest(value)?, b"}")
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Unfit> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a>, Unfit> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Unfit> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Unfit> {
        Ok(self.name_variant(variant)?.open(b'[', b"]}"))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, Unfit> {
        Ok(self.open(b'{', b"}"))
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Unfit> {
        Ok(self.open(b'{', b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Unfit> {
        Ok(self.name_variant(variant)?.open(b'{', b"}}"))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        !IS_SHORT
    }
}
