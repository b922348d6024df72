//! A few segments of a shard that are looked up together, and taken flow by flow.
//!
//! Segments of one flow come close together: of 1,000 in a row, each flow has seven. What a calm
//! connection expects changes nothing but that connection, so its segments need not wait for those
//! of other flows between them: they are taken in one go, while its state is at hand, up to the first
//! one that it does not expect. That one, like all others, is taken in its turn.

use std::ops::Range;

use super::Shard;
use crate::connection::Connection;
use crate::flow::batch::Batch;
use crate::flow::identity::Flow;
use crate::flow::packed::{Kind, Packed};
use crate::flow::strip::Strip;
use crate::flow::table::Slot;

/// Segments that are looked up together.
pub(super) const BLOCK: usize = 64;

/// Flows of a block that a segment is compared with, the latest ones.
const RECENT: usize = 4;

/// Where a segment's connection is.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) enum Likely {
    /// There, a moment ago.
    At(Slot),
    /// Nowhere: it has none.
    Nowhere,
    Unknown,
}

/// What is known of the flows of a block's segments.
pub(super) struct Ahead {
    slots: [Option<Slot>; BLOCK],
    /// Those whose flow has no connection, nor an earlier segment in the block.
    strangers: Places,
    /// Where in the block the next segment of the same flow is; 0 where none is known.
    next: [u8; BLOCK],
}

impl Ahead {
    /// Where the segment's connection was when the block was looked up.
    #[inline]
    pub(super) fn slot(&self, index: usize) -> Option<Slot> {
        self.slots.get(index).copied().flatten()
    }

    /// Where its connection is, as far as that is known when its turn has come.
    #[inline]
    pub(super) fn likely(&self, index: usize) -> Likely {
        match self.slot(index) {
            Some(slot) => Likely::At(slot),
            None if self.strangers.contains(index) => Likely::Nowhere,
            None => Likely::Unknown,
        }
    }

    /// The next segment of the same flow.
    #[inline]
    fn after(&self, index: usize) -> Option<usize> {
        let next = self.next.get(index).copied().map_or(0, usize::from);
        (next > index).then_some(next)
    }
}

/// A flow of a block, and where it was found.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// None of a wide flow, which is looked up in one go.
    hash: Option<u64>,
    slot: Option<Slot>,
    /// The flow's first segment in the block, as far as it is known to be of the flow.
    index: u8,
}

/// Flows without a connection, as bits that each shares with some others.
#[derive(Debug, Default)]
struct Strangers([u64; 4]);

impl Strangers {
    /// Adds one; says whether it cannot be there yet.
    #[inline]
    fn add(&mut self, packed: &Packed) -> bool {
        let [low, high, ports] = packed.flow;
        // The index of a wide flow is not always the same.
        let low = if packed.kind.contains(Kind::WIDE) { 0 } else { low };
        let mixed = (low ^ high.rotate_left(13) ^ ports).wrapping_mul(0x9e37_79b9) >> 24;
        let bit = 1_u64 << (mixed & 63);
        let Some(word) = self.0.get_mut((mixed >> 6) as usize) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// Places in a block, as bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places(u64);

impl Places {
    #[inline]
    pub(super) const fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 != 0
    }

    #[inline]
    const fn add(&mut self, index: usize) {
        const { assert!(BLOCK <= 64) }
        self.0 |= 1 << index;
    }

    /// Those from `index` on, in a block that begins there.
    pub(super) fn behind(self, index: usize) -> Self {
        let shift = u32::try_from(index).unwrap_or(u32::MAX);
        Self(self.0.checked_shr(shift).unwrap_or(0))
    }
}

impl Shard {
    /// Looks up where the flows of some segments are, and asks the memory for what will be needed of
    /// them: step by step for all of them, so that it comes while the core is at the next ones.
    ///
    /// Perf: `benches/whole.rs`; docs/performance.md has the figures.
    pub(super) fn look_ahead(&self, batch: &Batch, block: &[Packed]) -> Ahead {
        let evicted = self.next_to_be_evicted(block.len());
        evicted.clone().for_each(|index| self.embryos.prefetch(index));
        let mut ahead =
            Ahead { slots: [None; BLOCK], strangers: Places::default(), next: [0; BLOCK] };
        let mut looks = [Look::default(); BLOCK];
        // The segment with which each one's flow is looked up.
        let mut same = [0_u8; BLOCK];
        let count = self.find_flows((batch, block), &mut ahead.next, &mut looks, &mut same);
        let looks = looks.get_mut(..count).unwrap_or_default();
        for look in &mut *looks {
            look.slot = look.hash.and_then(|hash| self.table.candidate(hash));
            if let Some(slot) = look.slot {
                self.prefetch(slot);
            }
        }
        let mut seen = Strangers::default();
        let may_be_strangers = !self.may_speak_for_others(batch);
        for look in &mut *looks {
            let index = usize::from(look.index);
            let Some(packed) = block.get(index) else { continue };
            let flow = batch.flow_of(packed);
            let is_there = look.slot.is_some_and(|slot| self.is_at(slot, &flow));
            if !is_there && (look.slot.is_some() || look.hash.is_none()) {
                look.slot = self.slot_of(&flow);
            }
            match look.slot {
                None if may_be_strangers && seen.add(packed) => ahead.strangers.add(index),
                None => {}
                Some(slot) => {
                    if let Some(place) = ahead.slots.get_mut(index) {
                        *place = Some(slot);
                    }
                    if let Some(connection) = self.awake(slot) {
                        connection.prefetch();
                    }
                }
            }
        }
        for index in evicted {
            if let Some(embryo) = self.embryos.get(index) {
                self.table.prefetch_key(embryo.key());
            }
        }
        // What is behind a pointer only once the pointers are there.
        for connection in looks.iter().filter_map(|look| self.awake(look.slot?)) {
            connection.prefetch_behind();
        }
        for (index, first) in same.iter().take(block.len()).enumerate() {
            let slot = ahead.slot(usize::from(*first));
            if let Some(place) = ahead.slots.get_mut(index) {
                *place = slot;
            }
        }
        ahead
    }

    /// Finds out which of the segments are of one flow, and asks the memory for where each flow is to be
    /// found. Returns how many flows there are.
    #[inline]
    fn find_flows(
        &self,
        (batch, block): (&Batch, &[Packed]),
        next: &mut [u8; BLOCK],
        looks: &mut [Look; BLOCK],
        same: &mut [u8; BLOCK],
    ) -> usize {
        let mut count = 0;
        // The latest flows: where in the block each was seen last and first, and a number that is odd for
        // none.
        let (mut places, mut numbers) = ([(0_u8, 0_u8); RECENT], [1_u64; RECENT]);
        let mut turn = 0;
        for ((packed, first), index) in block.iter().zip(same).zip(0_u8..) {
            let number = packed.number() & !1;
            let is_last = |place: u8| {
                let before = block.get(usize::from(place));
                before.is_some_and(|before| batch.are_of_one_flow(before, packed))
            };
            let mut known = numbers.iter().zip(&mut places);
            let known = known.find(|(known, (last, _))| **known == number && is_last(*last));
            if let Some((_, (last, found))) = known {
                if let Some(next) = next.get_mut(usize::from(*last)) {
                    *next = index;
                }
                (*last, *first) = (index, *found);
                continue;
            }
            *first = index;
            let hash = match batch.flow_of(packed) {
                Flow::Narrow(key) => Some(self.table.prefetch(key)),
                Flow::Wide(..) => None,
            };
            if let Some(look) = looks.get_mut(count) {
                (*look, count) = (Look { hash, slot: None, index }, count + 1);
            }
            let entry = numbers.get_mut(turn).zip(places.get_mut(turn));
            if let Some((known, place)) = entry {
                (*known, *place) = (number, (index, index));
            }
            turn = (turn + 1) % RECENT;
        }
        count
    }

    /// The connection, if it has all its state at hand.
    #[inline]
    fn awake(&self, slot: Slot) -> Option<&Connection> {
        if slot.is_live() { self.live.at_hand(slot.index()) } else { None }
    }

    /// Asks the memory for what is at hand of a slot.
    #[inline]
    pub(super) fn prefetch(&self, slot: Slot) {
        if slot.is_live() {
            self.live.prefetch(slot.index());
        } else {
            self.embryos.prefetch(slot.index());
        }
    }

    /// The embryos that may have to leave for so many segments.
    fn next_to_be_evicted(&self, segments: usize) -> impl Iterator<Item = u32> + Clone {
        let is_near = self.embryos.len() + segments > self.limits.embryonic;
        let count = if is_near { segments } else { 0 };
        self.queue.iter().take(count).map(|(index, _)| *index)
    }

    /// Whether segments may be taken out of their order in a block: if no connection must leave in
    /// favour of another meanwhile, since which one does follows from that order; and if no flow
    /// speaks for another one, as those in tunnels may.
    pub(super) fn may_take_runs(&self, batch: &Batch) -> bool {
        // A segment may open one connection, and wake one.
        let fits = self.live.weight() + 2 * BLOCK < self.limits.connections;
        fits && !self.may_speak_for_others(batch)
    }

    /// Whether a segment may belong to, or open, the connection of another flow than its own: in
    /// tunnels.
    fn may_speak_for_others(&self, batch: &Batch) -> bool {
        batch.has_tunnels() || self.table.has_tunnels() || !self.halves.is_empty()
    }

    /// Hands the first segment in `range` to its connection, if that is where it was, and expects
    /// such a segment; and those of the same flow that follow in the range, up to one that it does
    /// not expect. It has no deadline, before or after. Says whether any was taken.
    #[inline]
    pub(super) fn take_run(
        &mut self,
        (batch, strip): (&Batch, &Strip),
        (block, ahead): (&[Packed], &Ahead),
        range: Range<usize>,
        taken: &mut Places,
    ) -> bool {
        let (Some(slot), Some(first)) = (ahead.slot(range.start), block.get(range.start)) else {
            return false;
        };
        if !slot.is_live() {
            return false;
        }
        let Some((live, connection)) = self.live.at_hand_mut(slot.index()) else { return false };
        if !self.table.is_of(live.key, &batch.flow_of(first)) {
            return false;
        }
        let mut index = range.start;
        while let Some(packed) = block.get(index).filter(|packed| packed.is_ordinary()) {
            let forward = packed.kind.contains(Kind::FORWARD);
            let segment = packed.segment(strip.first);
            if !connection.observe_expected(forward, &segment) {
                break;
            }
            taken.add(index);
            match ahead.after(index).filter(|next| *next < range.end) {
                Some(next) => index = next,
                None => break,
            }
        }
        let is_any = taken.contains(range.start);
        live.touched |= is_any;
        is_any
    }
}
