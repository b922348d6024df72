//! Names of connections that look like Zeek's, the same in every run.
//!
//! Zeek draws 96 random bits and writes them in base 62 behind a `C`. Here the bits come from the
//! addresses, the ports, and the first frame, so that two runs over the same capture agree, and so
//! do the JSON report and conn.log.

use std::net::IpAddr;

use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, TunnelLayer};

/// The digits of Zeek's base 62.
const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The name of the connection between two endpoints that began at `time` with `frame`.
pub(in super::super) fn uid(endpoints: [Endpoint; 2], time: Time, frame: FrameId) -> String {
    let [one, other] = endpoints;
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    let mut bits = Bits::default();
    for endpoint in [low, high] {
        bits.mix_address(endpoint.address);
        bits.mix(u128::from(endpoint.port));
    }
    bits.mix(u128::from(time.nanos().cast_unsigned()));
    bits.mix(u128::from(frame.number()));
    bits.name()
}

/// The name of a tunnel.
pub(super) fn tunnel_uid(layer: &TunnelLayer) -> String {
    let mut bits = Bits::default();
    for address in [layer.low, layer.high] {
        bits.mix_address(address);
    }
    for byte in layer.kind.bytes() {
        bits.mix(u128::from(byte));
    }
    bits.mix(layer.id.map_or(u128::MAX, u128::from));
    bits.name()
}

/// A hash of 128 bits: multiply and fold. It scatters; nothing depends on its being hard to invert.
#[derive(Debug, Default)]
struct Bits(u128);

impl Bits {
    /// An odd number of which half the bits are set: 2^128 divided by the golden ratio.
    const MULTIPLIER: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

    const fn mix(&mut self, value: u128) {
        let mixed = (self.0 ^ value).wrapping_add(1).wrapping_mul(Self::MULTIPLIER);
        self.0 = (mixed ^ (mixed >> 67)).wrapping_mul(Self::MULTIPLIER);
    }

    fn mix_address(&mut self, address: IpAddr) {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        self.mix(address.to_bits());
    }

    /// 96 of the bits.
    fn name(self) -> String {
        const TEN_DIGITS: u128 = 62_u128.pow(10);
        // Perf: the bits are divided once, each half in a register from then on; both fit one.
        let bits = self.0 >> 32;
        let halves = [bits % TEN_DIGITS, bits / TEN_DIGITS];
        let [mut low, mut high] = halves.map(|half| u64::try_from(half).unwrap_or_default());
        let mut name = String::with_capacity(18);
        name.push('C');
        while low > 0 || high > 0 {
            if name.len() == 11 {
                low = std::mem::take(&mut high);
            }
            let digit = usize::try_from(low % 62).ok().and_then(|at| DIGITS.get(at));
            name.push(char::from(digit.copied().unwrap_or(b'A')));
            low /= 62;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        let (address, port) = text.rsplit_once(':').unwrap();
        Endpoint { address: address.parse().unwrap(), port: port.parse().unwrap() }
    }

    #[test]
    fn names_look_like_those_of_zeek_and_differ() {
        let (client, server) = (endpoint("10.0.0.1:40000"), endpoint("10.0.0.2:443"));
        let name = |port, nanos, frame| {
            let client = Endpoint { port, ..client };
            uid([client, server], Time::from_nanos(nanos), FrameId::new(0, frame))
        };
        let mut names = BTreeSet::new();
        for port in 0..50 {
            for nanos in 0..50 {
                names.insert(name(port, nanos, 1));
                names.insert(name(port, nanos, 2));
            }
        }
        assert_eq!(names.len(), 5_000);
        for name in names {
            assert!((15..=18).contains(&name.len()), "{name}");
            assert!(name.starts_with('C') && name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn both_directions_have_the_same_name() {
        let (client, server) = (endpoint("10.0.0.1:40000"), endpoint("10.0.0.2:443"));
        let name = |endpoints| uid(endpoints, Time::from_nanos(1), FrameId::new(0, 1));
        assert_eq!(name([client, server]), name([server, client]));
    }
}
