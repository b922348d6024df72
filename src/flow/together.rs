//! Flows of the same addresses and ports in different tunnels: found by the tuple alone.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::tcp::FourTuple;

/// Flows of one tuple that are told apart; with more of them, none is found.
const MAX_FLOWS: usize = 64;

/// Indexes of flows by their tuple.
#[derive(Debug)]
pub(super) struct Together {
    hasher: RandomState,
    tuples: HashTable<Shared>,
}

#[derive(Debug)]
struct Shared {
    tuple: FourTuple,
    /// In the order in which they began; as a rule there is no second one.
    first: u32,
    others: Vec<u32>,
    /// Flows beyond the limit.
    beyond: u32,
}

impl Together {
    pub(super) const fn new(hasher: RandomState) -> Self {
        Self { hasher, tuples: HashTable::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tuples.is_empty()
    }

    pub(super) fn add(&mut self, tuple: FourTuple, index: u32) {
        let hash = hash(&self.hasher, tuple);
        let Some(shared) = self.tuples.find_mut(hash, |it| it.tuple == tuple) else {
            let shared = Shared { tuple, first: index, others: Vec::new(), beyond: 0 };
            let hasher = &self.hasher;
            self.tuples.insert_unique(hash, shared, |it| hash_of(hasher, it));
            return;
        };
        if shared.others.len() + 1 < MAX_FLOWS {
            shared.others.push(index);
        } else {
            shared.beyond += 1;
        }
    }

    pub(super) fn remove(&mut self, tuple: FourTuple, index: u32) {
        let hash = hash(&self.hasher, tuple);
        let Ok(mut entry) = self.tuples.find_entry(hash, |it| it.tuple == tuple) else { return };
        let shared = entry.get_mut();
        if let Some(at) = shared.others.iter().position(|other| *other == index) {
            shared.others.remove(at);
        } else if shared.first != index {
            shared.beyond = shared.beyond.saturating_sub(1);
        } else if shared.others.is_empty() {
            entry.remove();
        } else {
            shared.first = shared.others.remove(0);
        }
    }

    /// The flows with this tuple; none if there are too many.
    pub(super) fn of(&self, tuple: FourTuple) -> impl Iterator<Item = u32> {
        let found = self.tuples.find(hash(&self.hasher, tuple), |it| it.tuple == tuple);
        let few = found.filter(|shared| shared.beyond == 0);
        few.into_iter().flat_map(|it| std::iter::once(it.first).chain(it.others.iter().copied()))
    }
}

fn hash(hasher: &RandomState, tuple: FourTuple) -> u64 {
    hasher.hash_one(tuple)
}

fn hash_of(hasher: &RandomState, shared: &Shared) -> u64 {
    hash(hasher, shared.tuple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Endpoint;
    use std::net::{IpAddr, Ipv4Addr};

    fn tuple(port: u16) -> FourTuple {
        let end = |port| Endpoint { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port };
        FourTuple { source: end(port), destination: end(80) }
    }

    fn of(together: &Together, port: u16) -> Vec<u32> {
        together.of(tuple(port)).collect()
    }

    #[test]
    fn flows_are_found_by_their_tuple_in_the_order_in_which_they_began() {
        let mut it = Together::new(RandomState::default());
        for (port, index) in [(1, 5), (2, 6), (1, 3), (1, 9)] {
            it.add(tuple(port), index);
        }
        assert_eq!((of(&it, 1), of(&it, 2), of(&it, 3)), (vec![5, 3, 9], vec![6], vec![]));
        it.remove(tuple(1), 5);
        assert_eq!(of(&it, 1), [3, 9]);
        for (port, index) in [(1, 9), (1, 3), (2, 6)] {
            it.remove(tuple(port), index);
        }
        assert!(it.is_empty());
    }

    #[test]
    fn too_many_of_one_tuple_are_not_told_apart_until_some_have_gone() {
        let mut it = Together::new(RandomState::default());
        let many = u32::try_from(MAX_FLOWS).unwrap() + 1;
        (0..many).for_each(|index| it.add(tuple(1), index));
        assert!(of(&it, 1).is_empty());
        it.remove(tuple(1), many - 1);
        assert_eq!(of(&it, 1).len(), MAX_FLOWS);
    }
}
