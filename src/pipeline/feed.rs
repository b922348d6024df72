//! Cuts inputs into chunks until a wave is full.
//!
//! The first chunk of an input in a wave begins where the wave before was verified to end; the
//! others begin where they guess. Streams are read into the wave's memory, where what was left of
//! the wave before comes first.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::Unreadable;
use super::chunk::{Bytes, Chunk, Order};
use super::lane::Lane;
use super::plan::Pipe;
use super::reading::Reading;
use super::wave::Wave;
use crate::analysis::InputDamage;
use crate::capture::{Context, Source, StreamDamage};
use crate::stamp::Time;

/// Chunks of a wave at most, where inputs are tiny.
const MAX_CHUNKS: usize = 4096;

/// The most that is read from a stream at once, whatever size of wave was asked for: two waves of it
/// lie in memory. A run over a stream of 3.3 GB took 415 MB with 64 MiB, and 272 with 24.
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
        /// The part of the present wave's memory that holds the stream, and the offset in the
        /// stream of its first byte.
        piece: (Range<usize>, u64),
        /// Bytes of it that no wave has walked; `next` is the offset of the first.
        rest: Vec<u8>,
        ended: bool,
        /// What was read of it ahead, before the rest, and how much of the file had been used before each.
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
        let hungry = self.lanes.iter().filter(|lane| lane.is_hungry()).count();
        // Those that wait keep what they hold: the room of a wave is everybody's.
        let share = budget.div_ceil(self.lanes.len().max(1) as u64);
        let share = if hungry == 1 && self.lanes.len() == 1 { budget } else { share };
        let inputs: Vec<u32> =
            self.lanes.iter().filter(|lane| lane.is_hungry()).map(|lane| lane.input).collect();
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
                    self.effort.unpack(|| feed_stream(feeding, wave, chunk_size, budget))
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

    /// Keeps the bytes of streams that the wave could not walk, for the next one.
    pub(super) fn keep_rest(&mut self, wave: &Wave) {
        for lane in &mut self.lanes {
            let (Some(feeding), Some(position)) = (&mut lane.feeding, &mut lane.position) else {
                continue;
            };
            let From::Stream { piece: (place, base), rest, .. } = &mut feeding.from else {
                continue;
            };
            if place.start == place.end {
                continue;
            }
            let walked = usize::try_from(position.at - *base).unwrap_or(usize::MAX);
            let left = wave.memory.get(place.start.saturating_add(walked)..place.end);
            rest.clear();
            rest.extend_from_slice(left.unwrap_or_default());
            // A walk gets on with this much, or never does.
            position.broken = walked == 0 && place.len() > 4 * feeding.context.lookahead();
            (*place, *base) = (0..0, position.at);
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
    fn order(&mut self, wave: &mut Wave, bytes: Bytes, end: u64) {
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

/// Reads as much of a stream as the wave has room for; false when that was all of it.
fn feed_stream(feeding: &mut Feeding, wave: &mut Wave, chunk_size: u64, budget: &mut u64) -> bool {
    let From::Stream { pipe, piece, rest, ended, .. } = &mut feeding.from else { return false };
    let (from, kept) = (wave.memory.len(), rest.len());
    wave.memory.append(rest);
    // Twice what one wave could not walk: a record longer than a wave becomes whole at some time.
    let asked = usize::try_from(*budget).unwrap_or(MAX_PIECE).min(MAX_PIECE);
    let room = asked.max(2 * kept).max(MIN_PIECE);
    if !*ended && room > kept {
        wave.memory.resize(from + room, 0);
        let free = wave.memory.get_mut(from + kept..).unwrap_or_default();
        let filled = pipe.stream.fill(free);
        wave.memory.truncate(from + kept + filled);
        *ended = kept + filled < room;
    }
    let (place, base, at_end) = (from..wave.memory.len(), feeding.next, *ended);
    *piece = (place.clone(), base);
    // What comes behind it in the stream has to lie behind it in memory, so it waits.
    *budget = if at_end { budget.saturating_sub((place.len() as u64).max(1)) } else { 0 };
    // One more than there is: the walk of the last chunk shall see the end of the stream.
    let end = base + place.len() as u64 + u64::from(at_end);
    while feeding.next < end {
        let until = feeding.next.saturating_add(chunk_size).min(end);
        feeding.order(wave, Bytes::Memory { place: place.clone(), base, at_end }, until);
    }
    !at_end
}
