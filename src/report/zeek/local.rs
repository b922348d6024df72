//! Which addresses Zeek takes for the site's own, if nobody tells it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that the Internet does not route: the IPv4 part of Zeek 7.0's
/// `Site::private_address_space` (`base/utils/site.zeek`), which is `Site::local_nets` by default.
const V4: [(Ipv4Addr, u32); 14] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::BROADCAST, 32),
];

/// The IPv6 part of it.
const V6: [(Ipv6Addr, u32); 9] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

/// Whether Zeek would call the address local.
pub(super) fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => match address.segments() {
            // 6to4 (RFC 3056): the IPv4 address follows the prefix.
            [0x2002, high, low, ..] => {
                is_local_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => V6.iter().any(|(network, length)| {
                (address.to_bits() ^ network.to_bits()).leading_zeros() >= *length
            }),
        },
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    V4.iter()
        .any(|(network, length)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= *length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_local_and_public_ones_are_not() {
        for (address, expected) in [
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("8.8.8.8", false),
            ("255.255.255.255", true),
            ("fe80::1", true),
            ("2001:db8::1", true),
            ("2606:4700::1111", false),
            ("2002:a01:203::1", true),
            ("2002:808:808::1", false),
            ("::1", true),
        ] {
            assert_eq!(is_local(address.parse().unwrap()), expected, "{address}");
        }
    }
}
