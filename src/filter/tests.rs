//! What expressions mean, and what is said about those that mean nothing.

use proptest::prelude::*;

use super::*;
use crate::tcp::Endpoint;

fn candidate(source: &str, destination: &str, vlan: Option<u16>) -> Candidate {
    let end = |text: &str| {
        let text: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { address: text.ip(), port: text.port() }
    };
    Candidate { tuple: FourTuple { source: end(source), destination: end(destination) }, vlan }
}

fn accepts(filter: &str, candidate: &Candidate) -> bool {
    filter.parse::<Filter>().unwrap_or_else(|error| panic!("{error}")).accepts(candidate)
}

#[test]
fn expressions_mean_what_they_mean_to_tcpdump() {
    let web = candidate("10.1.2.3:40000", "192.168.0.1:443", None);
    for (filter, expected) in [
        ("host 10.1.2.3", true),
        ("10.1.2.3", true),
        ("host 10.1.2.4", false),
        ("src host 10.1.2.3", true),
        ("dst 10.1.2.3", false),
        ("src or dst host 10.1.2.3", true),
        ("src and dst net 10.0.0.0/8", false),
        ("src and dst net 0.0.0.0/0", true),
        ("net 10", true),
        ("net 10.1", true),
        ("net 10.2", false),
        ("net 10.1.2.0/24", true),
        ("net 10.1.2.99/24", true),
        ("net 10.1.2.0 mask 255.255.255.0", true),
        ("dst net 192.168.0.0/16", true),
        ("port 443", true),
        ("port https", true),
        ("src port 443", false),
        ("tcp dst port 443", true),
        ("tcp port 80", false),
        ("portrange 400-500", true),
        ("portrange 1-65535", true),
        ("dst portrange 40000-40001", false),
        ("port 80 or 443", true),
        ("port 80 or 8080", false),
        ("host 10.1.2.3 and not port 22", true),
        ("host 10.1.2.3 && !(port 22 || port 443)", false),
        ("ip", true),
        ("ip6", false),
        ("tcp", true),
        ("not tcp", false),
        ("ip host 10.1.2.3", true),
        ("ip6 port 443", false),
        ("vlan", false),
        ("not vlan", true),
        // From left to right: (a or b) and c.
        ("port 443 or port 80 and host 1.1.1.1", false),
        ("port 443 or (port 80 and host 1.1.1.1)", true),
        ("not not port 443", true),
        ("  port\t443 ", true),
    ] {
        assert_eq!(accepts(filter, &web), expected, "{filter}");
    }
}

#[test]
fn ipv6_and_vlan_ids() {
    let it = candidate("[2001:db8::1]:1", "[2001:db8:1::2]:80", Some(7));
    for (filter, expected) in [
        ("ip6", true),
        ("ip", false),
        ("host 2001:db8::1", true),
        ("ip6 host 2001:db8::1", true),
        ("net 2001:db8::/32", true),
        ("src net 2001:db8:1::/48", false),
        ("net 10.0.0.0/8", false),
        ("vlan", true),
        ("vlan 7", true),
        ("vlan 8", false),
        ("vlan 7 and port 80", true),
        ("vlan and port 80", true),
    ] {
        assert_eq!(accepts(filter, &it), expected, "{filter}");
    }
    assert!("port 1 or not vlan 7".parse::<Filter>().unwrap().needs_vlan());
    assert!(!"port 1".parse::<Filter>().unwrap().needs_vlan());
}

/// The message, and the column that the mark points at.
fn refused(filter: &str) -> (String, usize) {
    let shown = filter.parse::<Filter>().unwrap_err().to_string();
    let lines: Vec<&str> = shown.lines().collect();
    (lines[0].to_owned(), lines[2].len() - 3)
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    for (filter, message, column) in [
        ("", "a condition was expected, such as `host 10.0.0.1`", 0),
        ("host", "an address, such as 10.0.0.1 was expected here", 4),
        ("port 99999", "`99999` is not a port, such as 443", 5),
        (
            "host 10.0.0.0/8",
            "`10.0.0.0/8` is not an address, such as 10.0.0.1: a network needs `net`",
            5,
        ),
        ("port 80 and", "a condition was expected, such as `host 10.0.0.1`", 11),
        ("(port 80", "this `(` is never closed", 0),
        ("port 80)", "there is no `(` for this `)`", 7),
        ("port 80 host 1.1.1.1", "`and` or `or` is missing before this", 8),
        ("udp port 53", "only TCP segments are looked at", 0),
        ("tcp[13] & 2 != 0", "`and`, `or` or the end was expected here", 3),
        ("portrange 90-80", "the first port of the range is above the last one", 10),
        ("net 10.0.0.0/33", "a prefix has 0 to 32 bits here", 4),
        ("ip6 host 10.0.0.1", "an address of the other IP version", 9),
        ("vlan 5000", "a VLAN id is a number from 0 to 4095", 5),
        ("net 10.0.0.0 mask x", "an IPv4 mask was expected, such as 255.255.0.0", 18),
        ("port 80 or or", "a condition was expected before this", 11),
    ] {
        assert_eq!(refused(filter), (message.to_owned(), column), "{filter}");
    }
    assert!(refused("example.org").0.contains("names are not looked up"));
    assert!(refused(&"(".repeat(10_000)).0.starts_with("nested deeper than"));
    assert!(refused(&"not ".repeat(10_000)).0.starts_with("nested deeper than"));
}

#[test]
fn long_chains_are_no_nesting() {
    let long = vec!["port 1"; 20_000].join(" or ");
    assert!(!accepts(&long, &candidate("1.1.1.1:5", "1.1.1.2:6", None)));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<Filter>().map_err(|error| error.to_string());
    }

    #[test]
    fn no_words_in_any_order_make_the_parser_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "host", "net", "port", "portrange", "src", "dst", "and", "or", "not", "(", ")", "ip",
            "ip6", "tcp", "vlan", "mask", "10.0.0.1", "10.0.0.0/8", "::1", "80", "1-2", "http",
        ]), 0..12),
    ) {
        let text = words.join(" ");
        match text.parse::<Filter>() {
            // What is accepted has one meaning, whatever is around it.
            Ok(filter) => {
                let it = candidate("10.0.0.1:80", "10.0.0.2:2", None);
                let negated: Filter = format!("not ({text})").parse().unwrap();
                prop_assert_eq!(filter.accepts(&it), !negated.accepts(&it));
            }
            Err(error) => prop_assert!(error.to_string().contains('^')),
        }
    }
}
