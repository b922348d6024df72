//! The shards' part of a wave, and of the end: they take their segments, and let go of what is over.
//!
//! What is written about connections waits in the shards until no earlier connection can end any
//! more. To bound what waits, the shards stop now and then, all at the same place in the capture,
//! and what ended before that is written. Where they stop leaves no trace in the output.

use std::io;

use rayon::prelude::*;

use super::Sink;
use super::collect::{self, Collector, Terms, Worker};
use super::merge::{Held, Merged};
use super::wave::Wave;
use crate::stamp::Time;

/// Segments that the shards take before what ended is written, about: in a flood, each of them may
/// end a connection.
const STRETCH: u64 = 1 << 14;

/// Every shard takes its segments out of all chunks that are ready, and lets go of what has ended
/// before the capture clock. True if that took a merge.
pub(super) fn consume(
    workers: &mut [Worker],
    whole: &mut Collector,
    held: &Held,
    wave: &Wave,
    terms: Terms<'_>,
    sink: &mut dyn Sink,
) -> io::Result<bool> {
    let merged = Merged::of(held, wave);
    if let Some(merged) = &merged {
        let sink = &*sink;
        each(workers, |worker| worker.take_merged(merged, terms, sink));
    } else {
        let mut rest = wave.chunks();
        while !rest.is_empty() {
            let (stretch, later) = rest.split_at(stretch(rest, &*sink));
            let shared = &*sink;
            each(workers, |worker| {
                for chunk in stretch {
                    worker.take(&chunk.batch, terms, shared);
                }
            });
            if let Some(last) = stretch.last().filter(|_| !later.is_empty()) {
                expire(workers, whole, last.batch.clock_after(), terms, sink)?;
            }
            rest = later;
        }
    }
    expire(workers, whole, wave.ready.clock, terms, sink)?;
    Ok(merged.is_some())
}

/// Every shard lets go of everything that is left.
pub(super) fn end(
    workers: &mut [Worker],
    whole: &mut Collector,
    clock: Time,
    terms: Terms<'_>,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    expire(workers, whole, clock, terms, sink)?;
    let shared = &*sink;
    each(workers, |worker| worker.end_rows(clock, shared));
    loop {
        let shared = &*sink;
        let next = each(workers, |worker| worker.end_some(clock, terms, shared));
        let first = next.into_iter().flatten().min();
        collect::relieve(workers, whole, first.map(|id| (clock, id)), terms.options, sink)?;
        if first.is_none() {
            return Ok(());
        }
    }
}

/// Every shard lets go of what has ended before `clock`, and it is written.
fn expire(
    workers: &mut [Worker],
    whole: &mut Collector,
    clock: Time,
    terms: Terms<'_>,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    loop {
        let shared = &*sink;
        let reached = each(workers, |worker| worker.expire_some(clock, terms, shared));
        let reached = reached.into_iter().min().unwrap_or(clock);
        collect::relieve(workers, whole, Some((reached, 0)), terms.options, sink)?;
        if reached >= clock {
            return Ok(());
        }
    }
}

/// How many of the chunks are taken before what ended is written.
fn stretch(chunks: &[super::chunk::Chunk], sink: &dyn Sink) -> usize {
    if !sink.is_wanted() && !sink.wants_zeek_rows() {
        return chunks.len();
    }
    let mut segments = 0;
    let counted = chunks.iter().take_while(|chunk| {
        let fits = segments < STRETCH;
        segments += chunk.batch.segments();
        fits
    });
    counted.count()
}

/// Every shard does something, in parallel.
fn each<T: Send>(workers: &mut [Worker], work: impl Fn(&mut Worker) -> T + Sync + Send) -> Vec<T> {
    workers.par_iter_mut().with_max_len(1).map(work).collect()
}
