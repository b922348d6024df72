//! Objects and lists that are being written in a line, element by element.

use std::mem;

use serde::ser::{self, Serialize};

use super::line::{Line, Unfit};
use super::room::{self, Rest};

/// An open object or list.
#[derive(Debug)]
pub(super) struct Open<'a> {
    room: &'a mut [u8],
    /// What stands before the next element: what opens the whole, or a comma.
    before: u8,
    end: &'static [u8],
}

impl<'a> Open<'a> {
    #[inline]
    pub(super) const fn new(room: &'a mut [u8], begin: u8, end: &'static [u8]) -> Self {
        Self { room, before: begin, end }
    }

    /// Takes the room, and what stands before the element that is put there.
    #[inline]
    fn begin(&mut self) -> (&'a mut [u8], u8) {
        (mem::take(&mut self.room), mem::replace(&mut self.before, b','))
    }

    #[inline]
    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unfit> {
        let (room, before) = self.begin();
        self.room = value.serialize(Line::of(room::text(room, &[before])?))?;
        Ok(())
    }

    #[expect(clippy::inline_always, reason = "names are known where this is inlined: few stores")]
    #[inline(always)]
    fn field<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), Unfit> {
        let (room, before) = self.begin();
        self.room = value.serialize(Line::of(room::key(room, before, name)?))?;
        Ok(())
    }

    #[inline]
    fn close(self) -> Rest<'a> {
        let Self { room, before, end } = self;
        let is_empty = before != b',';
        room::text(if is_empty { room::text(room, &[before])? } else { room }, end)
    }
}

/// The kinds of lists.
macro_rules! lists {
    ($($kind:ident: $method:ident),*) => {
        $(
            impl<'a> ser::$kind for Open<'a> {
                type Ok = &'a mut [u8];
                type Error = Unfit;

                #[inline]
                fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unfit> {
                    self.element(value)
                }

                #[inline]
                fn end(self) -> Rest<'a> {
                    self.close()
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
            impl<'a> ser::$kind for Open<'a> {
                type Ok = &'a mut [u8];
                type Error = Unfit;

                #[inline(always)]
                fn serialize_field<T: ?Sized + Serialize>(
                    &mut self,
                    name: &'static str,
                    value: &T,
                ) -> Result<(), Unfit> {
                    self.field(name, value)
                }

                #[inline]
                fn end(self) -> Rest<'a> {
                    self.close()
                }
            }
        )*
    };
}

objects! { SerializeStruct, SerializeStructVariant }

impl<'a> ser::SerializeMap for Open<'a> {
    type Ok = &'a mut [u8];
    type Error = Unfit;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Unfit> {
        let (room, before) = self.begin();
        let room = room::text(room, &[before])?;
        let rest = key.serialize(Line::of(&mut *room))?.len();
        if room.first() != Some(&b'"') {
            return Err(ser::Error::custom("a key must be a string"));
        }
        self.room = room.get_mut(room.len() - rest..).unwrap_or_default();
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unfit> {
        let room = mem::take(&mut self.room);
        self.room = value.serialize(Line::of(room::text(room, b":")?))?;
        Ok(())
    }

    #[inline]
    fn end(self) -> Rest<'a> {
        self.close()
    }
}
