//! How a shard lets go of what it still remembers when the capture has ended.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Shard;
use super::leaving::Leave;
use crate::flow::observer::{Ending, LATER, Moment, Observer};
use crate::flow::table::Slot;
use crate::settings::Settings;
use crate::stamp::Time;

/// Connections that a shard lets go of at a stretch when the capture has ended. What fell asleep at
/// the same time lies close together, whichever shard it is of: where all shards let go of it at about
/// the same time, its memory can be used again.
const SOME: usize = 64;

impl Shard {
    /// Lets go of what is left at the capture's end, in the order in which the connections began, but
    /// of no more than some, and only until the observer is full: to be called again until it returns
    /// none, else the moment at which the next connection leaves. Everything must have expired before.
    pub fn end_some(
        &mut self,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> Option<Moment> {
        let mut rest = self.ending.take().unwrap_or_else(|| self.begin_to_end(emit));
        let mut left = 0;
        while let Some(slot) = rest.pop() {
            if left >= SOME || (left > 0 && emit.is_full()) {
                rest.push(slot);
                self.ending = Some(rest);
                return Some((clock, LATER | self.id_of(slot, emit)));
            }
            left += 1;
            self.prefetch_next(&rest);
            self.cause = LATER | self.id_of(slot, emit);
            if slot.is_live() {
                let leave = Leave { at: clock, ending: Ending::CaptureEnd, by: None };
                self.finish_live(slot.index(), leave, settings, emit);
            } else {
                self.finish_embryo(slot.index(), (clock, Ending::CaptureEnd), settings, emit);
            }
        }
        None
    }

    /// Asks the memory for those that leave next, the last ones.
    fn prefetch_next(&self, rest: &[Slot]) {
        if let Some(next) = rest.len().checked_sub(4).and_then(|at| rest.get(at)) {
            self.prefetch(*next);
        }
        if let Some(next) = rest.last().filter(|slot| slot.is_live()) {
            self.live.prefetch_body(next.index());
        }
    }

    /// Lets go of everything at the capture's end.
    #[cfg(test)]
    pub(in crate::flow) fn end(
        &mut self,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        self.expire(clock, settings, emit);
        while self.end_some(clock, settings, emit).is_some() {}
    }

    /// All that are remembered, the oldest last; in which order they would have left otherwise, and
    /// when, is forgotten.
    fn begin_to_end(&mut self, emit: &impl Observer) -> Vec<Slot> {
        self.table.close();
        (self.queue, self.candidates, self.over) = <_>::default();
        self.timers = BinaryHeap::new();
        let live = self.live.iter().map(|(index, live)| (live.id, Slot::live(index)));
        let embryos = self.embryos.iter();
        let embryos = embryos.map(|(index, it)| (emit.name(it.frame()), Slot::embryo(index)));
        let mut all: Vec<(u64, Slot)> = live.chain(embryos).collect();
        all.sort_unstable_by_key(|(id, _)| Reverse(*id));
        all.into_iter().map(|(_, slot)| slot).collect()
    }

    /// The id of what is there.
    fn id_of(&self, slot: Slot, emit: &impl Observer) -> u64 {
        let index = slot.index();
        if slot.is_live() {
            self.live.get(index).map_or(0, |live| live.id)
        } else {
            self.embryos.get(index).map_or(0, |embryo| emit.name(embryo.frame()))
        }
    }
}
