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
use crate::connection::Begun;
use crate::flow::{Finished, Limits, Lone, Observer, PerTuple, Placed, SHARDS};
use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, FourTuple};

/// Frames for each segment from which on segments are sorted rather than placed.
const SPARSE: usize = 64;

/// What a shard keeps for the sake of segments.
#[derive(Debug)]
pub(super) struct Segments {
    streams: PerTuple<Analyzer>,
    /// Formatted segments of the wave.
    lines: Vec<Line>,
    bytes: Vec<u8>,
}

/// A formatted segment.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The clock of its source.
    clock: Time,
    position: u64,
    /// Where it ends in the bytes.
    end: usize,
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

    /// The formatted segments, each with its clock and its position in the run.
    fn formatted(&self) -> impl Iterator<Item = (Time, u64, &[u8])> {
        self.lines.iter().scan(0, |start, line| {
            let text = self.bytes.get(*start..line.end).unwrap_or_default();
            *start = line.end;
            Some((line.clock, line.position, text))
        })
    }
}

impl<O: Observer> Observer for Watch<'_, O> {
    const SEGMENTS: bool = true;

    fn is_brief(&self) -> bool {
        self.rest.is_brief()
    }

    fn is_full(&self) -> bool {
        self.rest.is_full()
    }

    fn is_heard(&self, listener: Endpoint, from: Time, until: Time) -> bool {
        self.rest.is_heard(listener, from, until)
    }

    fn name(&self, frame: FrameId) -> u64 {
        self.rest.name(frame)
    }

    fn had_no_bucket(&self, socket: FourTuple, from: Time, until: Time) -> bool {
        self.rest.had_no_bucket(socket, from, until)
    }

    fn found_queue_full(&self, attempt: FourTuple, from: Time, until: Time) -> bool {
        self.rest.found_queue_full(attempt, from, until)
    }

    fn has_completed(&self, listener: Endpoint, from: Time, until: Time) -> bool {
        self.rest.has_completed(listener, from, until)
    }

    fn waits_for_data(&self, listener: Endpoint, until: Time) -> bool {
        self.rest.waits_for_data(listener, until)
    }

    fn found_no_request(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.rest.found_no_request(listener, sent, until)
    }

    fn lost_listener(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.rest.lost_listener(listener, sent, until)
    }

    fn may_lack_bucket(&self, socket: FourTuple, from: Time, until: Time) -> bool {
        self.rest.may_lack_bucket(socket, from, until)
    }

    fn begun(&self, frame: FrameId) -> Option<Begun> {
        self.rest.begun(frame)
    }

    fn lone_syn(&mut self, lone: &Lone<'_>) {
        self.rest.lone_syn(lone);
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
        let (clock, position) = (placed.clock, placed.position);
        lines.push(Line { clock, position, end: bytes.len() });
    }
}

/// Writes the segments of a wave, and forgets them: in the order of their frames, or, where
/// sources were merged, of that.
pub(super) fn flush(
    workers: &mut [Worker],
    is_merged: bool,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    let lines = || workers.iter().flat_map(|worker| worker.segments.formatted());
    let positions = || lines().map(|(_, position, _)| position);
    let Some((first, last)) = positions().min().zip(positions().max()) else { return Ok(()) };
    let span = usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1);
    if is_merged || span > SPARSE * lines().count() {
        let mut sorted: Vec<_> = lines().collect();
        sorted.sort_unstable_by_key(|(clock, position, _)| (*clock, *position));
        sorted.into_iter().try_for_each(|(_, _, line)| sink.write_segment(line))?;
    } else {
        // A frame has one segment at most, so a place for every frame of the wave sorts them.
        let mut places: Vec<&[u8]> = vec![&[]; span];
        for (_, position, line) in lines() {
            let place = usize::try_from(position - first).ok().and_then(|at| places.get_mut(at));
            if let Some(place) = place {
                *place = line;
            }
        }
        let mut filled = places.into_iter().filter(|line| !line.is_empty());
        filled.try_for_each(|line| sink.write_segment(line))?;
    }
    for worker in workers {
        worker.segments.lines.clear();
        worker.segments.bytes.clear();
    }
    Ok(())
}
