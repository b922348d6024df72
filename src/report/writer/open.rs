//! Objects and lists that are being written, element by element.

use serde::ser::{self, Serialize};

use super::{GATHERED, Json, WriteError};

/// An open object or list.
pub(super) struct Open<'a, 'b, const LINES: bool> {
    pub(super) json: &'a mut Json<'b, LINES>,
    pub(super) end: &'static [u8],
}

impl<const LINES: bool> Open<'_, '_, LINES> {
    /// What stands before an element.
    #[inline]
    fn begin(&mut self) {
        if self.json.is_indented() {
            self.json.line();
        }
    }

    /// What stands behind an element, the last one too: the end takes its place.
    #[inline]
    fn end_element(&mut self) {
        self.json.bytes.push(b',');
    }

    #[inline]
    fn colon(&mut self) {
        self.json.put(if self.json.is_indented() { b": " } else { b":" });
    }

    #[inline]
    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), WriteError> {
        self.begin();
        value.serialize(&mut *self.json)?;
        // Before the comma, which must not be written on: the end may take its place.
        if self.json.is_indented() {
            self.json.write_on(GATHERED)?;
        }
        self.end_element();
        Ok(())
    }

    #[expect(clippy::inline_always, reason = "names are known where this is inlined: one copy")]
    #[inline(always)]
    pub(super) fn field<T: ?Sized + Serialize>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), WriteError> {
        self.begin();
        self.json.key(name);
        if self.json.is_indented() {
            self.json.bytes.push(b' ');
        }
        value.serialize(&mut *self.json)?;
        self.end_element();
        Ok(())
    }

    #[inline]
    pub(super) fn close(self) {
        let is_indented = self.json.is_indented();
        self.json.depth -= 1;
        // No value ends with a comma.
        if self.json.bytes.pop_if(|last| *last == b',').is_some() && is_indented {
            self.json.line();
        }
        self.json.put(self.end);
    }
}

/// The kinds of lists.
macro_rules! lists {
    ($($kind:ident: $method:ident),*) => {
        $(
            impl<const LINES: bool> ser::$kind for Open<'_, '_, LINES> {
                type Ok = ();
                type Error = WriteError;

                #[inline]
                fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), WriteError> {
                    self.element(value)
                }

                #[inline]
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
            impl<const LINES: bool> ser::$kind for Open<'_, '_, LINES> {
                type Ok = ();
                type Error = WriteError;

                #[inline(always)]
                fn serialize_field<T: ?Sized + Serialize>(
                    &mut self,
                    name: &'static str,
                    value: &T,
                ) -> Result<(), WriteError> {
                    self.field(name, value)
                }

                #[inline]
                fn end(self) -> Result<(), WriteError> {
                    self.close();
                    Ok(())
                }
            }
        )*
    };
}

objects! { SerializeStruct, SerializeStructVariant }

impl<const LINES: bool> ser::SerializeMap for Open<'_, '_, LINES> {
    type Ok = ();
    type Error = WriteError;

    #[inline]
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), WriteError> {
        self.begin();
        let begin = self.json.bytes.len();
        key.serialize(&mut *self.json)?;
        if self.json.bytes.get(begin) == Some(&b'"') {
            return Ok(());
        }
        Err(ser::Error::custom("a key must be a string"))
    }

    #[inline]
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), WriteError> {
        self.colon();
        value.serialize(&mut *self.json)?;
        self.end_element();
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), WriteError> {
        self.close();
        Ok(())
    }
}
