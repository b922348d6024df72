//! The compatible columns against the peers' own answers for public captures.

mod arkime;
pub(crate) mod captures;
pub(crate) mod conn_log;
mod streams;
mod tcprs;
mod tcptrace;
mod tshark;
mod wireshark;
mod zeek;
