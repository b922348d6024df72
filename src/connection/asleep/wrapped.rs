//! The number that a structure wraps: all that there is of a time or a frame.

use serde::ser::{Impossible, Serialize, Serializer};

use super::form::NotPacked;

/// Gives back the number that it is told, and refuses everything else.
pub(super) struct Wrapped;

type Number = Result<u64, NotPacked>;

/// One method for each kind of value that is refused.
macro_rules! refused {
    ($($method:ident($($kind:ty),*) -> $given:ty;)*) => {$(
        fn $method(self, $(_: $kind),*) -> Result<$given, NotPacked> {
            Err(NotPacked)
        }
    )*};
}

impl Serializer for Wrapped {
    type Ok = u64;
    type Error = NotPacked;
    type SerializeSeq = Impossible<u64, NotPacked>;
    type SerializeTuple = Impossible<u64, NotPacked>;
    type SerializeTupleStruct = Impossible<u64, NotPacked>;
    type SerializeTupleVariant = Impossible<u64, NotPacked>;
    type SerializeMap = Impossible<u64, NotPacked>;
    type SerializeStruct = Impossible<u64, NotPacked>;
    type SerializeStructVariant = Impossible<u64, NotPacked>;

    #[inline]
    fn serialize_i64(self, number: i64) -> Number {
        Ok(number.cast_unsigned())
    }

    #[inline]
    fn serialize_u64(self, number: u64) -> Number {
        Ok(number)
    }

    refused! {
        serialize_bool(bool) -> u64;
        serialize_i8(i8) -> u64;
        serialize_i16(i16) -> u64;
        serialize_i32(i32) -> u64;
        serialize_u8(u8) -> u64;
        serialize_u16(u16) -> u64;
        serialize_u32(u32) -> u64;
        serialize_f32(f32) -> u64;
        serialize_f64(f64) -> u64;
        serialize_char(char) -> u64;
        serialize_str(&str) -> u64;
        serialize_bytes(&[u8]) -> u64;
        serialize_none() -> u64;
        serialize_unit() -> u64;
        serialize_unit_struct(&'static str) -> u64;
        serialize_unit_variant(&'static str, u32, &'static str) -> u64;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Number {
        Err(NotPacked)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Number {
        Err(NotPacked)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Number {
        Err(NotPacked)
    }
}
