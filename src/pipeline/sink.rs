//! Where connections, segments and rows go one by one while the run is still reading.
//!
//! Formatting happens in the shards, in parallel; writing happens in one place, in order. Knows
//! nothing of any output format.

use std::io;

use crate::analysis::{JudgedConnection, JudgedSegment};
use crate::connection::LoneValue;
use crate::flow::ZeekRow;

/// Takes every connection of a run, and every segment if it wants them.
pub trait Sink: Send + Sync {
    /// Appends what is to be written about one connection. Called by many threads at once, in no
    /// order.
    fn format(&self, connection: &JudgedConnection, into: &mut Vec<u8>);

    /// All values that differ in what [`Sink::format`] appends about SYNs that nothing followed and that look
    /// the same. Where they are known, most of these texts are not formatted, but made of one of them.
    fn lone_values(&self) -> &'static [LoneValue] {
        &[]
    }

    /// Writes what [`Sink::format`] appended for one connection after the other, in the order in
    /// which the connections ended. Of those that ended at the same time, the ones that a frame
    /// ended come first, in the order of the frames, then the others, by age.
    ///
    /// # Errors
    /// Whatever the output says; the run ends with it.
    fn write(&mut self, formatted: &[u8]) -> io::Result<()>;

    /// Whether the sink wants connections at all.
    fn is_wanted(&self) -> bool {
        true
    }

    /// Whether the sink wants segments as well: a run without them is several times faster.
    fn wants_segments(&self) -> bool {
        false
    }

    /// Appends what is to be written about one segment. Called by many threads at once, in no
    /// order.
    fn format_segment(&self, segment: &JudgedSegment<'_>, into: &mut Vec<u8>) {
        let _ = (segment, into);
    }

    /// Writes what [`Sink::format_segment`] appended for one segment after the other, in the order
    /// of their frames.
    ///
    /// # Errors
    /// Whatever the output says; the run ends with it.
    fn write_segment(&mut self, formatted: &[u8]) -> io::Result<()> {
        let _ = formatted;
        Ok(())
    }

    /// Whether the sink wants rows of Zeek's conn.log as well.
    fn wants_zeek_rows(&self) -> bool {
        false
    }

    /// Appends a row. Called by many threads at once, in no order.
    fn format_zeek_row(&self, row: &ZeekRow, into: &mut Vec<u8>) {
        let _ = (row, into);
    }

    /// Writes what [`Sink::format_zeek_row`] appended for one row after the other, in the order in
    /// which they ended, the older one first where two ended at the same time.
    ///
    /// # Errors
    /// Whatever the output says; the run ends with it.
    fn write_zeek_row(&mut self, formatted: &[u8]) -> io::Result<()> {
        let _ = formatted;
        Ok(())
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
