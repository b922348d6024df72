//! The totals of all listeners, all hosts or all pairs of the run: each has one place, in one of a few
//! parts that different threads can write in at the same time.

use std::hash::Hash;

use super::hands::Hands;
use super::place::{Fold, Place};
use super::roster::Roster;
use super::slip::Key;
use super::table::{Entry as _, Rank, is_kept, lightest_kept};
use super::{Evicted, OneHand};

/// Totals by key.
#[derive(Clone, Debug)]
pub(super) struct Book<K, V> {
    pub(super) parts: Vec<Roster<K, V>>,
}

/// Entries whose totals one hand makes in a row.
const READ_AT_ONCE: usize = 64;

impl<K: Key, V> Default for Book<K, V> {
    fn default() -> Self {
        Self { parts: (0..K::PARTS).map(|_| Roster::default()).collect() }
    }
}

impl<K: Key + Ord + Hash + Send + Sync, V: Fold + Send + Sync> Book<K, V> {
    /// Makes everything cheap to read, once all was added; of more than twice `limit` entries only the
    /// heaviest `limit` stay.
    pub(super) fn settle(&mut self, limit: usize, hands: &impl Hands) {
        let lightest = if self.entries() > 2 * limit { self.lightest(limit, hands) } else { None };
        hands.each(self.parts.iter_mut().collect(), |part: &mut Roster<K, V>| {
            if lightest.is_some() {
                part.table.let_go(lightest);
            }
            part.table.settle();
        });
    }

    /// The keys of all entries, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.parts.iter().flat_map(|part| part.table.keys())
    }

    /// The totals of `key`.
    pub(super) fn value(&self, key: &K) -> Option<&V> {
        self.parts.get(key.part())?.table.value(key).map(Place::value)
    }

    /// Of the heaviest `limit` entries those that `wanted` says, by key and number of connections;
    /// ordered by key. `hands` make the totals of those that have none yet.
    pub(super) fn sorted(
        &self,
        limit: usize,
        wanted: impl Fn(&K, u64) -> bool,
        hands: &impl Hands,
    ) -> Vec<(K, &V)> {
        let lightest = self.lightest(limit, &OneHand);
        let mut sorted: Vec<(K, &Place<V>)> = Vec::new();
        for part in &self.parts {
            let kept = part.table.iter().filter(|(key, place)| {
                is_kept(lightest, **key, *place) && wanted(key, place.weight())
            });
            sorted.extend(kept.map(|(key, place)| (*key, place)));
        }
        // Each part is in order once it is settled.
        sorted.sort_by_key(|(key, _)| *key);
        hands.each(sorted.chunks(READ_AT_ONCE).collect(), |some| {
            for (_, place) in some {
                place.value();
            }
        });
        sorted.into_iter().map(|(key, place)| (key, place.value())).collect()
    }

    /// How many entries there are, but no more than `limit`.
    pub(super) fn len(&self, limit: usize) -> usize {
        self.entries().min(limit)
    }

    /// What was let go, and what [`Book::sorted`] leaves out.
    pub(super) fn evicted(&self, limit: usize) -> Evicted {
        let lightest = self.lightest(limit, &OneHand);
        let mut evicted = Evicted::default();
        for part in &self.parts {
            evicted.add(part.table.evicted_behind(lightest));
        }
        evicted
    }

    fn entries(&self) -> usize {
        self.parts.iter().map(|part| part.table.len()).sum()
    }

    /// The last of the heaviest `limit` entries; none where there are no more.
    fn lightest(&self, limit: usize, hands: &impl Hands) -> Option<Rank<K>> {
        if self.entries() <= limit {
            return None;
        }
        let ranks = hands.each(self.parts.iter().collect(), |part: &Roster<K, V>| {
            part.table.ranks().collect::<Vec<_>>()
        });
        lightest_kept(ranks.concat(), limit)
    }
}
