//! A table of totals by key that stays bounded: when it is full, the lightest entries leave.
//!
//! Heavy keys survive whenever they come, as in lossy counting (Manku and Motwani, "Approximate
//! frequency counts over data streams", 2002): what a key had gathered before it was let go is lost
//! from its own totals, and counted in [`Table::evicted`].

use std::cmp::Reverse;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::RandomState;

use super::Evicted;
use crate::groups::Groups;
use crate::near;

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
    entries: Vec<(K, V)>,
    /// Where each key's entry is.
    places: Groups<u32>,
    hasher: RandomState,
    pub(super) evicted: Evicted,
}

/// A key that was looked up ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead<K> {
    key: K,
    hash: u64,
    /// Where its entry is if there is one, else another one's perhaps.
    place: Option<u32>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        let (hasher, evicted) = (RandomState::default(), Evicted::default());
        Self { entries: Vec::new(), places: Groups::new(), hasher, evicted }
    }
}

impl<K: Copy + Ord + Hash, V: Entry> Table<K, V> {
    /// Of which the double is a number.
    const NO_LIMIT: usize = usize::MAX / 2;

    /// The entry of `key`. May hold up to twice `limit` entries in between.
    pub(crate) fn entry(&mut self, key: K, limit: usize) -> &mut V {
        let hash = self.hasher.hash_one(key);
        self.entry_of(Ahead { key, hash, place: None }, limit)
    }

    /// The same for one that was looked up.
    pub(super) fn entry_of(&mut self, ahead: Ahead<K>, limit: usize) -> &mut V {
        let Ahead { key, hash, .. } = ahead;
        let place = self.find(hash, &key).unwrap_or_else(|| {
            if self.entries.len() >= 2 * limit {
                self.keep_heaviest(limit);
            }
            let Self { entries, places, hasher, .. } = self;
            entries.push((key, V::default()));
            let last = entries.len() - 1;
            let rehash = |place: &u32| hash_at(entries, hasher, *place);
            places.insert(hash, u32::try_from(last).unwrap_or(u32::MAX), rehash);
            last
        });
        #[expect(clippy::indexing_slicing, reason = "found, or pushed just now")]
        &mut self.entries[place].1
    }

    /// Begins to look up a key: asks the memory for where it is to be found.
    #[inline]
    pub(super) fn look_ahead(&self, key: K) -> Ahead<K> {
        let hash = self.hasher.hash_one(key);
        self.places.prefetch(hash);
        Ahead { key, hash, place: None }
    }

    /// Goes on with that: asks for its entry.
    #[inline]
    pub(super) fn approach(&self, ahead: &mut Ahead<K>) {
        ahead.place = self.places.find(ahead.hash, |_| true);
        if let Some(place) = ahead.place {
            near::element(&self.entries, place as usize);
        }
    }

    /// What may be its entry.
    #[inline]
    pub(super) fn likely(&self, ahead: &Ahead<K>) -> Option<&V> {
        let (_, value) = self.entries.get(ahead.place? as usize)?;
        Some(value)
    }

    #[inline]
    fn find(&self, hash: u64, key: &K) -> Option<usize> {
        let is_it =
            |place: &u32| self.entries.get(*place as usize).is_some_and(|(other, _)| other == key);
        self.places.find(hash, is_it).map(|place| place as usize)
    }

    /// Finds all entries anew, once they have moved.
    fn find_all(&mut self) {
        let Self { entries, places, hasher, .. } = self;
        *places = Groups::new();
        places.reserve(entries.len(), |_| 0);
        for (place, (key, _)) in (0..).zip(&*entries) {
            places.insert(hasher.hash_one(key), place, |place| hash_at(entries, hasher, *place));
        }
    }

    /// The keys of all entries, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.iter().map(|(key, _)| *key)
    }

    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// All entries, in no order, to be changed each for itself.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn value(&self, key: &K) -> Option<&V> {
        let place = self.find(self.hasher.hash_one(key), key)?;
        self.entries.get(place).map(|(_, value)| value)
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

    /// Adds what other tables hold, in their order. All of it comes together before the lightest have to
    /// leave: what a key has in several tables counts as a whole.
    pub(crate) fn gather(&mut self, others: impl Iterator<Item = Self>, limit: usize)
    where
        V: Merge,
    {
        for other in others {
            self.absorb(other, Self::NO_LIMIT);
        }
        if self.entries.len() > 2 * limit {
            self.keep_heaviest(limit);
        }
    }

    /// All entries, in the order of their keys once it is settled.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Makes every entry cheap to read.
    pub(super) fn settle(&mut self) {
        self.values_mut().for_each(Entry::settle);
        self.entries.sort_unstable_by_key(|(key, _)| *key);
        self.find_all();
    }

    /// Where all entries stand.
    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank<K>> {
        self.entries.iter().map(|(key, value)| (Reverse(value.weight()), *key))
    }

    /// Lets go of what stands behind the last one that is kept.
    pub(super) fn let_go(&mut self, lightest: Option<Rank<K>>) {
        let Self { entries, evicted, .. } = self;
        let before = entries.len();
        entries.retain(|(key, value)| {
            let kept = is_kept(lightest, *key, value);
            if !kept {
                evicted.count(value.weight());
            }
            kept
        });
        if entries.len() < before {
            self.find_all();
        }
    }

    /// What was let go, and what stands behind the last one that is kept.
    pub(super) fn evicted_behind(&self, lightest: Option<Rank<K>>) -> Evicted {
        let mut evicted = self.evicted;
        let left_out = self.entries.iter().filter(|(key, value)| !is_kept(lightest, *key, value));
        left_out.for_each(|(_, value)| evicted.count(value.weight()));
        evicted
    }

    /// The heaviest `limit` entries, ordered by key.
    pub(crate) fn sorted(&self, limit: usize) -> Vec<(K, &V)> {
        let lightest = self.lightest_kept(limit);
        let kept = self.entries.iter().filter(|(key, value)| is_kept(lightest, *key, value));
        let mut kept: Vec<_> = kept.map(|(key, value)| (*key, value)).collect();
        kept.sort_unstable_by_key(|(key, _)| *key);
        kept
    }

    /// What was let go, and what [`Table::sorted`] leaves out.
    pub(crate) fn evicted(&self, limit: usize) -> Evicted {
        self.evicted_behind(self.lightest_kept(limit))
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
        lightest_kept(self.ranks().collect(), limit)
    }
}

/// The hash of the key that is at `place`.
fn hash_at<K: Hash, V>(entries: &[(K, V)], hasher: &RandomState, place: u32) -> u64 {
    entries.get(place as usize).map_or(0, |(key, _)| hasher.hash_one(key))
}

/// Where an entry stands among those that are to be kept: weight and key.
pub(super) type Rank<K> = (Reverse<u64>, K);

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
    use std::collections::BTreeMap;

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

    /// The tables that an entry comes from, in the order in which they were added.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Origins(Vec<u64>);

    impl Entry for Origins {
        fn weight(&self) -> u64 {
            self.0.len() as u64
        }
    }

    impl Merge for Origins {
        fn merge(&mut self, other: Self) {
            self.0.extend(other.0);
        }
    }

    fn gathered(tables: Vec<Vec<u64>>, limit: usize) -> Table<u64, Origins> {
        let table = |(keys, number): (Vec<u64>, u64)| {
            let mut table: Table<u64, Origins> = Table::default();
            for key in keys {
                table.entry(key, usize::MAX / 2).0.push(number);
            }
            table
        };
        let mut tables = tables.into_iter().zip(0..).map(table);
        let mut all = tables.next().unwrap();
        all.gather(tables, limit);
        all
    }

    #[test]
    fn entries_of_a_key_meet_in_the_order_of_the_tables() {
        // Some keys in all tables, some in a few, most in one.
        let key = |n: u64| (n * 0x9e37_79b9) % 100_003;
        let tables: Vec<Vec<u64>> = (0..7)
            .map(|table| (0..4_000).map(|n| key(n * 7 + table * (n % 5))).collect())
            .collect();
        let mut expected: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (keys, number) in tables.iter().zip(0..) {
            for key in keys {
                expected.entry(*key).or_default().push(number);
            }
        }
        let all = gathered(tables, 100_000);
        let found = all.sorted(100_000).into_iter().map(|(key, it)| (key, it.0.clone()));
        assert_eq!(found.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_key_of_many_tables_is_not_taken_for_a_light_one() {
        let tables = (0..8).map(|table| {
            let own = (0..20).flat_map(|n| [1_000 + table * 100 + n; 2]);
            own.chain([7]).collect::<Vec<u64>>()
        });
        let all = gathered(tables.collect(), 10);
        let kept = all.sorted(10);
        assert_eq!((kept.len(), kept[0].0, kept[0].1.weight()), (10, 7, 8));
        let evicted = all.evicted(10);
        assert_eq!((evicted.entries, evicted.connections), (151, 302));
    }
}
