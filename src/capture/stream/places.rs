//! Where the files of an archive lie that nothing is packed around: each can be read by itself.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::peek::Peek;
use super::tar::Tar;
use crate::capture::source::{InOrder, Source};

/// Goes from file to file of an archive, and reads nothing of what is in them.
#[derive(Debug)]
pub struct Places {
    source: Arc<Source>,
    /// Where the next header begins.
    at: u64,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub name: String,
    /// Where its content begins, and how long it ought to be.
    pub range: (u64, u64),
    /// The archive ends inside it.
    pub is_cut: bool,
}

impl Places {
    /// Opens an archive.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { source: Source::open(path)?.into(), at: 0 })
    }

    /// The next file; none at the end of the archive.
    ///
    /// # Errors
    /// The archive is damaged, or cannot be read.
    pub fn next_place(&mut self) -> io::Result<Option<Placed>> {
        if self.at >= self.source.len() {
            return Ok(None);
        }
        let from = Peek::new(Box::new(InOrder::new(Arc::clone(&self.source), self.at)));
        let taken = from.taken();
        let mut tar = Tar::new(from);
        let Some(entry) = tar.next_entry()? else { return Ok(None) };
        let offset = self.at + taken.load(Ordering::Relaxed);
        let (len, padding) = tar.left();
        let end = offset.saturating_add(len);
        self.at = end.saturating_add(padding);
        let is_cut = end > self.source.len();
        Ok(Some(Placed { name: entry.name, range: (offset, len), is_cut }))
    }
}
