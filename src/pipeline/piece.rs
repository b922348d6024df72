//! What of a stream is in memory: the piece that a wave walks, and what the wave before left of it.
//!
//! A stream is unpacked by one thread at a time, and each has memory of its own, so those of one wave
//! are unpacked side by side.

use std::sync::Arc;

use rayon::prelude::*;

use super::chunk::Bytes;
use super::feed::{Feeding, From, MAX_PIECE, MIN_PIECE};
use super::lane::Lane;
use super::reading::Reading;
use super::view::READ;
use super::wave::Wave;
use crate::capture::Stream;

/// A piece of a stream.
#[derive(Debug)]
pub(super) struct Piece {
    /// Shared with the chunks of a wave while it is read.
    buffer: Arc<Vec<u8>>,
    /// So many bytes of it are the stream's.
    held: usize,
    /// Offset in the stream of the first of them, once it was filled for the present wave.
    base: Option<u64>,
    /// Nothing of the stream comes behind them.
    ended: bool,
}

impl Piece {
    /// With bytes of the stream that were read already.
    pub(super) fn new(bytes: Vec<u8>, ended: bool) -> Self {
        Self { held: bytes.len(), buffer: Arc::new(bytes), base: None, ended }
    }

    /// Reads so many bytes of the stream, the first of which has offset `base`, if there are so many.
    fn fill(&mut self, stream: &mut Stream, base: u64, asked: u64) {
        self.base = Some(base);
        let asked = usize::try_from(asked).unwrap_or(MAX_PIECE).min(MAX_PIECE);
        // Twice what one wave could not walk: a record longer than a wave becomes whole at some time.
        let room = asked.max(2 * self.held).max(MIN_PIECE);
        let buffer = Arc::make_mut(&mut self.buffer);
        while !self.ended && self.held < room {
            // Most members of an archive are short.
            let until = room.min((2 * self.held).max(READ));
            if buffer.len() < until {
                buffer.resize(until, 0);
            }
            let filled = stream.fill(buffer.get_mut(self.held..until).unwrap_or_default());
            self.held += filled;
            self.ended = self.held < until;
        }
        if self.ended {
            buffer.truncate(self.held);
            buffer.shrink_to_fit();
        }
    }

    /// Keeps what a wave could not walk, which begins at offset `at`. Tells how many bytes that wave
    /// had, if it walked none of them.
    fn keep_from(&mut self, at: u64) -> Option<usize> {
        let base = self.base.take()?;
        let walked = usize::try_from(at - base).unwrap_or(usize::MAX).min(self.held);
        let held = self.held;
        Arc::make_mut(&mut self.buffer).copy_within(walked..held, 0);
        self.held -= walked;
        Some(held).filter(|_| walked == 0)
    }
}

impl Reading<'_> {
    /// Reads what the streams that are to be read on give to the wave, `share` bytes each.
    pub(super) fn fill_streams(&mut self, share: u64) {
        let hungry = self.lanes.iter_mut().filter(|lane| lane.is_hungry());
        let feeding = hungry.filter_map(|lane| lane.feeding.as_mut());
        let unread: Vec<&mut Feeding> = feeding.filter(|feeding| feeding.is_unread()).collect();
        let (effort, unread) = (&self.effort, unread.into_par_iter().with_max_len(1));
        unread.for_each(|feeding| effort.unpack(|| feeding.fill(share)));
    }

    /// How many streams are to be read on.
    pub(super) fn count_streams(&self) -> usize {
        let hungry = self.lanes.iter().filter(|lane| lane.is_hungry());
        let feeding = hungry.filter_map(|lane| lane.feeding.as_ref());
        feeding.filter(|feeding| matches!(feeding.from, From::Stream { .. })).count()
    }

    /// Keeps the bytes of streams that the wave could not walk, for the next one.
    pub(super) fn keep_rest(&mut self) {
        for Lane { feeding, position, .. } in &mut self.lanes {
            let (Some(feeding), Some(position)) = (feeding, position) else { continue };
            let From::Stream { piece, .. } = &mut feeding.from else { continue };
            if piece.base == Some(feeding.next) {
                // The wave had no place for it.
                continue;
            }
            // A walk gets on with this much, or never does.
            let stuck = piece.keep_from(position.at);
            position.broken |= stuck.is_some_and(|held| held > 4 * feeding.context.lookahead());
        }
    }
}

impl Feeding {
    /// A stream of which nothing was read for the present wave, be it ahead.
    fn is_unread(&self) -> bool {
        match &self.from {
            From::File(_) => false,
            From::Stream { piece, walked, .. } => walked.is_empty() && piece.base.is_none(),
        }
    }

    /// Reads as much of a stream.
    fn fill(&mut self, asked: u64) {
        if let From::Stream { pipe, piece, .. } = &mut self.from {
            piece.fill(&mut pipe.stream, self.next, asked);
        }
    }

    /// Orders chunks of as much of a stream as the wave has room for; false when that was all of it.
    pub(super) fn feed_stream(
        &mut self,
        wave: &mut Wave,
        chunk_size: u64,
        budget: &mut u64,
    ) -> bool {
        if self.is_unread() {
            self.fill(*budget);
        }
        let From::Stream { piece, .. } = &self.from else { return false };
        let Piece { buffer, held, ended: at_end, .. } = piece;
        let (buffer, held, base, at_end) = (Arc::clone(buffer), *held, self.next, *at_end);
        // What comes behind it in the stream has to lie behind it in memory, so it waits.
        *budget = if at_end { budget.saturating_sub((held as u64).max(1)) } else { 0 };
        // One more than there is: the walk of the last chunk shall see the end of the stream.
        let end = base + held as u64 + u64::from(at_end);
        while self.next < end {
            let until = self.next.saturating_add(chunk_size).min(end);
            let bytes = Bytes::Memory { buffer: Arc::clone(&buffer), held, base, at_end };
            self.order(wave, bytes, until);
        }
        !at_end
    }
}
