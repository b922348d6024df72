//! Classic pcap: its file header, in all the variants that tools have written.
//!
//! Reads the header by hand, since pcap-file knows four of the magic numbers only. What follows
//! from it for the records is in `record`.

mod record;

pub(super) use record::{guess, walk};

use byteorder_slice::{BigEndian, LittleEndian};

use self::record::{Header, LOOKAHEAD_RECORDS, run};
use super::context::{Context, Window};
use super::{CaptureError, Format, LinkType, MAX_COMMON};

/// Length of the file header.
const FILE_HEADER: usize = 24;

/// Records that must agree before fractions are taken for unmarked nanoseconds.
const SAMPLE: usize = 16;

/// What the file header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classic {
    pub(super) big_endian: bool,
    pub(super) link: LinkType,
    nanos: bool,
    snaplen: u32,
    fcs_len: u8,
    /// Length of a record's header.
    header_len: usize,
    lengths: Lengths,
}

/// Which of a record's two lengths stands first (libpcap's sf-pcap.c: files before version 2.3
/// have them swapped, and files of version 2.3 may).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    KeptFirst,
    WireFirst,
    SmallerIsKept,
}

/// What a magic number says: fractions are nanoseconds, further bytes of the file header, and the
/// lengths that record headers may have. They are those of Wireshark's libpcap.c: 24 (with
/// interface, protocol and packet type) and 28 are those of Kuznetzov's patches, of which one
/// kept the common magic number; 20 is Nokia's.
struct Magic {
    nanos: bool,
    extra: usize,
    headers: &'static [usize],
}

impl Magic {
    const fn of(number: u32) -> Option<Self> {
        Some(match number {
            0xa1b2_c3d4 => Self { nanos: false, extra: 0, headers: &[16, 24, 20] },
            0xa1b2_3c4d => Self { nanos: true, extra: 0, headers: &[16] },
            0xa1b2_cd34 => Self { nanos: false, extra: 0, headers: &[24, 28] },
            // Ixia's lcap, hardware and software: the file header ends with the length of all
            // records.
            0x1c00_01ac | 0x1c00_01ab => Self { nanos: true, extra: 4, headers: &[16] },
            _ => return None,
        })
    }
}

impl Classic {
    /// Reads a file header; none where the magic number is another format's. `head` is the whole
    /// file if it is shorter than [`Context::HEAD`].
    pub(super) fn open(head: &[u8]) -> Result<Option<(Self, usize)>, CaptureError> {
        let Some((mut classic, magic, used)) = Self::plain(head)? else { return Ok(None) };
        let window = Window { bytes: head, base: 0, at_end: head.len() < Context::HEAD };
        // The first length with which the first records make sense; the first of all if none does.
        let mut lengths = magic.headers.iter();
        if let Some(fitting) = lengths.find(|len| classic.fits(**len, window, used)) {
            classic.header_len = *fitting;
        }
        classic.nanos |= classic.has_unmarked_nanos(head, used) == Some(true);
        Ok(Some((classic, used)))
    }

    /// The same for the beginning of a longer file; none also where more of it may tell something
    /// else.
    pub(super) fn open_early(head: &[u8]) -> Option<(Self, usize)> {
        let (mut classic, magic, used) = Self::plain(head).ok()??;
        let window = Window { bytes: head, base: 0, at_end: false };
        let is_sure = magic.headers.len() == 1 || classic.fits(classic.header_len, window, used);
        is_sure.then_some(())?;
        classic.nanos = classic.nanos || classic.has_unmarked_nanos(head, used)?;
        Some((classic, used))
    }

    /// What the file header alone says, with the length that record headers have as a rule.
    fn plain(head: &[u8]) -> Result<Option<(Self, Magic, usize)>, CaptureError> {
        let cut = CaptureError::CutHeader { bytes: head.len() };
        let Some((number, _)) = head.split_first_chunk::<4>() else { return Err(cut) };
        let (big, little) = (u32::from_be_bytes(*number), u32::from_le_bytes(*number));
        let (big_endian, magic) = match (Magic::of(big), Magic::of(little)) {
            (Some(magic), _) => (true, magic),
            (_, Some(magic)) => (false, magic),
            _ => return Ok(None),
        };
        let used = FILE_HEADER + magic.extra;
        let Some((header, _)) = head.split_at_checked(used) else { return Err(cut) };
        let word = |at: usize| {
            let four = header.get(at..).and_then(|rest| rest.first_chunk()).copied();
            let four = four.unwrap_or_default();
            if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        let (versions, snaplen, network) = (word(4), word(16), word(20));
        let (low, high) = (versions & 0xffff, versions >> 16);
        let version = if big_endian { (high, low) } else { (low, high) };
        let aix = if version == (2, 2) { aix_link(network) } else { None };
        let classic = Self {
            big_endian,
            link: aix.unwrap_or(LinkType(network & 0xffff)),
            nanos: magic.nanos || aix.is_some(),
            snaplen,
            fcs_len: fcs_len(network),
            header_len: magic.headers.first().copied().unwrap_or(16),
            lengths: match version {
                // DG/UX calls its version 543.0.
                (2, 0..3) | (543, _) => Lengths::WireFirst,
                (2, 3) => Lengths::SmallerIsKept,
                _ => Lengths::KeptFirst,
            },
        };
        Ok(Some((classic, magic, used)))
    }

    /// Whether the first records make sense with headers of this length.
    fn fits(&self, header_len: usize, window: Window<'_>, used: usize) -> bool {
        let variant = Self { header_len, ..self.clone() };
        let made_sense = if self.big_endian {
            run::<BigEndian>(&variant, window, used)
        } else {
            run::<LittleEndian>(&variant, window, used)
        };
        made_sense == Some(true)
    }

    /// Some rewriting tools keep nanoseconds under the magic number of microseconds. Whole files of
    /// fractions beyond a second, none beyond a thousand of them, are such. None where the head is
    /// too short to tell.
    fn has_unmarked_nanos(&self, head: &[u8], used: usize) -> Option<bool> {
        let window = Window { bytes: head, base: 0, at_end: true };
        let (mut at, mut within) = (used, 0);
        for _ in 0..SAMPLE {
            let header = if self.big_endian {
                Header::read::<BigEndian>(self, window, at)?
            } else {
                Header::read::<LittleEndian>(self, window, at)?
            };
            within += usize::from(header.frac < 1_000_000);
            if header.frac >= 1_000_000_000 || within * 4 >= SAMPLE {
                return Some(false);
            }
            at += self.header_len + (header.incl as usize).min(head.len());
        }
        Some(true)
    }

    pub(super) const fn format(&self) -> Format {
        let modified = self.header_len != 16;
        Format::Pcap { nanos: self.nanos, big_endian: self.big_endian, modified }
    }

    pub(super) const fn lookahead(&self) -> usize {
        let (headers, common) = LOOKAHEAD_RECORDS;
        self.link.max_record() + headers * self.header_len + common * MAX_COMMON
    }
}

/// The link type that AIX's number stands for. Its tcpdump writes version 2.2 with nanoseconds and
/// the interface types of RFC 1573; what other writers of that version could have meant by these
/// numbers is rarer (Wireshark's libpcap.c).
const fn aix_link(network: u32) -> Option<LinkType> {
    Some(LinkType(match network {
        // Ethernet
        6 => 1,
        // Token ring
        9 => 6,
        // Loopback
        24 => 0,
        _ => return None,
    }))
}

/// FCS length in bytes out of the header's link field: bit 26 says that it is there, the upper
/// four bits count 16-bit units (draft-ietf-opsawg-pcap, "File Header").
const fn fcs_len(network: u32) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "four bits remain")]
    if network & 0x0400_0000 == 0 { 0 } else { ((network >> 28) * 2) as u8 }
}
