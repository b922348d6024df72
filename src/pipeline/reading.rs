//! The reading side of a run: inputs, one after the other or side by side, become waves of
//! verified chunks.
//!
//! Everything here is serial but the reading of the chunks themselves. Knows nothing of shards.

use std::path::PathBuf;
use std::sync::Arc;

use super::account::{self, Account};
use super::archive::Idle;
use super::chunk::{Buffers, Chunk};
use super::effort::Effort;
use super::feed::Feeding;
use super::joins::Joins;
use super::lane::Lane;
use super::look::Look;
use super::plan::Plan;
use super::upcoming::Upcoming;
use super::wave::Wave;
use super::{Options, Progress};
use crate::analysis::Input;
use crate::decode::Decoded;
use crate::stamp::Time;

/// Where the reading of all inputs stands.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) options: &'a Options,
    pub(super) look: Look<'a>,
    pub(super) plan: Plan,
    pub(super) buffers: Buffers,
    /// The inputs that are being read, in the order of their indexes.
    pub(super) lanes: Vec<Lane>,
    pub(super) joins: Joins,
    pub(super) accounts: Vec<Account>,
    /// Inputs that have begun in the present wave, and what names their frames.
    pub(super) begun: Vec<(u32, u64)>,
    /// Frames of all inputs so far.
    pub(super) frames: u64,
    pub(super) decoded: Decoded,
    /// Archives that were read up to the end of a member.
    pub(super) idle: Idle,
    /// Files that are read ahead.
    pub(super) upcoming: Upcoming,
    /// The paths of those, while others go on with them.
    pub(super) away: Vec<PathBuf>,
    /// How much of all work is unpacking.
    pub(super) effort: Arc<Effort>,
    /// Stored bytes of the inputs that are done.
    pub(super) bytes_done: u64,
    /// Bytes of an input for a segment, in the last wave.
    bytes_per_segment: u64,
}

/// A guess for the first wave, low, so that a flood's is not too large.
const FEW_BYTES: u64 = 90;

impl<'a> Reading<'a> {
    pub(super) fn new(plan: Plan, options: &'a Options, look: Look<'a>) -> Self {
        let accounts = Vec::with_capacity(plan.inputs.len());
        Self {
            options,
            look,
            plan,
            buffers: Buffers::default(),
            lanes: Vec::new(),
            joins: Joins::default(),
            accounts,
            begun: Vec::new(),
            frames: 0,
            decoded: Decoded::default(),
            idle: Idle::default(),
            upcoming: Upcoming::default(),
            away: Vec::new(),
            effort: Arc::default(),
            bytes_done: 0,
            bytes_per_segment: FEW_BYTES,
        }
    }

    /// Bytes of the next wave: what was asked for, or what is likely to hold as many segments as
    /// the memory for a wave is meant for.
    pub(super) fn wave_budget(&self) -> u64 {
        let enough = self.bytes_per_segment.saturating_mul(self.options.wave_segments);
        self.options.wave_size.min(enough).max(1)
    }

    /// Bytes of a chunk of the next wave: as many as are likely to hold the segments that a chunk is
    /// meant for, and no more than gives each thread a few chunks.
    pub(super) fn chunk_len(&self) -> u64 {
        let enough = self.bytes_per_segment.saturating_mul(Options::CHUNK_SEGMENTS);
        let threads = self.options.threads.max(1) as u64;
        let share = if threads > 1 { self.wave_budget() / (2 * threads) } else { enough };
        let len = enough.min(share).max(Options::LEAST_CHUNK);
        self.options.chunk_size.min(len).clamp(1, u64::from(u32::MAX))
    }

    /// Fills the wave with the next chunks, read and verified; leaves it empty at the end.
    pub(super) fn fill(&mut self, wave: &mut Wave) {
        wave.clear();
        while wave.is_empty() && self.is_unfinished() {
            self.go_on();
            self.read(wave);
            self.verify(wave);
            self.unwatch(wave);
            wave.chunks_mut().iter_mut().for_each(Chunk::let_go);
            self.keep_rest();
            wave.ready = self.settle();
            wave.begun.append(&mut self.begun);
            let (bytes, segments) = wave.extent();
            self.bytes_per_segment = (bytes / segments.max(1)).max(FEW_BYTES);
        }
    }

    /// Reads the wave, and beside it files whose turn comes later.
    fn read(&mut self, wave: &mut Wave) {
        self.look_out();
        let (mut upcoming, look) = (std::mem::take(&mut self.upcoming), self.look);
        if upcoming.is_empty() {
            self.feed(wave);
            return wave.read(&self.buffers, look);
        }
        let (step, effort) = (self.step(), Arc::clone(&self.effort));
        self.away = upcoming.paths();
        effort.begin();
        rayon::join(
            || {
                self.feed(wave);
                wave.read(&self.buffers, look);
                effort.end();
            },
            || upcoming.go_on(step, &effort, look),
        );
        self.away.clear();
        self.upcoming = upcoming;
    }

    fn is_unfinished(&self) -> bool {
        !self.lanes.is_empty() || !self.plan.inputs.is_empty()
    }

    /// The capture clock behind everything that was read.
    pub(super) const fn clock(&self) -> Time {
        self.joins.latest
    }

    pub(super) fn progress(&self) -> Progress {
        let feeding = self.lanes.iter().filter_map(|lane| lane.feeding.as_ref());
        let current: u64 = feeding.map(Feeding::stored_offset).sum();
        let bytes = self.bytes_done + current;
        Progress { bytes, total: self.plan.total, frames: self.frames }
    }

    /// Gives back the buffers, once all is read.
    pub(super) fn let_go(&mut self) {
        self.buffers = Buffers::default();
    }

    /// The inputs as they were read, and what could not be read.
    pub(super) fn finish(mut self) -> (Vec<Input>, Plan) {
        self.joins.finish(&mut self.accounts);
        // Those of inputs that were read side by side were found as waves had it.
        self.plan.unreadable.sort_by(|one, other| one.path.cmp(&other.path));
        (account::finish(self.accounts), self.plan)
    }
}
