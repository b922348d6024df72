//! Connections of which each direction travels in a tunnel of its own, or only one in a tunnel.
//!
//! The tunnel is part of a flow's identity, so that tenants with the same addresses do not mix. But
//! some networks send the two directions of a connection through different ones: direct server
//! return, virtual networks or mirror sessions with an identifier for each direction. Such a half is
//! joined to the other if that is the only one which fits: of the same addresses and ports, with
//! nothing seen of the half's sender, and with sequence and acknowledgment numbers that agree.
//! Everything else stays apart. Bounded: the latest joins are remembered.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::arrival::Arrival;
use super::identity::Flow;
use super::observer::Observer;
use super::shard::{Likely, Shard};
use super::table::Slot;
use crate::connection::Connection;
use crate::settings::Settings;
use crate::tcp::{FourTuple, TunnelLayer};

/// Halves that a shard remembers to which flow they belong; the oldest leaves first.
const MAX_HALVES: usize = 1_024;

/// Which flows are halves, and of which ones.
#[derive(Debug)]
pub(super) struct Halves {
    hasher: RandomState,
    known: HashTable<Half>,
    queue: VecDeque<(u64, u64)>,
    next_number: u64,
}

#[derive(Debug)]
struct Half {
    hash: u64,
    number: u64,
    tuple: FourTuple,
    tunnel: Box<[TunnelLayer]>,
    /// The tunnel of the flow to which it belongs, whose tuple is the same.
    home: Box<[TunnelLayer]>,
}

impl Halves {
    pub(super) const fn new(hasher: RandomState) -> Self {
        Self { hasher, known: HashTable::new(), queue: VecDeque::new(), next_number: 0 }
    }

    /// No flow is known to be a half.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn hash(&self, flow: Flow<'_>) -> u64 {
        self.hasher.hash_one((flow.tuple(), flow.tunnel()))
    }

    /// The tunnel of the flow that this one is a half of.
    fn home_of(&self, flow: Flow<'_>) -> Option<&[TunnelLayer]> {
        if self.known.is_empty() {
            return None;
        }
        let (tuple, tunnel) = (flow.tuple(), flow.tunnel());
        let is_it = |half: &Half| half.tuple == tuple && *half.tunnel == *tunnel;
        self.known.find(self.hash(flow), is_it).map(|half| &*half.home)
    }

    fn remember(&mut self, flow: Flow<'_>, home: &[TunnelLayer]) {
        self.forget(flow);
        if self.queue.len() >= MAX_HALVES
            && let Some((hash, number)) = self.queue.pop_front()
            && let Ok(oldest) = self.known.find_entry(hash, |half| half.number == number)
        {
            oldest.remove();
        }
        let (hash, number) = (self.hash(flow), self.next_number);
        self.next_number += 1;
        let (tuple, tunnel) = (flow.tuple(), flow.tunnel().into());
        let half = Half { hash, number, tuple, tunnel, home: home.into() };
        self.known.insert_unique(hash, half, |half| half.hash);
        self.queue.push_back((hash, number));
    }

    fn forget(&mut self, flow: Flow<'_>) {
        let (tuple, tunnel) = (flow.tuple(), flow.tunnel());
        let is_it = |half: &Half| half.tuple == tuple && *half.tunnel == *tunnel;
        if let Ok(found) = self.known.find_entry(self.hash(flow), is_it) {
            found.remove();
        }
    }
}

impl Shard {
    /// Whether a segment of an unknown flow may be the first one of such a half.
    #[inline]
    pub(super) fn may_be_half(&self, arrival: &Arrival<'_>) -> bool {
        arrival.segment.flags.ack()
            && (self.table.has_tunnels() || !arrival.flow.tunnel().is_empty())
    }

    /// Hands a segment of a half to the connection that lacked it; false if there is none.
    #[cold]
    pub(super) fn place_half(
        &mut self,
        arrival: &Arrival<'_>,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> bool {
        let Some((slot, home)) = self.other_half(arrival, settings) else { return false };
        let live = if slot.is_live() {
            Some(slot.index())
        } else {
            self.grow(slot.index(), arrival.clock, settings, emit)
        };
        if let Some((_, connection)) = live.and_then(|index| self.live.wake(index)) {
            connection.returns_in(arrival.flow.tunnel());
        }
        let flow = arrival.flow.in_tunnel(&home);
        let arrival = Arrival { flow, ..*arrival };
        self.place(&arrival, Likely::Unknown, settings, emit);
        true
    }

    /// The slot and the tunnel of the connection that a segment of an unknown flow is the other half
    /// of.
    fn other_half(
        &mut self,
        arrival: &Arrival<'_>,
        settings: &Settings,
    ) -> Option<(Slot, Box<[TunnelLayer]>)> {
        let flow = arrival.flow;
        if let Some(home) = self.halves.home_of(flow) {
            let home: Box<[TunnelLayer]> = home.into();
            if let Some(slot) = self.slot_of(&flow.in_tunnel(&home)) {
                return Some((slot, home));
            }
            self.halves.forget(flow);
        }
        let bare = flow.without_tunnel();
        let outside = if flow.tunnel().is_empty() { None } else { self.slot_of(&bare) };
        let outside = outside.map(|slot| (slot, &[][..]));
        let inside = self.table.in_tunnels(flow.tuple());
        let mut fitting = outside
            .into_iter()
            .chain(inside)
            .filter(|(_, tunnel)| *tunnel != flow.tunnel())
            .filter(|(slot, _)| self.lacks(*slot, arrival, settings));
        let (slot, home) = fitting.next().map(|(slot, home)| (slot, Box::<[_]>::from(home)))?;
        if fitting.next().is_some() {
            return None;
        }
        self.halves.remember(flow, &home);
        Some((slot, home))
    }

    /// Whether the connection at a slot lacks what the segment begins.
    fn lacks(&self, slot: Slot, arrival: &Arrival<'_>, settings: &Settings) -> bool {
        let Arrival { forward, segment, .. } = arrival;
        let lacks = |connection: &Connection| connection.lacks(*forward, segment);
        if slot.is_live() {
            return self.live.look(slot.index(), lacks).unwrap_or_default();
        }
        // Its name does not matter here.
        let replayed = self
            .origin(slot.index())
            .and_then(|(_, flow)| self.embryos.replay(slot.index(), 0, flow, settings));
        replayed.is_some_and(|(connection, _)| lacks(&connection))
    }
}
