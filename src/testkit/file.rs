//! Writes capture files: pcap with microseconds or nanoseconds, and pcapng.
//!
//! Streams to any writer, so that captures larger than memory can be made. Independent of the
//! readers that are tested with its output.

use std::io::{self, Write};

use super::frame::Link;
use crate::stamp::Time;

/// Which capture file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Classic pcap, times in microseconds.
    #[default]
    Pcap,
    /// Classic pcap, times in nanoseconds.
    PcapNanos,
    /// pcapng, one section, one interface, times in nanoseconds.
    Pcapng,
}

impl Format {
    /// The format of that name: `pcap`, `pcap-ns` or `pcapng`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "pcap" => Some(Self::Pcap),
            "pcap-ns" => Some(Self::PcapNanos),
            "pcapng" => Some(Self::Pcapng),
            _ => None,
        }
    }
}

/// A capture file being written.
#[derive(Debug)]
pub(super) struct CaptureWriter<W> {
    out: W,
    format: Format,
    snaplen: u32,
    written: u64,
}

impl<W: Write> CaptureWriter<W> {
    /// Writes the file's head. `snaplen` in bytes, at least 1; longer frames are cut to it.
    pub(super) fn new(mut out: W, format: Format, link: Link, snaplen: u32) -> io::Result<Self> {
        let head = file_head(format, link, snaplen);
        out.write_all(&head)?;
        Ok(Self { out, format, snaplen, written: head.len() as u64 })
    }

    /// Bytes written so far: where the next record begins.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }

    /// Writes one frame. `original_len` is its length on the wire in bytes.
    pub(super) fn record(
        &mut self,
        time: Time,
        frame: &[u8],
        original_len: usize,
    ) -> io::Result<()> {
        let kept = frame.len().min(usize::try_from(self.snaplen).unwrap_or(usize::MAX));
        let frame = frame.get(..kept).unwrap_or(frame);
        let lengths = [to_u32(kept)?, to_u32(original_len)?];
        self.written += match self.format {
            Format::Pcap | Format::PcapNanos => self.classic_record(time, frame, lengths)?,
            Format::Pcapng => self.enhanced_packet(time, frame, lengths)?,
        };
        Ok(())
    }

    fn classic_record(&mut self, time: Time, frame: &[u8], lengths: [u32; 2]) -> io::Result<u64> {
        let seconds = u32::try_from(time.nanos().div_euclid(1_000_000_000))
            .map_err(|_| io::Error::other("time outside of what pcap can hold"))?;
        let nanos = u32::try_from(time.nanos().rem_euclid(1_000_000_000)).unwrap_or(0);
        let fraction = if self.format == Format::Pcap { nanos / 1000 } else { nanos };
        let mut header = [0; 16];
        let fields = [seconds, fraction, lengths[0], lengths[1]];
        for (slot, field) in header.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        self.out.write_all(&header)?;
        self.out.write_all(frame)?;
        Ok(16 + frame.len() as u64)
    }

    fn enhanced_packet(&mut self, time: Time, frame: &[u8], lengths: [u32; 2]) -> io::Result<u64> {
        let padding = frame.len().next_multiple_of(4) - frame.len();
        let total = to_u32(32 + frame.len() + padding)?;
        let ticks = u64::try_from(time.nanos())
            .map_err(|_| io::Error::other("time outside of what pcapng can hold"))?;
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
        let halves = [(ticks >> 32) as u32, ticks as u32];
        let mut header = [0; 28];
        let fields = [6, total, 0, halves[0], halves[1], lengths[0], lengths[1]];
        for (slot, field) in header.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        self.out.write_all(&header)?;
        self.out.write_all(frame)?;
        self.out.write_all([0; 3].get(..padding).unwrap_or_default())?;
        self.out.write_all(&total.to_le_bytes())?;
        Ok(u64::from(total))
    }
}

fn to_u32(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::Error::other("frame too long for a capture file"))
}

fn file_head(format: Format, link: Link, snaplen: u32) -> Vec<u8> {
    let link = link.link_type().0;
    let words: &[u32] = match format {
        Format::Pcap => &[0xa1b2_c3d4, 0x0004_0002, 0, 0, snaplen, link],
        Format::PcapNanos => &[0xa1b2_3c4d, 0x0004_0002, 0, 0, snaplen, link],
        // A section header of unknown length, then an interface with if_tsresol (9) = 10^-9.
        Format::Pcapng => &[
            0x0a0d_0d0a,
            28,
            0x1a2b_3c4d,
            1,
            u32::MAX,
            u32::MAX,
            28,
            1,
            32,
            link,
            snaplen,
            0x0001_0009,
            9,
            0,
            32,
        ],
    };
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
