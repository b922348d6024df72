//! A list of the report whose elements are turned to JSON many at the same time, and then wait for
//! their turn.

use std::fmt;

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::writer::{self, SHORT};

/// Makes so many texts by what makes each of them, in their order.
pub(super) type Texts<'a> = dyn Fn(usize, &(dyn Fn(usize) -> Vec<u8> + Sync)) -> Vec<Vec<u8>> + 'a;

/// Documents as an array.
pub(super) struct List<'a, T> {
    elements: Vec<T>,
    texts: &'a Texts<'a>,
}

/// Elements that are turned to JSON at the same time.
const GROUP: usize = 512;

impl<'a, T> List<'a, T> {
    pub(super) const fn new(elements: Vec<T>, texts: &'a Texts<'a>) -> Self {
        Self { elements, texts }
    }
}

impl<T: fmt::Debug> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("List").field(&self.elements).finish()
    }
}

impl<T: Serialize + Sync> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.elements.len()))?;
        for group in self.elements.chunks(GROUP) {
            let texts =
                (self.texts)(group.len(), &|index| group.get(index).map_or_else(Vec::new, text));
            for (element, text) in group.iter().zip(&texts) {
                list.serialize_element(&Written { element, text })?;
            }
        }
        list.end()
    }
}

/// The JSON of an element.
fn text(element: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    // No document has a key that is no string.
    let _ = writer::append(element, &mut text);
    text
}

/// An element, and its JSON as its short form.
struct Written<'a, T> {
    element: &'a T,
    text: &'a [u8],
}

impl<T: Serialize> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// What stands inside the newtype.
        struct Inner<'a, T>(&'a Written<'a, T>);
        impl<T: Serialize> Serialize for Inner<'_, T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    self.0.element.serialize(serializer)
                } else {
                    serializer.serialize_bytes(self.0.text)
                }
            }
        }
        serializer.serialize_newtype_struct(SHORT, &Inner(self))
    }
}
