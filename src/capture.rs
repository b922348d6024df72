//! What a capture file is: formats, chunks of records, damage and resync.
//!
//! Works on byte ranges, so that the same code serves files read in parallel and streams. A
//! [`Context`] is all that stands before a range; [`Context::walk`] turns the range into
//! [`Record`]s, and a walk may be cut anywhere without changing what comes out of it. Knows
//! nothing of what a frame holds.

mod ahead;
mod classic;
mod context;
mod damage;
mod foreign;
mod ng;
mod plain;
mod source;
mod stream;

pub use context::{Context, Window};
pub use damage::{Damage, DamageKind, DamageList};
pub use ng::{Interface, InterfaceStatistics, MAX_INTERFACES, Statistics};
pub use source::{Identity, Input, Source};
pub use stream::{Compression, Member, Placed, Places, Stream, StreamDamage};

use std::fmt::{self, Write as _};
use std::ops::AddAssign;

use crate::stamp::Time;
use foreign::Foreign;

/// Largest packet that a record may hold: `MAXIMUM_SNAPLEN` of libpcap and
/// `WTAP_MAX_PACKET_SIZE_STANDARD` of Wireshark. A longer one is damage.
pub const MAX_RECORD: usize = 262_144;

/// Largest packet of the link types that libpcap and Wireshark let be longer (USBPCAP, DBUS,
/// EBHSCR), and largest pcapng block. They allow 128 MiB; this bounds the memory of a walk.
pub const MAX_LARGE: usize = 16 << 20;

/// Largest packet that is no rarity: a 64 KiB segment with its headers. Longer ones count only if
/// what follows them makes sense, and not at all where a search tells records from noise.
const MAX_COMMON: usize = 70_000;

/// A link-layer header type, by its number in the LINKTYPE registry of the tcpdump group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// Of a packet whose interface was never described; no registered number.
    pub const UNKNOWN: Self = Self(u32::MAX);
    /// Of a record that is no packet (a journal entry, a system call, a custom block) but that
    /// Wireshark numbers as a frame; no registered number.
    pub const EVENT: Self = Self(u32::MAX - 1);

    /// Longest packet that is no damage, in bytes.
    #[must_use]
    pub const fn max_record(self) -> usize {
        match self.0 {
            // USBPCAP, DBUS, EBHSCR
            249 | 231 | 279 => MAX_LARGE,
            _ => MAX_RECORD,
        }
    }
}

/// Which way a packet went at the interface, where the capture says it (`epb_flags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The capture does not say.
    #[default]
    Unknown,
    /// Received by the capturing host.
    Inbound,
    /// Sent by the capturing host.
    Outbound,
}

/// One packet record, borrowed from the window that was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Capture time; zero if not `timed`.
    pub time: Time,
    /// The record has a time: all but pcapng's simple packets and events do.
    pub timed: bool,
    /// Link type of the interface.
    pub link: LinkType,
    /// The bytes that were kept of the frame.
    pub data: &'a [u8],
    /// Bytes of the frame on the wire; never less than `data`.
    pub wire_len: u32,
    /// Offset of the record header in the (decompressed) file.
    pub offset: u64,
    /// Index of the interface in its section; 0 for pcap.
    pub interface: u32,
    /// Bytes of frame check sequence at the end of the frame on the wire.
    pub fcs_len: u8,
    /// Which way the packet went.
    pub direction: Direction,
}

/// Takes the records that a walk meets.
///
/// Perf: what is done with each record can become part of the walk's loop, which a closure that
/// several walks are given does not.
pub trait Visit {
    /// The next one.
    fn record(&mut self, record: &Record<'_>);
}

/// Calls a closure with each of them.
struct Each<'a, F>(&'a mut F);

impl<F: FnMut(&Record<'_>)> Visit for Each<'_, F> {
    fn record(&mut self, record: &Record<'_>) {
        self.0(record);
    }
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// The classic format of libpcap and its relatives.
    Pcap {
        /// Fractions of a second are nanoseconds.
        nanos: bool,
        /// Numbers are big-endian.
        big_endian: bool,
        /// Records carry a longer header than usual: Kuznetzov's patched libpcap or Nokia's.
        modified: bool,
    },
    /// The block format.
    PcapNg,
    /// Solaris' format.
    Snoop,
    /// The format of Endace's cards.
    Erf,
}

impl Format {
    /// The format's name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PcapNg => "pcapng",
            Self::Snoop => "snoop",
            Self::Erf => "erf",
            Self::Pcap { modified: true, .. } => "pcap-modified",
            Self::Pcap { nanos: true, .. } => "pcap-ns",
            Self::Pcap { .. } => "pcap",
        }
    }
}

/// The format's name in the report.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was odd but readable, in numbers of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// The fraction of the second was a second or more; it was carried over.
    pub fraction_overflow: u64,
    /// More bytes than the capture's own snapshot length.
    pub longer_than_snaplen: u64,
    /// More bytes than the frame had on the wire.
    pub longer_than_wire: u64,
    /// Options of pcapng blocks that could not be read; the block was used without them.
    pub bad_options: u64,
}

impl Oddities {
    /// The numbers with their names in reports.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("fraction_overflow", self.fraction_overflow),
            ("longer_than_snaplen", self.longer_than_snaplen),
            ("longer_than_wire", self.longer_than_wire),
            ("bad_options", self.bad_options),
        ]
    }
}

impl AddAssign for Oddities {
    fn add_assign(&mut self, other: Self) {
        self.fraction_overflow += other.fraction_overflow;
        self.longer_than_snaplen += other.longer_than_snaplen;
        self.longer_than_wire += other.longer_than_wire;
        self.bad_options += other.bad_options;
    }
}

/// What one walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Where in the window the next walk starts: at or behind the range's end, or, with
    /// `needs_more`, before it. May lie behind the window's end only if the range's end did.
    pub end: usize,
    /// Records visited, each of which is a frame as Wireshark numbers them.
    pub records: u64,
    /// How many of them were no packets ([`LinkType::EVENT`]).
    pub events: u64,
    /// What could not be read, in the order of the file.
    pub damage: DamageList,
    /// What was odd but readable.
    pub oddities: Oddities,
    /// What pcapng interface statistics in the range say.
    pub statistics: Statistics,
    /// The context is not what it was: a section or an interface began, or a search for the next
    /// record is under way. Ranges behind this one need this walk's context.
    pub context_changed: bool,
    /// The window ended too early. Walk on from `end` with a longer window: one that holds
    /// [`Context::lookahead`] bytes from there is always long enough to go on.
    pub needs_more: bool,
}

impl Walk {
    /// Lists damage at a place behind the records so far.
    fn harm(&mut self, kind: DamageKind, offset: u64, skipped: usize) {
        self.damage.push(Damage { kind, offset, skipped: skipped as u64, frame: self.records });
    }
}

/// Why an input cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// Not one byte.
    #[error("the file is empty")]
    Empty,
    /// No capture format starts like this.
    #[error("not a capture file (it starts with {head})")]
    UnknownFormat {
        /// The first bytes in hexadecimal.
        head: String,
    },
    /// A file of another kind.
    #[error("not a capture file that can be read here, but {name}: {advice}")]
    Foreign {
        /// What it is.
        name: &'static str,
        /// What to do about it.
        advice: &'static str,
        /// It holds frames all the same.
        is_capture: bool,
    },
    /// The file ends inside its header.
    #[error("the file ends inside its header: {bytes} bytes")]
    CutHeader {
        /// How long the file is.
        bytes: usize,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl CaptureError {
    /// It is something else altogether. A capture in a format that is not read is one.
    #[must_use]
    pub const fn is_no_capture(&self) -> bool {
        matches!(
            self,
            Self::Empty | Self::UnknownFormat { .. } | Self::Foreign { is_capture: false, .. }
        )
    }

    fn unknown(head: &[u8]) -> Self {
        if let Some(foreign) = Foreign::of(head) {
            let (is_capture, advice) = (foreign.is_capture(), foreign.advice);
            return Self::Foreign { name: foreign.name, advice, is_capture };
        }
        let shown = head.iter().take(8).fold(String::new(), |mut shown, byte| {
            let _ = write!(shown, "{byte:02x}");
            shown
        });
        Self::UnknownFormat { head: shown }
    }
}

#[cfg(test)]
mod tests;
