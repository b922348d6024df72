//! JSON, as `serde_json` writes it, for documents whose lines are many.
//!
//! The documents say what is written, by `serde`; this says how. It knows that keys are names of
//! fields, that everything goes to memory, and that most strings hold nothing to be escaped.
//!
//! `serde_json`, which took more instructions for a connection's line than its ten packets, remains
//! the oracle of the tests.

mod line;
mod open;
mod outline;
mod room;

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, Write};

use serde::ser::{self, Serialize};

pub(super) use self::line::SHORT;
use self::line::{Line, Unfit};
use self::outline::Outline;

/// Bytes of the room in which a thread writes its lines, at first.
const ROOM: usize = 32 << 10;
/// Bytes of a room that a thread keeps.
const KEPT_ROOM: usize = 1 << 20;

thread_local! {
    /// Where the thread writes a line, before it is appended to others.
    // Perf: what is written here stays in the core's own cache, and the room's end is known while a line
    // is written: its length is counted in registers, and nothing is allocated.
    static LATEST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Appends a value in one line.
///
/// # Errors
/// A key is no string, or the value itself says so.
pub(super) fn append(
    value: &(impl Serialize + ?Sized),
    bytes: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let mut room = LATEST.take();
    let written = loop {
        let length = room.len();
        match value.serialize(Line::of(&mut room)) {
            Ok(rest) => break Ok(length - rest.len()),
            Err(Unfit::Full) => room.resize(ROOM.max(2 * length), 0),
            Err(Unfit::Refused(error)) => break Err(*error),
        }
    };
    let written = written.map(|end| bytes.extend_from_slice(room.get(..end).unwrap_or_default()));
    if room.len() <= KEPT_ROOM {
        LATEST.set(room);
    }
    written
}

/// Puts a value in one line where a room begins, and returns how long it is, if the room is large enough.
pub(super) fn put(value: &impl Serialize, room: &mut [u8]) -> Option<usize> {
    let length = room.len();
    let rest = value.serialize(Line::of(room)).ok()?;
    Some(length - rest.len())
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
    let mut outline = Outline::new(indented, out);
    outline.put(value)?;
    outline.write_on(0)
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

#[cfg(test)]
mod tests;
