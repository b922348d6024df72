//! Ports that Zeek takes for a server's, when it has to guess the roles.

/// TCP ports in `likely_server_ports` once Zeek 7.0 has loaded its default scripts
/// (`scripts/base/protocols/*/main.zeek`), ascending.
const LIKELY: [u16; 46] = [
    21, 22, 25, 53, 79, 80, 81, 88, 110, 135, 139, 143, 389, 443, 445, 502, 563, 585, 587, 614,
    631, 636, 989, 990, 992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5222, 5223,
    5269, 6666, 6667, 6668, 6669, 8000, 8080, 8888, 20000,
];

/// Whether `port` is likely to be a server's.
#[must_use]
pub fn is_likely_server(port: u16) -> bool {
    LIKELY.binary_search(&port).is_ok()
}
