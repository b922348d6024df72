//! What Zeek's logs have in common: the names of connections.

mod uid;

pub(super) use uid::uid;
