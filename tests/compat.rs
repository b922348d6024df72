//! The compatible columns against the peers' own answers for public captures.

mod captures;
mod wireshark;
