//! Where connections go one by one while the run is still reading.
//!
//! Formatting happens in the shards, in parallel; writing happens in one place, in order. Knows
//! nothing of any output format.

use std::io;

use crate::analysis::JudgedConnection;

/// Takes every connection of a run.
pub trait Sink: Send + Sync {
    /// Appends what is to be written about one connection. Called by many threads at once, in no
    /// order.
    fn format(&self, connection: &JudgedConnection, into: &mut Vec<u8>);

    /// Writes what [`Sink::format`] appended for one connection after the other, in the order in
    /// which the connections ended, the older one first where two ended at the same time.
    ///
    /// # Errors
    /// Whatever the output says; the run ends with it.
    fn write(&mut self, formatted: &[u8]) -> io::Result<()>;

    /// Whether the sink wants anything at all.
    fn is_wanted(&self) -> bool {
        true
    }
}

/// A sink that wants nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn format(&self, _: &JudgedConnection, _: &mut Vec<u8>) {}

    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn is_wanted(&self) -> bool {
        false
    }
}
