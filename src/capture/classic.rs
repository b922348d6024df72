//! Classic pcap: one header, then records back to back.
//!
//! Frames the records with pcap-file's raw layer and judges them here, since pcap-file's cooked
//! layer rejects cut packets, snapshot length 0 and odd fractions, and stops at one bad record.
//! A header is *sound* when nothing about it is odd; *odd* when other readers take it all the
//! same; else *bad*. Only runs of sound headers make a place a record's start in a search.

use std::borrow::Cow;
use std::ops::Range;

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};
use pcap_file::pcap::RawPcapPacket;

use super::context::{Context, Found, Scan, Window};
use super::damage::DamageKind;
use super::{CaptureError, Direction, Format, LinkType, MAX_COMMON, Record, Walk};
use crate::stamp::Time;

/// Length of the file header.
const FILE_HEADER: usize = 24;

/// Records in a row that make a place plausible as the start of a record.
const RUN: usize = 5;

/// Longest time between two records of such a run, either way, in seconds: 30 days.
const RUN_SECONDS: u32 = 30 * 86_400;

/// Largest original length that is not odd; BIG TCP segments reach half a mebibyte.
const MAX_WIRE: u32 = 1 << 24;

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
        let mut classic = Self {
            big_endian,
            link: LinkType(network & 0xffff),
            nanos: magic.nanos,
            snaplen,
            fcs_len: fcs_len(network),
            header_len: 16,
            lengths: match version {
                (2, 0..3) => Lengths::WireFirst,
                (2, 3) => Lengths::SmallerIsKept,
                _ => Lengths::KeptFirst,
            },
        };
        classic.header_len = classic.fitting(magic.headers, head, used);
        Ok(Some((classic, used)))
    }

    /// The first length of record headers with which the first records make sense; the first of
    /// all if none does.
    fn fitting(&self, lengths: &[usize], head: &[u8], used: usize) -> usize {
        let window = Window { bytes: head, base: 0, at_end: head.len() < Context::HEAD };
        let fits = |&&header_len: &&usize| {
            let variant = Self { header_len, ..self.clone() };
            let made_sense = if self.big_endian {
                run::<BigEndian>(&variant, window, used)
            } else {
                run::<LittleEndian>(&variant, window, used)
            };
            made_sense == Some(true)
        };
        let first = lengths.first().copied().unwrap_or(16);
        lengths.iter().find(fits).copied().unwrap_or(first)
    }

    pub(super) const fn format(&self) -> Format {
        let modified = self.header_len != 16;
        Format::Pcap { nanos: self.nanos, big_endian: self.big_endian, modified }
    }

    pub(super) const fn lookahead(&self) -> usize {
        let run = RUN * (MAX_COMMON + self.header_len);
        self.link.max_record() + 2 * self.header_len + run
    }

    const fn fractions(&self) -> u32 {
        if self.nanos { 1_000_000_000 } else { 1_000_000 }
    }
}

/// FCS length in bytes out of the header's link field: bit 26 says that it is there, the upper
/// four bits count 16-bit units (draft-ietf-opsawg-pcap, "File Header").
const fn fcs_len(network: u32) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "four bits remain")]
    if network & 0x0400_0000 == 0 { 0 } else { ((network >> 28) * 2) as u8 }
}

/// The fields of a record header.
#[derive(Clone, Copy)]
struct Header {
    sec: u32,
    frac: u32,
    incl: u32,
    orig: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Sound,
    Odd,
    Bad,
}

impl Classic {
    fn verdict(&self, header: &Header) -> Verdict {
        if header.incl as usize > self.link.max_record() {
            return Verdict::Bad;
        }
        let snapped = self.snaplen == 0 || header.incl <= self.snaplen;
        let timed = header.frac < self.fractions() && (header.sec | header.incl) != 0;
        let common = header.incl as usize <= MAX_COMMON && header.orig <= MAX_WIRE;
        if snapped && timed && common && header.incl <= header.orig {
            Verdict::Sound
        } else {
            Verdict::Odd
        }
    }
}

impl Header {
    #[inline]
    fn new(classic: &Classic, sec: u32, frac: u32, first: u32, second: u32) -> Self {
        let (incl, orig) = match classic.lengths {
            Lengths::KeptFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerIsKept => (first.min(second), first.max(second)),
        };
        Self { sec, frac, incl, orig }
    }

    fn read<B: ByteOrder>(classic: &Classic, window: Window<'_>, at: usize) -> Option<Self> {
        let bytes = window.from(at).get(..classic.header_len)?;
        let [sec, frac, first, second, ..] = bytes.as_chunks::<4>().0 else { return None };
        let [sec, frac, first, second] = [sec, frac, first, second].map(|word| B::read_u32(word));
        Some(Self::new(classic, sec, frac, first, second))
    }
}

enum Step<'a> {
    Record(Header, &'a [u8], usize),
    Bad,
    /// The file ends inside the record.
    Cut,
    /// So it does, if the odd header is right.
    OddCut,
    More,
}

/// What stands at `at`, where a record should begin.
#[inline]
fn step<'a, B: ByteOrder>(classic: &Classic, window: Window<'a>, at: usize) -> Step<'a> {
    let short = if window.at_end { Step::Cut } else { Step::More };
    let bytes = window.from(at);
    // pcap-file knows neither longer headers nor swapped lengths.
    if classic.header_len == 16
        && classic.lengths == Lengths::KeptFirst
        && let Ok((rest, raw)) = RawPcapPacket::from_slice::<B>(bytes)
        && let Cow::Borrowed(data) = raw.data
    {
        let header = Header::new(classic, raw.ts_sec, raw.ts_frac, raw.incl_len, raw.orig_len);
        return match classic.verdict(&header) {
            Verdict::Sound => Step::Record(header, data, bytes.len() - rest.len()),
            Verdict::Odd | Verdict::Bad => odd_step::<B>(classic, window, at),
        };
    }
    let Some(header) = Header::read::<B>(classic, window, at) else { return short };
    match classic.verdict(&header) {
        Verdict::Bad => Step::Bad,
        Verdict::Odd => odd_step::<B>(classic, window, at),
        Verdict::Sound => {
            let (from, len) = (classic.header_len, header.incl as usize);
            bytes.get(from..from + len).map_or(short, |data| Step::Record(header, data, from + len))
        }
    }
}

/// An odd header counts if what follows its record can be a record, too, or is the file's end.
#[cold]
fn odd_step<'a, B: ByteOrder>(classic: &Classic, window: Window<'a>, at: usize) -> Step<'a> {
    let short = if window.at_end { Step::OddCut } else { Step::More };
    let Some(header) = Header::read::<B>(classic, window, at) else { return short };
    if classic.verdict(&header) == Verdict::Bad {
        return Step::Bad;
    }
    let (from, len) = (classic.header_len, header.incl as usize);
    let Some(data) = window.from(at).get(from..from + len) else { return short };
    let record = Step::Record(header, data, from + len);
    let Some(next) = Header::read::<B>(classic, window, at + from + len) else {
        return if window.at_end { record } else { Step::More };
    };
    let zeros = |it: &Header| it.sec | it.frac | it.incl | it.orig == 0;
    // Runs of zero bytes are unwritten disk blocks, not empty records.
    if classic.verdict(&next) == Verdict::Bad || (zeros(&header) && zeros(&next)) {
        return Step::Bad;
    }
    record
}

/// Walks the records that start in `range`.
pub(super) fn walk<B: ByteOrder>(
    classic: &Classic,
    scan: &mut Option<Scan>,
    window: Window<'_>,
    range: Range<usize>,
    visit: &mut impl FnMut(&Record<'_>),
) -> Walk {
    let before = *scan;
    let mut walk = Walk { end: range.start, ..Walk::default() };
    loop {
        if scan.is_some() {
            let found = find::<B>(classic, window, walk.end);
            if !Scan::resume(scan, found, window, &mut walk) {
                walk.needs_more = walk.end < range.end;
                break;
            }
        }
        if walk.end >= range.end || (window.at_end && walk.end >= window.bytes.len()) {
            break;
        }
        match step::<B>(classic, window, walk.end) {
            Step::Record(header, data, len) => {
                let record = interpret(classic, &header, data, window.offset(walk.end), &mut walk);
                walk.records += 1;
                walk.end += len;
                visit(&record);
            }
            Step::More => {
                walk.needs_more = true;
                break;
            }
            Step::Cut => {
                let left = window.from(walk.end).len();
                walk.harm(DamageKind::CutRecord, window.offset(walk.end), left);
                walk.end += left;
            }
            Step::OddCut => Scan::start(scan, DamageKind::CutRecord, window, &mut walk),
            Step::Bad => {
                Scan::start(scan, DamageKind::BadRecord, window, &mut walk);
            }
        }
    }
    walk.context_changed = before != *scan;
    walk
}

#[inline]
fn interpret<'a>(
    classic: &Classic,
    header: &Header,
    data: &'a [u8],
    offset: u64,
    walk: &mut Walk,
) -> Record<'a> {
    let unit = if classic.nanos { 1 } else { 1_000 };
    if classic.verdict(header) != Verdict::Sound {
        walk.oddities.fraction_overflow += u64::from(header.frac >= classic.fractions());
        walk.oddities.longer_than_wire += u64::from(header.incl > header.orig);
        let limit = if classic.snaplen == 0 { u32::MAX } else { classic.snaplen };
        walk.oddities.longer_than_snaplen += u64::from(header.incl > limit);
    }
    Record {
        time: Time::from_nanos(
            i64::from(header.sec) * 1_000_000_000 + i64::from(header.frac) * unit,
        ),
        timed: true,
        link: classic.link,
        data,
        wire_len: header.orig.max(header.incl),
        offset,
        interface: 0,
        fcs_len: classic.fcs_len,
        direction: Direction::Unknown,
    }
}

/// The first start of a run of sound records at or behind `from`.
pub(super) fn find<B: ByteOrder>(classic: &Classic, window: Window<'_>, from: usize) -> Found {
    for at in from..window.bytes.len() {
        match run::<B>(classic, window, at) {
            Some(true) => return Found::At(at),
            Some(false) => {}
            None => return Found::Undecided(at),
        }
    }
    if window.at_end { Found::Nowhere } else { Found::Undecided(window.bytes.len().max(from)) }
}

/// Whether a run of sound records starts at `at`; none if the window is too short to tell.
fn run<B: ByteOrder>(classic: &Classic, window: Window<'_>, start: usize) -> Option<bool> {
    let (mut at, mut before) = (start, None);
    for count in 0..RUN {
        if window.at_end && at == window.bytes.len() {
            return Some(count > 0);
        }
        let Some(header) = Header::read::<B>(classic, window, at) else {
            return window.at_end.then_some(count > 1);
        };
        let near = before.is_none_or(|sec: u32| header.sec.abs_diff(sec) <= RUN_SECONDS);
        if !near || classic.verdict(&header) != Verdict::Sound {
            return Some(false);
        }
        before = Some(header.sec);
        at += classic.header_len + header.incl as usize;
        if at > window.bytes.len() {
            return window.at_end.then_some(count > 1);
        }
    }
    Some(true)
}
