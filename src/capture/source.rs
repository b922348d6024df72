//! An opened input: a regular file that many workers read at once by position, or a stream.
//!
//! Never maps memory: a file that shrinks while it is read must not kill the program. Knows
//! nothing of capture formats.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ahead;
use super::stream::{Stream, is_wrapped};
use super::{CaptureError, Context};

/// An input in the way in which it can be read.
#[derive(Debug)]
pub enum Input {
    /// A plain file.
    File(Source),
    /// A pipe, a compressed file or an archive.
    Stream(Stream),
}

/// What makes a file the same under several names: links share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// Its full path, where there is nothing better.
    Path(PathBuf),
    /// Device and inode.
    Inode(u64, u64),
}

impl Identity {
    /// That of what `path` names, whether or not it exists.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok();
        metadata.as_ref().and_then(Self::inode).unwrap_or_else(|| Self::path(path))
    }

    fn path(path: &Path) -> Self {
        Self::Path(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()))
    }

    #[cfg(unix)]
    fn inode(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        metadata.is_file().then(|| Self::Inode(metadata.dev(), metadata.ino()))
    }

    #[cfg(not(unix))]
    const fn inode(_: &Metadata) -> Option<Self> {
        None
    }
}

impl Input {
    /// Opens what `path` names; the content decides how it is read.
    ///
    /// # Errors
    /// Whatever the operating system says; a directory is an error.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Ok(Self::identify(path, &mut Vec::new())?.0)
    }

    /// Opens what `path` names, and tells which file it is. `head` is given the first bytes of a
    /// plain file: [`Context::EARLY`], or all that there are.
    ///
    /// # Errors
    /// Whatever the operating system says; a directory is an error.
    pub fn identify(path: &Path, head: &mut Vec<u8>) -> Result<(Self, Identity), CaptureError> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
        }
        let identity = Identity::inode(&metadata).unwrap_or_else(|| Identity::path(path));
        // What the system makes up as it is read has no length.
        if metadata.is_file() && metadata.len() > 0 {
            let source = Source { store: Store::File(file), base: 0, len: metadata.len() };
            return Ok((Self::of(source, head)?, identity));
        }
        Ok((Self::Stream(Stream::new(Box::new(file))?), identity))
    }

    /// What lies at a place of the file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn within(path: &Path, (offset, len): (u64, u64)) -> Result<Self, CaptureError> {
        let whole = Source::open(path)?;
        let len = len.min(whole.len.saturating_sub(offset));
        Self::of(Source { base: offset, len, ..whole }, &mut Vec::new())
    }

    fn of(source: Source, head: &mut Vec<u8>) -> Result<Self, CaptureError> {
        source.read_head(head, Context::EARLY)?;
        if !is_wrapped(head) {
            return Ok(Self::File(source));
        }
        Ok(Self::Stream(Stream::new(Box::new(InOrder::new(Arc::new(source), 0)))?))
    }

    /// What is written to the program's standard input.
    ///
    /// # Errors
    /// It cannot be read at all.
    pub fn stdin() -> Result<Self, CaptureError> {
        Ok(Self::Stream(Stream::new(Box::new(io::stdin()))?))
    }
}

/// A regular file, or a part of one, with positioned reads; shared by reference between threads.
#[derive(Debug)]
pub struct Source {
    store: Store,
    /// Where it begins in the file.
    base: u64,
    len: u64,
}

/// Where the bytes of a source are.
#[derive(Debug)]
enum Store {
    File(File),
    /// All of them were read before.
    Memory(Box<[u8]>),
}

impl Source {
    /// Opens the file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { store: Store::File(file), base: 0, len })
    }

    /// Opens the file, of which nothing counts from `len` on. It may be shorter, which shows when it
    /// is read.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open_up_to(path: &Path, len: u64) -> io::Result<Self> {
        Ok(Self { store: Store::File(File::open(path)?), base: 0, len })
    }

    /// A file that was read before, whole.
    #[must_use]
    pub const fn of_bytes(bytes: Box<[u8]>) -> Self {
        let len = bytes.len() as u64;
        Self { store: Store::Memory(bytes), base: 0, len }
    }

    /// Reads the first `want` bytes of the file, or all that there are.
    ///
    /// # Errors
    /// As for [`Source::read_at`].
    pub fn read_head(&self, head: &mut Vec<u8>, want: usize) -> io::Result<()> {
        // What is overwritten need not be cleared before.
        head.resize(want.min(usize::try_from(self.len).unwrap_or(want)), 0);
        let count = self.read_at(0, head)?;
        head.truncate(count);
        Ok(())
    }

    /// Length in bytes when the file was opened.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// There is nothing in the file.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tells the system that `piece` is about to be read, and what follows it later, so that a disk
    /// brings that meanwhile.
    pub fn read_ahead(&self, piece: &Range<u64>) {
        if let Store::File(file) = &self.store {
            ahead::ask(file, self.base, piece, self.len);
        }
    }

    /// Fills the buffer from `offset` on and returns how much there was: less than the buffer only
    /// at the end of the file. Bytes behind [`Source::len`] are not read, so that a file which
    /// still grows has one length for all workers.
    ///
    /// # Errors
    /// Whatever the operating system says; interrupted reads are tried again.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = buffer.len().min(left);
        let file = match &self.store {
            Store::File(file) => file,
            Store::Memory(bytes) => {
                let from = usize::try_from(self.base + offset).unwrap_or(usize::MAX);
                return bytes.get(from..).unwrap_or_default().read(buffer);
            }
        };
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..want).filter(|rest| !rest.is_empty()) {
            match positioned(file, rest, self.base + offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// A source from some place on to its end.
pub(super) struct InOrder {
    source: Arc<Source>,
    at: u64,
}

impl InOrder {
    pub(super) const fn new(source: Arc<Source>, at: u64) -> Self {
        Self { source, at }
    }
}

impl Read for InOrder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(self.at, buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
fn positioned(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn positioned(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_length_that_the_file_had_when_it_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"0123456789").unwrap();
        let source = Source::open(&path).unwrap();
        std::fs::write(&path, b"0123456789abc").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(source.read_at(6, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"6789");
        assert_eq!(source.read_at(99, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_file_that_has_become_shorter_or_was_kept_reads_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"0123456789").unwrap();
        for source in [
            Source::open_up_to(&path, 20).unwrap(),
            Source::of_bytes(b"0123456789".as_slice().into()),
        ] {
            let mut buffer = [0; 4];
            assert_eq!(source.read_at(8, &mut buffer).unwrap(), 2);
            assert_eq!(&buffer[..2], b"89");
            assert_eq!(source.read_at(10, &mut buffer).unwrap(), 0);
        }
    }
}
