//! Asks for memory before it is needed, so that the core goes on while it comes.
//!
//! Nothing depends on whether it comes: what is asked for may be anywhere, even beyond a slice's end.

use prefetch_index::prefetch_index;

/// Bytes that come at once.
pub(crate) const LINE: usize = 64;

/// Asks for the element at `index` of a slice, or of what lies behind it.
#[inline]
pub(crate) fn element<T>(slice: &[T], index: usize) {
    prefetch_index(slice, index);
}

/// Asks for all of a slice.
#[inline]
pub(crate) fn slice(bytes: &[u8]) {
    for index in (0..bytes.len()).step_by(LINE) {
        element(bytes, index);
    }
}

/// Asks for the beginning of a value.
#[inline]
pub(crate) fn value<T>(value: &T) {
    prefetch_index(std::slice::from_ref(value), 0);
}
