//! Which values came most often: a sketch with an error that is known.
//!
//! The counters of Misra and Gries ("Finding repeated elements", 1982), as they merge (Agarwal et al.,
//! "Mergeable summaries", 2012): when there are too many, the largest that does not fit is taken off
//! all of them. So a count is too low by what was taken off at most, and that is never more than the
//! number of all values divided by one more than there are counters. Which values are kept depends on
//! the order in which they come.

use std::net::IpAddr;

/// Bounded counters of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frequent {
    /// By address.
    counters: Vec<(IpAddr, u64)>,
    /// Not counted yet: counting many at once is cheaper.
    waiting: Vec<IpAddr>,
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
    /// How many values are counted at once.
    const MANY: usize = 64;

    /// Adds an address.
    pub fn add(&mut self, address: IpAddr) {
        self.waiting.push(address);
        if self.waiting.len() >= Self::MANY {
            self.settle();
        }
    }

    /// Adds the values of another sketch.
    pub fn merge(&mut self, mut other: Self) {
        self.settle();
        other.settle();
        self.error += other.error;
        self.count(other.counters);
    }

    /// Counts what waits; the sketch can be read then.
    pub fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        let runs = waiting.chunk_by(|one, other| one == other);
        let counted =
            runs.filter_map(|run| Some((*run.first()?, run.len() as u64))).collect::<Vec<_>>();
        self.count(counted);
        waiting.clear();
        self.waiting = waiting;
    }

    /// The `limit` values with the highest counts, those first.
    #[must_use]
    pub fn most(&self, limit: usize) -> Vec<Often> {
        let often = |&(address, count): &(IpAddr, u64)| Often {
            address,
            at_least: count,
            at_most: count.saturating_add(self.error),
        };
        let mut all: Vec<Often> = self.counters.iter().map(often).collect();
        all.sort_by_key(|often| (std::cmp::Reverse(often.at_least), often.address));
        all.truncate(limit);
        all
    }

    /// Adds counts, in the order of their addresses.
    fn count(&mut self, others: Vec<(IpAddr, u64)>) {
        if others.is_empty() {
            return;
        }
        self.counters.extend(others);
        self.counters.sort_by_key(|(address, _)| *address);
        self.counters.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 += later.1;
            }
            same
        });
        if self.counters.len() <= Self::COUNTERS {
            return;
        }
        let mut counts: Vec<u64> = self.counters.iter().map(|(_, count)| *count).collect();
        let (_, &mut taken, _) =
            counts.select_nth_unstable_by(Self::COUNTERS, |one, other| other.cmp(one));
        self.error += taken;
        self.counters.retain_mut(|(_, count)| {
            *count = count.saturating_sub(taken);
            *count > 0
        });
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

    #[test]
    fn few_values_are_counted_exactly() {
        let mut frequent = Frequent::default();
        for n in 0..640 {
            frequent.add(address(n % 64));
        }
        frequent.settle();
        let most = frequent.most(2);
        assert_eq!(most.len(), 2);
        assert_eq!((most[0].address, most[0].at_least, most[0].at_most), (address(0), 10, 10));
    }

    #[test]
    fn a_heavy_source_is_found_in_a_flood_of_forged_ones() {
        let mut frequent = Frequent::default();
        for n in 0..100_000 {
            frequent.add(if n % 20 == 0 { address(7) } else { address(1_000 + n) });
        }
        frequent.settle();
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
                sketches[n % parts].add(address(value));
            }
            let mut whole = Frequent::default();
            for sketch in sketches {
                whole.merge(sketch);
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
