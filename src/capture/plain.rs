//! snoop and ERF: records one behind the other, each with all that is said about it.
//!
//! snoop is Solaris' (RFC 1761); ERF is that of Endace's cards ("Extensible Record Format Types",
//! EDM11-01), which has no file header. Read by hand: pcap-file knows neither. A header is *sound*
//! when its fields agree with one another; only runs of sound ones make a place a record's start.

use std::ops::Range;

use super::context::{Found, Scan, Window};
use super::damage::DamageKind;
use super::{Direction, Format, LinkType, MAX_RECORD, Record, Visit, Walk};
use crate::stamp::Time;

const SNOOP_MAGIC: &[u8; 8] = b"snoop\0\0\0";
const SNOOP_FILE_HEADER: usize = 16;
const SNOOP_HEADER: usize = 24;
const ERF_HEADER: usize = 16;

/// Type of an ERF record that holds nothing.
const PADDING: u8 = 48;

/// Bytes that a record may have beyond its header and its packet: padding, further headers.
const MAX_EXTRA: usize = 256;

/// Records in a row that make a place plausible as the start of a record.
const RUN: usize = 5;

/// Records that must make sense before a file without a header is taken for ERF.
const ERF_SAMPLE: usize = 3;

/// Longest time between two records of such a run, either way, in seconds: 30 days.
const RUN_SECONDS: u64 = 30 * 86_400;

/// Bytes from a record's start on with which judging it always succeeds.
const LOOKAHEAD: usize = (RUN + 1) * (SNOOP_HEADER + MAX_RECORD + MAX_EXTRA);

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Snoop(LinkType),
    Erf,
}

/// A record's header, understood.
struct Header {
    seconds: u64,
    time: Time,
    link: LinkType,
    /// Where the packet is, from the header on.
    data: Range<usize>,
    wire_len: u32,
    /// Length of the record.
    len: usize,
    /// Wireshark numbers it as a frame.
    is_numbered: bool,
}

/// What the bytes of a header are.
enum Judged {
    /// They end inside it.
    Short,
    Unsound,
    Sound(Header),
}

enum Step {
    Record(Header),
    Bad,
    Cut,
    More,
}

impl Plain {
    /// Reads the start of a file; none where it is another format.
    pub(super) fn open(head: &[u8]) -> Option<(Self, usize)> {
        if let Some((header, _)) = head.split_first_chunk::<SNOOP_FILE_HEADER>()
            && header.starts_with(SNOOP_MAGIC)
        {
            return Some((Self::Snoop(snoop_link(be32(header, 12))), SNOOP_FILE_HEADER));
        }
        // A file of one record or two is all that there is to go by. Newer cards begin with a record
        // that describes them.
        let window = Window { bytes: head, base: 0, at_end: true };
        let Judged::Sound(first) = Self::Erf.header(head) else { return None };
        let is_packet = |at| match Self::Erf.header(window.from(at)) {
            Judged::Sound(header) => header.is_packet(),
            Judged::Short | Judged::Unsound => false,
        };
        let sound = (is_packet(0) || is_packet(first.len))
            && Self::Erf.makes_sense(window, 0, ERF_SAMPLE)?;
        sound.then_some((Self::Erf, 0))
    }

    pub(super) const fn format(self) -> Format {
        match self {
            Self::Snoop(_) => Format::Snoop,
            Self::Erf => Format::Erf,
        }
    }

    pub(super) const fn lookahead() -> usize {
        LOOKAHEAD
    }

    pub(super) const fn link(self) -> Option<LinkType> {
        match self {
            Self::Snoop(link) => Some(link),
            Self::Erf => None,
        }
    }

    /// The first start of a run of sound records at or behind `from`.
    pub(super) fn find(self, window: Window<'_>, from: usize) -> Found {
        for at in from..window.bytes.len() {
            match self.makes_sense(window, at, RUN) {
                Some(true) => return Found::At(at),
                Some(false) => {}
                None => return Found::Undecided(at),
            }
        }
        if window.at_end { Found::Nowhere } else { Found::Undecided(window.bytes.len().max(from)) }
    }

    /// Walks the records that start in `range`.
    pub(super) fn walk(
        self,
        scan: &mut Option<Scan>,
        window: Window<'_>,
        range: Range<usize>,
        visit: &mut impl Visit,
    ) -> Walk {
        let before = *scan;
        let mut walk = Walk { end: range.start, ..Walk::default() };
        while Scan::goes_on(scan, |at| self.find(window, at), window, range.end, &mut walk) {
            match self.step(window, walk.end) {
                Step::Record(header) => {
                    let bytes = window.from(walk.end);
                    let data = bytes.get(header.data.clone()).unwrap_or_default();
                    let offset = window.offset(walk.end);
                    walk.end += header.len;
                    if header.is_numbered {
                        walk.records += 1;
                        walk.events += u64::from(header.link == LinkType::EVENT);
                        visit.record(&header.record(data, offset));
                    }
                }
                Step::More => {
                    walk.needs_more = true;
                    break;
                }
                Step::Cut => Scan::start(scan, DamageKind::CutRecord, window, &mut walk),
                Step::Bad => Scan::start(scan, DamageKind::BadRecord, window, &mut walk),
            }
        }
        walk.context_changed = before != *scan;
        walk
    }

    fn step(self, window: Window<'_>, at: usize) -> Step {
        let short = if window.at_end { Step::Cut } else { Step::More };
        let bytes = window.from(at);
        match self.header(bytes) {
            Judged::Short => short,
            Judged::Unsound => Step::Bad,
            Judged::Sound(header) if header.len > bytes.len() => short,
            Judged::Sound(header) => Step::Record(header),
        }
    }

    /// Whether so many sound records stand at `at`, or as many as the file has; none if the window
    /// is too short to tell.
    fn makes_sense(self, window: Window<'_>, start: usize, count: usize) -> Option<bool> {
        let (mut at, mut before) = (start, None);
        for found in 0..count {
            let bytes = window.from(at);
            if window.at_end && bytes.is_empty() {
                return Some(found > 0);
            }
            let header = match self.header(bytes) {
                Judged::Short => return window.at_end.then_some(found > 1),
                Judged::Unsound => return Some(false),
                Judged::Sound(header) => header,
            };
            let near = |before: u64| header.seconds.abs_diff(before) <= RUN_SECONDS;
            if !before.is_none_or(near) {
                return Some(false);
            }
            before = Some(header.seconds);
            at += header.len;
            if at > window.bytes.len() {
                return window.at_end.then_some(found > 0);
            }
        }
        Some(true)
    }

    /// Reads a header.
    fn header(self, bytes: &[u8]) -> Judged {
        match self {
            Self::Snoop(link) => match bytes.first_chunk() {
                None => Judged::Short,
                Some(header) => snoop(header, link).map_or(Judged::Unsound, Judged::Sound),
            },
            Self::Erf => erf(bytes).unwrap_or(Judged::Short),
        }
    }
}

impl Header {
    fn is_packet(&self) -> bool {
        self.link != LinkType::EVENT
    }

    const fn record<'a>(&self, data: &'a [u8], offset: u64) -> Record<'a> {
        Record {
            time: self.time,
            timed: true,
            link: self.link,
            data,
            wire_len: self.wire_len,
            offset,
            interface: 0,
            fcs_len: 0,
            direction: Direction::Unknown,
        }
    }
}

/// RFC 1761, "Packet Record Format".
fn snoop(header: &[u8; SNOOP_HEADER], link: LinkType) -> Option<Header> {
    let [wire, kept, len] = [0, 4, 8].map(|at| be32(header, at));
    let [seconds, micros] = [16, 20].map(|at| be32(header, at));
    let (kept, len) = (kept as usize, len as usize);
    let least = SNOOP_HEADER + kept;
    let sound = kept <= MAX_RECORD
        && (least..=least + MAX_EXTRA).contains(&len)
        && wire as usize >= kept
        && micros < 1_000_000;
    let nanos = i64::from(seconds) * 1_000_000_000 + i64::from(micros) * 1_000;
    sound.then_some(Header {
        seconds: u64::from(seconds),
        time: Time::from_nanos(nanos),
        link,
        data: SNOOP_HEADER..least,
        wire_len: wire,
        len,
        is_numbered: true,
    })
}

/// Data link types of RFC 1761 that carry IP.
const fn snoop_link(number: u32) -> LinkType {
    LinkType(match number {
        // IEEE 802.3 and Ethernet
        0 | 4 => 1,
        // Token ring
        2 => 6,
        // FDDI
        8 => 10,
        _ => return LinkType::UNKNOWN,
    })
}

/// "ERF record header": a time of 32.32 bits, little-endian; all else is big-endian. None if the
/// bytes end inside the header.
fn erf(bytes: &[u8]) -> Option<Judged> {
    let header = bytes.first_chunk::<ERF_HEADER>()?;
    // A little-endian time, read with its bytes turned.
    let (fraction, seconds) = (be32(header, 0).swap_bytes(), be32(header, 4).swap_bytes());
    // To the nearest nanosecond, as Wireshark does.
    let nanos = (u64::from(fraction) * 1_000_000_000 + (1 << 31)) >> 32;
    let (kind, len, wire) = (header[8] & 0x7f, usize::from(be16(header, 10)), be16(header, 14));
    // Each further header says in its first bit whether another one follows.
    let (mut from, mut more) = (ERF_HEADER, header[8] & 0x80 != 0);
    while more {
        more = bytes.get(from)? & 0x80 != 0;
        from += 8;
        if from > len {
            return Some(Judged::Unsound);
        }
    }
    let (link, pad) = match kind {
        // Ethernet, plain, with colours or hashes: two bytes before it.
        2 | 11 | 16 | 20 => (LinkType(1), 2),
        // HDLC over SONET: PPP or Cisco's, which begins with 0x0f or 0x8f.
        1 | 10 | 15 | 17 | 19 => {
            let cisco = matches!(bytes.get(from), Some(0x0f | 0x8f));
            (LinkType(if cisco { 104 } else { 50 }), 0)
        }
        22 => (LinkType(228), 0),
        23 => (LinkType(229), 0),
        // Other links, and records that are no packets: counters, descriptions, padding.
        3..=9 | 12 | 18 | 21 | 24 | 25 => (LinkType::UNKNOWN, 0),
        13 | 14 | 27 | PADDING => (LinkType::EVENT, 0),
        _ => return Some(Judged::Unsound),
    };
    let from = from + pad;
    if len < from || seconds == 0 {
        return Some(Judged::Unsound);
    }
    let kept = (len - from).min(usize::from(wire));
    Some(Judged::Sound(Header {
        seconds: u64::from(seconds),
        time: Time::from_nanos(i64::from(seconds) * 1_000_000_000 + nanos.cast_signed()),
        link,
        data: from..from + kept,
        wire_len: u32::from(wire),
        len,
        is_numbered: kind != PADDING,
    }))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied();
    u32::from_be_bytes(four.unwrap_or_default())
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    let two = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied();
    u16::from_be_bytes(two.unwrap_or_default())
}
