//! A table of totals by key that stays bounded: when it is full, the lightest entries leave.
//!
//! Heavy keys survive whenever they come, as in lossy counting (Manku and Motwani, "Approximate
//! frequency counts over data streams", 2002): what a key had gathered before it was let go is lost
//! from its own totals, and counted in [`Table::evicted`].

use std::cmp::Reverse;
use std::hash::Hash;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::Evicted;

/// What a table holds for a key.
pub(crate) trait Entry: Default {
    /// How many connections it stands for.
    fn weight(&self) -> u64;

    /// Makes the entry cheap to read, once it is complete.
    fn settle(&mut self) {}
}

/// What several tables may hold for the same key.
pub(crate) trait Merge: Entry {
    /// Adds another table's entry for the same key.
    fn merge(&mut self, other: Self);
}

/// Totals by key. The hash is keyed per run, since a capture can be hostile; its order never
/// reaches an output.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    /// One after the other, beside the hash table: that alone has room for more than there are.
    entries: IndexMap<K, V, RandomState>,
    pub(super) evicted: Evicted,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: IndexMap::default(), evicted: Evicted::default() }
    }
}

impl<K: Copy + Ord + Hash, V: Entry> Table<K, V> {
    /// The entry of `key`. May hold up to twice `limit` entries in between.
    pub(crate) fn entry(&mut self, key: K, limit: usize) -> &mut V {
        self.make_room(&key, limit);
        self.entries.entry(key).or_default()
    }

    /// The keys of all entries, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.keys().copied()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All entries, in no order, to be changed each for itself.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }

    pub(crate) fn value(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Takes all entries out.
    pub(super) fn take_entries(&mut self) -> IndexMap<K, V, RandomState> {
        std::mem::take(&mut self.entries)
    }

    /// Holds the entries of ranges that follow one another, each in the order of the keys.
    pub(super) fn set_entries(&mut self, ranges: Vec<IndexMap<K, V, RandomState>>) {
        let all = ranges.iter().map(IndexMap::len).sum();
        self.entries = IndexMap::with_capacity_and_hasher(all, RandomState::default());
        for range in ranges {
            self.entries.extend(range);
        }
    }

    /// Adds what another table holds, in its order, as [`Table::entry`] does.
    pub(crate) fn absorb(&mut self, other: Self, limit: usize)
    where
        V: Merge,
    {
        self.evicted.add(other.evicted);
        for (key, value) in other.entries {
            self.entry(key, limit).merge(value);
        }
    }

    /// All entries, in the order of their keys once it is settled.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// Makes every entry cheap to read.
    pub(super) fn settle(&mut self) {
        self.entries.values_mut().for_each(Entry::settle);
        self.entries.sort_unstable_keys();
    }

    /// Where all entries stand.
    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank<K>> {
        ranks(&self.entries)
    }

    /// Lets go of what stands behind the last one that is kept.
    pub(super) fn let_go(&mut self, lightest: Option<Rank<K>>) {
        self.evicted.add(let_go(&mut self.entries, lightest));
    }

    /// What was let go, and what stands behind the last one that is kept.
    pub(super) fn evicted_behind(&self, lightest: Option<Rank<K>>) -> Evicted {
        let mut evicted = self.evicted;
        let left_out = self.entries.iter().filter(|(key, value)| !is_kept(lightest, **key, *value));
        left_out.for_each(|(_, value)| evicted.count(value.weight()));
        evicted
    }

    /// The heaviest `limit` entries, ordered by key.
    pub(crate) fn sorted(&self, limit: usize) -> Vec<(K, &V)> {
        let lightest = self.lightest_kept(limit);
        let mut kept: Vec<_> = self
            .entries
            .iter()
            .filter(|(key, value)| is_kept(lightest, **key, *value))
            .map(|(key, value)| (*key, value))
            .collect();
        kept.sort_unstable_by_key(|(key, _)| *key);
        kept
    }

    /// What was let go, and what [`Table::sorted`] leaves out.
    pub(crate) fn evicted(&self, limit: usize) -> Evicted {
        self.evicted_behind(self.lightest_kept(limit))
    }

    fn make_room(&mut self, key: &K, limit: usize) {
        if self.entries.len() >= 2 * limit && !self.entries.contains_key(key) {
            self.keep_heaviest(limit);
        }
    }

    /// Lets go of all but the heaviest `limit` entries.
    fn keep_heaviest(&mut self, limit: usize) {
        self.let_go(self.lightest_kept(limit));
    }

    /// The last entry that fits; none when all do.
    fn lightest_kept(&self, limit: usize) -> Option<Rank<K>> {
        if self.entries.len() <= limit {
            return None;
        }
        lightest_kept(ranks(&self.entries).collect(), limit)
    }
}

/// Where an entry stands among those that are to be kept: weight and key.
pub(super) type Rank<K> = (Reverse<u64>, K);

/// Where all entries stand.
pub(super) fn ranks<K: Copy, V: Entry>(
    entries: &IndexMap<K, V, RandomState>,
) -> impl Iterator<Item = Rank<K>> {
    entries.iter().map(|(key, value)| (Reverse(value.weight()), *key))
}

/// The last one of which `limit` are kept; none when all are.
pub(super) fn lightest_kept<K: Copy + Ord>(
    mut ranks: Vec<Rank<K>>,
    limit: usize,
) -> Option<Rank<K>> {
    if ranks.len() <= limit {
        return None;
    }
    // Most entries are as light as can be, and numbers are compared sooner than keys.
    let (_, (weight, _), _) =
        ranks.select_nth_unstable_by_key(limit.saturating_sub(1), |(weight, _)| *weight);
    let weight = *weight;
    let heavier = ranks.iter().filter(|rank| rank.0 < weight).count();
    ranks.retain(|rank| rank.0 == weight);
    let last = limit.saturating_sub(heavier + 1).min(ranks.len().saturating_sub(1));
    let (_, (_, key), _) = ranks.select_nth_unstable_by_key(last, |(_, key)| *key);
    Some((weight, *key))
}

/// Lets go of what stands behind the last one that is kept.
pub(super) fn let_go<K: Copy + Ord + Hash, V: Entry>(
    entries: &mut IndexMap<K, V, RandomState>,
    lightest: Option<Rank<K>>,
) -> Evicted {
    let mut evicted = Evicted::default();
    entries.retain(|key, value| {
        let kept = is_kept(lightest, *key, value);
        if !kept {
            evicted.count(value.weight());
        }
        kept
    });
    evicted
}

pub(super) fn is_kept<K: Copy + Ord, V: Entry>(
    lightest: Option<Rank<K>>,
    key: K,
    value: &V,
) -> bool {
    lightest.is_none_or(|lightest| (Reverse(value.weight()), key) <= lightest)
}

impl Evicted {
    pub(super) fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.connections += other.connections;
    }

    fn count(&mut self, connections: u64) {
        self.entries += 1;
        self.connections += connections;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Count(u64);

    impl Entry for Count {
        fn weight(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn the_heaviest_survive_and_the_rest_is_counted() {
        let mut table: Table<u32, Count> = Table::default();
        for round in 0..1_000 {
            table.entry(7, 4).0 += 1;
            table.entry(1_000 + round, 4).0 += 1;
        }
        let kept = table.sorted(4);
        assert_eq!((kept[0].0, kept[0].1.0, kept.len()), (7, 1_000, 4));
        let evicted = table.evicted(4);
        assert_eq!((evicted.entries, evicted.connections), (997, 997));
    }

    #[test]
    fn entries_of_equal_weight_are_kept_by_key() {
        let mut table: Table<u32, Count> = Table::default();
        for key in [5, 3, 9, 1, 8] {
            table.entry(key, 3).0 += 1;
        }
        let keys: Vec<_> = table.sorted(3).iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [1, 3, 5]);
    }
}
