//! A buffered reader that can look ahead, which `std`'s cannot, and that counts what was taken.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read at once, and most bytes of look-ahead.
const SIZE: usize = 128 << 10;

/// Any reader, with look-ahead.
pub(super) struct Peek {
    inner: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    taken: Arc<AtomicU64>,
    /// What the reader failed with. Told again at every further read, since decoders tell their
    /// errors once and then play dead.
    failed: Option<(io::ErrorKind, String)>,
}

impl Peek {
    pub(super) fn new(inner: Box<dyn Read + Send>) -> Self {
        let buffer = vec![0; SIZE].into_boxed_slice();
        Self { inner, buffer, start: 0, end: 0, taken: Arc::default(), failed: None }
    }

    /// Count of the bytes taken so far, to be watched while a decoder owns the reader.
    pub(super) fn taken(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.taken)
    }

    /// The next `count` bytes, fewer only at the end; at most 128 KiB.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.start + count > SIZE {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < count {
            if self.more()? == 0 {
                break;
            }
        }
        let held = self.held();
        Ok(held.get(..count).unwrap_or(held))
    }

    fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn more(&mut self) -> io::Result<usize> {
        if let Some((kind, reason)) = &self.failed {
            return Err(io::Error::new(*kind, reason.clone()));
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        loop {
            match self.inner.read(room) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some((error.kind(), error.to_string()));
                    return Err(error);
                }
            }
        }
    }
}

impl BufRead for Peek {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.more()?;
        }
        Ok(self.held())
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.end - self.start);
        self.start += amount;
        self.taken.fetch_add(amount as u64, Ordering::Relaxed);
    }
}

impl Read for Peek {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && buffer.len() >= SIZE && self.failed.is_none() {
            let count = self.inner.read(buffer)?;
            self.taken.fetch_add(count as u64, Ordering::Relaxed);
            return Ok(count);
        }
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
