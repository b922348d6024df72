//! The life of one connection.

mod record;
mod state;
mod timeline;

pub use record::{
    Close, CloseOutcome, ConnectionRecord, Handshake, HandshakeOutcome, Mark, OfferedOptions,
    Reset, ResetKind, TimeWaitSide, Traffic, Unacknowledged,
};
pub use state::State;
pub use timeline::{Cause, Entry};
