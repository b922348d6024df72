//! `conn_state`, `history` and the counts of Zeek's conn.log, as Zeek 7.0 would write them.
//!
//! The rules are those of Zeek's `TCPSessionAdapter`, `TCP_Endpoint` and `TCP_Reassembler`, and of
//! `conn/main.zeek`. A [`Tracker`] follows one connection; it keeps the endpoints' states as Zeek
//! knows them, and how far each stream was delivered and acknowledged, which is where the gaps and
//! the byte counts of conn.log come from. Where Zeek would have cut a flow into several
//! connections is [`Lifetime`]'s part, and nobody asks it unless the user wants Zeek's rows.
//!
//! Two roles, as in Zeek: the *originator* is the sender of the first segment, unless that was a
//! SYN-ACK; it need not be the client of the engine.

mod closing;
mod columns;
mod delivery;
mod endpoint;
mod expected;
mod history;
mod lifetime;
mod machine;
mod ports;
#[cfg(test)]
mod tests;
mod tracker;

pub use columns::{Columns, ConnState, Counts};
pub use endpoint::EndpointState;
pub use history::History;
pub use lifetime::{Lifetime, Timers};
pub use ports::is_likely_server;
pub use tracker::{Effects, Tracker};
