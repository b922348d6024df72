//! A sink that keeps the line of every segment, as `.segments.ndjson` would hold it.

use std::io;

use tcpautopsy::analysis::{JudgedConnection, JudgedSegment};
use tcpautopsy::pipeline::Sink;
use tcpautopsy::report;

/// The lines of a run, in their order.
#[derive(Default)]
pub(crate) struct SegmentLines(pub(crate) Vec<Vec<u8>>);

impl Sink for SegmentLines {
    fn format(&self, _: &JudgedConnection, _: &mut Vec<u8>) {}

    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn is_wanted(&self) -> bool {
        false
    }

    fn wants_segments(&self) -> bool {
        true
    }

    fn format_segment(&self, segment: &JudgedSegment<'_>, into: &mut Vec<u8>) {
        report::write_segment(segment, into);
    }

    fn write_segment(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.0.push(formatted.to_vec());
        Ok(())
    }
}
