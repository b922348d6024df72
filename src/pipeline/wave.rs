//! A wave: the chunks that are read at the same time, and then consumed at the same time.

use rayon::prelude::*;

use super::chunk::{Buffers, Chunk, Order};
use super::look::Look;
use super::whole::Whole;
use crate::flow::Horizon;
use crate::stamp::Time;

/// Chunks of one or more inputs, in the order of the run. Keeps its memory when it is emptied.
#[derive(Debug, Default)]
pub(super) struct Wave {
    chunks: Vec<Chunk>,
    used: usize,
    pub(super) ready: Ready,
    /// There is something in it that may have to be read otherwise, and what follows then.
    pub(super) may_be_put_back: bool,
    /// Inputs that begin in it, each with what the numbers of its frames are added to, to name them.
    pub(super) begun: Vec<(u32, u64)>,
}

/// How much of what was read can be consumed: what comes later is behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    /// Where the source is that is furthest behind.
    pub(super) lowest: Horizon,
    /// Where the one before it is.
    pub(super) second: Horizon,
    /// The source that is furthest behind does not keep its own order.
    pub(super) is_shuffled: bool,
    /// The capture clock then.
    pub(super) clock: Time,
}

impl Default for Ready {
    fn default() -> Self {
        Self { lowest: Horizon::END, second: Horizon::END, is_shuffled: false, clock: Time::MIN }
    }
}

impl Ready {
    /// Up to where input `source` can be consumed: if it keeps its own order, only the others
    /// count.
    pub(super) fn of(&self, source: u32) -> Horizon {
        if self.leads(source) { self.second } else { self.lowest }
    }

    /// Whether input `source` keeps its own order, and nothing else will come that stands before what was
    /// read of it.
    pub(super) fn leads(&self, source: u32) -> bool {
        self.lowest.source == source && !self.is_shuffled
    }

    /// Whether a segment that stands there can be consumed.
    pub(super) fn includes(&self, place: Horizon) -> bool {
        place < self.of(place.source)
    }
}

impl Wave {
    pub(super) fn clear(&mut self) {
        for chunk in &mut self.chunks {
            chunk.order = None;
            chunk.wholes.clear();
        }
        (self.used, self.may_be_put_back) = (0, false);
        self.begun.clear();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) const fn len(&self) -> usize {
        self.used
    }

    pub(super) fn push(&mut self, order: Order) {
        if let Some(chunk) = self.next() {
            chunk.order = Some(order);
            self.used += 1;
        }
    }

    /// Appends a chunk that was walked ahead.
    pub(super) fn push_walked(&mut self, walked: Chunk) {
        if let Some(chunk) = self.next() {
            *chunk = walked;
            self.used += 1;
        }
    }

    /// Appends a chunk of whole files, if there are any.
    pub(super) fn push_wholes(&mut self, wholes: Vec<Whole>) -> bool {
        let is_any = !wholes.is_empty();
        if let Some(chunk) = self.next() {
            chunk.wholes = wholes;
            self.used += usize::from(is_any);
        }
        is_any
    }

    /// A list for whole files that may have memory already.
    pub(super) fn room_for_wholes(&mut self) -> Vec<Whole> {
        self.next().map(|chunk| std::mem::take(&mut chunk.wholes)).unwrap_or_default()
    }

    /// The chunk that is to be ordered next.
    fn next(&mut self) -> Option<&mut Chunk> {
        if self.used == self.chunks.len() {
            self.chunks.push(Chunk::default());
        }
        self.chunks.get_mut(self.used)
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        self.chunks.get(..self.used).unwrap_or_default()
    }

    /// Bytes of inputs in the wave, and segments.
    pub(super) fn extent(&self) -> (u64, u64) {
        self.chunks().iter().fold((0, 0), |(bytes, segments), chunk| {
            let range = chunk.order.as_ref().map_or(0..0, |order| order.range.clone());
            let whole: u64 = chunk.wholes.iter().map(Whole::len).sum();
            (bytes + range.end - range.start + whole, segments + chunk.batch.segments())
        })
    }

    /// The chunks, to change or take out.
    pub(super) fn chunks_mut(&mut self) -> &mut [Chunk] {
        self.chunks.get_mut(..self.used).unwrap_or_default()
    }

    /// Reads every chunk, in parallel.
    pub(super) fn read(&mut self, buffers: &Buffers, look: Look<'_>) {
        let chunks = self.chunks_mut().par_iter_mut().with_max_len(1);
        chunks.for_each(|chunk| chunk.read(buffers, look));
    }
}
