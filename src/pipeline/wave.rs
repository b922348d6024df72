//! A wave: the chunks that are read at the same time, and then consumed at the same time.

use rayon::prelude::*;

use super::chunk::{Buffers, Chunk, Order};
use crate::decode;
use crate::stamp::Time;

/// Chunks of one or more inputs, in the order of the run. Keeps its memory when it is emptied.
#[derive(Debug, Default)]
pub(super) struct Wave {
    chunks: Vec<Chunk>,
    used: usize,
    /// Bytes of inputs that cannot be read by position.
    pub(super) memory: Vec<u8>,
}

impl Wave {
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.memory.clear();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) const fn len(&self) -> usize {
        self.used
    }

    pub(super) fn push(&mut self, order: Order) {
        if self.used == self.chunks.len() {
            self.chunks.push(Chunk::default());
        }
        if let Some(chunk) = self.chunks.get_mut(self.used) {
            chunk.order = Some(order);
            self.used += 1;
        }
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        self.chunks.get(..self.used).unwrap_or_default()
    }

    /// The chunks, to change, and the memory that their orders point to.
    pub(super) fn parts_mut(&mut self) -> (&mut [Chunk], &[u8]) {
        (self.chunks.get_mut(..self.used).unwrap_or_default(), &self.memory)
    }

    /// Bytes of inputs in the wave, and segments.
    pub(super) fn extent(&self) -> (u64, u64) {
        self.chunks().iter().fold((0, 0), |(bytes, segments), chunk| {
            let range = chunk.order.as_ref().map_or(0..0, |order| order.range.clone());
            (bytes + range.end - range.start, segments + chunk.batch.segments())
        })
    }

    /// The capture clock behind the wave.
    pub(super) fn clock_after(&self) -> Time {
        self.chunks().last().map_or(Time::MIN, |chunk| chunk.batch.clock_after())
    }

    /// Reads every chunk, in parallel.
    pub(super) fn read(&mut self, buffers: &Buffers, settings: decode::Settings) {
        let (chunks, memory) = self.parts_mut();
        chunks
            .par_iter_mut()
            .with_max_len(1)
            .for_each(|chunk| chunk.read(memory, buffers, settings));
    }
}
