//! Segments one by one: classified and formatted in the shards, written in the order of the frames.
//!
//! Wireshark follows tuples, not connections, so its view lives beside the shard's connections. A
//! wave's lines are written before the next wave's are made: that bounds what waits.

use std::io;

use foldhash::fast::RandomState;

use super::Sink;
use super::collect::Worker;
use crate::analysis::JudgedSegment;
use crate::compat::wireshark::Analyzer;
use crate::connection::LoneSyn;
use crate::flow::{Ending, Finished, Limits, Observer, PerTuple, Placed, SHARDS};

/// What a shard keeps for the sake of segments.
#[derive(Debug)]
pub(super) struct Segments {
    streams: PerTuple<Analyzer>,
    /// Formatted segments of the wave: each one's position in the run and where it ends in the
    /// bytes.
    lines: Vec<(u64, usize)>,
    bytes: Vec<u8>,
}

/// Watches a shard: takes segments, and hands on what else there is.
pub(super) struct Watch<'a, O> {
    rest: O,
    segments: &'a mut Segments,
    sink: &'a dyn Sink,
}

impl Segments {
    pub(super) const fn new(hasher: RandomState) -> Self {
        let streams = PerTuple::new(Limits::TUPLES / SHARDS, hasher);
        Self { streams, lines: Vec::new(), bytes: Vec::new() }
    }

    /// Tuples whose stream a limit cut in two.
    pub(super) const fn forgotten(&self) -> u64 {
        self.streams.forgotten()
    }

    pub(super) fn watch<'a, O: Observer>(
        &'a mut self,
        rest: O,
        sink: &'a dyn Sink,
    ) -> Watch<'a, O> {
        Watch { rest, segments: self, sink }
    }

    /// The formatted segments, each with its position in the run.
    fn formatted(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.lines.iter().scan(0, |start, (position, end)| {
            let line = self.bytes.get(*start..*end).unwrap_or_default();
            *start = *end;
            Some((*position, line))
        })
    }
}

impl<O: Observer> Observer for Watch<'_, O> {
    const SEGMENTS: bool = true;

    fn is_brief(&self) -> bool {
        self.rest.is_brief()
    }

    fn lone_syn(&mut self, lone: &LoneSyn, ending: Ending) {
        self.rest.lone_syn(lone, ending);
    }

    fn finished(&mut self, finished: Finished) {
        self.rest.finished(finished);
    }

    fn segment(&mut self, placed: &Placed<'_>) {
        let Placed { tuple, forward, segment, extras, .. } = placed;
        let Segments { streams, lines, bytes } = &mut *self.segments;
        let Some(stream) = streams.of(*tuple) else { return };
        let wireshark = stream.observe(*forward, segment, extras);
        self.sink.format_segment(&JudgedSegment { placed, wireshark }, bytes);
        lines.push((placed.position, bytes.len()));
    }
}

/// Writes the segments of a wave, and forgets them.
pub(super) fn flush(workers: &mut [Worker], sink: &mut dyn Sink) -> io::Result<()> {
    let positions = || workers.iter().flat_map(|worker| &worker.segments.lines);
    let first = positions().map(|(position, _)| *position).min();
    let last = positions().map(|(position, _)| *position).max();
    let Some((first, last)) = first.zip(last) else { return Ok(()) };
    // A frame has one segment at most, so a place for every frame of the wave sorts them.
    let mut places: Vec<&[u8]> = Vec::new();
    places.resize(usize::try_from(last - first).map_or(0, |frames| frames + 1), &[]);
    for worker in &*workers {
        for (position, line) in worker.segments.formatted() {
            let place = usize::try_from(position - first).ok().and_then(|at| places.get_mut(at));
            if let Some(place) = place {
                *place = line;
            }
        }
    }
    places
        .into_iter()
        .filter(|line| !line.is_empty())
        .try_for_each(|line| sink.write_segment(line))?;
    for worker in workers {
        worker.segments.lines.clear();
        worker.segments.bytes.clear();
    }
    Ok(())
}
