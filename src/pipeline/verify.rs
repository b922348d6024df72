//! The serial step between reading a wave and consuming it: is every chunk what one serial walk
//! would have given?
//!
//! A chunk holds if it began where the chunk before ended and with the context that was left
//! there; otherwise it is walked again from there. Frame numbers and the capture clock are handed
//! out here, and IP fragments put together.

use rayon::prelude::*;

use super::Unreadable;
use super::chunk::{Chunk, Found, Order, Piece};
use super::reading::Reading;
use super::wave::Wave;
use crate::capture::Context;
use crate::decode::{Outcome, Pushed, Skip};
use crate::flow::Batch;
use crate::stamp::FrameId;

/// How often in a wave the chunks behind a changed context are read again all at once; after that,
/// each by itself, so that a capture full of changes costs no more than twice a serial walk.
const MAX_RESTARTS: usize = 2;

/// Up to where an input has been walked.
#[derive(Debug)]
pub(super) struct Position {
    /// Where the next record begins.
    pub(super) at: u64,
    pub(super) context: Context,
    /// Nothing more can be read.
    pub(super) broken: bool,
}

impl Reading<'_> {
    /// Makes every chunk of the wave hold exactly what a serial walk would have found.
    pub(super) fn verify(&mut self, wave: &mut Wave) {
        let mut restarts = 0;
        for index in 0..wave.len() {
            let rest = wave.chunks_mut().get_mut(index..);
            let Some((chunk, later)) = rest.and_then(<[_]>::split_first_mut) else { return };
            if !chunk.wholes.is_empty() {
                if let Some(taken) = self.take_over_wholes(chunk) {
                    let rest = wave.chunks_mut().get_mut(index..).unwrap_or_default();
                    return self.put_back(rest, taken);
                }
                continue;
            }
            let Some(input) = chunk.order.as_ref().map(|order| order.input) else { continue };
            if !self.has_entered(input) {
                self.enter(input);
            }
            let Some(lane) = self.lanes.iter_mut().find(|lane| lane.input == input) else {
                chunk.skip();
                continue;
            };
            let Some(order) = &mut chunk.order else { continue };
            let position = Position::of(&mut lane.position, order);
            if position.broken || position.at >= order.range.end {
                chunk.skip();
                continue;
            }
            let other_context = order.context != position.context;
            if other_context || chunk.found.start != Some(position.at) {
                order.start = Some(position.at);
                order.context.clone_from(&position.context);
                let context = position.context.clone();
                chunk.read(&self.buffers, self.look);
                let context = chunk.found.context.as_ref().unwrap_or(&context);
                let changed = other_context
                    || chunk.order.as_ref().is_some_and(|order| order.context != *context);
                if changed && restarts < MAX_RESTARTS {
                    restarts += 1;
                    self.read_again(later, input, context);
                }
            }
            self.take_over(chunk);
        }
    }

    /// Reads the later chunks of an input again, now that what stands before them is known.
    fn read_again(&self, later: &mut [Chunk], input: u32, context: &Context) {
        let of_input = later.iter_mut().filter_map(|chunk| {
            let order = chunk.order.as_mut().filter(|order| order.input == input)?;
            if order.context == *context {
                return None;
            }
            order.context.clone_from(context);
            Some(chunk)
        });
        let chunks: Vec<&mut Chunk> = of_input.collect();
        let (buffers, look) = (&self.buffers, self.look);
        chunks.into_par_iter().for_each(|chunk| chunk.read(buffers, look));
    }

    /// Accepts a chunk: the walk has come to its end.
    fn take_over(&mut self, chunk: &mut Chunk) {
        let Some(input) = chunk.order.as_ref().map(|order| order.input) else { return };
        let lane = self.lanes.iter_mut().find(|lane| lane.input == input);
        if let Some(position) = lane.and_then(|lane| lane.position.as_mut()) {
            position.at = chunk.found.end;
            if let Some(context) = chunk.found.context.take() {
                position.context = context;
            }
            position.broken = chunk.found.error.is_some();
        }
        let account = self.accounts.get_mut(input as usize);
        let path = account.as_ref().map(|account| account.input.path.clone());
        if let (Some(error), Some(path)) = (chunk.found.error.take(), path) {
            let (offset, reason) = (chunk.found.end, error.to_string());
            self.plan.refuse(Unreadable { path, offset, reason });
        }
        self.stamp((&mut chunk.batch, 0), &mut chunk.found, input);
    }

    /// Hands out frame numbers and the clock to a range, and adds what was found in it to its
    /// input's account.
    pub(super) fn stamp(
        &mut self,
        (batch, index): (&mut Batch, usize),
        found: &mut Found,
        input: u32,
    ) {
        let Some(account) = self.accounts.get(input as usize) else { return };
        let (group, clock) = (account.group, account.clock);
        let (watched_from, alone_until) = self.watch(input, clock);
        let Some(account) = self.accounts.get_mut(input as usize) else { return };
        let strip = batch.strip_mut(index);
        (strip.clock, strip.group) = (clock, group);
        (strip.watched_from, strip.alone_until) = (watched_from, alone_until);
        strip.first = FrameId::new(input, account.numbered + 1);
        strip.frames_before = account.base.saturating_add(account.numbered);
        self.frames += found.frames;
        account.clock = strip.clock_after();
        let segments = strip.segments();
        account.add(found, segments);
        self.joins.advance(input, account);
        for piece in std::mem::take(&mut found.pieces) {
            self.assemble(piece, input, (batch, index));
        }
        let most = self.options.waiting_segments;
        let lane = self.lanes.iter_mut().find(|lane| lane.input == input);
        let is_ordered = lane.is_some_and(|lane| lane.advance(batch, index, most));
        if let Some(account) = self.accounts.get_mut(input as usize) {
            account.input.tcp_segments += batch.strip(index).segments() - segments;
            account.is_ordered = is_ordered;
        }
    }

    fn assemble(&mut self, piece: Piece, input: u32, (batch, index): (&mut Batch, usize)) {
        let Piece { frame, latest, time, fragment } = piece;
        let id = batch.strip(index).first.plus(u64::from(frame));
        let (settings, decoded) = (&self.look.decode, &mut self.decoded);
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.input == input) else { return };
        let pushed = lane.reassembler.push(&fragment, time, id, settings, decoded);
        let Pushed::Complete(outcome) = pushed else { return };
        let skip = match outcome {
            Outcome::Segment => {
                decoded.segment.time = time;
                if !self.look.wants(|| decoded.tuple, decoded.vlan) {
                    if let Some(account) = self.accounts.get_mut(input as usize) {
                        account.input.left_out += 1;
                    }
                    return;
                }
                let (tuple, tunnel) = (decoded.tuple, &decoded.tunnel);
                let (segment, extras) = (&decoded.segment, &decoded.extras);
                return batch.insert((index, frame, latest), tuple, tunnel, segment, extras);
            }
            Outcome::Quote(_) => Skip::Icmp,
            Outcome::Fragment(_) => Skip::Fragment,
            Outcome::Skip(skip) => skip,
        };
        if let Some(account) = self.accounts.get_mut(input as usize) {
            account.skips.add(skip, 1);
        }
    }
}

impl Position {
    /// The position in the input of `order`, at its beginning if there is none yet.
    fn of<'a>(position: &'a mut Option<Self>, order: &Order) -> &'a mut Self {
        let beginning = || Self {
            at: order.start.unwrap_or(order.range.start),
            context: order.context.clone(),
            broken: false,
        };
        position.get_or_insert_with(beginning)
    }
}
