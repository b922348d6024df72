//! The compatible columns against the peers' own answers for public captures.

mod captures;
pub(crate) mod conn_log;
mod tshark;
mod wireshark;
mod zeek;
