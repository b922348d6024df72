//! Everything that stands before a range of a capture and that walking the range needs.
//!
//! Dispatches to the formats and keeps the search for the next record that a walk may leave
//! unfinished, so that cutting a walk in two never changes its result. Does no I/O.

use std::ops::Range;

use byteorder_slice::{BigEndian, LittleEndian};

use super::classic::{self, Classic};
use super::damage::{Damage, DamageKind};
use super::ng::{Interface, Ng};
use super::plain::Plain;
use super::{CaptureError, Each, Format, LinkType, Record, Visit, Walk};

/// A piece of a file in memory.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Offset in the file of the first of them.
    pub base: u64,
    /// The file ends where the bytes end.
    pub at_end: bool,
}

impl<'a> Window<'a> {
    /// The bytes from `at` on; none behind the end.
    pub(super) fn from(&self, at: usize) -> &'a [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    pub(super) const fn offset(&self, at: usize) -> u64 {
        self.base + at as u64
    }
}

/// A search for the next record that has not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) kind: DamageKind,
    /// Where the damage began.
    pub(super) offset: u64,
}

impl Scan {
    /// Starts to search behind a place where no record can be read.
    pub(super) fn start(
        open: &mut Option<Self>,
        kind: DamageKind,
        window: Window<'_>,
        walk: &mut Walk,
    ) {
        *open = Some(Self { kind, offset: window.offset(walk.end) });
        walk.end += 1;
    }

    /// Whether a walk that ends before `end` goes on at `walk.end`: a search that is open is ended
    /// first, by what `find` finds from there.
    #[inline]
    pub(super) fn goes_on(
        open: &mut Option<Self>,
        find: impl FnOnce(usize) -> Found,
        window: Window<'_>,
        end: usize,
        walk: &mut Walk,
    ) -> bool {
        if open.is_some() && !Self::resume(open, find(walk.end), window, walk) {
            walk.needs_more = walk.end < end;
            return false;
        }
        walk.end < end && !(window.at_end && walk.end >= window.bytes.len())
    }

    /// Ends the search if it can be ended, and lists the damage; false if more bytes are needed.
    fn resume(open: &mut Option<Self>, found: Found, window: Window<'_>, walk: &mut Walk) -> bool {
        let Some(Self { mut kind, offset }) = *open else { return true };
        walk.end = match found {
            Found::At(at) => {
                // More records follow, so it was not the file that was cut.
                kind = DamageKind::BadRecord;
                at
            }
            Found::Nowhere => window.bytes.len().max(walk.end),
            Found::Undecided(at) => {
                walk.end = at;
                return false;
            }
        };
        let skipped = window.offset(walk.end) - offset;
        walk.damage.push(Damage { kind, offset, skipped, frame: walk.records });
        *open = None;
        true
    }
}

/// All that a walk needs to know of the bytes before its range. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    layout: Layout,
    scan: Option<Scan>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    Classic(Classic),
    Ng(Ng),
    Plain(Plain),
}

impl Context {
    /// How many bytes of the file [`Context::open`] wants to see, if the file has them.
    pub const HEAD: usize = 64 << 10;

    /// How many bytes of the file [`Context::open_early`] is content with as a rule.
    pub const EARLY: usize = 8 << 10;

    /// Reads the header from less than [`Context::open`] wants to see, where that cannot make a
    /// difference; none where it could. `head` must not be the whole file.
    #[must_use]
    pub fn open_early(head: &[u8]) -> Option<(Self, usize)> {
        let (classic, used) = Classic::open_early(head)?;
        Some((Self { layout: Layout::Classic(classic), scan: None }, used))
    }

    /// Reads the header from a file's first bytes.
    ///
    /// Returns the context of what follows and how many bytes the header takes: the first walk
    /// starts there.
    ///
    /// # Errors
    /// The bytes are no capture, or end inside the header.
    pub fn open(head: &[u8]) -> Result<(Self, usize), CaptureError> {
        if head.is_empty() {
            return Err(CaptureError::Empty);
        }
        if let Some((classic, used)) = Classic::open(head)? {
            return Ok((Self { layout: Layout::Classic(classic), scan: None }, used));
        }
        if let Some((ng, used)) = Ng::open(head) {
            return Ok((Self { layout: Layout::Ng(ng), scan: None }, used));
        }
        if let Some((plain, used)) = Plain::open(head) {
            return Ok((Self { layout: Layout::Plain(plain), scan: None }, used));
        }
        Err(CaptureError::unknown(head))
    }

    /// What kind of file it is.
    #[must_use]
    pub fn format(&self) -> Format {
        match &self.layout {
            Layout::Classic(classic) => classic.format(),
            Layout::Ng(_) => Format::PcapNg,
            Layout::Plain(plain) => plain.format(),
        }
    }

    /// Link type of every frame, where the format has only one.
    #[must_use]
    pub fn link(&self) -> Option<LinkType> {
        match &self.layout {
            Layout::Classic(classic) => Some(classic.link),
            Layout::Ng(_) => None,
            Layout::Plain(plain) => plain.link(),
        }
    }

    /// Index of the section and its interfaces so far; none for pcap.
    #[must_use]
    pub fn interfaces(&self) -> (u32, &[Interface]) {
        match &self.layout {
            Layout::Classic(_) | Layout::Plain(_) => (0, &[]),
            Layout::Ng(ng) => (ng.section, &ng.interfaces),
        }
    }

    /// Bytes from the next record on with which a walk always gets on.
    #[must_use]
    pub fn lookahead(&self) -> usize {
        match &self.layout {
            Layout::Classic(classic) => classic.lookahead(),
            Layout::Ng(_) => Ng::lookahead(),
            Layout::Plain(_) => Plain::lookahead(),
        }
    }

    /// The first place at or behind `from` that looks like the start of a record, with several
    /// records in a row behind it.
    ///
    /// None where there is no such place or where the window is too short to tell. It is a guess:
    /// it holds only if the walk of the range before ends at the same place with an equal context.
    #[must_use]
    pub fn guess(&self, window: Window<'_>, from: usize) -> Option<usize> {
        let found = match &self.layout {
            Layout::Classic(classic) if classic.big_endian => {
                classic::guess::<BigEndian>(classic, window, from)
            }
            Layout::Classic(classic) => classic::guess::<LittleEndian>(classic, window, from),
            Layout::Ng(ng) => ng.find(window, from),
            Layout::Plain(plain) => plain.find(window, from),
        };
        match found {
            Found::At(at) => Some(at),
            Found::Undecided(_) | Found::Nowhere => None,
        }
    }

    /// Walks the records that start in `range` of the window's bytes.
    ///
    /// The window may reach beyond the range, so that the last record is whole. Walking a file in
    /// any number of adjoining ranges visits the same records and lists the same damage as one
    /// walk, if each range starts where the walk before ended.
    pub fn walk(
        &mut self,
        window: Window<'_>,
        range: Range<usize>,
        visit: &mut impl FnMut(&Record<'_>),
    ) -> Walk {
        self.walk_with(window, range, &mut Each(visit))
    }

    /// The same, for a visitor of which the loops should become a part.
    pub fn walk_with(
        &mut self,
        window: Window<'_>,
        range: Range<usize>,
        visit: &mut impl Visit,
    ) -> Walk {
        let scan = &mut self.scan;
        match &mut self.layout {
            Layout::Classic(classic) if classic.big_endian => {
                classic::walk::<BigEndian>(classic, scan, window, range, visit)
            }
            Layout::Classic(classic) => {
                classic::walk::<LittleEndian>(classic, scan, window, range, visit)
            }
            Layout::Ng(ng) => ng.walk(scan, window, range, visit),
            Layout::Plain(plain) => plain.walk(scan, window, range, visit),
        }
    }
}

/// Result of a search for the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It starts here.
    At(usize),
    /// Not before here; the window ends too early to tell more.
    Undecided(usize),
    /// There is none before the end of the file.
    Nowhere,
}
