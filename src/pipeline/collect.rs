//! What becomes of a shard's finished connections: totals, findings, kept records, output lines.
//!
//! Records reach a collector in an order that only the capture decides, so whatever depends on
//! order inside a shard is the same in every run.

use std::io;

use foldhash::fast::RandomState;

use super::segments::Segments;
use super::{Keep, Options, Sink};
use crate::analysis::JudgedConnection;
use crate::detect::Accumulator;
use crate::flow::{Batch, Ending, Finished, Limits, Shard};
use crate::stamp::Time;
use crate::summary::Summary;

/// A shard and what is collected of its connections.
#[derive(Debug)]
pub(super) struct Worker {
    shard: Shard,
    collector: Collector,
    pub(super) segments: Segments,
}

/// What is collected of finished connections.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) summary: Summary,
    pub(super) accumulator: Accumulator,
    pub(super) kept: Vec<JudgedConnection>,
    /// Connections that a limit closed early.
    pub(super) evicted: u64,
    /// Tuples whose Wireshark stream a limit cut in two.
    pub(super) streams_forgotten: u64,
    /// Formatted connections that wait to be written, in the order of their times.
    lines: Vec<Line>,
    bytes: Vec<u8>,
}

/// A formatted connection: orders by the time at which it ended, then by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    at: Time,
    id: u64,
    /// Where it ends in the bytes.
    end: usize,
}

impl Worker {
    pub(super) fn new(index: usize, limits: Limits, hasher: RandomState) -> Self {
        let segments = Segments::new(hasher.clone());
        let shard = Shard::new(index, limits, hasher);
        Self { shard, collector: Collector::default(), segments }
    }

    /// Takes in the shard's segments of one chunk.
    pub(super) fn take(&mut self, batch: &Batch, options: &Options, sink: &dyn Sink) {
        let Self { shard, collector, segments } = self;
        let mut add = |it: Finished| collector.add(it, options, sink);
        if sink.wants_segments() {
            shard.take(batch, &options.settings, &mut segments.watch(add, sink));
        } else {
            shard.take(batch, &options.settings, &mut add);
        }
    }

    /// Lets go of what has ended before `clock`.
    pub(super) fn expire(&mut self, clock: Time, options: &Options, sink: &dyn Sink) {
        let Self { shard, collector, .. } = self;
        shard
            .expire(clock, &options.settings, &mut |it: Finished| collector.add(it, options, sink));
    }

    /// Lets go of everything at the end of the capture.
    pub(super) fn end(&mut self, clock: Time, options: &Options, sink: &dyn Sink) {
        let Self { shard, collector, .. } = self;
        shard.end(clock, &options.settings, &mut |it: Finished| collector.add(it, options, sink));
    }
}

impl Collector {
    fn add(&mut self, finished: Finished, options: &Options, sink: &dyn Sink) {
        let Finished { record, at, ending } = finished;
        self.evicted += u64::from(ending == Ending::Evicted);
        self.summary.add(&record);
        let findings = options.detectors.connection(&record, &mut self.accumulator);
        let keep = match options.keep {
            Keep::All => true,
            Keep::Flagged => !findings.is_empty(),
            Keep::None => false,
        };
        if !keep && !sink.is_wanted() {
            return;
        }
        let judged = JudgedConnection { record, findings };
        if sink.is_wanted() {
            sink.format(&judged, &mut self.bytes);
            self.lines.push(Line { at, id: judged.record.id, end: self.bytes.len() });
        }
        if keep {
            self.kept.push(judged);
        }
    }

    /// Forgets the first `count` lines.
    fn drop_lines(&mut self, count: usize) {
        let Some(end) = count.checked_sub(1).and_then(|last| self.lines.get(last)).map(|it| it.end)
        else {
            return;
        };
        self.bytes.drain(..end);
        self.lines.drain(..count);
        self.lines.iter_mut().for_each(|line| line.end -= end);
    }
}

/// Writes the connections that ended before `clock`: no earlier one can come any more.
pub(super) fn flush(workers: &mut [Worker], clock: Time, sink: &mut dyn Sink) -> io::Result<()> {
    flush_where(workers, sink, |line| line.at < clock)
}

/// Writes all connections that are left.
pub(super) fn flush_all(workers: &mut [Worker], sink: &mut dyn Sink) -> io::Result<()> {
    flush_where(workers, sink, |_| true)
}

fn flush_where(
    workers: &mut [Worker],
    sink: &mut dyn Sink,
    is_due: impl Fn(&Line) -> bool,
) -> io::Result<()> {
    let mut due = Vec::new();
    for worker in &*workers {
        let Collector { lines, bytes, .. } = &worker.collector;
        let mut start = 0;
        for line in lines.iter().take_while(|line| is_due(line)) {
            due.push((line.at, line.id, bytes.get(start..line.end).unwrap_or_default()));
            start = line.end;
        }
    }
    due.sort_unstable_by_key(|(at, id, _)| (*at, *id));
    for (_, _, formatted) in due {
        sink.write(formatted)?;
    }
    for worker in workers {
        let count = worker.collector.lines.partition_point(&is_due);
        worker.collector.drop_lines(count);
    }
    Ok(())
}

/// Everything that the shards collected, in the order of the shards.
pub(super) fn merge(workers: Vec<Worker>) -> Collector {
    let mut whole = Collector::default();
    for Worker { collector, segments, .. } in workers {
        whole.summary.merge(collector.summary);
        whole.accumulator.merge(collector.accumulator);
        whole.kept.extend(collector.kept);
        whole.evicted += collector.evicted;
        whole.streams_forgotten += segments.forgotten();
    }
    whole
}
