//! The records of classic pcap: framing, judging, walking, and searching for the next one.
//!
//! Frames the records with pcap-file's raw layer and judges them here, since pcap-file's cooked
//! layer rejects cut packets, snapshot length 0 and odd fractions, and stops at one bad record.
//! A header is *sound* when nothing about it is odd; *odd* when other readers take it all the
//! same; else *bad*. Only runs of sound headers make a place a record's start in a search.

use std::borrow::Cow;
use std::ops::Range;

use byteorder_slice::ByteOrder;
use pcap_file::pcap::RawPcapPacket;

use super::{Classic, Lengths};
use crate::capture::context::{Found, Scan, Window};
use crate::capture::damage::DamageKind;
use crate::capture::{Direction, MAX_COMMON, Record, Visit, Walk};
use crate::stamp::Time;

/// Records in a row that make a place plausible as the start of a record.
const RUN: usize = 5;

/// Longest time between two records of such a run, either way, in seconds: 30 days.
const RUN_SECONDS: u32 = 30 * 86_400;

/// Most empty records without a time in a row; beyond, zeros are damage.
const MAX_ZEROS: usize = 64;

/// Zeros that are looked for at once: those of the fields of a record header.
const ZEROS: usize = 16;

/// Largest original length that is not odd; BIG TCP segments reach half a mebibyte.
const MAX_WIRE: u32 = 1 << 24;

/// Headers and common packets behind a record that judging it may look at.
pub(super) const LOOKAHEAD_RECORDS: (usize, usize) = (MAX_ZEROS + RUN + 2, RUN);

/// The fields of a record header.
#[derive(Clone, Copy)]
pub(super) struct Header {
    sec: u32,
    pub(super) frac: u32,
    pub(super) incl: u32,
    orig: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Sound,
    Odd,
    Bad,
}

impl Classic {
    const fn fractions(&self) -> u32 {
        if self.nanos { 1_000_000_000 } else { 1_000_000 }
    }

    /// Whether nothing about the header is odd.
    #[inline]
    fn is_sound(&self, header: &Header) -> bool {
        let snapped = self.snaplen == 0 || header.incl <= self.snaplen;
        let timed = header.frac < self.fractions() && (header.sec | header.incl) != 0;
        // No link type has a smaller limit.
        let common = header.incl as usize <= MAX_COMMON && header.orig <= MAX_WIRE;
        snapped && timed && common && header.incl <= header.orig
    }

    fn verdict(&self, header: &Header) -> Verdict {
        if header.incl as usize > self.link.max_record() {
            Verdict::Bad
        } else if self.is_sound(header) {
            Verdict::Sound
        } else {
            Verdict::Odd
        }
    }
}

impl Header {
    const fn is_zero(&self) -> bool {
        self.sec | self.frac | self.incl | self.orig == 0
    }

    #[inline]
    fn new(classic: &Classic, sec: u32, frac: u32, first: u32, second: u32) -> Self {
        let (incl, orig) = match classic.lengths {
            Lengths::KeptFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerIsKept => (first.min(second), first.max(second)),
        };
        Self { sec, frac, incl, orig }
    }

    pub(super) fn read<B: ByteOrder>(
        classic: &Classic,
        window: Window<'_>,
        at: usize,
    ) -> Option<Self> {
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

/// The record at `at` if nothing about it is odd and all of it is there, as of nearly all.
///
/// pcap-file knows neither longer headers nor swapped lengths; the caller sees to it that there are
/// none.
#[inline]
fn sound<'a, B: ByteOrder>(
    classic: &Classic,
    window: Window<'a>,
    at: usize,
) -> Option<(Header, &'a [u8])> {
    let (_, raw) = RawPcapPacket::from_slice::<B>(window.from(at)).ok()?;
    let Cow::Borrowed(data) = raw.data else { return None };
    let header =
        Header { sec: raw.ts_sec, frac: raw.ts_frac, incl: raw.incl_len, orig: raw.orig_len };
    classic.is_sound(&header).then_some((header, data))
}

/// What stands at `at`, where a record should begin.
fn step<'a, B: ByteOrder>(classic: &Classic, window: Window<'a>, at: usize) -> Step<'a> {
    let short = if window.at_end { Step::Cut } else { Step::More };
    let Some(header) = Header::read::<B>(classic, window, at) else { return short };
    match classic.verdict(&header) {
        Verdict::Bad => Step::Bad,
        Verdict::Odd => odd_step::<B>(classic, window, at),
        Verdict::Sound => {
            let (from, len) = (classic.header_len, header.incl as usize);
            let data = window.from(at).get(from..from + len);
            data.map_or(short, |data| Step::Record(header, data, from + len))
        }
    }
}

/// An odd header counts if what follows its record can be a record, too, or is the file's end; and
/// also if it does not lead over records, since then it is what follows that is damaged.
#[cold]
fn odd_step<'a, B: ByteOrder>(classic: &Classic, window: Window<'a>, at: usize) -> Step<'a> {
    let short = if window.at_end { Step::OddCut } else { Step::More };
    let Some(header) = Header::read::<B>(classic, window, at) else { return short };
    if classic.verdict(&header) == Verdict::Bad {
        return Step::Bad;
    }
    let (from, len) = (classic.header_len, header.incl as usize);
    let Some(data) = window.from(at).get(from..from + len) else { return short };
    let (record, next) = (Step::Record(header, data, from + len), at + from + len);
    let sound_end = if header.is_zero() {
        zeros_end::<B>(classic, window, next)
    } else {
        Header::read::<B>(classic, window, next).map(|it| classic.verdict(&it) != Verdict::Bad)
    };
    match sound_end {
        Some(true) => record,
        None if window.at_end => record,
        None => Step::More,
        Some(false) if header.is_zero() => Step::Bad,
        Some(false) => match search::<B>(classic, window, at + 1..next) {
            Found::At(_) => Step::Bad,
            Found::Nowhere => record,
            Found::Undecided(_) => Step::More,
        },
    }
}

/// Whether a few empty records without a time, the next of which would be at `at`, are followed by
/// a record or the file's end. Long runs of zeros are unwritten disk blocks.
fn zeros_end<B: ByteOrder>(classic: &Classic, window: Window<'_>, at: usize) -> Option<bool> {
    for count in 0..MAX_ZEROS {
        let next = Header::read::<B>(classic, window, at + count * classic.header_len)?;
        if !next.is_zero() {
            return Some(classic.verdict(&next) != Verdict::Bad);
        }
    }
    Some(false)
}

/// Walks the records that start in `range`.
pub(in crate::capture) fn walk<B: ByteOrder>(
    classic: &Classic,
    scan: &mut Option<Scan>,
    window: Window<'_>,
    range: Range<usize>,
    visit: &mut impl Visit,
) -> Walk {
    let before = *scan;
    let mut walk = Walk { end: range.start, ..Walk::default() };
    let is_usual = classic.header_len == 16 && classic.lengths == Lengths::KeptFirst;
    // One place where records are visited, so that the visitor becomes part of the loop.
    loop {
        // Perf: `benches/stages.rs`, walk: half of the instructions of the way below.
        let is_usual = is_usual && scan.is_none() && walk.end < range.end;
        let usual = if is_usual { sound::<B>(classic, window, walk.end) } else { None };
        let (header, data, len) = if let Some((header, data)) = usual {
            (header, data, 16 + data.len())
        } else if let Some(found) = unusual::<B>(classic, scan, window, range.end, &mut walk) {
            found
        } else {
            break;
        };
        let record = record(classic, &header, data, window.offset(walk.end));
        walk.records += 1;
        walk.end += len;
        visit.record(&record);
    }
    walk.context_changed = before != *scan;
    walk
}

/// The next record before `end`, and its length; none where the walk is over.
#[cold]
fn unusual<'a, B: ByteOrder>(
    classic: &Classic,
    scan: &mut Option<Scan>,
    window: Window<'a>,
    end: usize,
    walk: &mut Walk,
) -> Option<(Header, &'a [u8], usize)> {
    while Scan::goes_on(scan, |at| find::<B>(classic, window, at), window, end, walk) {
        match step::<B>(classic, window, walk.end) {
            Step::Record(header, data, len) => {
                note_oddities(classic, &header, walk);
                return Some((header, data, len));
            }
            Step::More => {
                walk.needs_more = true;
                return None;
            }
            Step::Cut => {
                let left = window.from(walk.end).len();
                walk.harm(DamageKind::CutRecord, window.offset(walk.end), left);
                walk.end += left;
            }
            Step::OddCut => Scan::start(scan, DamageKind::CutRecord, window, walk),
            Step::Bad => Scan::start(scan, DamageKind::BadRecord, window, walk),
        }
    }
    None
}

/// Counts what is odd about a record that is taken all the same.
fn note_oddities(classic: &Classic, header: &Header, walk: &mut Walk) {
    if classic.verdict(header) != Verdict::Sound {
        walk.oddities.fraction_overflow += u64::from(header.frac >= classic.fractions());
        walk.oddities.longer_than_wire += u64::from(header.incl > header.orig);
        let limit = if classic.snaplen == 0 { u32::MAX } else { classic.snaplen };
        walk.oddities.longer_than_snaplen += u64::from(header.incl > limit);
    }
}

#[inline]
fn record<'a>(classic: &Classic, header: &Header, data: &'a [u8], offset: u64) -> Record<'a> {
    let unit = if classic.nanos { 1 } else { 1_000 };
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
fn find<B: ByteOrder>(classic: &Classic, window: Window<'_>, from: usize) -> Found {
    match search::<B>(classic, window, from..window.bytes.len()) {
        Found::Nowhere if !window.at_end => Found::Undecided(window.bytes.len().max(from)),
        found => found,
    }
}

/// The first start of a run of sound records in `places`.
fn search<B: ByteOrder>(classic: &Classic, window: Window<'_>, places: Range<usize>) -> Found {
    let mut at = places.start;
    while at < places.end {
        match run::<B>(classic, window, at) {
            Some(true) => return Found::At(at),
            Some(false) => at = beyond_zeros(classic, window, at).max(at + 1),
            None => return Found::Undecided(at),
        }
    }
    Found::Nowhere
}

/// Unwritten disk blocks are long runs of zeros, in which no record is sound: the place behind `at`
/// where the first header begins that is not all zeros.
fn beyond_zeros(classic: &Classic, window: Window<'_>, at: usize) -> usize {
    let (blocks, _) = window.from(at).as_chunks::<ZEROS>();
    let zeros = blocks.iter().take_while(|block| **block == [0; ZEROS]).count() * ZEROS;
    // Only headers that are in the window whole can be told to be no records.
    let last = window.bytes.len().saturating_sub(classic.header_len);
    (at + zeros).saturating_sub(ZEROS - 1).min(last)
}

/// Where a record is likely to begin at or behind `from`.
///
/// Where records are of one length, what lies a few bytes behind their starts may look like a run as
/// well, of cut packets if of any: a place whose records are as long as a capture leaves them is
/// likelier, if there is one within a record.
pub(in crate::capture) fn guess<B: ByteOrder>(
    classic: &Classic,
    window: Window<'_>,
    from: usize,
) -> Found {
    let found = find::<B>(classic, window, from);
    let Found::At(at) = found else { return found };
    let is_whole = |header: &Header| header.incl == header.orig || header.incl == classic.snaplen;
    let Some(first) = Header::read::<B>(classic, window, at) else { return found };
    let end = at + 2 * classic.header_len + first.incl as usize;
    let likelier = (at..end).find(|at| run_of::<B>(classic, window, *at, is_whole) == Some(true));
    Found::At(likelier.unwrap_or(at))
}

/// Whether a run of sound records starts at `at`; none if the window is too short to tell.
pub(super) fn run<B: ByteOrder>(
    classic: &Classic,
    window: Window<'_>,
    start: usize,
) -> Option<bool> {
    run_of::<B>(classic, window, start, |_| true)
}

/// The same, of records that are all such as `is_wanted` says.
fn run_of<B: ByteOrder>(
    classic: &Classic,
    window: Window<'_>,
    start: usize,
    is_wanted: impl Fn(&Header) -> bool,
) -> Option<bool> {
    let (mut at, mut before) = (start, None);
    for count in 0..RUN {
        if window.at_end && at == window.bytes.len() {
            return Some(count > 0);
        }
        let Some(header) = Header::read::<B>(classic, window, at) else {
            return window.at_end.then_some(count > 1);
        };
        let near = before.is_none_or(|sec: u32| header.sec.abs_diff(sec) <= RUN_SECONDS);
        if !near || classic.verdict(&header) != Verdict::Sound || !is_wanted(&header) {
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
