//! Where a pcapng block begins and ends, and whether a place looks like the start of one.
//!
//! Framing is pcap-file's raw layer where that accepts the block; the two kinds of blocks that it
//! refuses and Wireshark reads are framed here: a length that leaves out the padding, and a
//! trailing length that differs. Bodies are not looked into beyond what makes a guess safer.

use std::borrow::Cow;

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};
use pcap_file::PcapError;
use pcap_file::pcapng::RawBlock;

use crate::capture::context::{Found, Window};
use crate::capture::{MAX_COMMON, MAX_LARGE};

pub(super) const SECTION: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE: u32 = 1;
pub(super) const OLD_PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const STATISTICS: u32 = 5;
pub(super) const PACKET: u32 = 6;
pub(super) const JOURNAL: u32 = 9;
pub(super) const SECRETS: u32 = 10;
pub(super) const SYSDIG: [u32; 3] = [0x204, 0x208, 0x216];
pub(super) const CUSTOM: [u32; 2] = [0xbad, 0x4000_0bad];

/// Largest block; a longer one is damage.
pub(super) const MAX_BLOCK: usize = MAX_LARGE;

/// Smallest block: type and both lengths.
const MIN_BLOCK: usize = 12;

/// Blocks in a row that make a place plausible as the start of a block.
const RUN: usize = 3;

/// Largest block in such a run: a packet of the usual limit with generous options.
const MAX_RUN_BLOCK: usize = MAX_COMMON + (64 << 10);

/// Bytes from a block's start on with which framing, or ruling out its place, always succeeds.
pub(super) const LOOKAHEAD: usize = MAX_BLOCK + RUN * MAX_RUN_BLOCK;

/// What stands where a block should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Block {
        kind: u32,
        body: &'a [u8],
        len: usize,
        /// The trailing length differs, but another block follows.
        mismatch: bool,
    },
    /// The file ends inside the block.
    Cut,
    /// The window ends before that can be told.
    More,
    Bad,
}

/// Frames the block at `at`.
#[inline]
pub(super) fn frame<B: ByteOrder>(window: Window<'_>, at: usize) -> Frame<'_> {
    let bytes = window.from(at);
    match RawBlock::from_slice::<B>(bytes) {
        Ok((rest, RawBlock { type_: kind, body: Cow::Borrowed(body), .. })) => {
            let len = bytes.len() - rest.len();
            if len > MAX_BLOCK {
                return Frame::Bad;
            }
            Frame::Block { kind, body, len, mismatch: false }
        }
        Ok(_) => Frame::Bad,
        Err(PcapError::IncompleteBuffer) => match announced::<B>(bytes) {
            Some(len) if !(MIN_BLOCK..=MAX_BLOCK).contains(&len) => Frame::Bad,
            _ if window.at_end => Frame::Cut,
            _ => Frame::More,
        },
        Err(_) => refused::<B>(window, at),
    }
}

/// The length that a block announces; none if the bytes end before it.
fn announced<B: ByteOrder>(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<MIN_BLOCK>()?;
    let [kind, len, magic] = head.as_chunks::<4>().0 else { return None };
    let len = match (B::read_u32(kind) == SECTION, big_endian(magic)) {
        (true, Some(true)) => u32::from_be_bytes(*len),
        (true, Some(false)) => u32::from_le_bytes(*len),
        _ => B::read_u32(len),
    };
    Some(len as usize)
}

/// Byte order of a section out of its magic; none if it is no magic.
pub(super) fn big_endian(magic: &[u8]) -> Option<bool> {
    match magic.first_chunk::<4>()? {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(true),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(false),
        _ => None,
    }
}

/// Frames a block that pcap-file refuses.
#[cold]
fn refused<B: ByteOrder>(window: Window<'_>, at: usize) -> Frame<'_> {
    let Some(head) = window.from(at).first_chunk::<MIN_BLOCK>() else { return Frame::Bad };
    let [kind, _, magic] = head.as_chunks::<4>().0 else { return Frame::Bad };
    match (B::read_u32(kind), big_endian(magic)) {
        (SECTION, Some(true)) => lenient::<BigEndian>(window, at),
        (SECTION, Some(false)) => lenient::<LittleEndian>(window, at),
        (SECTION, None) => Frame::Bad,
        _ => lenient::<B>(window, at),
    }
}

/// Frames a block whose length leaves out the padding or whose trailing length differs.
fn lenient<B: ByteOrder>(window: Window<'_>, at: usize) -> Frame<'_> {
    let bytes = window.from(at);
    let (Some(head), Some(len)) = (bytes.first_chunk::<4>(), announced::<B>(bytes)) else {
        return Frame::Bad;
    };
    let (kind, padded) = (B::read_u32(head), len.next_multiple_of(4));
    if !(MIN_BLOCK..=MAX_BLOCK).contains(&len) {
        return Frame::Bad;
    }
    let Some(body) = bytes.get(8..padded - 4) else {
        return if window.at_end { Frame::Cut } else { Frame::More };
    };
    let trailer = bytes.get(padded - 4..padded).map(B::read_u32);
    let mismatch = trailer.is_none_or(|trailer| trailer as usize != len);
    if mismatch {
        if len != padded || !known(kind) {
            return Frame::Bad;
        }
        match plausible::<B>(window, at + len) {
            Plausible::Block(_) | Plausible::Section | Plausible::End => {}
            Plausible::More => return Frame::More,
            Plausible::Cut | Plausible::No => return Frame::Bad,
        }
    }
    Frame::Block { kind, body, len: padded, mismatch }
}

fn known(kind: u32) -> bool {
    matches!(kind, INTERFACE..=PACKET | JOURNAL | SECRETS | SECTION)
        || CUSTOM.contains(&kind)
        || SYSDIG.contains(&kind)
}

enum Plausible {
    /// A block of a known type with equal lengths; it takes so many bytes.
    Block(usize),
    /// A section header: its magic makes it certain.
    Section,
    /// The end of the file.
    End,
    /// The file ends inside what may be a block.
    Cut,
    More,
    No,
}

/// Whether a block that makes sense stands at `at`.
fn plausible<B: ByteOrder>(window: Window<'_>, at: usize) -> Plausible {
    let bytes = window.from(at);
    if window.at_end && bytes.is_empty() {
        return Plausible::End;
    }
    let short = if window.at_end { Plausible::Cut } else { Plausible::More };
    let Some(head) = bytes.first_chunk::<MIN_BLOCK>() else { return short };
    let kind = B::read_u32(head);
    let Some(len) = announced::<B>(bytes) else { return short };
    if !known(kind) || !(MIN_BLOCK..=MAX_RUN_BLOCK).contains(&len) || len % 4 != 0 {
        return Plausible::No;
    }
    let (Some(body), Some(trailer)) = (bytes.get(8..len - 4), bytes.get(len - 4..len)) else {
        return short;
    };
    if kind == SECTION {
        return match big_endian(body) {
            Some(true) if BigEndian::read_u32(trailer) as usize == len => Plausible::Section,
            Some(false) if LittleEndian::read_u32(trailer) as usize == len => Plausible::Section,
            _ => Plausible::No,
        };
    }
    if B::read_u32(trailer) as usize != len {
        return Plausible::No;
    }
    let fits = match kind {
        PACKET | OLD_PACKET => body
            .get(12..)
            .and_then(|rest| rest.first_chunk::<4>())
            .is_some_and(|kept| (B::read_u32(kept) as usize) <= body.len().saturating_sub(20)),
        _ => true,
    };
    if fits { Plausible::Block(len) } else { Plausible::No }
}

/// The first start of a run of plausible blocks at or behind `from`.
pub(super) fn find<B: ByteOrder>(window: Window<'_>, from: usize) -> Found {
    for at in from..window.bytes.len() {
        match run::<B>(window, at) {
            Some(true) => return Found::At(at),
            Some(false) => {}
            None => return Found::Undecided(at),
        }
    }
    if window.at_end { Found::Nowhere } else { Found::Undecided(window.bytes.len().max(from)) }
}

/// Whether a run of plausible blocks starts at `start`; none if the window is too short to tell.
#[inline]
fn run<B: ByteOrder>(window: Window<'_>, start: usize) -> Option<bool> {
    // Most bytes are ruled out here.
    if let Some(head) = window.from(start).first_chunk::<4>()
        && !known(B::read_u32(head))
    {
        return Some(false);
    }
    let mut at = start;
    for count in 0..RUN {
        match plausible::<B>(window, at) {
            Plausible::Block(len) => at += len,
            Plausible::Section => return Some(true),
            Plausible::End => return Some(count > 0),
            Plausible::More => return None,
            Plausible::Cut => return Some(count > 1),
            Plausible::No => return Some(false),
        }
    }
    Some(true)
}
