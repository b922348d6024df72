//! Which shard a flow is dealt to.

use std::net::IpAddr;

use crate::tcp::{Endpoint, FourTuple};

/// How many shards flows are dealt to. Fixed: part of the order in which records come out.
pub const SHARDS: usize = 64;

/// Any canonical tuple in three words, to choose its shard by; tunnels do not count.
#[expect(clippy::cast_possible_truncation, reason = "halves of a hash")]
pub(super) fn fold(tuple: FourTuple) -> [u32; 3] {
    let word = |endpoint: Endpoint| match endpoint.address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let half = (bits >> 64) as u64 ^ (bits as u64).wrapping_mul(MULTIPLIER);
            (half ^ half >> 32) as u32
        }
    };
    let ports = u32::from(tuple.source.port) << 16 | u32::from(tuple.destination.port);
    [word(tuple.source), word(tuple.destination), ports]
}

/// 2^64 divided by the golden ratio, odd.
pub(super) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The shard of a canonical flow. Fixed and unkeyed: a hostile capture can only serialise us.
#[inline]
pub(super) const fn shard_of(flow: [u32; 3]) -> usize {
    shard_of_mixed(mixed(flow))
}

/// The same, of a flow that was [`mixed`].
#[expect(clippy::cast_possible_truncation, reason = "fewer bits than any usize has")]
#[inline]
pub(super) const fn shard_of_mixed(mixed: u64) -> usize {
    const { assert!(SHARDS.is_power_of_two()) }
    (mixed >> (64 - SHARDS.trailing_zeros())) as usize
}

/// A canonical flow mixed, the best bits on top.
#[inline]
pub(super) const fn mixed([low, high, ports]: [u32; 3]) -> u64 {
    let addresses = (low as u64) << 32 | high as u64;
    (addresses.wrapping_mul(MULTIPLIER) ^ ports as u64).wrapping_mul(MULTIPLIER)
}
