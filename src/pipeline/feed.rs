//! Cuts inputs into chunks until a wave is full.
//!
//! The first chunk of an input in a wave begins where the wave before was verified to end; the
//! others begin where they guess.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Unreadable;
use super::chunk::{Bytes, Chunk, Order};
use super::lane::Lane;
use super::piece::Piece;
use super::plan::Pipe;
use super::reading::Reading;
use super::wave::Wave;
use crate::analysis::InputDamage;
use crate::capture::{Context, Source, StreamDamage};
use crate::stamp::Time;

/// Chunks of a wave at most, where inputs are tiny.
const MAX_CHUNKS: usize = 4096;

/// The most that is read from a stream at once, whatever size of wave was asked for: it lies
/// in memory. A run over a stream of 3.3 GB took 415 MB with 64 MiB, and 272 with 24, twice each.
pub(super) const MAX_PIECE: usize = 12 << 20;

/// Bytes of a stream in a wave at least.
pub(super) const MIN_PIECE: usize = 4 << 10;

/// An input that is being cut into chunks.
#[derive(Debug)]
pub(super) struct Feeding {
    pub(super) path: String,
    /// Index of the input.
    pub(super) input: u32,
    pub(super) from: From,
    /// Where the next chunk begins.
    pub(super) next: u64,
    /// Where the next chunk's first record begins, if that is known.
    pub(super) start: Option<u64>,
    /// What stands there, or is likely to.
    pub(super) context: Context,
    /// What is likely to stand before the chunks behind the first one.
    pub(super) likely: Option<Context>,
    /// Its interfaces may have been written in blocks, one after the other.
    pub(super) is_shuffled: bool,
}

/// Where the bytes of an input come from.
#[derive(Debug)]
pub(super) enum From {
    File(Arc<Source>),
    Stream {
        pipe: Box<Pipe>,
        piece: Piece,
        /// What was read of it ahead, before the piece, and how much of the file had been used before each.
        walked: VecDeque<(Chunk, u64)>,
    },
}

impl Feeding {
    /// Bytes of the input used so far, as it is stored.
    pub(super) fn stored_offset(&self) -> u64 {
        match &self.from {
            From::File(_) => self.next,
            From::Stream { pipe, walked, .. } => {
                let before = walked.front().map(|(_, before)| *before);
                before.unwrap_or_else(|| pipe.stream.stored_offset())
            }
        }
    }
}

impl Reading<'_> {
    /// Goes on where the last wave ended, and begins with what has to be read now.
    pub(super) fn go_on(&mut self) {
        self.resume();
        while (self.next_is_due() || self.next_is_upcoming()) && self.begin_next() {}
    }

    /// Orders chunks until the wave is full or nothing is left that is to be read now.
    pub(super) fn feed(&mut self, wave: &mut Wave) {
        let mut budget = self.wave_budget();
        let share = self.share(budget);
        let hungry = self.lanes.iter_mut().filter(|lane| lane.is_hungry());
        let inputs: Vec<u32> = hungry.map(Lane::turn).collect();
        self.fill_streams(share);
        for input in inputs {
            let mut part = share.min(budget.max(1));
            budget = budget.saturating_sub(part);
            self.feed_lane(input, wave, &mut part);
            budget = budget.saturating_add(part);
        }
        while budget > 0 && wave.len() < MAX_CHUNKS && self.next_is_free() {
            if self.feed_wholes(wave, &mut budget) {
                continue;
            }
            // Behind what may be put back comes nothing that cannot be.
            if wave.may_be_put_back || self.next_is_away() || !self.begin_next() {
                return;
            }
            let Some(input) = self.lanes.last().map(|lane| lane.input) else { return };
            self.feed_lane(input, wave, &mut budget);
        }
    }

    /// Orders chunks of one input, and of those behind it in the same archive.
    fn feed_lane(&mut self, mut input: u32, wave: &mut Wave, budget: &mut u64) {
        let chunk_size = self.chunk_len();
        while *budget > 0 && wave.len() < MAX_CHUNKS {
            let lane = self.lanes.iter_mut().find(|lane| lane.input == input);
            let Some(feeding) = lane.and_then(|lane| lane.feeding.as_mut()) else { return };
            let more = match &feeding.from {
                From::File(_) => feed_file(feeding, wave, chunk_size, budget),
                From::Stream { walked, .. } if !walked.is_empty() => {
                    feed_walked(feeding, wave, budget)
                }
                From::Stream { .. } => {
                    self.effort.unpack(|| feeding.feed_stream(wave, chunk_size, budget))
                }
            };
            if !more {
                match self.end_input(input) {
                    Some(next) => input = next,
                    None => return,
                }
            }
        }
    }

    /// Continues where the last wave was verified to end.
    fn resume(&mut self) {
        let mut over = Vec::new();
        for lane in &mut self.lanes {
            let (Some(feeding), Some(position)) = (&mut lane.feeding, &lane.position) else {
                continue;
            };
            // Less than what was ordered: the file has become shorter.
            let cut = matches!(feeding.from, From::File(_)) && position.at < feeding.next;
            if position.broken || cut {
                over.push(lane.input);
                continue;
            }
            (feeding.start, feeding.next) = (Some(position.at), position.at);
            feeding.context.clone_from(&position.context);
            feeding.likely = None;
        }
        for input in over {
            self.end_input(input);
        }
    }

    /// The input has been cut to its end; a stream may go on with its next member, whose index is
    /// returned.
    fn end_input(&mut self, input: u32) -> Option<u32> {
        let lane = self.lanes.iter_mut().find(|lane| lane.input == input)?;
        let Feeding { path, from, .. } = lane.feeding.take()?;
        match from {
            From::File(source) => self.bytes_done += source.len(),
            From::Stream { mut pipe, .. } => {
                self.note_stream_damage(pipe.stream.damage(), &path, Some(input));
                let stored = pipe.stream.stored_offset();
                if let Some(account) = self.accounts.get_mut(input as usize) {
                    account.input.bytes = stored;
                }
                if pipe.only.is_some() {
                    self.idle.give(&path, pipe);
                    return None;
                }
                if let Some(member) = pipe.stream.next_member() {
                    pipe.member = member;
                    let feeding = self.begin_member(pipe, &path)?;
                    let next = feeding.input;
                    self.lanes.push(Lane::new(feeding, Time::MIN, true));
                    return Some(next);
                }
                self.note_stream_damage(pipe.stream.damage(), &path, None);
                self.bytes_done += stored;
            }
        }
        None
    }

    /// Notes where a stream ended too early, if it did.
    pub(super) fn note_stream_damage(
        &mut self,
        damage: Option<&StreamDamage>,
        path: &str,
        input: Option<u32>,
    ) {
        let Some(StreamDamage { offset, reason, .. }) = damage else { return };
        let (path, offset, reason) = (path.to_owned(), *offset, reason.clone());
        self.note_cut(input, Unreadable { path, offset, reason });
    }

    /// Notes where an input ended too early, or what it lies in.
    pub(super) fn note_cut(&mut self, input: Option<u32>, cut: Unreadable) {
        let account = input.and_then(|input| self.accounts.get_mut(input as usize));
        if let Some(account) = account {
            account.input.damage_total += 1;
            account.input.damage.push(InputDamage {
                kind: "cut_stream",
                offset: cut.offset,
                skipped_bytes: 0,
                after_frame: 0,
            });
        }
        self.plan.refuse(cut);
    }
}

impl Feeding {
    /// Orders the next chunk, which ends at `end`.
    pub(super) fn order(&mut self, wave: &mut Wave, bytes: Bytes, end: u64) {
        let (range, start) = (self.next..end, self.start.take());
        let context = self.context.clone();
        wave.push(Order { input: self.input, bytes, range, start, context });
        self.next = end;
        if let Some(likely) = self.likely.take() {
            self.context = likely;
        }
    }
}

/// Orders one chunk of a file; false when that was the last one.
fn feed_file(feeding: &mut Feeding, wave: &mut Wave, chunk_size: u64, budget: &mut u64) -> bool {
    let From::File(source) = &feeding.from else { return false };
    let (source, len) = (Arc::clone(source), source.len());
    if feeding.next >= len {
        return false;
    }
    let end = feeding.next.saturating_add(chunk_size).min(len);
    *budget = budget.saturating_sub(end - feeding.next);
    feeding.order(wave, Bytes::File(source), end);
    end < len
}

/// Hands on what was read of a stream ahead. There is more of it, if only its end.
fn feed_walked(feeding: &mut Feeding, wave: &mut Wave, budget: &mut u64) -> bool {
    let From::Stream { walked, .. } = &mut feeding.from else { return false };
    while *budget > 0
        && wave.len() < MAX_CHUNKS
        && let Some((mut chunk, _)) = walked.pop_front()
    {
        if let Some(order) = &mut chunk.order {
            order.input = feeding.input;
            *budget = budget.saturating_sub(order.range.end - order.range.start);
            feeding.next = order.range.end;
        }
        wave.push_walked(chunk);
    }
    if walked.is_empty() {
        // What comes behind it begins where this was verified to end.
        *budget = 0;
    }
    true
}
