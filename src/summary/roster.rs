//! One part of a book: a table of places, and how fine their series may be.
//!
//! Where all series together become too long, their ticks widen: sums stay exact, peaks stay true
//! values, and the resolution is told. A part is written in by one hand at a time, in the order of the
//! connections, so that what leaves it, and when ticks widen, follows from the capture alone.

use std::hash::Hash;

use super::concurrency::Concurrency;
use super::listener::Listener;
use super::lone::Sum;
use super::place::{Fold, Place, Step};
use super::slip::{Key, Order, Slip};
use super::table::{Ahead, Table};
use crate::tcp::{Endpoint, Side, Within};

/// A table of places.
#[derive(Clone, Debug)]
pub(super) struct Roster<K, V> {
    pub(super) table: Table<K, Place<V>>,
    /// Amounts in its series, at least; recounted when they seem too many.
    amounts: usize,
    /// How many there must be before they are recounted.
    recount: usize,
    /// Ticks that each series may have.
    ticks: usize,
    /// Where connections are packed.
    desk: Vec<u8>,
}

/// How much a part may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Entries that are kept; twice as many between two clearances.
    pub(super) entries: usize,
    /// Amounts in the series of all of them.
    pub(super) amounts: usize,
}

/// Connections that are looked up together.
const BLOCK: usize = 16;

/// The fewest ticks that a series is brought to.
const LEAST_TICKS: usize = 16;

impl<K, V> Default for Roster<K, V> {
    fn default() -> Self {
        let (table, ticks) = (Table::default(), Concurrency::MAX_STEPS);
        Self { table, amounts: 0, recount: 0, ticks, desk: Vec::new() }
    }
}

impl<K: Key + Ord + Hash, V: Fold> Roster<K, V> {
    /// Adds a connection, for the sake of one of its sides.
    fn add(&mut self, ahead: Ahead<K>, (slip, side): (&Slip, Side), room: Room) {
        let mut desk = std::mem::take(&mut self.desk);
        self.change(ahead, room, |place| place.add(slip, side, &mut desk));
        self.desk = desk;
    }

    /// Looks up to whom some connections are to be added, and asks the memory for all that this will
    /// touch: step by step for all of them, so that it comes while the core is at the next ones.
    ///
    /// Perf: whole runs, small connections; docs/performance.md has the figures.
    fn look_ahead(&self, slips: &[(Order, &Slip, Side)]) -> [Option<Ahead<K>>; BLOCK] {
        let mut all = [None; BLOCK];
        for (_, slip, _) in slips {
            slip.prefetch();
        }
        for (ahead, (_, slip, side)) in all.iter_mut().zip(slips) {
            *ahead = Some(self.table.look_ahead(K::of(slip, *side)));
        }
        for ahead in all.iter_mut().flatten() {
            self.table.approach(ahead);
        }
        for step in [Step::Totals, Step::Series, Step::Ends] {
            let places = all.iter().flatten().filter_map(|ahead| self.table.likely(ahead));
            places.for_each(|place| place.prefetch(step));
        }
        all
    }

    /// Adds connections in their order.
    pub(super) fn add_all(&mut self, slips: &[(Order, &Slip, Side)], room: Room) {
        for block in slips.chunks(BLOCK) {
            for (ahead, (_, slip, side)) in self.look_ahead(block).into_iter().flatten().zip(block)
            {
                self.add(ahead, (slip, *side), room);
            }
        }
    }

    fn change(&mut self, ahead: Ahead<K>, room: Room, add: impl FnOnce(&mut Place<V>)) {
        let place = self.table.entry_of(ahead, room.entries);
        let before = place.extent();
        add(place);
        self.amounts += place.extent().saturating_sub(before);
        if self.amounts > room.amounts.max(self.recount) {
            self.shorten(room.amounts);
        }
    }

    /// Widens ticks until the series hold no more than `limit` amounts, and half of that if they do.
    #[cold]
    fn shorten(&mut self, limit: usize) {
        self.amounts = self.coarsen();
        let goal = if self.amounts > limit / 4 * 3 { limit / 2 } else { limit };
        while self.amounts > goal && self.ticks > LEAST_TICKS {
            self.ticks /= 2;
            self.amounts = self.coarsen();
        }
        self.recount = 2 * self.amounts;
    }

    /// Brings all series to the ticks that they may have. Returns how many amounts they hold then.
    fn coarsen(&mut self) -> usize {
        let ticks = self.ticks;
        let coarsened = self.table.values_mut().map(|place| {
            place.coarsen(ticks);
            place.extent()
        });
        coarsened.sum()
    }
}

impl Roster<Within<Endpoint>, Listener> {
    /// Adds connections and what shards added up, each in their order.
    pub(super) fn add_with_sums(
        &mut self,
        slips: &[(Order, &Slip, Side)],
        sums: Vec<Sum>,
        room: Room,
    ) {
        let mut sums = sums.into_iter().peekable();
        for block in slips.chunks(BLOCK) {
            let ahead = self.look_ahead(block).into_iter().flatten();
            for (ahead, (order, slip, side)) in ahead.zip(block) {
                while let Some(sum) = sums.next_if(|sum| sum.order < *order) {
                    self.add_sum(&sum, room);
                }
                self.add(ahead, (slip, *side), room);
            }
        }
        sums.for_each(|sum| self.add_sum(&sum, room));
    }

    fn add_sum(&mut self, sum: &Sum, room: Room) {
        let ahead = self.table.look_ahead(sum.key);
        self.change(ahead, room, |place| place.open().merge(&sum.totals));
    }
}
