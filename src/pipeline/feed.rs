//! Cuts inputs into chunks until a wave is full.
//!
//! The first chunk of an input in a wave begins where the wave before was verified to end; the
//! others begin where they guess. Streams are read into the wave's memory, where what was left of
//! the wave before comes first.

use std::ops::Range;
use std::sync::Arc;

use super::Unreadable;
use super::account::Account;
use super::chunk::{Bytes, Order};
use super::lane::Lane;
use super::plan::{Pipe, Planned, compression_name, is_shuffled, likely_end, open};
use super::reading::Reading;
use super::wave::Wave;
use crate::analysis::{Input as InputReport, InputDamage};
use crate::capture::{CaptureError, Context, Input, Source, StreamDamage, Window};
use crate::stamp::{FrameId, Time};

/// Chunks of a wave at most, where inputs are tiny.
const MAX_CHUNKS: usize = 4096;

/// The most that is read from a stream at once, whatever size of wave was asked for: two waves of it
/// lie in memory. A run over a stream of 3.3 GB took 415 MB with 64 MiB, and 272 with 24.
const MAX_PIECE: usize = 12 << 20;

/// The smallest record of any format in bytes.
pub(super) const MIN_RECORD: u64 = 12;

/// More frames than a stream can have, for names of frames that do not collide.
pub(super) const MAX_STREAM_FRAMES: u64 = 1 << 36;

/// Bytes of a stream in a wave at least.
const MIN_PIECE: usize = 4 << 10;

/// An input that is being cut into chunks.
#[derive(Debug)]
pub(super) struct Feeding {
    path: String,
    /// Index of the input.
    pub(super) input: u32,
    from: From,
    /// Where the next chunk begins.
    next: u64,
    /// Where the next chunk's first record begins, if that is known.
    start: Option<u64>,
    /// What stands there, or is likely to.
    context: Context,
    /// What is likely to stand before the chunks behind the first one.
    likely: Option<Context>,
    /// Its interfaces may have been written in blocks, one after the other.
    pub(super) is_shuffled: bool,
}

/// How a capture begins.
#[derive(Debug)]
struct Opening {
    format: &'static str,
    /// Length of the file header.
    header: usize,
    context: Context,
    /// The context behind the first records, which often describe the interfaces.
    likely: Context,
}

#[derive(Debug)]
enum From {
    File(Arc<Source>),
    Stream {
        pipe: Box<Pipe>,
        /// The part of the present wave's memory that holds the stream, and the offset in the
        /// stream of its first byte.
        piece: (Range<usize>, u64),
        /// Bytes of it that no wave has walked; `next` is the offset of the first.
        rest: Vec<u8>,
        ended: bool,
    },
}

impl Feeding {
    /// Bytes of the input used so far, as it is stored.
    pub(super) fn stored_offset(&self) -> u64 {
        match &self.from {
            From::File(_) => self.next,
            From::Stream { pipe, .. } => pipe.stream.stored_offset(),
        }
    }
}

impl Reading<'_> {
    /// Orders chunks until the wave is full or nothing is left that is to be read now.
    pub(super) fn feed(&mut self, wave: &mut Wave) {
        self.resume();
        while self.next_is_due() && self.begin_next() {}
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
            if wave.may_be_put_back || !self.begin_next() {
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
                From::Stream { .. } => feed_stream(feeding, wave, chunk_size, budget),
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

    /// Begins to read the next input; false if it cannot be read.
    fn begin_next(&mut self) -> bool {
        let Some(planned) = self.plan.inputs.pop() else { return false };
        let path = planned.path.to_string_lossy().into_owned();
        let (first_time, alone) = (planned.earliest(), planned.is_alone());
        match self.begin(planned, &path) {
            Ok(Some(feeding)) => {
                // What is read alone overlaps with nothing.
                if let Some(account) = self.accounts.get_mut(feeding.input as usize)
                    && !alone
                {
                    account.expected = Some(first_time);
                }
                self.lanes.push(Lane::new(feeding, first_time, alone));
                return true;
            }
            Ok(None) => {}
            Err(error) => self.plan.refuse(Unreadable::new(&path, 0, &error)),
        }
        false
    }

    fn begin(&mut self, planned: Planned, path: &str) -> Result<Option<Feeding>, CaptureError> {
        if let Some(pipe) = planned.open {
            return Ok(self.begin_member(pipe.go_on(), path));
        }
        if let Some(place) = planned.place {
            return self.begin_placed(&planned.path, &place);
        }
        match open(&planned.path)? {
            Input::File(source) if planned.is_outside => {
                self.pass_over(&source, path)?;
                Ok(None)
            }
            Input::File(source) => self.begin_file(source, path).map(Some),
            Input::Stream(mut stream) => {
                let Some(member) = stream.next_member() else { return Ok(None) };
                let pipe = Pipe { stream, member, head: Vec::new(), found: false, only: None };
                Ok(self.begin_member(Box::new(pipe), path))
            }
        }
    }

    /// Lists a file that need not be read.
    fn pass_over(&mut self, source: &Source, path: &str) -> Result<(), CaptureError> {
        let mut head = vec![0; Context::HEAD];
        let count = source.read_at(0, &mut head)?;
        let opening = Opening::of(head.get(..count).unwrap_or_default(), false)?;
        self.accounts.push(Account::of_unread(InputReport {
            path: path.to_owned(),
            format: opening.format,
            compression: "none",
            bytes: source.len(),
            not_read: true,
            ..InputReport::default()
        }));
        self.bytes_done += source.len();
        Ok(())
    }

    pub(super) fn begin_file(
        &mut self,
        source: Source,
        path: &str,
    ) -> Result<Feeding, CaptureError> {
        let mut head = vec![0; Context::HEAD];
        let count = source.read_at(0, &mut head)?;
        head.truncate(count);
        let at_end = count as u64 >= source.len();
        let opening = Opening::of(&head, at_end)?;
        let input = InputReport {
            path: path.to_owned(),
            compression: "none",
            bytes: source.len(),
            ..InputReport::default()
        };
        Ok(self.feeding(input, From::File(Arc::new(source)), path, opening))
    }

    /// Begins the stream's current member, or the first one behind it that is a capture.
    pub(super) fn begin_member(&mut self, mut pipe: Box<Pipe>, path: &str) -> Option<Feeding> {
        loop {
            let name = match &pipe.member.name {
                Some(name) => format!("{path}:{name}"),
                None => path.to_owned(),
            };
            let at_end = pipe.stream.fill_up(&mut pipe.head, Context::HEAD);
            // Of what was unpacked already there may be more.
            let head = pipe.head.get(..Context::HEAD).unwrap_or(&pipe.head);
            match Opening::of(head, at_end) {
                Ok(opening) => {
                    let input = InputReport {
                        path: name,
                        compression: compression_name(&pipe.member.compression),
                        ..InputReport::default()
                    };
                    let rest = pipe.head.get(opening.header..).unwrap_or_default().to_vec();
                    pipe.head.clear();
                    pipe.found = true;
                    let from = From::Stream { pipe, piece: (0..0, 0), rest, ended: at_end };
                    return Some(self.feeding(input, from, path, opening));
                }
                // Of what lies in an archive, as in a folder, only the captures count.
                Err(error) if pipe.member.name.is_some() && error.is_no_capture() => {
                    self.plan.passed_over += 1;
                    pipe.found |= pipe.stream.damage().is_some();
                    self.note_stream_damage(pipe.stream.damage(), &name, None);
                }
                Err(error) => {
                    pipe.found = true;
                    self.plan.refuse(Unreadable::new(&name, 0, &error));
                    self.note_stream_damage(pipe.stream.damage(), &name, None);
                }
            }
            pipe.head.clear();
            if pipe.only.is_some() {
                return None;
            }
            let Some(member) = pipe.stream.next_member() else {
                if !pipe.found {
                    let reason = "no capture in it".to_owned();
                    self.plan.refuse(Unreadable { path: path.to_owned(), offset: 0, reason });
                }
                self.note_stream_damage(pipe.stream.damage(), path, None);
                return None;
            };
            pipe.member = member;
        }
    }

    /// Takes an input that has at most `bound` records into the list; returns its index.
    pub(super) fn register(&mut self, input: InputReport, bound: u64, expected: Time) -> u32 {
        let index = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        debug_assert!(self.accounts.len() < FrameId::MAX_FILES, "more inputs than frames can name");
        self.accounts.push(Account::new(input, bound, expected));
        index
    }

    fn feeding(
        &mut self,
        mut input: InputReport,
        from: From,
        path: &str,
        opening: Opening,
    ) -> Feeding {
        input.format = opening.format;
        let bound = match &from {
            From::File(source) => source.len() / MIN_RECORD,
            From::Stream { .. } => MAX_STREAM_FRAMES,
        };
        let index = self.register(input, bound, Time::MAX);
        let next = opening.header as u64;
        Feeding {
            path: path.to_owned(),
            input: index,
            from,
            next,
            start: Some(next),
            is_shuffled: is_shuffled(&opening.likely),
            context: opening.context,
            likely: Some(opening.likely),
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

impl Opening {
    fn of(head: &[u8], at_end: bool) -> Result<Self, CaptureError> {
        let (context, header) = Context::open(head)?;
        let mut likely = context.clone();
        let window = Window { bytes: head, base: 0, at_end };
        likely.walk(window, header..likely_end(head, at_end), &mut |_| {});
        let format = context.format().name();
        Ok(Self { format, header, context, likely })
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

/// Reads as much of a stream as the wave has room for; false when that was all of it.
fn feed_stream(feeding: &mut Feeding, wave: &mut Wave, chunk_size: u64, budget: &mut u64) -> bool {
    let From::Stream { pipe, piece, rest, ended } = &mut feeding.from else { return false };
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
