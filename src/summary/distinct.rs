//! How many different values were seen: exact up to a bound, estimated beyond it.
//!
//! The k smallest hashes are kept (Bar-Yossef et al., "Counting distinct elements in a data stream",
//! 2002). While fewer than k are known, their number is the answer. Beyond, the k-th smallest hash
//! tells how densely the hashes lie. The k smallest of a union are found among the k smallest of its
//! parts, so the order of additions and merges leaves no trace.

use std::borrow::Cow;
use std::net::IpAddr;

/// A bounded set of hashes that counts what was put in.
#[derive(Clone, Debug)]
pub struct Distinct {
    /// The smallest hashes seen, in order, without repetition; behind them those that wait to be put
    /// in order, since putting many at once is cheaper.
    smallest: Vec<u64>,
    in_order: u32,
    /// Hashes beyond this one change nothing: enough smaller ones are known.
    bound: u64,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { smallest: Vec::new(), in_order: 0, bound: u64::MAX }
    }
}

impl Distinct {
    /// Up to this many values the count is exact.
    pub const EXACT: usize = 1_024;
    /// How many values are put in order at once.
    const MANY: usize = 128;

    /// Relative standard error beyond [`Distinct::EXACT`], in thousandths: 1 / sqrt(k - 2).
    pub const ERROR_PERMILLE: u32 = 31;

    /// Adds an address.
    pub fn add(&mut self, address: IpAddr) {
        self.add_hash(hash(address));
    }

    /// The hash of an address, for [`Distinct::add_hash`].
    #[must_use]
    pub fn hash(address: IpAddr) -> u64 {
        hash(address)
    }

    /// Adds the address that has this hash.
    #[inline]
    pub fn add_hash(&mut self, hash: u64) {
        if hash > self.bound {
            return;
        }
        self.smallest.push(hash);
        if self.smallest.len() - self.in_order as usize >= Self::MANY {
            self.settle();
        }
    }

    /// Adds the values of another shard.
    pub fn merge(&mut self, other: &Self) {
        self.smallest.extend_from_slice(&other.smallest);
        self.settle();
    }

    /// Puts in order what waits.
    #[expect(clippy::stable_sort_primitive, reason = "runs in order: it only merges them")]
    fn settle(&mut self) {
        self.smallest.sort();
        self.smallest.dedup();
        self.smallest.truncate(Self::EXACT);
        self.in_order = u32::try_from(self.smallest.len()).unwrap_or(u32::MAX);
        if let Some(largest) = self.smallest.get(Self::EXACT - 1) {
            self.bound = *largest;
        }
    }

    /// All hashes that are kept, in order.
    fn settled(&self) -> Cow<'_, [u64]> {
        if self.smallest.len() == self.in_order as usize {
            return Cow::Borrowed(&self.smallest);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled.smallest)
    }

    /// How many different values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        let smallest = self.settled();
        match smallest.last() {
            Some(largest) if smallest.len() >= Self::EXACT => {
                let share = u128::from(*largest).max(1);
                let estimate = (((Self::EXACT - 1) as u128) << 64) / share;
                u64::try_from(estimate).unwrap_or(u64::MAX)
            }
            _ => smallest.len() as u64,
        }
    }

    /// Whether [`Distinct::count`] is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.settled().len() < Self::EXACT
    }
}

/// A fixed hash: the result is part of the output, so it must not differ between runs. Two rounds
/// of the `SplitMix64` finaliser (Steele, Lea, Flood, "Fast splittable generators", 2014).
fn hash(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => mix(u64::from(address.to_bits()) | 4 << 32),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the two halves of 128 bits")]
            let (high, low) = ((bits >> 64) as u64, bits as u64);
            mix(mix(high).wrapping_add(low))
        }
    }
}

const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn counted(addresses: impl Iterator<Item = u32>) -> Distinct {
        let mut distinct = Distinct::default();
        addresses.for_each(|bits| distinct.add(IpAddr::V4(Ipv4Addr::from_bits(bits))));
        distinct
    }

    #[test]
    fn counts_exactly_up_to_the_bound() {
        let distinct = counted((0..1_023).chain(0..1_023));
        assert_eq!((distinct.count(), distinct.is_exact()), (1_023, true));
    }

    #[test]
    fn estimates_within_three_standard_errors_beyond_it() {
        for total in [2_000_u32, 50_000, 400_000] {
            let distinct = counted(0..total);
            assert!(!distinct.is_exact());
            let error = distinct.count().abs_diff(u64::from(total)) * 1_000 / u64::from(total);
            assert!(error < 3 * u64::from(Distinct::ERROR_PERMILLE), "{total}: {error} permille");
        }
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let mut parts = counted(0..3_000);
        parts.merge(&counted(2_000..9_000));
        assert_eq!(parts.settled(), counted(0..9_000).settled());
    }
}
