//! What peers would have said about the same connection, by their own published rules.
//!
//! Users compare tools. The columns in here follow Wireshark 4.0 where it is right
//! and where it is not; what this program itself thinks of a connection is decided in
//! `connection`, which asks nothing of this module. Each machine is sans-IO, looks at one
//! connection, and is fed its segments in capture order. Neither machine splits a flow into
//! connections by itself; where a peer would have split one is not its concern.

pub mod wireshark;
pub mod zeek;
