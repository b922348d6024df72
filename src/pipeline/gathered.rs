//! What is gathered of all shards: while they work, so that what they hold stays small, and at the end.

use std::collections::BTreeMap;
use std::io;

use rayon::prelude::*;

use super::collect::{Told, Worker};
use super::kept::Kept;
use super::pending;
use super::rows::Rows;
use super::threads::AllHands;
use super::{Options, Sink};
use crate::detect::Accumulator;
use crate::summary::{Order, Summary, Tray};

/// What is gathered of all shards.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) summary: Summary,
    pub(super) accumulator: Accumulator,
    pub(super) kept: Kept,
    /// Tuples whose Wireshark stream a limit cut in two.
    pub(super) streams_forgotten: u64,
    /// Segments that another input had shown already, by input.
    pub(super) seen_elsewhere: BTreeMap<u32, u64>,
    /// Rows of Zeek's conn.log that a limit closed early.
    pub(super) zeek_rows_evicted: u64,
}

impl Gathered {
    /// Connections that wait on all trays before they are entered into the books: so many are worth the
    /// threads' while.
    const MANY: usize = 4_096;

    pub(super) fn new(options: &Options) -> Self {
        Self {
            summary: Summary::of_run(options.summary_limit),
            accumulator: Accumulator::with_limit(options.group_limit),
            kept: Kept::default(),
            streams_forgotten: 0,
            seen_elsewhere: BTreeMap::new(),
            zeek_rows_evicted: 0,
        }
    }

    /// Empties shards in which much waits: enters connections before `mark` into the books, takes over what
    /// detectors found before it, writes the lines before it, and moves the connections that the shards kept
    /// to those of the whole run. Without a mark all that is left.
    pub(super) fn relieve(
        &mut self,
        workers: &mut [Worker],
        mark: Option<Order>,
        options: &Options,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        if workers.iter().any(|worker| worker.collector.kept.is_full(options.keep)) {
            self.gather(workers, options);
        }
        let waiting: usize = workers.iter().map(|worker| worker.collector.tray.waiting()).sum();
        let is_full = workers.iter().any(|worker| worker.collector.tray.is_full());
        if mark.is_none() || is_full || waiting >= Self::MANY {
            let Self { summary, accumulator, .. } = self;
            let collectors = workers.iter_mut().map(|worker| &mut worker.collector);
            let (mut trays, groups): (Vec<&mut Tray>, Vec<&mut Accumulator>) = collectors
                .map(|collector| (&mut collector.tray, &mut collector.accumulator))
                .unzip();
            rayon::join(
                || summary.enter(&mut trays, mark, &AllHands),
                || accumulator.take_over(groups.into_iter(), mark),
            );
        }
        flush(workers, mark, sink)
    }

    /// Moves the connections that the shards kept since the last time to those of the whole run.
    pub(super) fn gather(&mut self, workers: &mut [Worker], options: &Options) {
        for worker in workers {
            self.kept.absorb(&mut worker.collector.kept, options.keep, options.max_flagged);
        }
    }

    /// Adds what the shards still have at the end, in the order of the shards, and makes all of it cheap
    /// to read.
    pub(super) fn conclude(mut self, workers: Vec<Worker>) -> Self {
        // Letting go of the shards takes longer than what is left to be merged.
        let told: Vec<Told> = workers.into_par_iter().map(Worker::tell).collect();
        let mut accumulators = Vec::with_capacity(told.len());
        for told in told {
            for (input, count) in told.seen_elsewhere {
                *self.seen_elsewhere.entry(input).or_default() += count;
            }
            self.streams_forgotten += told.streams_forgotten;
            self.zeek_rows_evicted += told.zeek_rows_evicted;
            accumulators.push(told.accumulator);
        }
        self.summary.settle(&AllHands);
        self.accumulator.merge_all(accumulators);
        self
    }
}

/// Writes what stands before `mark`, since no earlier one can come any more; without a mark, all that is left.
fn flush(workers: &mut [Worker], mark: Option<Order>, sink: &mut dyn Sink) -> io::Result<()> {
    let connections = workers.iter_mut().map(|worker| &mut worker.collector.pending);
    pending::flush(connections.collect(), mark, |formatted| sink.write(formatted))?;
    // Those of one time come by age.
    let mark = mark.map(|(at, _)| (at, 0));
    let rows = workers.iter_mut().filter_map(|worker| worker.rows.as_mut());
    pending::flush(rows.map(Rows::pending).collect(), mark, |row| sink.write_zeek_row(row))
}
