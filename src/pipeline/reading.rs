//! The reading side of a run: inputs one after the other become waves of verified chunks.
//!
//! Everything here is serial but the reading of the chunks themselves. Knows nothing of shards.

use super::chunk::Buffers;
use super::feed::Feeding;
use super::plan::Plan;
use super::quality::Seen;
use super::verify::Position;
use super::wave::Wave;
use super::{Options, Progress, Unreadable};
use crate::analysis::{Input, InputDamage};
use crate::capture::DamageList;
use crate::decode::{Decoded, Reassembler, SkipCounts};
use crate::stamp::Time;

/// Where the reading of all inputs stands.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) options: &'a Options,
    pub(super) plan: Plan,
    pub(super) buffers: Buffers,
    /// The input whose rest is still to be ordered.
    pub(super) feeding: Option<Feeding>,
    pub(super) accounts: Vec<Account>,
    pub(super) position: Option<Position>,
    /// Frames of all inputs so far.
    pub(super) frames: u64,
    /// The highest time of all frames so far.
    pub(super) clock: Time,
    pub(super) reassembler: Reassembler,
    pub(super) decoded: Decoded,
    /// Stored bytes of the inputs that are done.
    pub(super) bytes_done: u64,
    /// Bytes of an input for a segment, in the last wave.
    bytes_per_segment: u64,
}

/// Segments of a wave at most, roughly: with 64 bytes for each, 16 MiB.
const WAVE_SEGMENTS: u64 = 1 << 18;

/// A guess for the first wave, low, so that a flood is not far above [`WAVE_SEGMENTS`].
const FEW_BYTES: u64 = 90;

/// What was read of one input.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) input: Input,
    pub(super) damage: DamageList,
    pub(super) skips: SkipCounts,
    pub(super) seen: Seen,
}

impl<'a> Reading<'a> {
    pub(super) fn new(plan: Plan, options: &'a Options) -> Self {
        Self {
            options,
            plan,
            buffers: Buffers::default(),
            feeding: None,
            accounts: Vec::new(),
            position: None,
            frames: 0,
            clock: Time::MIN,
            reassembler: Reassembler::new(),
            decoded: Decoded::default(),
            bytes_done: 0,
            bytes_per_segment: FEW_BYTES,
        }
    }

    /// Bytes of the next wave: what was asked for, or what is likely to hold as many segments as
    /// the memory for a wave is meant for.
    pub(super) fn wave_budget(&self) -> u64 {
        let enough = self.bytes_per_segment.saturating_mul(WAVE_SEGMENTS);
        self.options.wave_size.min(enough).max(1)
    }

    /// Fills the wave with the next chunks, read and verified; leaves it empty at the end.
    pub(super) fn fill(&mut self, wave: &mut Wave) {
        wave.clear();
        self.feed(wave);
        wave.read(&self.buffers, self.options.decode);
        self.verify(wave);
        self.keep_rest(wave);
        let (bytes, segments) = wave.extent();
        self.bytes_per_segment = (bytes / segments.max(1)).max(FEW_BYTES);
    }

    /// The capture clock behind everything that was read.
    pub(super) const fn clock(&self) -> Time {
        self.clock
    }

    pub(super) fn progress(&self) -> Progress {
        let current = self.feeding.as_ref().map_or(0, Feeding::stored_offset);
        let bytes = self.bytes_done + current;
        Progress { bytes, total: self.plan.total, frames: self.frames }
    }

    /// The inputs as they were read, and what could not be read.
    pub(super) fn finish(mut self) -> (Vec<Input>, Vec<Unreadable>) {
        self.reassembler.finish();
        for (input, skips) in self.reassembler.skipped() {
            if let Some(account) = self.accounts.get_mut(*input as usize) {
                account.skips.merge(skips);
            }
        }
        let inputs = self.accounts.into_iter().map(Account::finish).collect();
        (inputs, self.plan.unreadable)
    }
}

impl Account {
    fn finish(self) -> Input {
        let Self { mut input, damage, skips, seen } = self;
        input.quality = seen.finish();
        let found = skips.iter().filter(|(_, frames)| *frames > 0);
        input.skipped = found.map(|(skip, frames)| (skip.name(), frames)).collect();
        let mut listed: Vec<InputDamage> = damage
            .listed()
            .iter()
            .map(|it| InputDamage {
                kind: it.kind.name(),
                offset: it.offset,
                skipped_bytes: it.skipped,
                after_frame: it.frame,
            })
            .collect();
        // What ended a stream comes behind all damage in what it gave.
        input.damage.iter_mut().for_each(|end| end.after_frame = input.frames);
        listed.append(&mut input.damage);
        listed.truncate(Input::MAX_DAMAGE);
        input.damage = listed;
        input.damage_total += damage.places();
        input
    }
}
