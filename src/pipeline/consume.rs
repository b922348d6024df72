//! The shards' part of a wave, and of the end: they take their segments, and let go of what is over.
//!
//! What is written about connections waits in the shards until no earlier connection can end any
//! more. To bound what waits, a shard stops once it has as much as it has room for, wherever that is;
//! when all have stopped, or have come to the end, what ended before the place of the one that is
//! furthest behind is written, and that one goes on. Where they stop leaves no trace in the output.

use std::io;
use std::ops::{ControlFlow, Range};

use rayon::prelude::*;

use super::Sink;
use super::chunk::Chunk;
use super::collect::{Terms, Worker};
use super::gathered::Gathered;
use super::merge::{Held, Merged};
use super::wave::Wave;
use crate::flow::{Batch, LATER};
use crate::stamp::Time;

/// What the shards are to take in, part by part.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work<'a> {
    /// Whole chunks, one after the other.
    Chunks(&'a [Chunk]),
    /// What is ready of several sources, by time.
    Merged(&'a Merged<'a>),
}

impl Work<'_> {
    /// Visits the parts of a shard's buckets, but the first `done`, until told to stop.
    pub(super) fn visit(
        &self,
        shard: usize,
        done: usize,
        mut take: impl FnMut(&Batch, Range<usize>) -> ControlFlow<()>,
    ) {
        match self {
            Self::Chunks(chunks) => {
                let mut rest = chunks.iter().skip(done).map(|chunk| &chunk.batch);
                let _ = rest.try_for_each(|batch| take(batch, 0..batch.waiting(shard)));
            }
            Self::Merged(merged) => {
                let mut before = 0;
                merged.visit(shard, |batch, part| {
                    before += 1;
                    if before > done { take(batch, part) } else { ControlFlow::Continue(()) }
                });
            }
        }
    }
}

/// Every shard takes its segments out of all chunks that are ready, and lets go of what has ended
/// before the capture clock. True if that took a merge.
pub(super) fn consume(
    workers: &mut [Worker],
    whole: &mut Gathered,
    held: &Held,
    wave: &Wave,
    terms: Terms<'_>,
    sink: &mut dyn Sink,
) -> io::Result<bool> {
    let merged = Merged::of(held, wave);
    let work = merged.as_ref().map_or(Work::Chunks(wave.chunks()), Work::Merged);
    take(workers, whole, work, wave.ready.clock, terms, sink)?;
    Ok(merged.is_some())
}

/// Every shard lets go of everything that is left.
pub(super) fn end(
    workers: &mut [Worker],
    whole: &mut Gathered,
    clock: Time,
    terms: Terms<'_>,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    take(workers, whole, Work::Chunks(&[]), clock, terms, sink)?;
    let shared = &*sink;
    each(workers, |worker| worker.end_rows(clock, shared));
    let mut last = None;
    loop {
        let shared = &*sink;
        let next = each(workers, |worker| worker.end_some(clock, last, terms, shared));
        last = next.into_iter().flatten().min();
        whole.relieve(workers, last, terms.options, sink)?;
        if last.is_none() {
            return Ok(());
        }
    }
}

/// Every shard does the work, lets go of what has ended before `clock`, and it is written.
fn take(
    workers: &mut [Worker],
    whole: &mut Gathered,
    work: Work<'_>,
    clock: Time,
    terms: Terms<'_>,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    workers.iter_mut().for_each(Worker::begin);
    let mut last = None;
    loop {
        let shared = &*sink;
        let reached = each(workers, |worker| worker.go_on(work, (clock, last), terms, shared));
        last = reached.into_iter().flatten().min();
        // Who has come to the end has let go of nothing behind the clock, and comes at that very time to
        // later frames, or to what is over then.
        let mark = last.map_or((clock, 0), |last| last.min((clock, LATER)));
        whole.relieve(workers, Some(mark), terms.options, sink)?;
        if last.is_none() {
            return Ok(());
        }
    }
}

/// Every shard does something, in parallel.
fn each<T: Send>(workers: &mut [Worker], work: impl Fn(&mut Worker) -> T + Sync + Send) -> Vec<T> {
    workers.par_iter_mut().with_max_len(1).map(work).collect()
}
