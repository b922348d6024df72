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
use crate::flow::embryo::Embryo;
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
    /// Looks up where the flows of some segments are, and touches what will be needed of them, so
    /// that the core waits for its memory once for all of them and not once for each.
    ///
    /// Perf: `benches/whole.rs`; docs/performance.md has the figures.
    pub(super) fn look_ahead(&self, batch: &Batch, block: &[Packed]) -> Ahead {
        let strangers = Places::default();
        let mut ahead = Ahead { slots: [None; BLOCK], strangers, next: [0; BLOCK] };
        let mut seen = Strangers::default();
        // Connections of the block, and how many.
        let (mut firsts, mut count) = ([0_u32; BLOCK], 0);
        // The latest flows: where in the block each was seen last, and a number that is odd for none.
        let (mut places, mut numbers) = ([0_u8; RECENT], [1_u64; RECENT]);
        let mut turn = 0;
        let may_be_strangers = !self.may_speak_for_others(batch);
        for (packed, index) in block.iter().zip(0_u8..) {
            let number = packed.number() & !1;
            let is_last = |place: u8| {
                let before = block.get(usize::from(place));
                before.is_some_and(|before| batch.are_of_one_flow(before, packed))
            };
            let mut known = numbers.iter().zip(&mut places);
            let known = known.find(|(known, place)| **known == number && is_last(**place));
            let slot = if let Some((_, place)) = known {
                let before = std::mem::replace(place, index);
                if let Some(next) = ahead.next.get_mut(usize::from(before)) {
                    *next = index;
                }
                ahead.slot(usize::from(before))
            } else {
                let slot = self.slot_of(&batch.flow_of(packed));
                if slot.is_none() && may_be_strangers && seen.add(packed) {
                    ahead.strangers.add(usize::from(index));
                }
                if let Some(slot) = slot.filter(|slot| slot.is_live())
                    && let Some(first) = firsts.get_mut(count)
                {
                    (*first, count) = (slot.index(), count + 1);
                }
                let entry = numbers.get_mut(turn).zip(places.get_mut(turn));
                if let Some((known, place)) = entry {
                    (*known, *place) = (number, index);
                }
                turn = (turn + 1) % RECENT;
                slot
            };
            if let Some(place) = ahead.slots.get_mut(usize::from(index)) {
                *place = slot;
            }
        }
        self.touch(firsts.get(..count).unwrap_or_default(), block.len());
        ahead
    }

    fn touch(&self, firsts: &[u32], segments: usize) {
        let mut touched = 0;
        // What is behind a pointer only once the pointers are there.
        for touch in [Connection::touch, Connection::touch_behind] {
            for index in firsts {
                touched ^= self.live.at_hand(*index).map_or(0, touch);
            }
        }
        if self.embryos.len() + segments > self.limits.embryonic {
            // These are the next ones to be evicted.
            for (index, _) in self.queue.iter().take(segments) {
                let key = self.embryos.get(*index).map(Embryo::key);
                let found = key.is_some_and(|key| self.table.touch(key, Slot::embryo(*index)));
                touched ^= i64::from(found);
            }
        }
        std::hint::black_box(touched);
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
