//! Segments of several sources in one order: by the sources' clocks, then by source.
//!
//! What is behind the source that is furthest behind has to wait; chunks with such segments are
//! held until the next wave. Where sources follow one another, as they do as a rule, there is
//! nothing to merge and nothing is held.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::{ControlFlow, Range};

use super::chunk::Chunk;
use super::wave::{Ready, Wave};
use crate::flow::{Batch, Horizon, Strip};

/// Chunks of earlier waves that hold segments which have to wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    chunks: Vec<Chunk>,
    /// What was ready the last time.
    done: Ready,
}

/// What is ready of a wave and of the chunks held before, if it takes a merge.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    /// By source, in the order of each.
    parts: Vec<Part<'a>>,
    /// What was ready the last time.
    done: Ready,
    ready: Ready,
}

/// The segments of one range of an input.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    batch: &'a Batch,
    strip: usize,
    /// A part of it may have been consumed.
    begun: bool,
}

/// What is left of one source's parts.
struct Cursor<'a, 'b> {
    parts: &'b [Part<'a>],
    range: Range<usize>,
}

impl Held {
    /// Takes the chunks out of a wave that was consumed as far as was ready, and lets go of those
    /// that are done.
    pub(super) fn keep(&mut self, wave: &mut Wave) {
        self.done = wave.ready;
        let ready = wave.ready;
        let waits = |chunk: &Chunk| {
            let mut filled = chunk.batch.strips().filter(|strip| !strip.is_empty());
            filled.any(|strip| !ready.includes(end(strip)))
        };
        self.chunks.retain(waits);
        for chunk in wave.chunks_mut() {
            if waits(chunk) {
                self.chunks.push(std::mem::take(chunk));
            }
        }
    }
}

/// The place behind everything in a range.
fn end(strip: &Strip) -> Horizon {
    Horizon::new(strip.clock_after(), strip.first.file())
}

impl<'a> Part<'a> {
    /// The ranges of a batch that hold anything.
    fn of(batch: &'a Batch, begun: bool) -> impl Iterator<Item = Self> + Clone {
        let strips = batch.strips().zip(0..).filter(|(strip, _)| !strip.is_empty());
        strips.map(move |(_, strip)| Self { batch, strip, begun })
    }

    fn strip(&self) -> &'a Strip {
        self.batch.strip(self.strip)
    }

    fn file(&self) -> u32 {
        self.strip().first.file()
    }
}

impl<'a> Merged<'a> {
    /// None if the wave's chunks can be consumed whole, one after the other.
    pub(super) fn of(held: &'a Held, wave: &'a Wave) -> Option<Self> {
        let new = || wave.chunks().iter().flat_map(|chunk| Part::of(&chunk.batch, false));
        let follows = new()
            .zip(new().skip(1))
            .all(|(one, next)| end(one.strip()) <= Horizon::new(next.strip().clock, next.file()));
        let is_ready = new().all(|part| wave.ready.includes(end(part.strip())));
        if held.chunks.is_empty() && follows && is_ready {
            return None;
        }
        let before = held.chunks.iter().flat_map(|chunk| Part::of(&chunk.batch, true));
        let mut parts: Vec<Part<'_>> = before.chain(new()).collect();
        // Stable: the chunks of a source stay in their order, and so do segments of the same time.
        parts.sort_by_key(Part::file);
        Some(Self { parts, done: held.done, ready: wave.ready })
    }

    /// Visits the segments of a shard that are ready, in their order, as parts of its buckets, until told
    /// to stop.
    pub(super) fn visit(
        &self,
        shard: usize,
        mut take: impl FnMut(&'a Batch, Range<usize>) -> ControlFlow<()>,
    ) {
        // Batches that were put in order may reach into one another, like sources.
        let sources = self.parts.chunk_by(|a, b| a.file() == b.file() && !b.batch.is_ordered());
        let mut cursors: Vec<Cursor<'a, '_>> =
            sources.map(|parts| Cursor { parts, range: 0..0 }).collect();
        let mut heads = BinaryHeap::new();
        for (index, cursor) in cursors.iter_mut().enumerate() {
            if let Some(first) = cursor.parts.first() {
                cursor.range = self.range_of(first, shard);
            }
            heads.extend(self.head(cursor, shard).map(|head| Reverse((head, index))));
        }
        while let Some(Reverse((_, index))) = heads.pop() {
            let Some(cursor) = cursors.get_mut(index) else { return };
            let Some(part) = cursor.parts.first().copied() else { return };
            // Up to where another source comes first, or a batch of the same one.
            let end = match heads.peek() {
                None => cursor.range.end,
                Some(Reverse((next, other))) if *other > index => {
                    part.batch.up_to(shard, part.strip, *next)
                }
                Some(Reverse((next, _))) => part.batch.before(shard, part.strip, *next),
            };
            let end = end.clamp(cursor.range.start, cursor.range.end);
            if take(part.batch, cursor.range.start..end).is_break() {
                return;
            }
            cursor.range.start = end;
            heads.extend(self.head(cursor, shard).map(|head| Reverse((head, index))));
        }
    }

    /// Which of the shard's segments in a part are ready and were not before.
    fn range_of(&self, part: &Part<'_>, shard: usize) -> Range<usize> {
        let Part { batch, strip, begun } = *part;
        let (source, all) = (part.file(), batch.range_of(shard, strip));
        let done = || batch.before(shard, strip, self.done.of(source));
        let start = if begun { done() } else { all.start };
        start..batch.before(shard, strip, self.ready.of(source)).max(start)
    }

    /// The place of the cursor's next segment, in the first part that has one.
    fn head(&self, cursor: &mut Cursor<'a, '_>, shard: usize) -> Option<Horizon> {
        while cursor.range.is_empty() {
            cursor.parts = cursor.parts.get(1..)?;
            cursor.range = self.range_of(cursor.parts.first()?, shard);
        }
        let part = cursor.parts.first()?;
        part.batch.place_of(shard, part.strip, cursor.range.start)
    }
}
