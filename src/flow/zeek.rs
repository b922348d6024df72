//! The connections of a shard's flows as Zeek would cut them, for its conn.log.
//!
//! Zeek begins a new connection with a SYN that does not fit the old one, and, unless its timers are
//! set to a day, forgets connections that were closed, idle or never answered. None of this is what
//! [`Shard`](super::Shard) does, so it is followed beside it, and only when asked for. Nor do tunnels
//! count: Zeek takes a tuple for the same flow inside and outside of them. What several inputs saw
//! counts once, as if the copies had been taken out before Zeek read them. A connection whose time is
//! over leaves before the next segment is looked at, in the order of those times, so that rows come
//! in the same order however the capture was cut.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::arrival::Arrival;
use super::batch::Batch;
use super::deal::SHARDS;
use super::packed::Kind;
use super::sightings::Sightings;
use super::slab::Slab;
use super::table::{Key, Slot, Table};
use crate::compat::zeek::{Columns, Lifetime, Timers, Tracker};
use crate::stamp::{FrameId, Time};
use crate::tcp::{Extras, FourTuple, TunnelLayer};

/// How Zeek cuts flows and finds out who is who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeekRules {
    /// When it forgets a connection.
    pub timers: Timers,
    /// It knows which ports are likely to be servers', as its default scripts do.
    pub likely_servers: bool,
}

impl Default for ZeekRules {
    /// Nothing but a SYN begins a new connection, and the roles are as seen.
    fn default() -> Self {
        Self { timers: Timers::ONE_DAY, likely_servers: false }
    }
}

/// A row of conn.log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeekRow {
    /// The first frame's position in the run, counted from 1 over all inputs.
    pub id: u64,
    /// The first frame.
    pub first_frame: FrameId,
    /// From the originator to the responder.
    pub tuple: FourTuple,
    /// Encapsulation of the first segment, outermost first.
    pub tunnel: Vec<TunnelLayer>,
    /// What Zeek says of it.
    pub columns: Columns,
    /// The capture clock when it left; never goes back from one row of a shard to the next.
    pub at: Time,
    /// It left early for want of room.
    pub is_evicted: bool,
}

/// The connections of one shard's flows.
#[derive(Debug)]
pub struct ZeekShard {
    index: usize,
    rules: ZeekRules,
    limit: usize,
    sightings: Sightings,
    table: Table,
    live: Slab<Live>,
    timers: BinaryHeap<Reverse<Timer>>,
}

#[derive(Debug)]
struct Live {
    tracker: Tracker,
    lifetime: Lifetime,
    id: u64,
    first_frame: FrameId,
    /// Around the first segment.
    tunnel: Box<[TunnelLayer]>,
    key: Key,
    /// The earliest timer that is set for it.
    armed: Time,
}

/// Orders by time, then by the connection's age; outdated ones are told by their id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    at: Time,
    id: u64,
    slot: u32,
}

impl ZeekShard {
    /// Connections that all shards together remember at once: about 250 MB.
    pub const MAX_CONNECTIONS: usize = 1 << 19;

    /// An empty shard. `index` is its number; `hasher` is keyed once a run.
    #[must_use]
    pub fn new(index: usize, rules: ZeekRules, hasher: RandomState) -> Self {
        Self {
            index,
            rules,
            limit: Self::MAX_CONNECTIONS / SHARDS,
            sightings: Sightings::new(hasher.clone()),
            table: Table::new(hasher),
            live: Slab::new(),
            timers: BinaryHeap::new(),
        }
    }

    /// Takes in those of the shard's segments of a batch that stand at `part`. Batches come in the
    /// order of the capture.
    pub fn take(&mut self, batch: &Batch, part: Range<usize>, emit: &mut impl FnMut(ZeekRow)) {
        let segments = batch.bucket(self.index).get(part.clone()).unwrap_or_default();
        let Some(mut strips) = batch.strips_of(self.index) else { return };
        let (mut strip, mut end) = strips.at(part.start);
        let mut options = Extras::NONE;
        for (place, packed) in (part.start..).zip(segments) {
            if place >= end {
                (strip, end) = strips.at(place);
            }
            if packed.kind.contains(Kind::QUOTE) {
                continue;
            }
            let extras = batch.extras_of(self.index, packed, &mut options);
            let from = (batch, strip);
            if strip.is_watched() && self.sightings.is_repeated_in(from, packed) {
                continue;
            }
            let arrival = Arrival::new(from, packed, extras);
            self.expire(arrival.clock, emit);
            self.place(&arrival, emit);
        }
    }

    /// Lets go of every connection whose time is over at `clock`.
    pub fn expire(&mut self, clock: Time, emit: &mut impl FnMut(ZeekRow)) {
        while let Some(Reverse(timer)) = self.timers.peek().copied()
            && timer.at <= clock
        {
            self.timers.pop();
            if let Some(due) = self.ring(timer) {
                self.finish(timer.slot, due, false, emit);
            }
        }
    }

    /// Lets go of everything at the capture's end, in the order in which the connections began.
    pub fn end(&mut self, clock: Time, emit: &mut impl FnMut(ZeekRow)) {
        self.expire(clock, emit);
        let mut all: Vec<_> = self.live.iter().map(|(index, live)| (live.id, index)).collect();
        all.sort_unstable();
        for (_, index) in all {
            self.finish(index, clock, false, emit);
        }
        self.timers.clear();
    }

    fn place(&mut self, arrival: &Arrival<'_>, emit: &mut impl FnMut(ZeekRow)) {
        let Arrival { flow, forward, ref segment, clock, .. } = *arrival;
        let key_of = |slot: Slot| self.live.get(slot.index()).map(|live| live.key);
        let mut found = self.table.find(&flow.without_tunnel(), key_of).map(Slot::index);
        if let Some(index) = found
            && self.live.get(index).is_some_and(|live| live.tracker.is_replaced_by(segment))
        {
            self.finish(index, clock, false, emit);
            found = None;
        }
        let index = found.unwrap_or_else(|| self.begin(arrival, emit));
        let Some(live) = self.live.get_mut(index) else { return };
        let effects = live.tracker.observe(forward, segment);
        live.lifetime.observe(self.rules.timers, effects, &live.tracker);
        // A late segment may have brought a time that is over already.
        let due = live.lifetime.due(self.rules.timers, &live.tracker).max(clock);
        if due < live.armed {
            live.armed = due;
            self.timers.push(Reverse(Timer { at: due, id: live.id, slot: index }));
        }
    }

    fn begin(&mut self, arrival: &Arrival<'_>, emit: &mut impl FnMut(ZeekRow)) -> u32 {
        let Arrival { id, flow, forward, ref segment, clock, .. } = *arrival;
        self.make_room(clock, emit);
        let key = self.table.claim(&flow.without_tunnel());
        let mut tracker = Tracker::new(forward, segment);
        if self.rules.likely_servers {
            let canonical = flow.tuple();
            let tuple = if forward { canonical } else { canonical.reversed() };
            tracker = tracker.with_likely_servers(&tuple, segment);
        }
        let lifetime = Lifetime::new(self.rules.timers, clock);
        let first_frame = segment.frame;
        let tunnel = flow.tunnel().into();
        let live = Live { tracker, lifetime, id, first_frame, tunnel, key, armed: Time::MAX };
        let index = self.live.insert(live);
        let Self { table, live, .. } = self;
        let key_of = |slot: Slot| live.get(slot.index()).map(|live| live.key);
        table.bind(key, Slot::live(index), key_of);
        self.drop_outdated_timers();
        index
    }

    /// Connections that a SYN ended leave their timers behind.
    fn drop_outdated_timers(&mut self) {
        if self.timers.len() > 2 * self.live.len() + 1024 {
            let live = &self.live;
            self.timers.retain(|Reverse(timer)| {
                live.get(timer.slot).is_some_and(|live| live.id == timer.id)
            });
        }
    }

    /// Whether the connection's time is over; where it is not yet, the timer is set anew.
    fn ring(&mut self, timer: Timer) -> Option<Time> {
        let live = self.live.get_mut(timer.slot).filter(|live| live.id == timer.id)?;
        if live.armed != timer.at {
            return None;
        }
        let due = live.lifetime.due(self.rules.timers, &live.tracker);
        if due <= timer.at {
            return Some(timer.at);
        }
        live.armed = due;
        self.timers.push(Reverse(Timer { at: due, ..timer }));
        None
    }

    /// Makes sure that one more connection fits: lets go of those whose time comes first.
    fn make_room(&mut self, clock: Time, emit: &mut impl FnMut(ZeekRow)) {
        while self.live.len() >= self.limit.max(1) {
            let Some(Reverse(timer)) = self.timers.pop() else { return };
            if self.ring(timer).is_some() {
                self.finish(timer.slot, clock, true, emit);
            }
        }
    }

    fn finish(&mut self, index: u32, at: Time, is_evicted: bool, emit: &mut impl FnMut(ZeekRow)) {
        let Some(live) = self.live.remove(index) else { return };
        let Some((canonical, _)) = self.table.flow(live.key) else { return };
        self.table.remove(live.key, Slot::live(index));
        let columns = live.tracker.columns();
        let tuple = if columns.originator_is_forward { canonical } else { canonical.reversed() };
        let Live { id, first_frame, tunnel, .. } = live;
        let tunnel = tunnel.into_vec();
        emit(ZeekRow { id, first_frame, tuple, tunnel, columns, at, is_evicted });
    }
}
