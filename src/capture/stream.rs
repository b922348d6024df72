//! Captures that can only be read from front to back: pipes, compressed files, archives.
//!
//! Layers are recognised by content, never by name, and peeled until a capture is left. Memory
//! does not depend on the length of the stream. What a damaged stream gave before the damage is
//! kept. Knows nothing of capture formats.

mod decode;
mod peek;
mod places;
mod tar;

pub use decode::Compression;
pub use places::{Placed, Places};

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::peek::Peek;
use self::tar::{Body, Tar, is_header};

/// Layers of compression around a capture; those further in are not peeled.
const MAX_LAYERS: usize = 4;

/// One capture, or the captures in one archive, read from front to back.
pub struct Stream {
    source: Content,
    /// Compression around everything.
    outer: Vec<Compression>,
    body: Option<Box<dyn Read + Send>>,
    given: u64,
    taken: Arc<AtomicU64>,
    damage: Option<StreamDamage>,
}

enum Content {
    /// Not begun yet.
    Single(Option<Peek>),
    Archive(Arc<Mutex<Tar>>),
}

/// One capture in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name in the archive; none if the stream is no archive.
    pub name: Option<String>,
    /// The layers of compression around it, outermost first.
    pub compression: Vec<Compression>,
}

/// Why a stream ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDamage {
    /// Decoded bytes of the member that were given before.
    pub offset: u64,
    /// Bytes of the input, as it is stored, that were used up to there; the damage is before.
    pub stored_offset: u64,
    /// What the decoder says.
    pub reason: String,
}

impl Stream {
    /// Looks at the first bytes and peels what is around the capture or the archive.
    ///
    /// # Errors
    /// The input cannot be read at all.
    pub fn new(reader: Box<dyn Read + Send>) -> io::Result<Self> {
        let peek = Peek::new(reader);
        let taken = peek.taken();
        let (mut peek, outer) = peel(peek)?;
        let archive = peek.peek(tar::BLOCK).is_ok_and(is_header);
        let source = if archive {
            Content::Archive(Arc::new(Mutex::new(Tar::new(peek))))
        } else {
            Content::Single(Some(peek))
        };
        Ok(Self { source, outer, body: None, given: 0, taken, damage: None })
    }

    /// Goes to the next capture: the only one, or the next file of the archive, whatever it is.
    /// None at the end; [`Stream::damage`] then tells whether the archive ended too early.
    pub fn next_member(&mut self) -> Option<Member> {
        (self.body, self.given, self.damage) = (None, 0, None);
        match self.open_next() {
            Ok(member) => member,
            Err(error) => {
                self.damaged(&error);
                None
            }
        }
    }

    fn open_next(&mut self) -> io::Result<Option<Member>> {
        let (body, name) = match &mut self.source {
            Content::Single(peek) => (peek.take(), None),
            Content::Archive(tar) => {
                let entry = tar.lock().unwrap_or_else(PoisonError::into_inner).next_entry()?;
                let body =
                    entry.is_some().then(|| Peek::new(Box::new(Body { tar: Arc::clone(tar) })));
                (body, entry.map(|entry| entry.name))
            }
        };
        let Some(body) = body else { return Ok(None) };
        let mut compression = self.outer.clone();
        // A single stream is peeled already.
        if name.is_some() {
            match peel(body) {
                Ok((body, inner)) => {
                    compression.extend(inner);
                    self.body = Some(Box::new(body));
                }
                // It is a member all the same: an empty one with damage.
                Err(error) => self.damaged(&error),
            }
        } else {
            self.body = Some(Box::new(body));
        }
        Ok(Some(Member { name, compression }))
    }

    /// Fills the buffer with the member's next bytes and returns how many there are: less than the
    /// buffer only at the member's end, which [`Stream::damage`] tells to be the true one or not.
    pub fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(body) = &mut self.body {
            let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            match body.read(rest) {
                Ok(0) => self.body = None,
                Ok(count) => {
                    filled += count;
                    self.given += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.damaged(&error),
            }
        }
        filled
    }

    /// Reads on until `head`, which holds the member's bytes so far, has `want` of them, if it had fewer;
    /// whether that was the member's end, of whatever kind.
    pub fn fill_up(&mut self, head: &mut Vec<u8>, want: usize) -> bool {
        let before = head.len();
        head.resize(before.max(want), 0);
        let filled = before + self.fill(head.get_mut(before..).unwrap_or_default());
        let at_end = filled < head.len();
        head.truncate(filled);
        at_end
    }

    /// It is an archive, and nothing is packed around it.
    #[must_use]
    pub const fn is_open_archive(&self) -> bool {
        matches!(self.source, Content::Archive(_)) && self.outer.is_empty()
    }

    /// Why the current member, or the archive, ended too early.
    #[must_use]
    pub const fn damage(&self) -> Option<&StreamDamage> {
        self.damage.as_ref()
    }

    /// Bytes of the input, as it is stored, that were used so far: for showing progress.
    #[must_use]
    pub fn stored_offset(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn damaged(&mut self, error: &io::Error) {
        self.body = None;
        self.damage = Some(StreamDamage {
            offset: self.given,
            stored_offset: self.stored_offset(),
            reason: error.to_string(),
        });
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archive = matches!(self.source, Content::Archive(_));
        f.debug_struct("Stream")
            .field("archive", &archive)
            .field("compression", &self.outer)
            .field("given", &self.given)
            .field("damage", &self.damage)
            .finish_non_exhaustive()
    }
}

/// Whether something has to be peeled off before a capture can begin, by a file's first bytes:
/// [`tar::BLOCK`] of them, if there are so many.
pub(super) fn is_wrapped(head: &[u8]) -> bool {
    Compression::of(head).is_some() || is_header(head)
}

/// Takes layers of compression off.
fn peel(mut peek: Peek) -> io::Result<(Peek, Vec<Compression>)> {
    let mut layers = Vec::new();
    while layers.len() < MAX_LAYERS {
        // Damage in the first bytes of a layer shows when they are read.
        let Some(layer) = peek.peek(8).ok().and_then(Compression::of) else { break };
        peek = Peek::new(layer.decode(peek)?);
        layers.push(layer);
    }
    Ok((peek, layers))
}

#[cfg(test)]
mod tests;
