//! Which values came most often: a sketch with an error that is known.
//!
//! The counters of Misra and Gries ("Finding repeated elements", 1982): a value without a counter takes
//! a free one; where none is free, every counter goes down by one instead. So a count is too low by the
//! number of those times at most, and that is never more than the number of all values divided by one
//! more than there are counters. Sketches merge (Agarwal et al., "Mergeable summaries", 2012): of too
//! many counters, the largest that does not fit is taken off all of them, and the errors add up. Which
//! values are kept depends on the order in which they come.

use std::net::IpAddr;

use super::Distinct;

/// Bounded counters of addresses.
#[derive(Clone, Debug, Default)]
pub struct Frequent {
    /// Addresses with their counts and `taken`: what goes down by one is that alone.
    counters: Vec<(IpAddr, u64)>,
    /// Where the counter of an address is, from the place that its hash names on; made with the first
    /// address.
    places: Vec<u8>,
    /// How much was taken off all counters since the last merge.
    taken: u64,
    error: u64,
}

/// A value that came often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Often {
    /// The value.
    pub address: IpAddr,
    /// It came at least so many times.
    pub at_least: u64,
    /// It came at most so many times.
    pub at_most: u64,
}

impl Frequent {
    /// How many counters are kept.
    pub const COUNTERS: usize = 64;
    /// Places for them: sparse, so that a search is short.
    const PLACES: usize = 256;
    /// A place without a counter.
    const FREE: u8 = u8::MAX;

    /// Adds the address that has this hash.
    pub fn add(&mut self, address: IpAddr, hash: u64) {
        if self.places.is_empty() {
            self.find_places();
        }
        let mut place = Self::place_of(hash);
        while let Some(index) = self.places.get(place).filter(|index| **index != Self::FREE) {
            match self.counters.get_mut(usize::from(*index)) {
                Some((known, count)) if *known == address => {
                    *count += 1;
                    return;
                }
                _ => place = (place + 1) % Self::PLACES,
            }
        }
        if self.counters.len() < Self::COUNTERS {
            if let (Some(free), Ok(index)) =
                (self.places.get_mut(place), u8::try_from(self.counters.len()))
            {
                *free = index;
                self.counters.push((address, self.taken + 1));
            }
            return;
        }
        self.taken += 1;
        self.error += 1;
        let taken = self.taken;
        let before = self.counters.len();
        self.counters.retain(|(_, count)| *count > taken);
        if self.counters.len() < before {
            self.find_places();
        }
    }

    /// Adds the values of another sketch.
    pub fn merge(&mut self, other: &Self) {
        self.error += other.error;
        let own = std::mem::take(self);
        let mut all: Vec<_> = own.counts().chain(other.counts()).collect();
        all.sort_by_key(|(address, _)| *address);
        all.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 += later.1;
            }
            same
        });
        let mut error = own.error;
        if all.len() > Self::COUNTERS {
            let mut counts: Vec<u64> = all.iter().map(|(_, count)| *count).collect();
            let (_, &mut taken, _) =
                counts.select_nth_unstable_by(Self::COUNTERS, |one, other| other.cmp(one));
            error += taken;
            all.retain_mut(|(_, count)| {
                *count = count.saturating_sub(taken);
                *count > 0
            });
        }
        *self = Self { counters: all, places: Vec::new(), taken: 0, error };
    }

    /// The `limit` values with the highest counts, those first.
    #[must_use]
    pub fn most(&self, limit: usize) -> Vec<Often> {
        let often = |(address, count): (IpAddr, u64)| Often {
            address,
            at_least: count,
            at_most: count.saturating_add(self.error),
        };
        let mut all: Vec<Often> = self.counts().map(often).collect();
        all.sort_by_key(|often| (std::cmp::Reverse(often.at_least), often.address));
        all.truncate(limit);
        all
    }

    fn counts(&self) -> impl Iterator<Item = (IpAddr, u64)> + '_ {
        self.counters.iter().map(|(address, count)| (*address, count - self.taken))
    }

    fn find_places(&mut self) {
        self.places.clear();
        self.places.resize(Self::PLACES, Self::FREE);
        for ((address, _), index) in self.counters.iter().zip(0..) {
            let mut place = Self::place_of(Distinct::hash(*address));
            while self.places.get(place).is_some_and(|index| *index != Self::FREE) {
                place = (place + 1) % Self::PLACES;
            }
            if let Some(free) = self.places.get_mut(place) {
                *free = index;
            }
        }
    }

    const fn place_of(hash: u64) -> usize {
        (hash >> 56) as usize % Self::PLACES
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn address(bits: u32) -> IpAddr {
        Ipv4Addr::from_bits(bits).into()
    }

    fn add(frequent: &mut Frequent, bits: u32) {
        frequent.add(address(bits), Distinct::hash(address(bits)));
    }

    #[test]
    fn few_values_are_counted_exactly() {
        let mut frequent = Frequent::default();
        for n in 0..640 {
            add(&mut frequent, n % 64);
        }
        let most = frequent.most(2);
        assert_eq!(most.len(), 2);
        assert_eq!((most[0].address, most[0].at_least, most[0].at_most), (address(0), 10, 10));
    }

    #[test]
    fn a_heavy_source_is_found_in_a_flood_of_forged_ones() {
        let mut frequent = Frequent::default();
        for n in 0..100_000 {
            add(&mut frequent, if n % 20 == 0 { 7 } else { 1_000 + n });
        }
        let most = frequent.most(1)[0];
        assert_eq!(most.address, address(7));
        assert!(most.at_least <= 5_000 && most.at_most >= 5_000, "{most:?}");
        assert!(most.at_most - most.at_least <= 100_000 / 65, "{most:?}");
    }

    proptest! {
        #[test]
        fn counts_are_within_the_error_however_they_are_merged(
            values in prop::collection::vec(0_u32..300, 0..4_000),
            parts in 1_usize..6,
        ) {
            let mut exact = BTreeMap::new();
            let mut sketches = vec![Frequent::default(); parts];
            for (value, n) in values.iter().map(|value| value * value / 300).zip(0_usize..) {
                *exact.entry(address(value)).or_insert(0_u64) += 1;
                add(&mut sketches[n % parts], value);
            }
            let mut whole = Frequent::default();
            for sketch in sketches {
                whole.merge(&sketch);
            }
            prop_assert!(whole.error <= values.len() as u64 / (Frequent::COUNTERS as u64 + 1));
            let known: BTreeMap<_, _> =
                whole.most(usize::MAX).into_iter().map(|often| (often.address, often)).collect();
            for (address, count) in exact {
                match known.get(&address) {
                    Some(often) => {
                        prop_assert!(often.at_least <= count && count <= often.at_most);
                    }
                    None => prop_assert!(count <= whole.error),
                }
            }
        }
    }
}
