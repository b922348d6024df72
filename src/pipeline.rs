//! From a list of inputs to an [`Analysis`]: waves of chunks, shards, and an ordered merge.
//!
//! A wave is a few dozen chunks of one or more files. Its chunks are read and decoded in parallel,
//! each from a guessed place; a serial step then checks every guess against the end of the chunk
//! before, walks again what was wrong, and hands out frame numbers and the capture clock. The
//! shards consume a wave in parallel while the next one is decoded. Inputs that overlap in time are
//! read side by side and merged in the shards. At most two waves are in memory, and what of a third
//! waits for an input that is behind; there are no locks or channels between the stages.
//!
//! What comes out is that of one serial walk: for any number of threads, any chunk and wave size.
//! Knows nothing of what a segment means, nor of how a result is printed.

mod account;
mod archive;
mod begin;
mod chunk;
mod collect;
mod consume;
mod effort;
mod extent;
mod feed;
mod gathered;
mod joins;
mod kept;
mod lane;
mod look;
mod merge;
mod pending;
mod period;
mod piece;
mod plan;
mod quality;
mod reading;
mod retold;
mod rows;
mod segments;
mod sink;
mod survey;
mod threads;
mod unpack;
mod upcoming;
mod verify;
mod view;
mod watch;
mod wave;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use crate::analysis::Analysis;
use crate::capture::CaptureError;
use crate::decode;
use crate::detect::{Accumulator, Detectors};
use crate::filter::Filter;
use crate::flow::{Answers, Horizon, Limits, Names, Neighbours, SHARDS, Start, Turn, ZeekRules};
use crate::settings::Settings;
use crate::summary::Summary;

use collect::{Terms, Worker};
use gathered::Gathered;
use look::Look;
use merge::Held;
pub use period::{Moment, NoMoment, Period};
use reading::Reading;
pub use sink::{Discard, Sink};
pub use survey::{Candidate, Survey};
use threads::AllHands;
pub use threads::Threads;
use wave::Wave;

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads; 0 for one per core.
    pub threads: usize,
    /// Bytes of a chunk at most, the unit of parallel reading.
    pub chunk_size: u64,
    /// Bytes of a wave.
    pub wave_size: u64,
    /// Which connections the analysis lists.
    pub keep: Keep,
    /// The settings of the hosts.
    pub settings: Settings,
    /// The detectors to run.
    pub detectors: Detectors,
    /// What to look at in a frame.
    pub decode: decode::Settings,
    /// Which segments to look at; none for all.
    pub filter: Option<Filter>,
    /// Which frames to look at.
    pub period: Period,
    /// How many connections are remembered at once.
    pub limits: Limits,
    /// How Zeek is to cut flows, where its rows are wanted.
    pub zeek: ZeekRules,
    /// Segments of a wave at most, about.
    pub wave_segments: u64,
    /// Segments of a capture of several interfaces that may wait for those which overtake them; beyond
    /// that it is taken in the order of its frames.
    pub waiting_segments: u64,
    /// Whether compressed files are unpacked ahead of their turn: where that pays, if it is not said.
    pub reads_ahead: Option<bool>,
    /// Segments of compressed files that may wait for the turn of those, at most.
    pub ahead_segments: u64,
    /// Listeners, hosts and pairs that the analysis has totals of, at most.
    pub summary_limit: usize,
    /// Groups of each detector that are kept.
    pub group_limit: usize,
    /// How many connections that one detector marked the analysis lists at most: the earliest.
    pub max_flagged: usize,
    /// Bytes of lines that wait in a shard before they are written, where connections are written one by
    /// one.
    pub line_room: usize,
}

impl Options {
    /// Bytes of a chunk at most, by default.
    pub const CHUNK: u64 = 4 << 20;
    /// Segments of a chunk, about: a shard finds 64 of them side by side, and they fit into a core's
    /// own cache.
    const CHUNK_SEGMENTS: u64 = 1 << 12;
    /// Bytes of a chunk at least, unless fewer were asked for: finding its first record takes a while.
    const LEAST_CHUNK: u64 = 256 << 10;
    /// A file that is longer has chunks of its own.
    const SMALL_FILE: u64 = 1 << 20;
    /// Connections that one detector marked, listed by default.
    pub const MAX_FLAGGED: usize = 1_024;
    /// Segments of a wave by default: 16 MiB of them.
    pub const WAVE_SEGMENTS: u64 = 1 << 18;
    /// Segments of a capture that may wait for those which overtake them, by default: 64 MiB of them.
    pub const WAITING_SEGMENTS: u64 = 1 << 20;
    /// Segments of compressed files that may wait, and those for each thread: 32 MiB.
    pub const AHEAD_SEGMENTS: u64 = 1 << 22;
    const AHEAD_OF_THREAD: u64 = 1 << 19;
    /// The least memory that a run can be held to.
    pub const LEAST_MEMORY: u64 = 64 << 20;
    /// Bytes that a run takes whatever the capture: the program, read buffers, what the allocator
    /// keeps.
    const FIXED: u64 = 40 << 20;
    /// Bytes for each segment of a wave: two waves of 64 bytes, and some room to grow.
    const SEGMENT: u64 = 180;
    /// Bytes of memory for each connection that one detector marked and that is listed: a twelfth of
    /// the memory holds those of eight detectors.
    const FLAGGED: u64 = 12 * 8 * 3_500;
    /// Bytes of lines that wait in a shard, by default: of all shards 16 MiB.
    pub const LINE_ROOM: usize = 256 << 10;
    /// The same for each thread: of all shards 2 MiB, which stay in its own cache until they are written.
    const LINE_ROOM_OF_THREAD: usize = 32 << 10;
    /// Bytes of a compressed file that are unpacked at once, at most: by each thread.
    const MOST_UNPACKED: u64 = 8 << 20;
    /// Bytes for which a file counts at least, so that a wave has a bounded number of them.
    const LEAST_FILE: u64 = 4 << 10;
    /// Bytes of a wave by default.
    pub const WAVE: u64 = 64 << 20;
    /// Bytes of a wave for each thread at most, and segments: enough chunks to keep it busy.
    const WAVE_OF_THREAD: u64 = 16 << 20;
    const SEGMENTS_OF_THREAD: u64 = 1 << 16;
    /// Bytes of a wave at most where segments are written one by one: their lines take up to ten
    /// times as much, and wait for the wave to be over.
    pub const WAVE_OF_SEGMENTS: u64 = 8 << 20;

    /// The defaults, with these settings and detectors.
    #[must_use]
    pub fn new(settings: Settings, detectors: Detectors) -> Self {
        Self {
            threads: 0,
            chunk_size: Self::CHUNK,
            wave_size: Self::WAVE,
            keep: Keep::default(),
            settings,
            detectors,
            decode: decode::Settings::default(),
            filter: None,
            period: Period::default(),
            limits: Limits::default(),
            zeek: ZeekRules::default(),
            wave_segments: Self::WAVE_SEGMENTS,
            waiting_segments: Self::WAITING_SEGMENTS,
            reads_ahead: None,
            ahead_segments: Self::AHEAD_SEGMENTS,
            summary_limit: Summary::MAX_LISTENERS,
            group_limit: Accumulator::MAX_GROUPS,
            max_flagged: Self::MAX_FLAGGED,
            line_room: Self::LINE_ROOM,
        }
    }

    /// The same on `threads` threads: few of them need no more than small waves.
    #[must_use]
    fn on_threads(self, threads: usize) -> Self {
        let at_least_two = threads.max(2) as u64;
        Self {
            threads,
            wave_size: self.wave_size.min(at_least_two * Self::WAVE_OF_THREAD),
            wave_segments: self.wave_segments.min(at_least_two * Self::SEGMENTS_OF_THREAD),
            line_room: self.line_room.min(threads * Self::LINE_ROOM_OF_THREAD),
            ahead_segments: self.ahead_segments.min(threads as u64 * Self::AHEAD_OF_THREAD),
            ..self
        }
    }

    /// The same, in `memory` bytes, but for connections that the caller keeps itself. What that
    /// costs follows from the capture and from `memory` alone, and is told in the summary.
    #[must_use]
    pub fn within(self, memory: u64) -> Self {
        let rest = memory.saturating_sub(Self::FIXED);
        let wave_segments = (rest / 6 / Self::SEGMENT).clamp(1 << 12, self.wave_segments);
        Self {
            wave_segments,
            waiting_segments: self.waiting_segments.min(rest / 3 / Self::SEGMENT).max(1 << 14),
            ahead_segments: self.ahead_segments.min(rest / 12 / Self::SEGMENT),
            wave_size: self.wave_size.min(rest / 12).max(Self::SMALL_FILE),
            limits: Limits::within(rest / 2),
            max_flagged: self
                .max_flagged
                .min(usize::try_from(rest / Self::FLAGGED).unwrap_or(usize::MAX)),
            summary_limit: Summary::limit_within(rest / 4),
            group_limit: Accumulator::limit_within(rest / 10, SHARDS),
            line_room: usize::try_from(rest / 12)
                .map_or(self.line_room, |lines| self.line_room.min(lines / SHARDS)),
            ..self
        }
    }
}

/// Which connections an analysis lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Every one: memory grows with the capture.
    All,
    /// Those that a detector marked.
    #[default]
    Flagged,
    /// None.
    None,
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was found in the inputs that could be read.
    pub analysis: Analysis,
    /// Inputs, or members of archives, that could not be read, or only up to a place: the first
    /// ones.
    pub unreadable: Vec<Unreadable>,
    /// How many more there were.
    pub unreadable_more: u64,
    /// Members of archives that are no captures.
    pub passed_over: u64,
    /// Tuples that, with segments asked for, were forgotten because a limit of memory was reached:
    /// what Wireshark would have said of their later segments may differ.
    pub streams_forgotten: u64,
    /// Rows of Zeek's conn.log that were closed early because a limit of memory was reached.
    pub zeek_rows_evicted: u64,
    /// The threads that did it, which can make its reports.
    pub threads: Threads,
}

/// An input that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its path; for a member of an archive, that of the archive, a colon, and the name.
    pub path: String,
    /// Bytes that were read before.
    pub offset: u64,
    /// What is wrong, in words.
    pub reason: String,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the inputs read, as they are stored.
    pub bytes: u64,
    /// Bytes of all inputs whose length is known.
    pub total: u64,
    /// Frames read.
    pub frames: u64,
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The threads could not be started.
    #[error("cannot start the worker threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The sink did not take what was handed to it.
    #[error("cannot write the output")]
    Sink(#[source] std::io::Error),
}

/// Analyses `inputs` as one run, in the order of their first times. `-` is standard input.
///
/// # Errors
/// As for [`run_surveyed`].
pub fn run(
    inputs: &[PathBuf],
    options: &Options,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Outcome, PipelineError> {
    let candidates: Vec<Candidate> = inputs.iter().map(|path| path.as_path().into()).collect();
    run_surveyed(Survey::of(&candidates, options.threads)?, options, sink, progress)
}

/// Analyses inputs that were looked at as one run, in the order of their first times.
///
/// Inputs that cannot be read are listed in the outcome; the others are analysed all the same.
/// Connections go to `sink` in the order in which they ended, segments in that of their frames.
///
/// # Errors
/// The threads cannot be started, or the sink refuses.
pub fn run_surveyed(
    survey: Survey,
    options: &Options,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Outcome, PipelineError> {
    let threads = Threads::start(options.threads)?;
    let mut options = options.clone().on_threads(threads.count());
    if sink.wants_segments() {
        options.wave_size = options.wave_size.min(Options::WAVE_OF_SEGMENTS);
    }
    threads.install(|| {
        let mut plan = survey.plan;
        let look = Look::new(&options, plan.start());
        plan.leave_out(look);
        let reading = Reading::new(plan, &options, look);
        drive(reading, &options, sink, progress, &threads)
    })
}

fn drive(
    mut reading: Reading<'_>,
    options: &Options,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(Progress) + Sync),
    threads: &Threads,
) -> Result<Outcome, PipelineError> {
    let hasher = RandomState::default();
    let rules = sink.wants_zeek_rows().then_some(options.zeek);
    let mut workers: Vec<Worker> =
        (0..SHARDS).map(|index| Worker::new(index, options, rules, &hasher)).collect();
    let (mut current, mut next) = (Wave::default(), Wave::default());
    let mut whole = Gathered::new(options);
    let mut held = Held::default();
    let (mut answers, mut names) = (Answers::default(), Names::default());
    let (mut neighbours, mut start) = (Neighbours::default(), Start::default());
    reading.fill(&mut current);
    while !current.is_empty() {
        if options.settings.may_bake() {
            current.chunks().iter().for_each(|chunk| answers.read(&chunk.batch));
        }
        if !start.is_known() {
            current.chunks().iter().for_each(|chunk| start.read(&chunk.batch));
        }
        current.begun.iter().for_each(|(file, before)| names.learn(*file, *before));
        if options.settings.limits_time_wait() || options.settings.may_bake() {
            watch_neighbours(&mut neighbours, &current, &options.settings);
        }
        let terms = Terms {
            options,
            answers: &answers,
            neighbours: &neighbours,
            names: &names,
            start: &start,
        };
        let read = reading.progress();
        let effort = Arc::clone(&reading.effort);
        effort.begin();
        let (is_merged, ()) = rayon::join(
            || {
                let merged =
                    consume::consume(&mut workers, &mut whole, &held, &current, terms, sink);
                effort.end();
                merged
            },
            || reading.fill(&mut next),
        );
        let is_merged = is_merged.map_err(PipelineError::Sink)?;
        segments::flush(&mut workers, is_merged, sink).map_err(PipelineError::Sink)?;
        whole.gather(&mut workers, options);
        for worker in &mut workers {
            worker.foresee(read);
        }
        held.keep(&mut current);
        progress(reading.progress());
        std::mem::swap(&mut current, &mut next);
    }
    let clock = reading.clock();
    // What waves took is free for what the shards now add up.
    reading.let_go();
    drop((current, next));
    let mut rest = Wave::default();
    rest.ready.clock = clock;
    neighbours.settle(|_| true, &options.settings);
    let terms =
        Terms { options, answers: &answers, neighbours: &neighbours, names: &names, start: &start };
    let is_merged = consume::consume(&mut workers, &mut whole, &held, &rest, terms, sink);
    let is_merged = is_merged.map_err(PipelineError::Sink)?;
    segments::flush(&mut workers, is_merged, sink).map_err(PipelineError::Sink)?;
    drop(held);
    neighbours.conclude(clock);
    let terms =
        Terms { options, answers: &answers, neighbours: &neighbours, names: &names, start: &start };
    consume::end(&mut workers, &mut whole, clock, terms, sink).map_err(PipelineError::Sink)?;
    whole.gather(&mut workers, options);
    Ok(conclude(workers, whole, reading, options, threads))
}

/// Counts who found a place, in TIME-WAIT or in an accept queue, as far as the wave is ready.
fn watch_neighbours(neighbours: &mut Neighbours, wave: &Wave, settings: &Settings) {
    let turns: Vec<Vec<Turn>> = wave.chunks().par_iter().map(|chunk| chunk.batch.turns()).collect();
    neighbours.read(turns.into_iter().flatten());
    let sources = wave.chunks().iter().flat_map(|chunk| chunk.batch.strips());
    let mut sources = sources.map(|strip| strip.first.file());
    let in_order = sources.next().is_none_or(|one| {
        let leads = wave.ready.leads(one) || wave.ready.lowest == Horizon::END;
        leads && sources.all(|other| other == one) && neighbours.are_of(one)
    });
    let known = &*neighbours;
    let is_ready = |place| wave.ready.includes(place);
    let acks_of = |chunk: &chunk::Chunk| chunk.batch.acknowledgments(known, in_order, is_ready);
    let acks: Vec<Vec<Turn>> = wave.chunks().par_iter().map(acks_of).collect();
    neighbours.read(acks.into_iter().flatten());
    neighbours.settle(is_ready, settings);
}

fn conclude(
    workers: Vec<Worker>,
    whole: Gathered,
    reading: Reading<'_>,
    options: &Options,
    threads: &Threads,
) -> Outcome {
    let selection = reading.look.selection();
    let (mut inputs, plan) = reading.finish();
    let whole = whole.conclude(workers);
    let Gathered { summary, accumulator, kept, .. } = whole;
    let Gathered { streams_forgotten, zeek_rows_evicted, .. } = whole;
    for (input, index) in inputs.iter_mut().zip(0..) {
        input.seen_elsewhere = whole.seen_elsewhere.get(&index).copied().unwrap_or_default();
    }
    let findings = options.detectors.conclude(&accumulator, &summary, &inputs, &AllHands);
    let analysis = Analysis {
        inputs,
        selection,
        settings: options.settings.clone(),
        thresholds: options.detectors.thresholds_in_force(),
        summary,
        findings,
        connections: kept.into_connections(),
    };
    Outcome {
        analysis,
        unreadable: plan.unreadable,
        unreadable_more: plan.unreadable_more,
        passed_over: plan.passed_over,
        streams_forgotten,
        zeek_rows_evicted,
        threads: threads.clone(),
    }
}

impl Unreadable {
    fn new(path: &str, offset: u64, error: &CaptureError) -> Self {
        Self { path: path.to_owned(), offset, reason: error.to_string() }
    }
}
