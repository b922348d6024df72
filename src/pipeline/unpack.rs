//! A compressed capture in memory, if it is short enough.

use std::io;
use std::path::Path;

use super::plan::{Opened, Pipe, compression_name};
use super::view::READ;
use crate::capture::{CaptureError, Input, StreamDamage};

/// How many times as long as its compressed file a capture is likely to be at most: headers alone
/// shrink to a fifth, with payload it is half or more.
pub(super) const LIKELY_RATIO: u64 = 6;

/// What came of unpacking.
#[derive(Debug)]
pub(super) enum Unpacked {
    /// All of it is in the buffer.
    All(Content),
    /// What was unpacked so far, and how to go on.
    TooLong(Opened),
}

/// What is in the buffer.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) len: usize,
    /// Bytes of the file.
    pub(super) stored: u64,
    pub(super) compression: &'static str,
    /// Why it ended before its end.
    pub(super) damage: Option<StreamDamage>,
}

/// Unpacks the one capture of a file into the buffer, if it has no more than `most` bytes.
pub(super) fn unpack(
    path: &Path,
    most: u64,
    buffer: &mut Vec<u8>,
) -> Result<Unpacked, CaptureError> {
    let Input::Stream(mut stream) = Input::open(path)? else { return Err(changed()) };
    let Some(member) = stream.next_member().filter(|member| member.name.is_none()) else {
        return Err(changed());
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut len = 0;
    loop {
        // What is overwritten need not be cleared before.
        if buffer.len() < len + READ {
            buffer.resize((2 * len).max(READ), 0);
        }
        let free = buffer.get_mut(len..).unwrap_or_default();
        let (room, count) = (free.len(), stream.fill(free));
        len += count;
        if count < room {
            let compression = compression_name(&member.compression);
            let (stored, damage) = (stream.stored_offset(), stream.damage().cloned());
            return Ok(Unpacked::All(Content { len, stored, compression, damage }));
        }
        if len > most {
            let head = buffer.get(..len).unwrap_or_default().to_vec();
            let pipe = Pipe { stream, member, head, found: false, only: None };
            return Ok(Unpacked::TooLong(Opened::new(pipe)));
        }
    }
}

fn changed() -> CaptureError {
    io::Error::other("it is no longer the compressed capture that it was").into()
}
