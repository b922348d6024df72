//! tcpautopsy reads packet captures after the fact and tells what happened to every TCP connection.
//!
//! The crate is a pipeline: bytes become frames, frames segments, segments connections,
//! connections summaries, summaries findings, findings reports. A later stage never reaches back
//! into an earlier one. Modules have ranks, and a module uses only lower ranks:
//!
//! | rank | module | responsibility |
//! |---|---|---|
//! | 0 | `compact` | values in few bits, for what is put away |
//! | 0 | `near` | asks for memory before it is needed |
//! | 1 | `groups` | a hash table of numbers that asks for memory before it is needed |
//! | 1 | [`stamp`] | frame numbers, capture time, spans: the only clock |
//! | 1 | [`certainty`] | observed, inferred, assumed |
//! | 2 | [`tcp`] | sequence numbers, flags, options, segments, tuples |
//! | 2 | [`settings`] | what governs the sockets of a host |
//! | 3 | [`compat`] | what Wireshark and Zeek would have said |
//! | 3 | [`filter`] | which segments to look at, as an expression |
//! | 4 | [`capture`] | what a file is, chunks of records, damage and resync |
//! | 4 | [`connection`] | sans-IO life of one connection |
//! | 4 | [`finding`] | plain data of a finding |
//! | 5 | [`threshold`] | a detector's limits as plain data |
//! | 5 | [`decode`] | frame to segment, or a counted skip |
//! | 5 | [`flow`] | tuple to live connection, incarnations, expiry |
//! | 5 | [`input`] | what was read of a file |
//! | 5 | [`summary`] | mergeable totals: capture, listener, host |
//! | 6 | [`detect`] | detectors, registry, thresholds, advice |
//! | 7 | [`analysis`] | what the pipeline returns and the reports read |
//! | 8 | [`pipeline`] | waves, chunks, shards, ordered merge |
//! | 8 | [`report`] | one file per output format |
//! | 9 | [`cli`] | the command line |
//!
//! # Glossary
//!
//! * **frame**: what the capture recorded, link header first; **packet**: IP; **segment**: TCP.
//! * **flow**: a tuple of addresses and ports (and the tunnel around it); **connection**: one
//!   incarnation of a flow; **endpoint**: one side of a connection.
//! * **client**: the side that sent the first SYN; **server**: the side that received it.
//! * **gap**: bytes of the stream that no captured segment carried; **coverage**: the bytes seen.
//! * **stall**: time in which a direction could not make progress.
//! * **tap**: the point in the network where the capture was taken.
//! * **capture clock**: the highest time seen so far; timers run on it.

pub mod analysis;
pub mod capture;
pub mod certainty;
pub mod cli;
mod compact;
pub mod compat;
pub mod connection;
pub mod decode;
pub mod detect;
pub mod filter;
pub mod finding;
pub mod flow;
mod groups;
pub mod input;
mod near;
pub mod pipeline;
pub mod report;
pub mod settings;
pub mod stamp;
pub mod summary;
pub mod tcp;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod threshold;
