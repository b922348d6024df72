//! Parts of a document that are made of a part of a record when they are written: those that are at their
//! defaults, as most are of short connections, are one text, which is made once and copied.
//!
//! What a part says is told by its document alone; which text stands for it is found out by comparing
//! what it is made of.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::writer::{self, SHORT};

/// A document that is made of an `S`.
pub(super) trait Usual<S: 'static> {
    /// The document of one that lives for `'a`.
    type Made<'a>: Serialize + From<&'a S>;

    /// Whether `of` makes the same document as `default`.
    fn is_usual(of: &S, default: &S) -> bool;

    /// What the default is, and its text.
    fn known() -> &'static Known<S>;
}

/// A default, and its text.
#[derive(Debug)]
pub(super) struct Known<S> {
    default: S,
    text: Box<[u8]>,
}

impl<S: Default + 'static> Known<S> {
    pub(super) fn of<D: Usual<S>>() -> Self {
        let (default, mut text) = (S::default(), Vec::new());
        // No document has a key that is no string.
        let _ = writer::append(&D::Made::from(&default), &mut text);
        Self { default, text: text.into() }
    }
}

/// Implements [`Usual`] for a document, with or without a lifetime; two of its sources are usual if they are
/// equal, or if what is named says so.
macro_rules! usual {
    ($document:ident<'_>: $source:ty) => {
        usual!(@ $document<'static>, $document<'a>, $source, PartialEq::eq);
    };
    ($document:ident: $source:ty) => {
        usual!(@ $document, $document, $source, PartialEq::eq);
    };
    ($document:ident: $source:ty, $is_usual:path) => {
        usual!(@ $document, $document, $source, $is_usual);
    };
    (@ $document:ty, $made:ty, $source:ty, $is_usual:path) => {
        impl $crate::report::usual::Usual<$source> for $document {
            type Made<'a> = $made;

            #[inline]
            fn is_usual(of: &$source, default: &$source) -> bool {
                $is_usual(of, default)
            }

            fn known() -> &'static $crate::report::usual::Known<$source> {
                static KNOWN: std::sync::LazyLock<$crate::report::usual::Known<$source>> =
                    std::sync::LazyLock::new($crate::report::usual::Known::of::<$document>);
                &KNOWN
            }
        }
    };
}

pub(super) use usual;

/// A document `D` that is made when it is written.
#[derive(Debug)]
pub(super) struct Part<'a, D, S> {
    of: &'a S,
    document: std::marker::PhantomData<D>,
}

impl<'a, D, S> From<&'a S> for Part<'a, D, S> {
    #[inline]
    fn from(of: &'a S) -> Self {
        Self { of, document: std::marker::PhantomData }
    }
}

impl<D: Usual<S>, S: 'static> Serialize for Part<'_, D, S> {
    #[inline]
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let known = D::known();
        if D::is_usual(self.of, &known.default) {
            let written = Written { of: self.of, text: &known.text, document: self.document };
            serializer.serialize_newtype_struct(SHORT, &written)
        } else {
            D::Made::from(self.of).serialize(serializer)
        }
    }
}

/// What stands inside the newtype: the text as the short form.
struct Written<'a, D, S> {
    of: &'a S,
    text: &'a [u8],
    document: std::marker::PhantomData<D>,
}

impl<D: Usual<S>, S: 'static> Serialize for Written<'_, D, S> {
    #[inline]
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        if serializer.is_human_readable() {
            D::Made::from(self.of).serialize(serializer)
        } else {
            serializer.serialize_bytes(self.text)
        }
    }
}

impl<D: JsonSchema, S> JsonSchema for Part<'_, D, S> {
    fn inline_schema() -> bool {
        D::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        D::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        D::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        D::json_schema(generator)
    }
}
