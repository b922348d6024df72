//! JSON, as `serde_json` writes it, for documents whose lines are many.
//!
//! The documents say what is written, by `serde`; this says how. It knows that keys are names of
//! fields, that everything goes to memory, and that most strings hold nothing to be escaped.
//!
//! `serde_json`, which took more instructions for a connection's line than its ten packets, remains
//! the oracle of the tests.

mod open;

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

use serde::ser::{self, Serialize, Serializer};

use self::open::Open;

/// Bytes that are gathered before they are written on.
const GATHERED: usize = 64 << 10;

/// Appends a value in one line.
///
/// # Errors
/// A key is no string, or the value itself says so.
pub(super) fn append(value: &impl Serialize, bytes: &mut Vec<u8>) -> Result<(), WriteError> {
    value.serialize(&mut Json::<false> { bytes, depth: 0, indented: 0, out: None })
}

/// Writes a value whose `indented` outer levels have a line for each of their elements.
///
/// # Errors
/// Those of the writer; a key is no string.
pub(super) fn write(
    value: &impl Serialize,
    indented: usize,
    out: &mut dyn Write,
) -> Result<(), WriteError> {
    let mut bytes = Vec::new();
    let mut json = Json::<true> { bytes: &mut bytes, depth: 0, indented, out: Some(out) };
    value.serialize(&mut json)?;
    json.write_on(0)
}

/// Why a value could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The writer refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The value cannot stand in JSON.
    #[error("{0}")]
    Value(String),
}

impl ser::Error for WriteError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io(error) => error,
            WriteError::Value(message) => Self::other(message),
        }
    }
}

/// Where values are appended: on lines of their own as far as asked, or all in one line.
struct Json<'a, const LINES: bool> {
    bytes: &'a mut Vec<u8>,
    /// Objects and lists that are open.
    depth: usize,
    /// So many outer levels have a line for each element.
    indented: usize,
    out: Option<&'a mut dyn Write>,
}

/// Longest key that is put together before it is appended.
const MAX_KEY: usize = 60;

impl<'b, const LINES: bool> Json<'b, LINES> {
    /// Hands on what was gathered, if it is more than `least`.
    fn write_on(&mut self, least: usize) -> Result<(), WriteError> {
        if let Some(out) = &mut self.out
            && self.bytes.len() > least
        {
            out.write_all(self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    fn open<'a>(&'a mut self, begin: u8, end: &'static [u8]) -> Open<'a, 'b, LINES> {
        self.bytes.push(begin);
        self.depth += 1;
        Open { json: self, end }
    }

    /// Opens an object that holds a variant's name and its value.
    fn name_variant(&mut self, variant: &'static str) {
        self.put(b"{\"");
        self.put(variant.as_bytes());
        self.put(b"\":");
    }

    const fn is_indented(&self) -> bool {
        LINES && self.depth <= self.indented
    }

    #[cold]
    fn line(&mut self) {
        self.bytes.push(b'\n');
        (0..self.depth).for_each(|_| self.bytes.extend_from_slice(b"  "));
    }

    /// A key and its colon.
    #[expect(clippy::inline_always, reason = "names are known where this is inlined: one copy")]
    #[inline(always)]
    fn key(&mut self, name: &str) {
        let mut key = [b'"'; MAX_KEY + 3];
        let end = name.len() + 1;
        if let Some(inside) = key.get_mut(1..end)
            && name.len() <= MAX_KEY
        {
            inside.copy_from_slice(name.as_bytes());
            if let Some(colon) = key.get_mut(end + 1) {
                *colon = b':';
            }
            self.put(key.get(..end + 2).unwrap_or_default());
        } else {
            self.bytes.push(b'"');
            self.put(name.as_bytes());
            self.put(b"\":");
        }
    }

    #[inline]
    fn number(&mut self, number: impl itoa::Integer) {
        self.put(itoa::Buffer::new().format(number).as_bytes());
    }

    #[inline]
    fn string(&mut self, text: &str) {
        self.bytes.push(b'"');
        self.inside(text);
        self.bytes.push(b'"');
    }

    /// The inside of a string.
    #[inline]
    fn inside(&mut self, text: &str) {
        let bytes = text.as_bytes();
        if bytes.iter().fold(false, |any, byte| any | is_escaped(*byte)) {
            self.escaped(bytes);
        } else {
            self.put(bytes);
        }
    }

    #[cold]
    fn escaped(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
        for byte in bytes {
            match byte {
                b'"' => self.put(b"\\\""),
                b'\\' => self.put(b"\\\\"),
                0x08 => self.put(b"\\b"),
                0x0c => self.put(b"\\f"),
                b'\n' => self.put(b"\\n"),
                b'\r' => self.put(b"\\r"),
                b'\t' => self.put(b"\\t"),
                0..0x20 => self.put(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]),
                _ => self.bytes.push(*byte),
            }
        }
    }
}

#[inline]
const fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Text that is formatted straight into a string.
struct Inside<'a, 'b, const LINES: bool>(&'a mut Json<'b, LINES>);

impl<const LINES: bool> fmt::Write for Inside<'_, '_, LINES> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.inside(text);
        Ok(())
    }
}

/// Numbers of all sizes.
macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(
            #[inline]
            fn $method(self, value: $type) -> Result<(), WriteError> {
                match u8::try_from(value) {
                    Ok(digit @ 0..=9) => self.bytes.push(b'0' + digit),
                    _ => self.number(value),
                }
                Ok(())
            }
        )*
    };
}

impl<'a, 'b, const LINES: bool> Serializer for &'a mut Json<'b, LINES> {
    type Ok = ();
    type Error = WriteError;
    type SerializeSeq = Open<'a, 'b, LINES>;
    type SerializeTuple = Open<'a, 'b, LINES>;
    type SerializeTupleStruct = Open<'a, 'b, LINES>;
    type SerializeTupleVariant = Open<'a, 'b, LINES>;
    type SerializeMap = Open<'a, 'b, LINES>;
    type SerializeStruct = Open<'a, 'b, LINES>;
    type SerializeStructVariant = Open<'a, 'b, LINES>;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), WriteError> {
        self.put(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), WriteError> {
        serde_json::to_writer(&mut *self.bytes, &value).map_err(ser::Error::custom)
    }

    fn serialize_f64(self, value: f64) -> Result<(), WriteError> {
        serde_json::to_writer(&mut *self.bytes, &value).map_err(ser::Error::custom)
    }

    fn serialize_char(self, value: char) -> Result<(), WriteError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), WriteError> {
        self.string(value);
        Ok(())
    }

    fn collect_str<T: ?Sized + Display>(self, value: &T) -> Result<(), WriteError> {
        self.bytes.push(b'"');
        let written = write!(Inside(self), "{value}");
        self.bytes.push(b'"');
        written.map_err(ser::Error::custom)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), WriteError> {
        self.collect_seq(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), WriteError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), WriteError> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), WriteError> {
        self.put(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), WriteError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), WriteError> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), WriteError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), WriteError> {
        let mut object = self.open(b'{', b"}");
        object.field(variant, value)?;
        object.close();
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a, 'b, LINES>, WriteError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a, 'b, LINES>, WriteError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Open<'a, 'b, LINES>, WriteError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a, 'b, LINES>, WriteError> {
        self.name_variant(variant);
        Ok(self.open(b'[', b"]}"))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a, 'b, LINES>, WriteError> {
        Ok(self.open(b'{', b"}"))
    }

    #[inline]
    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Open<'a, 'b, LINES>, WriteError> {
        Ok(self.open(b'{', b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a, 'b, LINES>, WriteError> {
        self.name_variant(variant);
        Ok(self.open(b'{', b"}}"))
    }
}

#[cfg(test)]
mod tests;
