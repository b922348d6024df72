//! What becomes of a shard's finished connections: totals, findings, kept records, output lines.
//!
//! Records reach a collector in an order that only the capture decides, so whatever depends on
//! order inside a shard is the same in every run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use foldhash::fast::RandomState;

use super::consume::Work;
use super::kept::Kept;
use super::pending::Pending;
use super::retold::Retold;
use super::rows::Rows;
use super::segments::Segments;
use super::{Keep, Options, Progress, Sink};
use crate::analysis::JudgedConnection;
use crate::connection::Begun;
use crate::detect::Accumulator;
use crate::flow::{
    Answers, Ending, Finished, Lone, Moment, Names, Neighbours, Observer, Placed, Portion, Shard,
    Start, ZeekRules,
};
use crate::stamp::{FrameId, Time};
use crate::summary::Tray;
use crate::tcp::{Endpoint, FourTuple};

/// A shard and what is collected of its connections.
#[derive(Debug)]
pub(super) struct Worker {
    shard: Shard,
    pub(super) collector: Collector,
    pub(super) segments: Segments,
    /// Zeek's view, if it is asked for.
    pub(super) rows: Option<Rows>,
    advance: Advance,
    /// When the next connection leaves, once those that are left at the end are let go of.
    next: Option<Moment>,
}

/// How far a shard has come with its work.
#[derive(Debug, Default)]
struct Advance {
    /// Parts that are done.
    parts: usize,
    /// What is left of the one after them.
    portion: Option<Portion>,
    /// Up to when it has come if it stopped.
    reached: Option<Moment>,
    /// There is nothing left to do.
    is_done: bool,
}

/// What every shard reads: the options, what the capture shows of its listeners and hosts, and what its
/// frames are called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) options: &'a Options,
    pub(super) answers: &'a Answers,
    pub(super) names: &'a Names,
    pub(super) neighbours: &'a Neighbours,
    pub(super) start: &'a Start,
}

/// What is collected of a shard's finished connections.
#[derive(Debug)]
pub(super) struct Collector {
    /// What is to be entered into the totals of the run.
    pub(super) tray: Tray,
    pub(super) accumulator: Accumulator,
    /// Since the last time.
    pub(super) kept: Kept,
    /// Formatted connections.
    pub(super) pending: Pending,
    /// What lines of SYNs that nothing followed are made of.
    retold: Retold,
}

/// What a shard tells when it has come to the end.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) accumulator: Accumulator,
    /// Tuples whose Wireshark stream a limit cut in two.
    pub(super) streams_forgotten: u64,
    /// Segments that another input had shown already, by input.
    pub(super) seen_elsewhere: BTreeMap<u32, u64>,
    /// Rows of Zeek's conn.log that a limit closed early.
    pub(super) zeek_rows_evicted: u64,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        options: &Options,
        zeek: Option<ZeekRules>,
        hasher: &RandomState,
    ) -> Self {
        let limits = options.limits.per_shard();
        Self {
            shard: Shard::new(index, limits, hasher.clone()),
            collector: Collector {
                tray: Tray::default(),
                accumulator: Accumulator::with_limit(options.group_limit),
                kept: Kept::default(),
                pending: Pending::with_room(options.line_room),
                retold: Retold::default(),
            },
            segments: Segments::new(hasher.clone()),
            rows: zeek.map(|rules| Rows::new(index, rules, options.line_room, hasher.clone())),
            advance: Advance::default(),
            next: None,
        }
    }

    /// Is to be given work that it has not begun.
    pub(super) fn begin(&mut self) {
        self.advance = Advance::default();
    }

    /// Takes in its segments of `work`, and lets go of what has ended before the clock; or of as much as
    /// there is room for. Returns the moment up to which it has come if that is not all: to be called again
    /// then, with the least of what all shards returned. One that is ahead waits for room.
    pub(super) fn go_on(
        &mut self,
        work: Work<'_>,
        (clock, least): (Time, Option<Moment>),
        terms: Terms<'_>,
        sink: &dyn Sink,
    ) -> Option<Moment> {
        let must_wait = self.advance.reached > least && self.is_full(terms.options);
        if !must_wait && !self.advance.is_done {
            let reached = self.take_some(work, terms, sink);
            self.advance.reached = reached.or_else(|| self.expire_some(clock, terms, sink));
            self.advance.is_done = self.advance.reached.is_none();
        }
        self.advance.reached
    }

    /// Whether it is better to hand over what waits here before there is more of it.
    fn is_full(&self, options: &Options) -> bool {
        self.collector.is_full(options) || self.rows.as_ref().is_some_and(Rows::is_full)
    }

    /// Takes in its segments of `work`, or as many as there is room for what ends with them. Returns the
    /// moment up to which it has come if that is not all.
    fn take_some(&mut self, work: Work<'_>, terms: Terms<'_>, sink: &dyn Sink) -> Option<Moment> {
        let Self { shard, collector, segments, rows, advance, .. } = self;
        let (index, settings) = (shard.index(), &terms.options.settings);
        let mut reached = None;
        work.visit(index, advance.parts, |batch, part| {
            let portion = advance.portion.get_or_insert_with(|| {
                if let Some(rows) = rows {
                    rows.take(batch, part.clone(), sink);
                }
                Portion::of(part.clone())
            });
            let mut desk = Desk { collector, terms, sink };
            reached = if sink.wants_segments() {
                let mut watch = segments.watch(desk, sink);
                shard.take_some(batch, portion, settings, &mut watch)
            } else {
                shard.take_some(batch, portion, settings, &mut desk)
            };
            if reached.is_some() {
                return ControlFlow::Break(());
            }
            advance.parts += 1;
            advance.portion = None;
            if rows.as_ref().is_some_and(Rows::is_full) {
                reached = batch.clock_of_last(index, part).map(|clock| (clock, 0));
            }
            if reached.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        reached
    }

    /// Learns how much of all that is to be read the shard has seen; see [`Shard::foresee`].
    pub(super) fn foresee(&mut self, read: Progress) {
        let all = Some(read.total).filter(|total| *total >= read.bytes);
        self.shard.foresee(read.bytes, all);
    }

    /// Lets go of what has ended before `clock`, or of as much as its lines have room for. Returns the
    /// moment up to which it has come if that is not all.
    fn expire_some(&mut self, clock: Time, terms: Terms<'_>, sink: &dyn Sink) -> Option<Moment> {
        let Self { shard, collector, rows, .. } = self;
        if let Some(rows) = rows {
            rows.expire(clock, sink);
        }
        let mut desk = Desk { collector, terms, sink };
        shard.expire_some(clock, &terms.options.settings, &mut desk)
    }

    /// Lets go of all rows at the end of the capture.
    pub(super) fn end_rows(&mut self, clock: Time, sink: &dyn Sink) {
        if let Some(rows) = &mut self.rows {
            rows.end(clock, sink);
        }
    }

    /// Lets go of what is left at the end of the capture, or of as much as its lines have room for.
    /// Returns when the next connection leaves, none when none is left: to be called again then, with the
    /// `least` of what all shards returned.
    pub(super) fn end_some(
        &mut self,
        clock: Time,
        least: Option<Moment>,
        terms: Terms<'_>,
        sink: &dyn Sink,
    ) -> Option<Moment> {
        if self.next <= least || !self.is_full(terms.options) {
            let Self { shard, collector, next, .. } = self;
            let mut desk = Desk { collector, terms, sink };
            *next = shard.end_some(clock, &terms.options.settings, &mut desk);
        }
        self.next
    }

    /// Lets go of the shard.
    pub(super) fn tell(self) -> Told {
        let Self { shard, collector, segments, rows, .. } = self;
        Told {
            accumulator: collector.accumulator,
            seen_elsewhere: shard.seen_elsewhere().clone(),
            streams_forgotten: segments.forgotten(),
            zeek_rows_evicted: rows.map_or(0, |rows| rows.evicted()),
        }
    }
}

/// Where a shard's connections are handed in.
struct Desk<'a> {
    collector: &'a mut Collector,
    terms: Terms<'a>,
    sink: &'a dyn Sink,
}

impl Observer for Desk<'_> {
    const SEGMENTS: bool = false;

    fn is_brief(&self) -> bool {
        self.terms.options.keep != Keep::All && self.terms.options.detectors.ignore_lone_syns()
    }

    fn is_full(&self) -> bool {
        self.collector.is_full(self.terms.options)
    }

    fn is_heard(&self, listener: Endpoint, from: Time, until: Time) -> bool {
        self.terms.answers.is_heard(listener, from, until)
    }

    fn name(&self, frame: FrameId) -> u64 {
        self.terms.names.of(frame)
    }

    fn had_no_bucket(&self, socket: FourTuple, from: Time, until: Time) -> bool {
        self.terms.neighbours.had_no_bucket(socket, from, until)
    }

    fn found_queue_full(&self, attempt: FourTuple, from: Time, until: Time) -> bool {
        self.terms.neighbours.found_queue_full(attempt, from, until)
    }

    fn has_completed(&self, listener: Endpoint, from: Time, until: Time) -> bool {
        self.terms.neighbours.has_completed(listener, from, until)
    }

    fn waits_for_data(&self, listener: Endpoint, until: Time) -> bool {
        self.terms.neighbours.waits_for_data(listener, until)
    }

    fn found_no_request(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.terms.neighbours.found_no_request(listener, sent, until)
    }

    fn lost_listener(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.terms.neighbours.lost_listener(listener, sent, until)
    }

    fn may_lack_bucket(&self, socket: FourTuple, from: Time, until: Time) -> bool {
        self.terms.neighbours.may_lack_bucket(socket, from, until)
    }

    fn begun(&self, frame: FrameId) -> Option<Begun> {
        self.terms.start.before(frame)
    }

    fn finished(&mut self, finished: Finished) {
        self.collector.add(finished, self.terms.options, self.sink);
    }

    fn lone_syn(&mut self, lone: &Lone<'_>) {
        let tray = &mut self.collector.tray;
        tray.shed.handshakes += u64::from(lone.ending == Ending::Evicted);
        tray.add_lone_syn(lone.at, &lone.syn, lone.tunnel);
        if self.sink.is_wanted() {
            let begun = self.begun(lone.syn.mark.frame);
            let Collector { pending, retold, .. } = &mut *self.collector;
            pending.push(lone.at, |bytes| retold.write(lone, begun, self.sink, bytes));
        }
    }

    fn segment(&mut self, _: &Placed<'_>) {}
}

impl Collector {
    /// Whether it is better to hand over what waits here before there is more of it.
    fn is_full(&self, options: &Options) -> bool {
        self.pending.is_full() || self.tray.is_full() || self.kept.is_full(options.keep)
    }

    fn add(&mut self, finished: Finished, options: &Options, sink: &dyn Sink) {
        // Perf: whole runs, small connections. A record is two and a half KB: it is not moved before it is
        // known that somebody keeps it, 250 instructions a connection.
        let Finished { ref record, at, ending } = finished;
        if ending == Ending::Evicted {
            self.tray.shed.count(record);
        }
        self.tray.add(at, record);
        let findings = options.detectors.connection(record, &mut self.accumulator);
        self.accumulator.hand_on(at);
        let (keep, limit) = (options.keep, options.max_flagged);
        let is_kept = self.kept.wants(keep, record.id, &findings, limit);
        if !is_kept && !sink.is_wanted() {
            return;
        }
        let judged = JudgedConnection { record: finished.record, findings };
        if sink.is_wanted() {
            self.pending.push(at, |bytes| sink.format(&judged, bytes));
        }
        if is_kept {
            self.kept.add(keep, judged, limit);
        }
    }
}
