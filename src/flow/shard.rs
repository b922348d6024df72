//! The live connections of a shard's flows, and when they leave.
//!
//! A connection is over when the capture clock has passed its deadline. It leaves when a new one
//! takes over its flow, when too many are over, when a limit is reached, or at the end: until then a
//! straggler still finds it, however late. All of this follows from the shard's own
//! segments and the clock they carry, and from nothing else: not from where a batch ends. A
//! deadline that lies before the clock is honoured before the next segment is looked at, so the
//! order in which records leave is the same however the capture was cut.

mod block;
mod ending;
mod leaving;
mod opening;
mod portion;
mod timer;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::num::NonZeroU64;

use foldhash::fast::RandomState;

use super::arrival::Arrival;
use super::batch::Batch;
use super::embryo::{Embryo, Embryos};
use super::halves::Halves;
use super::identity::Flow;
use super::limits::Limits;
use super::lives::Lives;
use super::observer::{Ending, LATER, Moment, Observer};
use super::packed::{Kind, Packed};
use super::sightings::Sightings;
use super::strip::Strip;
use super::table::{Key, Slot, Table};
use crate::connection::Mark;
use crate::near;
use crate::settings::Settings;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::Extras;
pub(super) use block::Likely;
use block::{BLOCK, Places};
use leaving::Leave;
pub use portion::Portion;
use timer::{Timer, arm};

/// The connections of one shard's flows.
#[derive(Debug)]
pub struct Shard {
    index: usize,
    limits: Limits,
    pub(super) table: Table,
    pub(super) embryos: Embryos,
    /// Embryos in the order in which they began, each with half of its frame's number; those that
    /// have gone are still in it.
    queue: VecDeque<(u32, u32)>,
    pub(super) live: Lives,
    /// Connections to try for eviction, in this order.
    candidates: VecDeque<(u32, u64)>,
    timers: BinaryHeap<Reverse<Timer>>,
    /// Connections that are over, each with its ticket, in the order of their deadlines; those to
    /// which a straggler came are still in it.
    over: VecDeque<(u32, NonZeroU64)>,
    /// How many connections are over.
    pub(super) over_count: usize,
    next_ticket: NonZeroU64,
    sightings: Sightings,
    pub(super) halves: Halves,
    /// How many may be awake before closed ones sleep.
    closed_awake: usize,
    /// What is left to be let go of at the end, once that has begun.
    ending: Option<Vec<Slot>>,
    /// What lets go of connections now, see [`Moment`].
    pub(super) cause: u64,
}

/// An open connection that was silent for so long may be put to sleep.
const SILENT: Span = Span::from_secs(10);

/// Places that are looked at for silent connections with each new connection.
const LOOKED_AT: usize = 2;

impl Shard {
    /// An empty shard. `index` is its number, `limits` its own share; `hasher` is keyed once a run.
    #[must_use]
    pub fn new(index: usize, limits: Limits, hasher: RandomState) -> Self {
        Self {
            index,
            limits,
            table: Table::new(hasher.clone()),
            embryos: Embryos::new(),
            queue: VecDeque::new(),
            live: Lives::new(),
            candidates: VecDeque::new(),
            timers: BinaryHeap::new(),
            over: VecDeque::new(),
            over_count: 0,
            next_ticket: NonZeroU64::MIN,
            sightings: Sightings::new(hasher.clone()),
            halves: Halves::new(hasher),
            closed_awake: limits.closed_awake,
            ending: None,
            cause: 0,
        }
    }

    /// Takes in the shard's segments of a batch. Batches come in the order of the capture.
    pub fn take(&mut self, batch: &Batch, settings: &Settings, emit: &mut impl Observer) {
        let mut all = Portion::of(0..batch.waiting(self.index));
        while self.take_some(batch, &mut all, settings, emit).is_some() {}
    }

    /// Takes in what is left of a portion of the shard's segments of a batch, but stops once the observer
    /// is full; not before it has done something, see [`Shard::expire_some`]. Returns the moment up to which
    /// it has come then: nothing leaves before that any more.
    pub fn take_some<O: Observer>(
        &mut self,
        batch: &Batch,
        portion: &mut Portion,
        settings: &Settings,
        emit: &mut O,
    ) -> Option<Moment> {
        let bucket = batch.bucket(self.index).get(portion.places.clone()).unwrap_or_default();
        let mut strips = batch.strips_of(self.index)?;
        let (mut place, mut end) = (portion.places.start, portion.places.start);
        let (mut from, mut watched) = ((batch, batch.strip(0)), false);
        let mut taken = portion.taken;
        for block in bucket.chunks(BLOCK) {
            let ahead = self.look_ahead(batch, block);
            let (first, runs) = (place, self.may_take_runs(batch));
            for (index, packed) in block.iter().enumerate() {
                near::element(block, index + BLOCK);
                if place >= end {
                    let (strip, until) = strips.at(place);
                    (from, end, watched) = ((batch, strip), until, strip.is_watched());
                }
                place += 1;
                if taken.contains(index) {
                    if watched {
                        let is_repeated = self.sightings.is_repeated_in(from, packed);
                        debug_assert!(!is_repeated, "taken ahead, where an input is alone");
                    }
                    continue;
                }
                let clock = batch.clock_at(from.1, packed);
                if let Some(reached) = self.expire_before(clock, settings, emit) {
                    portion.stop_before(place - 1, taken.behind(index));
                    return Some(reached);
                }
                if packed.kind.contains(Kind::QUOTE) {
                    self.quote(from, packed, settings, emit);
                    continue;
                }
                if watched && self.sightings.is_repeated_in(from, packed) {
                    continue;
                }
                if !O::SEGMENTS {
                    let is_ahead = runs && (!watched || from.1.is_alone());
                    let until = if is_ahead { end - first } else { index + 1 };
                    if self.take_run(from, (block, &ahead), index..until, &mut taken) {
                        continue;
                    }
                }
                let likely = ahead.likely(index);
                self.arrive(from, (packed, likely), settings, emit);
                if emit.is_full() {
                    portion.stop_before(place, taken.behind(index + 1));
                    return Some((clock, self.cause + 1));
                }
            }
            taken = Places::default();
        }
        None
    }

    /// Ends what is over before `clock`, in front of a segment; if the observer is full before all of it
    /// is, the moment up to which it has come.
    #[inline]
    fn expire_before(
        &mut self,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> Option<Moment> {
        if self.timers.peek().is_none_or(|Reverse(timer)| timer.at >= clock) {
            return None;
        }
        self.expire_some(clock, settings, emit)
    }

    /// Takes in a segment that is none of those which a calm connection expects.
    ///
    /// Perf: apart, so that it is put together in one piece out of where it lies. What is copied right
    /// after it was written, in smaller pieces, makes the core wait until all that was written before
    /// has left it; in a flood most of that is not in its cache.
    #[inline(never)]
    fn arrive(
        &mut self,
        from: (&Batch, &Strip),
        (packed, likely): (&Packed, Likely),
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        let mut options = Extras::NONE;
        let extras = from.0.extras_of(self.index, packed, &mut options);
        let arrival = Arrival::new(from, packed, extras);
        self.cause = arrival.id;
        self.place(&arrival, likely, settings, emit);
    }

    /// Its number.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Segments that another input of the group had shown already, by input.
    #[must_use]
    pub const fn seen_elsewhere(&self) -> &BTreeMap<u32, u64> {
        self.sightings.repeated()
    }

    /// Ends every connection whose deadline lies before `clock`.
    pub fn expire(&mut self, clock: Time, settings: &Settings, emit: &mut impl Observer) {
        while self.next_rings(clock, settings, emit) {}
    }

    /// The same, but stops once the observer is full; not before it has done something: what fills the
    /// observer may be of that very moment, and is handed on only when all shards are beyond it. Returns
    /// the moment up to which it has come if that is not all: nothing leaves before that any more.
    pub fn expire_some(
        &mut self,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> Option<Moment> {
        while self.next_rings(clock, settings, emit) {
            let next = self.timers.peek().filter(|Reverse(timer)| timer.at < clock);
            if let Some(Reverse(timer)) = next.filter(|_| emit.is_full()) {
                return Some((timer.at, LATER | timer.id));
            }
        }
        None
    }

    /// Lets the next timer ring if that lies before `clock`.
    fn next_rings(&mut self, clock: Time, settings: &Settings, emit: &mut impl Observer) -> bool {
        let Some(Reverse(timer)) = self.timers.peek().copied().filter(|it| it.0.at < clock) else {
            return false;
        };
        self.timers.pop();
        self.cause = LATER | timer.id;
        self.ring(timer, settings, emit);
        self.prefetch_timers();
        true
    }

    /// Asks the memory for what the next timers are about.
    fn prefetch_timers(&self) {
        // One of the two behind the next one comes after it, if no other is set before.
        for Reverse(timer) in self.timers.as_slice().iter().take(3) {
            self.live.prefetch(timer.slot);
        }
        if let Some(Reverse(timer)) = self.timers.peek() {
            self.live.prefetch_body(timer.slot);
        }
    }

    /// Decides how many may be awake before closed ones sleep, now that `read` of `all` bytes were read:
    /// if there will be few connections, none needs to; else the fewer, the more there will be. `all` is
    /// none where that is not known.
    pub fn foresee(&mut self, read: u64, all: Option<u64>) {
        let (so_far, few) = (self.live.len() as u64, self.limits.awake as u64 / 2);
        let at_the_end = all.map_or(u64::MAX, |all| so_far.saturating_mul(all) / read.max(1));
        let beyond = at_the_end.saturating_sub(few);
        // Perf: whole runs, snaplen 96. What sleeps, and what is added up of it, takes its share of the
        // room for those that are awake.
        let left = usize::try_from(few.saturating_sub(beyond.saturating_mul(2))).unwrap_or(0);
        let left = if beyond == 0 { self.limits.awake } else { left };
        self.closed_awake = left.max(self.limits.closed_awake);
    }

    /// When the next timer rings.
    #[cfg(test)]
    pub(super) fn next_timer(&self) -> Option<Time> {
        self.timers.peek().map(|Reverse(timer)| timer.at)
    }

    /// How many connections are remembered now.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live.len() + self.embryos.len()
    }

    /// No connection is remembered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands a segment to its connection.
    pub(super) fn place(
        &mut self,
        arrival: &Arrival<'_>,
        likely: Likely,
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        let slot = match likely {
            Likely::At(slot) if self.is_at(slot, &arrival.flow) => Some(slot),
            Likely::At(_) | Likely::Unknown => self.slot_of(&arrival.flow),
            // Perf: a flood's SYNs are looked up once.
            Likely::Nowhere => None,
        };
        let Some(mut slot) = slot else {
            if !(self.may_be_half(arrival) && self.place_half(arrival, settings, emit)) {
                self.open(arrival, None, settings, emit);
            }
            return;
        };
        if !slot.is_live() {
            let Arrival { forward, segment, extras, clock, .. } = arrival;
            if self.embryos.extend(slot.index(), *forward, segment, extras, *clock) {
                return self.tell_embryo(slot.index(), arrival, settings, emit);
            }
            let Some(grown) = self.grow(slot.index(), arrival.clock, settings, emit) else {
                return;
            };
            slot = Slot::live(grown);
        }
        let index = slot.index();
        let Some((live, connection)) = self.live.wake(index) else { return };
        // Perf: nothing that is large is copied, see [`Shard::arrive`].
        let Arrival { forward, ref segment, extras, clock, .. } = *arrival;
        let begins = segment.flags.syn() || segment.flags.rst();
        if !(begins && connection.is_replaced_by(forward, segment)) {
            let effects = connection.observe(forward, segment, extras, settings);
            arrival.tell((connection, effects), settings, emit);
            live.touched = true;
            if live.ticket.take().is_some() {
                self.over_count -= 1;
            }
            return arm(&mut self.timers, index, (live, connection), (clock, segment.time));
        }
        let stray = connection.take_stray_syn(forward, segment);
        let by = Some(Mark::of(stray.as_ref().map_or(segment, |(_, first, _)| first)));
        let leave = Leave { at: clock, ending: Ending::Replaced, by };
        let before = self.finish_live(index, leave, settings, emit);
        let Some((towards, first, options)) = stray else {
            return self.open(arrival, before, settings, emit);
        };
        let id = emit.name(first.frame);
        let stray = Arrival {
            id,
            forward: towards,
            segment: first,
            extras: &options,
            options: None,
            ..*arrival
        };
        let Some((index, _)) = self.begin(&stray, before, settings, emit) else { return };
        if let Some((_, connection)) = self.live.wake(index) {
            let effects = connection.observe(forward, segment, extras, settings);
            arrival.tell((connection, effects), settings, emit);
        }
        self.arm(index, clock, segment.time);
    }

    /// Where the flow's connection is.
    #[inline]
    pub(super) fn slot_of(&self, flow: &Flow<'_>) -> Option<Slot> {
        match flow {
            Flow::Narrow(key) => self.slot_of_narrow(*key),
            Flow::Wide(..) => self.table.find(flow, |slot| self.key_of(slot)),
        }
    }

    /// The same for a narrow flow.
    #[inline]
    fn slot_of_narrow(&self, key: [u32; 3]) -> Option<Slot> {
        self.table.find_narrow(key, |slot| self.key_of(slot))
    }

    #[inline]
    fn is_at(&self, slot: Slot, flow: &Flow<'_>) -> bool {
        self.key_of(slot).is_some_and(|key| self.table.is_of(key, flow))
    }

    #[inline]
    fn key_of(&self, slot: Slot) -> Option<Key> {
        key_of(&self.embryos, &self.live, slot)
    }

    /// Sets a connection's timer anew, see [`arm`].
    pub(super) fn arm(&mut self, index: u32, clock: Time, time: Time) {
        if let Some((live, connection)) = self.live.wake(index) {
            arm(&mut self.timers, index, (live, connection), (clock, time));
        }
    }
}

/// Whose slot it is.
#[inline]
fn key_of(embryos: &Embryos, live: &Lives, slot: Slot) -> Option<Key> {
    if slot.is_live() {
        live.get(slot.index()).map(|live| live.key)
    } else {
        embryos.get(slot.index()).map(Embryo::key)
    }
}

/// Enough of a frame's number to tell an embryo from a later one at its place; taking one for the
/// other would only evict it early.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn half(frame: FrameId) -> u32 {
    frame.number() as u32
}

/// Appends to a queue whose outdated entries stay in it: drops those at its front, and all of them
/// when they are the larger part.
fn remember<T: Copy>(
    queue: &mut VecDeque<(u32, T)>,
    entry: (u32, T),
    alive: usize,
    is_alive: impl Fn((u32, T)) -> bool,
) {
    while queue.front().is_some_and(|front| !is_alive(*front)) {
        queue.pop_front();
    }
    if queue.len() > 2 * alive + 1024 {
        queue.retain(|entry| is_alive(*entry));
    }
    queue.push_back(entry);
}
