//! One value for every tuple of addresses and ports, whatever connections and tunnels it carried.
//!
//! Bounded: where there is no room, the value of a tuple that was silent for long makes place,
//! found by a hand that goes round and passes those asked for since it last came by.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::tcp::FourTuple;

/// Values by canonical tuple; one that is asked for the first time is the default.
#[derive(Debug)]
pub struct PerTuple<T> {
    hasher: RandomState,
    /// Indexes of the entries.
    table: HashTable<u32>,
    entries: Vec<Entry<T>>,
    limit: usize,
    hand: usize,
    forgotten: u64,
}

#[derive(Debug)]
struct Entry<T> {
    tuple: FourTuple,
    touched: bool,
    value: T,
}

impl<T: Default> PerTuple<T> {
    /// Room for `limit` tuples, at least one.
    #[must_use]
    pub const fn new(limit: usize, hasher: RandomState) -> Self {
        let limit = if limit == 0 { 1 } else { limit };
        Self { hasher, table: HashTable::new(), entries: Vec::new(), limit, hand: 0, forgotten: 0 }
    }

    /// How many values had to make room for others.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The tuple's value; always there.
    pub fn of(&mut self, tuple: FourTuple) -> Option<&mut T> {
        let hash = hash_of(&self.hasher, &tuple);
        let is_same = |index: &u32| {
            self.entries.get(*index as usize).is_some_and(|entry| entry.tuple == tuple)
        };
        let index = match self.table.find(hash, is_same) {
            Some(index) => *index as usize,
            None => self.enter(hash, tuple),
        };
        let entry = self.entries.get_mut(index)?;
        entry.touched = true;
        Some(&mut entry.value)
    }

    fn enter(&mut self, hash: u64, tuple: FourTuple) -> usize {
        let entry = Entry { tuple, touched: true, value: T::default() };
        let index = if self.entries.len() < self.limit {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let index = self.make_room();
            if let Some(place) = self.entries.get_mut(index) {
                *place = entry;
            }
            index
        };
        let Self { hasher, entries, .. } = self;
        let rehash =
            |at: &u32| entries.get(*at as usize).map_or(0, |it| hash_of(hasher, &it.tuple));
        self.table.insert_unique(hash, u32::try_from(index).unwrap_or(u32::MAX), rehash);
        index
    }

    /// Takes the entry that goes out of the table; its place is to be filled again.
    fn make_room(&mut self) -> usize {
        loop {
            let index = self.hand;
            self.hand = (index + 1) % self.limit;
            let Some(entry) = self.entries.get_mut(index) else { return index };
            if std::mem::take(&mut entry.touched) {
                continue;
            }
            let hash = hash_of(&self.hasher, &entry.tuple);
            let found = self.table.find_entry(hash, |other| *other as usize == index);
            if let Ok(found) = found {
                found.remove();
            }
            self.forgotten += 1;
            return index;
        }
    }
}

fn hash_of(hasher: &RandomState, tuple: &FourTuple) -> u64 {
    let mut state = hasher.build_hasher();
    tuple.hash(&mut state);
    std::hash::Hasher::finish(&state)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::tcp::Endpoint;

    fn tuple(port: u16) -> FourTuple {
        let endpoint = |last: u8, port| Endpoint { address: IpAddr::from([10, 0, 0, last]), port };
        FourTuple { source: endpoint(1, port), destination: endpoint(2, 443) }
    }

    #[test]
    fn a_tuple_keeps_its_value_and_the_silent_ones_make_room() {
        let mut values: PerTuple<u32> = PerTuple::new(3, RandomState::default());
        for port in 1..=3 {
            *values.of(tuple(port)).unwrap() = u32::from(port);
        }
        // The hand passes all three, and takes the first.
        assert_eq!(values.of(tuple(4)).copied(), Some(0));
        assert_eq!(values.of(tuple(2)).copied(), Some(2));
        // 2 was asked for since the hand came by, 3 was not.
        assert_eq!(values.of(tuple(5)).copied(), Some(0));
        assert_eq!(values.of(tuple(2)).copied(), Some(2));
        assert_eq!(values.of(tuple(3)).copied(), Some(0));
        assert_eq!(values.forgotten(), 3);
    }
}
