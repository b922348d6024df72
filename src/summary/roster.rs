//! A table of places: what its busy entries hand on, and how fine their series may be.
//!
//! A busy entry of a shard hands what it has gathered on to the whole run now and then, so that 64
//! shards do not hold 64 long series. None of this changes what adds up. Where all series together
//! become too long, their ticks widen, in a shard and in the run each for itself: sums stay exact,
//! peaks stay true values, and the resolution is told. How fine they are in the end follows from what
//! was added and not from when: the run's ticks depend on how many of its entries were ever long.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Summary;
use super::concurrency::Concurrency;
use super::hands::Hands;
use super::place::{Fold, Parcel, Place};
use super::table::{Entry as _, Table};
use crate::tcp::Side;

/// A table of places, and what its busy entries handed on.
#[derive(Clone, Debug)]
pub(super) struct Roster<K, V> {
    pub(super) table: Table<K, Place<V>>,
    handed_on: Vec<(K, Place<V>)>,
    /// Entries that handed something on.
    busy: usize,
    /// Amounts in the series of a shard, at least; recounted when they seem too many.
    amounts: usize,
    /// How many there must be before they are recounted.
    recount: usize,
    /// Entries of the run whose series ever were long.
    long: usize,
    /// Ticks that each series may have.
    ticks: usize,
}

/// One entry in so many of a shard may hand on what it has: of all shards together, as many as the
/// whole run keeps, so that what is handed on never drives anything out.
const BUSY_SHARE: usize = 4;

/// While no more entries of a shard than this hand something on, they keep what may stay: 18 KB each.
const BUSIEST: usize = 4;

/// Amounts in a shard for each entry that its table keeps: with all entries and their memory.
const AMOUNTS_OF_SHARD: usize = 64;

/// The same in the whole run, whose entries are the busy ones.
const AMOUNTS_OF_RUN: usize = 512;

/// How much less that is where memory is limited.
const TIGHTER: usize = 4;

/// Series of an entry that grow long, at most, as a rule.
const SERIES: usize = 4;

/// Entries whose totals one hand makes in a row.
const READ_AT_ONCE: usize = 64;

/// The fewest ticks that a series is brought to.
const LEAST_TICKS: usize = 16;

impl<K, V> Default for Roster<K, V> {
    fn default() -> Self {
        Self {
            table: Table::default(),
            handed_on: Vec::new(),
            busy: 0,
            amounts: 0,
            recount: 0,
            long: 0,
            ticks: Concurrency::MAX_STEPS,
        }
    }
}

impl<K: Copy + Ord + Hash, V: Fold> Roster<K, V> {
    /// Adds a connection to the entry of `key`; the table keeps `bound` entries.
    pub(super) fn add(&mut self, key: K, parcel: &mut Parcel, side: Side, bound: usize) {
        self.change(key, bound, |place| {
            place.add(parcel, side);
            parcel.may_wait
        });
    }

    /// Changes the entry of `key`, which hands on what it has if that is much and `add` says so.
    pub(super) fn change(&mut self, key: K, bound: usize, add: impl FnOnce(&mut Place<V>) -> bool) {
        let Self { table, handed_on, busy, amounts, .. } = self;
        let place = table.entry(key, bound);
        let before = place.extent();
        let may_hand_on = add(place);
        *amounts += place.extent().saturating_sub(before);
        let is_new = place.hands_on_anew();
        if may_hand_on
            && (!is_new || *busy < bound / BUSY_SHARE)
            && let Some(part) = place.hand_on(*busy < BUSIEST)
        {
            *amounts = amounts.saturating_sub(part.extent());
            *busy += usize::from(is_new);
            handed_on.push((key, part));
        }
        let limit = bound * tightened(AMOUNTS_OF_SHARD, bound >= Summary::MAX_PER_SHARD);
        if self.amounts > limit.max(self.recount) {
            self.shorten(limit);
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

    /// Takes over what was handed on in a shard; the table keeps `limit` entries.
    pub(super) fn take_over(&mut self, shard: &mut Self, limit: usize) {
        for (key, part) in shard.handed_on.drain(..) {
            let place = self.table.entry(key, limit);
            place.merge(part);
            place.coarsen(self.ticks);
            if place.mark_long() {
                self.long += 1;
                if self.fit(limit) {
                    self.coarsen();
                }
            }
        }
    }

    /// Works out how many ticks of each series there is room for; whether that is fewer than before.
    fn fit(&mut self, limit: usize) -> bool {
        let before = self.ticks;
        while self.is_beyond(limit) {
            self.ticks /= 2;
        }
        self.ticks < before
    }

    /// Whether there is no room for so many ticks, of the run whose table keeps `limit` entries.
    const fn is_beyond(&self, limit: usize) -> bool {
        let room = limit * tightened(AMOUNTS_OF_RUN, limit >= Summary::MAX_LISTENERS);
        self.ticks > LEAST_TICKS && self.long * SERIES * self.ticks > room
    }

    /// Adds what other shards found, in their order, and puts all of it in order.
    pub(super) fn merge_all(&mut self, others: Vec<Self>, limit: usize, hands: &impl Hands)
    where
        K: Send + Sync,
        V: Send + Sync,
    {
        let mut tables = Vec::with_capacity(others.len());
        for mut other in others {
            self.take_over(&mut other, limit);
            tables.push(other.table);
        }
        let ticks = self.ticks;
        let newly_long = AtomicUsize::new(0);
        let touch = |place: &mut Place<V>| {
            if place.is_long() && place.mark_long() {
                newly_long.fetch_add(1, Ordering::Relaxed);
            }
            // No series ever holds more than that.
            if ticks < Concurrency::MAX_STEPS {
                place.coarsen(ticks);
            }
        };
        let known = self.long;
        self.table.gather(tables, limit, &touch, hands);
        self.long = known + newly_long.into_inner();
        // What is long only in ticks that there is no room for does not count.
        while self.is_beyond(limit) {
            self.ticks /= 2;
            self.coarsen();
            let long = self.table.values_mut().filter(|place| place.is_long()).count();
            self.long = self.long.min(long.max(known));
        }
    }

    /// The keys of all entries and of what they handed on.
    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.table.keys().chain(self.handed_on())
    }

    /// The keys of entries that handed something on.
    pub(super) fn handed_on(&self) -> impl Iterator<Item = K> {
        self.handed_on.iter().map(|(key, _)| *key)
    }

    /// The totals of `key`.
    pub(super) fn value(&self, key: &K) -> Option<&V> {
        self.table.value(key).map(Place::value)
    }

    /// Of the heaviest `limit` entries those that `wanted` says, by key and number of connections;
    /// ordered by key. `hands` make the totals of those that have none yet.
    pub(super) fn sorted(
        &self,
        limit: usize,
        wanted: impl Fn(&K, u64) -> bool,
        hands: &impl Hands,
    ) -> Vec<(K, &V)>
    where
        K: Send + Sync,
        V: Send + Sync,
    {
        let sorted = self.table.sorted(limit).into_iter();
        let wanted = sorted.filter(|(key, place)| wanted(key, place.weight()));
        let wanted: Vec<(K, &Place<V>)> = wanted.collect();
        hands.each(wanted.chunks(READ_AT_ONCE).collect(), |part| {
            for (_, place) in part {
                place.value();
            }
        });
        wanted.into_iter().map(|(key, place)| (key, place.value())).collect()
    }

    /// How many entries there are, but no more than `limit`.
    pub(super) fn len(&self, limit: usize) -> usize {
        self.table.len().min(limit)
    }
}

/// How many of `amounts` there may be: all of them by default, fewer where memory is limited.
const fn tightened(amounts: usize, is_default: bool) -> usize {
    if is_default { amounts } else { amounts / TIGHTER }
}
