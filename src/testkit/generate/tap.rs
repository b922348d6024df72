//! The tap of a generated capture: turns segments into frames, and counts them.

use std::io::{self, Write};

use super::{Shape, Totals};
use crate::stamp::Time;
use crate::testkit::file::CaptureWriter;
use crate::testkit::frame::{Link, Packet};

/// Longest payload that a generator sends in bytes.
pub(super) const MAX_PAYLOAD: usize = 1_460;

/// Where every generated frame passes.
#[derive(Debug)]
pub(super) struct Tap<W: Write> {
    writer: CaptureWriter<W>,
    link: Link,
    totals: Totals,
    frame: Vec<u8>,
    payload: Vec<u8>,
}

impl<W: Write> Tap<W> {
    pub(super) fn new(out: W, shape: Shape) -> io::Result<Self> {
        let payload = b"GET /generated/ HTTP/1.1 ".iter().copied().cycle().take(MAX_PAYLOAD);
        Ok(Self {
            writer: CaptureWriter::new(out, shape.format, shape.link, shape.snaplen.max(1))?,
            link: shape.link,
            totals: Totals::default(),
            frame: Vec::new(),
            payload: payload.collect(),
        })
    }

    pub(super) const fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(super) const fn link(&self) -> Link {
        self.link
    }

    /// Counts a connection that begins.
    pub(super) const fn count_connection(&mut self) {
        self.totals.connections += 1;
    }

    /// Records a segment with `payload_len` bytes of payload, whose content never varies.
    pub(super) fn segment(
        &mut self,
        time: Time,
        packet: &Packet<'_>,
        payload_len: u32,
    ) -> io::Result<()> {
        let len = usize::try_from(payload_len).unwrap_or(MAX_PAYLOAD);
        let payload = self.payload.get(..len).unwrap_or(&self.payload);
        self.frame.clear();
        Packet { payload, ..*packet }.write(self.link, &mut self.frame);
        self.writer.record(time, &self.frame, self.frame.len())?;
        self.totals.frames += 1;
        self.totals.segments += 1;
        Ok(())
    }

    /// Records a frame that holds no TCP segment.
    pub(super) fn frame(&mut self, time: Time, frame: &[u8]) -> io::Result<()> {
        self.writer.record(time, frame, frame.len())?;
        self.totals.frames += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Totals> {
        self.totals.bytes = self.writer.written();
        self.writer.into_inner().flush()?;
        Ok(self.totals)
    }
}
