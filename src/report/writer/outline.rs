//! A value whose outer levels have a line for each element; what lies deeper stands in one line.

use std::io::Write;

use serde::ser::{self, Serialize, Serializer};

use super::{WriteError, append};

/// Bytes that are gathered before they are written on.
pub(super) const GATHERED: usize = 64 << 10;

/// Where values are appended, and written on.
pub(super) struct Outline<'a> {
    bytes: Vec<u8>,
    /// Objects and lists that are open.
    depth: usize,
    /// So many outer levels have a line for each element.
    indented: usize,
    out: &'a mut dyn Write,
}

impl<'a> Outline<'a> {
    pub(super) const fn new(indented: usize, out: &'a mut dyn Write) -> Self {
        Self { bytes: Vec::new(), depth: 0, indented, out }
    }

    /// Appends a value.
    pub(super) fn put<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), WriteError> {
        if self.depth < self.indented {
            value.serialize(self)
        } else {
            append(value, &mut self.bytes)
        }
    }

    /// Hands on what was gathered, if it is more than `least`.
    pub(super) fn write_on(&mut self, least: usize) -> Result<(), WriteError> {
        if self.bytes.len() > least {
            self.out.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }

    fn line(&mut self) {
        self.bytes.push(b'\n');
        (0..self.depth).for_each(|_| self.bytes.extend_from_slice(b"  "));
    }

    fn open<'b>(&'b mut self, begin: u8, end: &'static [u8]) -> Open<'b, 'a> {
        self.bytes.push(begin);
        self.depth += 1;
        Open { outline: self, any: false, end }
    }

    /// Opens an object that holds a variant's name and its value.
    fn name_variant(&mut self, variant: &'static str) -> Result<(), WriteError> {
        self.bytes.push(b'{');
        append(variant, &mut self.bytes)?;
        self.bytes.push(b':');
        Ok(())
    }
}

/// What stands in one line wherever it stands.
macro_rules! in_one_line {
    ($($method:ident: $type:ty),*) => {
        $(
            fn $method(self, value: $type) -> Result<(), WriteError> {
                append(&value, &mut self.bytes)
            }
        )*
    };
}

impl<'a, 'b> Serializer for &'b mut Outline<'a> {
    type Ok = ();
    type Error = WriteError;
    type SerializeSeq = Open<'b, 'a>;
    type SerializeTuple = Open<'b, 'a>;
    type SerializeTupleStruct = Open<'b, 'a>;
    type SerializeTupleVariant = Open<'b, 'a>;
    type SerializeMap = Open<'b, 'a>;
    type SerializeStruct = Open<'b, 'a>;
    type SerializeStructVariant = Open<'b, 'a>;

    in_one_line! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char, serialize_str: &str
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), WriteError> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), WriteError> {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), WriteError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), WriteError> {
        append(&(), &mut self.bytes)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), WriteError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), WriteError> {
        self.serialize_str(variant)
    }

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

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'b, 'a>, WriteError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'b, 'a>, WriteError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'b, 'a>, WriteError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'b, 'a>, WriteError> {
        self.name_variant(variant)?;
        Ok(self.open(b'[', b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'b, 'a>, WriteError> {
        Ok(self.open(b'{', b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'b, 'a>, WriteError> {
        Ok(self.open(b'{', b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'b, 'a>, WriteError> {
        self.name_variant(variant)?;
        Ok(self.open(b'{', b"}}"))
    }
}

/// An open object or list, each element of which has a line.
pub(super) struct Open<'b, 'a> {
    outline: &'b mut Outline<'a>,
    /// Whether it holds anything yet.
    any: bool,
    end: &'static [u8],
}

impl Open<'_, '_> {
    /// What stands before an element.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.any, true) {
            self.outline.bytes.push(b',');
        }
        self.outline.line();
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), WriteError> {
        self.begin();
        self.outline.put(value)?;
        self.outline.write_on(GATHERED)
    }

    fn key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), WriteError> {
        self.begin();
        let begin = self.outline.bytes.len();
        append(key, &mut self.outline.bytes)?;
        if self.outline.bytes.get(begin) != Some(&b'"') {
            return Err(ser::Error::custom("a key must be a string"));
        }
        self.outline.bytes.extend_from_slice(b": ");
        Ok(())
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), WriteError> {
        self.key(name)?;
        self.outline.put(value)
    }

    fn close(self) {
        self.outline.depth -= 1;
        if self.any {
            self.outline.line();
        }
        self.outline.bytes.extend_from_slice(self.end);
    }
}

/// The kinds of lists.
macro_rules! lists {
    ($($kind:ident: $method:ident),*) => {
        $(
            impl ser::$kind for Open<'_, '_> {
                type Ok = ();
                type Error = WriteError;

                fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), WriteError> {
                    self.element(value)
                }

                fn end(self) -> Result<(), WriteError> {
                    self.close();
                    Ok(())
                }
            }
        )*
    };
}

lists! {
    SerializeSeq: serialize_element, SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field
}

/// The kinds of objects whose keys are known.
macro_rules! objects {
    ($($kind:ident),*) => {
        $(
            impl ser::$kind for Open<'_, '_> {
                type Ok = ();
                type Error = WriteError;

                fn serialize_field<T: ?Sized + Serialize>(
                    &mut self,
                    name: &'static str,
                    value: &T,
                ) -> Result<(), WriteError> {
                    self.field(name, value)
                }

                fn end(self) -> Result<(), WriteError> {
                    self.close();
                    Ok(())
                }
            }
        )*
    };
}

objects! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Open<'_, '_> {
    type Ok = ();
    type Error = WriteError;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), WriteError> {
        self.key(key)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), WriteError> {
        self.outline.put(value)
    }

    fn end(self) -> Result<(), WriteError> {
        self.close();
        Ok(())
    }
}
