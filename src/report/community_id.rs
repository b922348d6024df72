//! Community ID v1 of a connection: one short name that Zeek, Suricata, Arkime and others give to
//! the same flow, so that their logs can be joined.
//!
//! Follows the specification at github.com/corelight/community-id-spec, seed 0.

use std::net::IpAddr;

use sha1::{Digest as _, Sha1};

use crate::tcp::Endpoint;

/// The IP protocol number of TCP.
const TCP: u8 = 6;

/// `1:` and the Base64 of the SHA-1 over seed, addresses, protocol and ports, the lower endpoint
/// first; the same for both directions.
pub(super) fn community_id(one: Endpoint, other: Endpoint) -> String {
    let (low, high) = if key(one) <= key(other) { (one, other) } else { (other, one) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for endpoint in [low, high] {
        match endpoint.address {
            IpAddr::V4(address) => hash.update(address.octets()),
            IpAddr::V6(address) => hash.update(address.octets()),
        }
    }
    hash.update([TCP, 0]);
    hash.update(low.port.to_be_bytes());
    hash.update(high.port.to_be_bytes());
    let mut id = String::with_capacity(30);
    id.push_str("1:");
    base64(&hash.finalize(), &mut id);
    id
}

/// The order of the specification: address bytes in network order, then the port.
fn key(endpoint: Endpoint) -> (IpAddr, u16) {
    (endpoint.address, endpoint.port)
}

/// The digits of Base64.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the Base64 of `bytes` with padding (RFC 4648 4).
fn base64(bytes: &[u8], text: &mut String) {
    for chunk in bytes.chunks(3) {
        let byte = |index| chunk.get(index).map_or(0, |&byte: &u8| u32::from(byte));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) as usize & 63;
            let shown = DIGITS.get(index).filter(|_| digit <= chunk.len());
            text.push(shown.map_or('=', |shown| char::from(*shown)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(one: (&str, u16), other: (&str, u16)) -> String {
        let endpoint =
            |(address, port): (&str, u16)| Endpoint { address: address.parse().unwrap(), port };
        community_id(endpoint(one), endpoint(other))
    }

    #[test]
    fn the_vectors_of_the_specification_come_out() {
        // baseline/baseline_deflt.json of the specification: TCP over IPv4 and over IPv6.
        for (one, other, expected) in [
            (("128.232.110.120", 34855), ("66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (
                ("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943),
                ("2607:f8b0:400c:c03::1a", 25),
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
        ] {
            assert_eq!(id(one, other), expected);
            assert_eq!(id(other, one), expected);
        }
    }

    #[test]
    fn base64_pads_and_uses_the_whole_alphabet() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xFB, 0xFF, 0xBF], "+/+/"),
        ] {
            let mut text = String::new();
            base64(bytes, &mut text);
            assert_eq!(text, expected);
        }
    }
}
