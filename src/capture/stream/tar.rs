//! Files in a tar archive, one after the other, as a stream gives them.
//!
//! Reads ustar, GNU and pax headers (POSIX.1-2001 pax, GNU tar manual "Basic Tar Format"); only
//! names, sizes and types count here. Hand-written, since the members of a streamed archive have
//! to outlive the call that found them, which the tar crate's borrowing iterator does not allow.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::peek::Peek;

/// Headers and the padding of members come in such blocks.
pub(super) const BLOCK: usize = 512;

/// Most bytes of a long name or of an extended header that are kept.
const MAX_EXTENSION: u64 = 64 << 10;

/// An archive being read.
pub(super) struct Tar {
    from: Peek,
    /// Bytes of the current member that were not read yet, and its padding.
    left: u64,
    padding: u64,
}

/// A regular file in the archive.
pub(super) struct Entry {
    pub(super) name: String,
}

impl Tar {
    pub(super) const fn new(from: Peek) -> Self {
        Self { from, left: 0, padding: 0 }
    }

    /// Bytes of the current member that were not read yet, and its padding.
    pub(super) const fn left(&self) -> (u64, u64) {
        (self.left, self.padding)
    }

    /// Goes to the next regular file; none at the end of the archive.
    pub(super) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let (mut long_name, mut long_size) = (None, None);
        loop {
            self.skip(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let mut header = [0; BLOCK];
            if self.from.peek(1)?.is_empty() {
                return Ok(None);
            }
            self.from.read_exact(&mut header)?;
            if header.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            if !is_header(&header) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no tar header"));
            }
            self.left = long_size.take().or_else(|| number(field(&header, 124, 12))).unwrap_or(0);
            self.padding = self.left.wrapping_neg() % BLOCK as u64;
            match field(&header, 156, 1) {
                [b'L'] => long_name = Some(text(&self.extension()?)),
                [b'x'] => {
                    let records = self.extension()?;
                    long_name = pax(&records, "path").map(str::to_owned).or(long_name);
                    long_size = pax(&records, "size").and_then(|size| size.parse().ok());
                }
                [b'0' | 0 | b'7'] => {
                    let name = long_name.take().unwrap_or_else(|| short_name(&header));
                    return Ok(Some(Entry { name }));
                }
                _ => long_name = None,
            }
        }
    }

    /// The content of an extension header, cut at the limit.
    fn extension(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let count = self.left.min(MAX_EXTENSION);
        (&mut self.from).take(count).read_to_end(&mut content)?;
        self.left -= content.len() as u64;
        Ok(content)
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.from).take(count), &mut io::sink())?;
        if skipped < count { Err(cut()) } else { Ok(()) }
    }
}

/// Whether the block is a member's header: its checksum says so.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.first_chunk::<BLOCK>() else { return false };
    let Some(told) = number(field(block, 148, 8)) else { return false };
    // The checksum's own field counts as blanks.
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    let own: u64 = field(block, 148, 8).iter().map(|&byte| u64::from(byte)).sum();
    told == sum - own + 8 * 32
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside a file")
}

fn field(header: &[u8; BLOCK], at: usize, len: usize) -> &[u8] {
    header.get(at..at + len).unwrap_or_default()
}

/// A number in octal digits, or in GNU's base-256 form for sizes above 8 GiB.
fn number(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let top = u64::from(first & 0x3f);
        return rest
            .iter()
            .try_fold(top, |sum, &byte| Some(sum.checked_mul(256)? + u64::from(byte)));
    }
    let digits = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(digits.trim_matches(|c| c == ' ' || c == '\0'), 8).ok()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn short_name(header: &[u8; BLOCK]) -> String {
    let name = text(field(header, 0, 100));
    let prefix = text(field(header, 345, 155));
    let posix = field(header, 257, 6) == b"ustar\0";
    if posix && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// The value of a key in the records `length key=value\n` of a pax header.
fn pax<'a>(records: &'a [u8], key: &str) -> Option<&'a str> {
    let records = std::str::from_utf8(records).ok()?;
    records
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.split_once('='))
        .rev()
        .find_map(|(found, value)| (found == key).then_some(value))
}

/// Reads the current member of an archive that its owner goes on with later.
pub(super) struct Body {
    pub(super) tar: Arc<Mutex<Tar>>,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut tar = self.tar.lock().unwrap_or_else(PoisonError::into_inner);
        if tar.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let left = tar.left;
        let count = (&mut tar.from).take(left).read(buffer)?;
        tar.left -= count as u64;
        if count == 0 { Err(cut()) } else { Ok(count) }
    }
}
