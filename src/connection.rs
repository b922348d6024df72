//! The life of one connection.

mod coverage;
mod record;
mod state;
mod timeline;
mod transition;

pub use record::{
    Close, CloseOutcome, ConnectionRecord, Handshake, HandshakeOutcome, Mark, OfferedOptions,
    Reset, ResetKind, TimeWaitSide, Traffic, Unacknowledged,
};
pub use state::State;
pub use timeline::{Cause, Entry};
pub use transition::{Event, as_markdown, next};
