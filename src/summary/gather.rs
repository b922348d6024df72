//! The tables of all shards become one: by ranges of keys, each of which is put together by itself.
//!
//! A key's entries meet in the order of the tables, so it leaves no trace how many ranges there are.
//! Entries of all tables come together before the lightest have to leave: what a key has in several
//! shards counts as a whole.

use std::hash::Hash;

use foldhash::fast::RandomState;
use indexmap::{IndexMap, map};

use super::hands::Hands;
use super::table::{Entry, Merge, Table, let_go, lightest_kept, ranks};

/// Samples of a range, at least: enough to be worth a piece of work of its own.
const MANY: usize = 32;

/// Ranges at most: so many pieces keep all threads busy to the end.
const MOST: usize = 64;

/// One in so many entries and connections is a sample: entries of many connections take longer.
const SAMPLED: u64 = 64;

/// Samples of one entry, at most.
const HEAVIEST: usize = 256;

type Entries<K, V> = Vec<(K, V)>;

impl<K: Copy + Ord + Hash + Send + Sync, V: Merge + Send + Sync> Table<K, V> {
    /// Adds what other tables hold, in their order, and makes all of it cheap to read. The table keeps
    /// `limit` entries, as [`Table::entry`] does.
    pub(crate) fn gather(&mut self, others: Vec<Self>, limit: usize, hands: &impl Hands) {
        let mut tables = vec![self.take_entries()];
        for mut other in others {
            self.evicted.add(other.evicted);
            tables.push(other.take_entries());
        }
        tables.retain(|table| !table.is_empty());
        let bounds = bounds(hands.each(tables.iter().collect(), samples));
        let parts = hands.each(tables, |table| split(table, &bounds));
        let mut ranges: Vec<Vec<Entries<K, V>>> = Vec::new();
        ranges.resize_with(bounds.len() + 1, Vec::new);
        for table in parts {
            ranges.iter_mut().zip(table).for_each(|(range, part)| range.push(part));
        }
        let mut ranges = hands.each(ranges, put_together);
        if ranges.iter().map(IndexMap::len).sum::<usize>() > 2 * limit {
            ranges = self.keep_heaviest_of(ranges, limit, hands);
        }
        self.set_entries(ranges);
    }

    /// Lets go of all but the heaviest `limit` entries, before anybody has moved them.
    fn keep_heaviest_of(
        &mut self,
        ranges: Vec<IndexMap<K, V, RandomState>>,
        limit: usize,
        hands: &impl Hands,
    ) -> Vec<IndexMap<K, V, RandomState>> {
        let ranks = hands.each(ranges.iter().collect(), |range| ranks(range).collect::<Vec<_>>());
        let lightest = lightest_kept(ranks.concat(), limit);
        let kept = hands.each(ranges, |mut range| {
            let evicted = let_go(&mut range, lightest);
            (range, evicted)
        });
        let kept = kept.into_iter().map(|(range, evicted)| {
            self.evicted.add(evicted);
            range
        });
        kept.collect()
    }
}

/// Keys of a table, those that much work is to be expected of several times.
fn samples<K: Copy, V: Entry>(table: &IndexMap<K, V, RandomState>) -> Vec<K> {
    let (mut samples, mut passed) = (Vec::new(), 0);
    for (key, value) in table {
        passed += 1 + value.weight();
        let times = usize::try_from(passed / SAMPLED).unwrap_or(HEAVIEST);
        samples.extend(std::iter::repeat_n(*key, times.min(HEAVIEST)));
        passed %= SAMPLED;
    }
    samples
}

/// Where ranges begin, but for the first: about as many samples lie between one and the next, unless they
/// are all of one key.
fn bounds<K: Copy + Ord>(samples: Vec<Vec<K>>) -> Vec<K> {
    let mut keys: Vec<K> = samples.into_iter().flatten().collect();
    let ranges = (keys.len() / MANY).clamp(1, MOST);
    keys.sort_unstable();
    let mut bounds: Vec<K> =
        (1..ranges).filter_map(|range| keys.get(range * keys.len() / ranges).copied()).collect();
    bounds.dedup();
    bounds
}

/// A table's entries by range.
fn split<K: Copy + Ord, V>(table: IndexMap<K, V, RandomState>, bounds: &[K]) -> Vec<Entries<K, V>> {
    let range_of = |key: &K| bounds.partition_point(|bound| bound <= key);
    let ranges: Vec<usize> = table.keys().map(range_of).collect();
    let mut lengths = vec![0; bounds.len() + 1];
    for range in &ranges {
        if let Some(length) = lengths.get_mut(*range) {
            *length += 1;
        }
    }
    let mut parts: Vec<Entries<K, V>> = lengths.into_iter().map(Vec::with_capacity).collect();
    for (entry, range) in table.into_iter().zip(ranges) {
        if let Some(part) = parts.get_mut(range) {
            part.push(entry);
        }
    }
    parts
}

/// One range of all tables, by key.
fn put_together<K: Copy + Ord + Hash, V: Merge>(
    range: Vec<Entries<K, V>>,
) -> IndexMap<K, V, RandomState> {
    let mut all: IndexMap<K, V, RandomState> = IndexMap::default();
    for (key, value) in range.into_iter().flatten() {
        match all.entry(key) {
            map::Entry::Occupied(own) => own.into_mut().merge(value),
            map::Entry::Vacant(place) => {
                place.insert(value);
            }
        }
    }
    all.values_mut().for_each(Entry::settle);
    all.sort_unstable_keys();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::summary::OneHand;

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
        all.gather(tables.collect(), limit, &OneHand);
        all
    }

    #[test]
    fn entries_of_a_key_meet_in_the_order_of_the_tables_whatever_range_they_are_in() {
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
        assert!(all.len() as u64 > 2 * MANY as u64 * SAMPLED, "one range only: {}", all.len());
        let found = all.sorted(100_000).into_iter().map(|(key, it)| (key, it.0.clone()));
        assert_eq!(found.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn keys_of_many_connections_have_ranges_of_their_own() {
        let table = |heavy: usize| -> IndexMap<u64, Origins, RandomState> {
            (0..4_000)
                .map(|key| (key, Origins(vec![0; if key == 2_000 { heavy } else { 1 }])))
                .collect()
        };
        let of = |heavy| bounds([table(heavy), table(heavy)].iter().map(samples).collect());
        // As many keys stand behind a heavy one in its range as in any other range, at most.
        let light = of(1);
        let longest = light.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        let heavy = of(8_000);
        let own = heavy.iter().position(|key| *key == 2_000).unwrap();
        assert!(
            !light.contains(&2_000) && heavy[own + 1] - 2_000 <= longest,
            "{light:?} {heavy:?}"
        );
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
