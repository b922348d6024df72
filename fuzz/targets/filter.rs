//! Filter expressions on arbitrary text: no panic, no deep recursion, errors that can be printed, and
//! an expression that is printed and parsed again is the same.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use tcpautopsy::filter::{Candidate, Filter};
use tcpautopsy::tcp::{Endpoint, FourTuple};

fuzz_target!(|text: &str| {
    let filter: Filter = match text.parse() {
        Ok(filter) => filter,
        Err(error) => {
            let _ = format!("{error}");
            return;
        }
    };
    assert_eq!(filter.to_string().parse::<Filter>().as_ref(), Ok(&filter));
    let v4 = |host| IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
    let v6 = |host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host));
    for (source, destination) in [(v4(1), v4(2)), (v6(1), v6(2))] {
        for vlan in [None, Some(5)] {
            let tuple = FourTuple {
                source: Endpoint { address: source, port: 40_000 },
                destination: Endpoint { address: destination, port: 443 },
            };
            let _ = filter.accepts(&Candidate { tuple, vlan });
        }
    }
});
