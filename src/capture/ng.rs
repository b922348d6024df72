//! pcapng: sections of blocks in either byte order (draft-ietf-opsawg-pcapng).
//!
//! Only packets, and the blocks that Wireshark numbers as frames too, become records. Sections and
//! interfaces change the context; statistics are collected; all else is passed over.

mod block;
mod interface;
mod options;

pub use interface::{Interface, InterfaceStatistics, MAX_INTERFACES, Statistics};

use std::ops::Range;
use std::sync::Arc;

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};

use self::block::{
    CUSTOM, Frame, INTERFACE, JOURNAL, OLD_PACKET, PACKET, SECTION, SIMPLE_PACKET, STATISTICS,
    SYSDIG, big_endian, find, frame,
};
use self::options::{Options, four};
use super::context::{Found, Scan, Window};
use super::damage::DamageKind;
use super::{Direction, Each, LinkType, Record, Visit, Walk};
use crate::stamp::Time;

/// What the blocks so far say about the next ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ng {
    big_endian: bool,
    /// Index of the section in the file.
    pub(super) section: u32,
    pub(super) interfaces: Arc<Vec<Interface>>,
}

impl Ng {
    /// Reads the leading section header and interfaces; none where the file is another format.
    /// Stops at the first block that is anything else, or odd: that one is the first walk's.
    pub(super) fn open(head: &[u8]) -> Option<(Self, usize)> {
        let (kind, rest) = head.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*kind) != SECTION {
            return None;
        }
        let big_endian = big_endian(rest.get(4..)?)?;
        // Before the first section: its header, walked as a block, makes it section 0.
        let mut ng = Self { big_endian, section: u32::MAX, interfaces: Arc::default() };
        let (window, mut at) = (Window { bytes: head, base: 0, at_end: false }, 0);
        loop {
            let framed = if ng.big_endian {
                frame::<BigEndian>(window, at)
            } else {
                frame::<LittleEndian>(window, at)
            };
            let Frame::Block { kind: SECTION | INTERFACE, len, .. } = framed else { break };
            let (mut next, mut walk) = (ng.clone(), Walk::default());
            next.block(framed, 0, &mut walk, &mut Each(&mut |_: &Record<'_>| {}));
            if !walk.damage.is_empty() || walk.oddities.bad_options > 0 {
                break;
            }
            ng = next;
            at += len;
        }
        Some((ng, at))
    }

    pub(super) const fn lookahead() -> usize {
        block::LOOKAHEAD
    }

    pub(super) fn find(&self, window: Window<'_>, from: usize) -> Found {
        if self.big_endian {
            find::<BigEndian>(window, from)
        } else {
            find::<LittleEndian>(window, from)
        }
    }

    /// Walks the blocks that start in `range`.
    pub(super) fn walk(
        &mut self,
        scan: &mut Option<Scan>,
        window: Window<'_>,
        range: Range<usize>,
        visit: &mut impl Visit,
    ) -> Walk {
        let mut walk = Walk { end: range.start, ..Walk::default() };
        walk.context_changed = scan.is_some();
        while Scan::goes_on(scan, |at| self.find(window, at), window, range.end, &mut walk) {
            let framed = if self.big_endian {
                self.packets::<BigEndian>(window, range.end, &mut walk, visit)
            } else {
                self.packets::<LittleEndian>(window, range.end, &mut walk, visit)
            };
            match framed {
                Frame::Block { len, .. } => {
                    // Seldom one that is visited: no place for a copy of all that is done then.
                    let visit = &mut |record: &Record<'_>| visit.record(record);
                    self.block(framed, window.offset(walk.end), &mut walk, &mut Each(visit));
                    walk.end += len;
                }
                Frame::More if walk.end < range.end => {
                    walk.needs_more = true;
                    break;
                }
                // Only the end of the range was met.
                Frame::More => {}
                // A length that leads out of the file may as well be wrong.
                Frame::Cut => Scan::start(scan, DamageKind::CutRecord, window, &mut walk),
                Frame::Bad => Scan::start(scan, DamageKind::BadRecord, window, &mut walk),
            }
        }
        walk.context_changed |= scan.is_some();
        walk
    }

    /// Walks plain enhanced packet blocks, which nearly all blocks are, and returns the first
    /// block that is anything else; `More` also at the end of the range.
    fn packets<'a, B: ByteOrder>(
        &self,
        window: Window<'a>,
        limit: usize,
        walk: &mut Walk,
        visit: &mut impl Visit,
    ) -> Frame<'a> {
        while walk.end < limit {
            let framed = frame::<B>(window, walk.end);
            let Frame::Block { kind: PACKET, body, len, mismatch: false } = framed else {
                return framed;
            };
            let record = packet::<B>(body).and_then(|packet| self.plain::<B>(&packet));
            let Some(mut record) = record else { return framed };
            record.offset = window.offset(walk.end);
            walk.records += 1;
            walk.end += len;
            visit.record(&record);
        }
        Frame::More
    }

    /// The record of a packet about which nothing is odd.
    #[inline]
    fn plain<'a, B: ByteOrder>(&self, packet: &Packet<'a>) -> Option<Record<'a>> {
        let interface = self.interfaces.get(packet.interface as usize)?;
        if packet.kept > packet.wire || packet.clipped {
            return None;
        }
        let mut record = packet.record(interface);
        if !packet.options.is_empty() && flags::<B>(packet.options, &mut record) {
            return None;
        }
        Some(record)
    }

    /// Takes in one block of any kind.
    fn block(&mut self, framed: Frame<'_>, offset: u64, walk: &mut Walk, visit: &mut impl Visit) {
        let Frame::Block { kind, body, len, mismatch } = framed else { return };
        if mismatch {
            walk.harm(DamageKind::TrailerMismatch, offset, 0);
        }
        if kind == SECTION {
            // Framing has seen the magic.
            self.big_endian = big_endian(body).unwrap_or(self.big_endian);
            self.section = self.section.wrapping_add(1);
            self.interfaces = Arc::default();
            walk.context_changed = true;
            return;
        }
        let whole = if self.big_endian {
            self.known::<BigEndian>(kind, body, offset, walk, visit)
        } else {
            self.known::<LittleEndian>(kind, body, offset, walk, visit)
        };
        if whole.is_none() {
            walk.harm(DamageKind::ShortBlock, offset, len);
        }
    }

    /// Takes in a block inside a section; none if it is too short for its fixed fields.
    fn known<B: ByteOrder>(
        &mut self,
        kind: u32,
        body: &[u8],
        offset: u64,
        walk: &mut Walk,
        visit: &mut impl Visit,
    ) -> Option<()> {
        match kind {
            INTERFACE => {
                let parsed = Interface::parse::<B>(body);
                let whole = parsed.is_some();
                let (interface, bad) = parsed.unwrap_or_else(|| (Interface::unknown(), 0));
                walk.oddities.bad_options += bad;
                walk.context_changed = true;
                if self.interfaces.len() < MAX_INTERFACES {
                    Arc::make_mut(&mut self.interfaces).push(interface);
                }
                whole.then_some(())
            }
            STATISTICS => self.statistics::<B>(body, walk),
            SIMPLE_PACKET => self.simple::<B>(body, offset, walk, visit),
            PACKET => {
                self.odd::<B>(&packet::<B>(body)?, offset, walk, visit);
                Some(())
            }
            OLD_PACKET => {
                self.odd::<B>(&old_packet::<B>(body)?, offset, walk, visit);
                Some(())
            }
            _ => {
                // All else is names, secrets, and what the future brings.
                if kind == JOURNAL || CUSTOM.contains(&kind) || SYSDIG.contains(&kind) {
                    event(body, offset, walk, visit);
                }
                Some(())
            }
        }
    }

    fn statistics<B: ByteOrder>(&self, body: &[u8], walk: &mut Walk) -> Option<()> {
        let (index, mut told, bad) = InterfaceStatistics::parse::<B>(body)?;
        walk.oddities.bad_options += bad;
        if let Some(interface) = self.interfaces.get(index as usize) {
            told.name.clone_from(&interface.name);
            walk.statistics.insert((self.section, index), told);
            if walk.statistics.len() > MAX_INTERFACES {
                walk.statistics.pop_last();
            }
        }
        Some(())
    }

    /// Visits a packet about which anything may be odd.
    fn odd<B: ByteOrder>(
        &self,
        packet: &Packet<'_>,
        offset: u64,
        walk: &mut Walk,
        visit: &mut impl Visit,
    ) {
        let known = self.interfaces.get(packet.interface as usize);
        let mut record = match known {
            Some(interface) => packet.record(interface),
            None => packet.record(&Interface::unknown()),
        };
        record.offset = offset;
        if known.is_none() {
            walk.harm(DamageKind::UnknownInterface, offset, 0);
        }
        if packet.clipped {
            walk.harm(DamageKind::ShortBlock, offset, 0);
        }
        walk.oddities.longer_than_wire += u64::from(packet.kept > packet.wire);
        walk.oddities.bad_options += u64::from(flags::<B>(packet.options, &mut record));
        walk.records += 1;
        visit.record(&record);
    }

    /// Visits a simple packet, which belongs to interface 0 and has no time.
    fn simple<B: ByteOrder>(
        &self,
        body: &[u8],
        offset: u64,
        walk: &mut Walk,
        visit: &mut impl Visit,
    ) -> Option<()> {
        let (wire, data) = body.split_first_chunk::<4>()?;
        let wire = B::read_u32(wire);
        let known = self.interfaces.first();
        if known.is_none() {
            walk.harm(DamageKind::UnknownInterface, offset, 0);
        }
        let snaplen = known.map_or(0, |interface| interface.snaplen);
        let kept = if snaplen == 0 { wire } else { wire.min(snaplen) };
        walk.records += 1;
        visit.record(&Record {
            time: Time::default(),
            timed: false,
            link: known.map_or(LinkType::UNKNOWN, |interface| interface.link),
            data: data.get(..kept as usize).unwrap_or(data),
            wire_len: wire,
            offset,
            interface: 0,
            fcs_len: known.map_or(0, |interface| interface.fcs_len),
            direction: Direction::Unknown,
        });
        Some(())
    }
}

/// The fields that both kinds of packet blocks have.
struct Packet<'a> {
    interface: u32,
    ticks: u64,
    kept: u32,
    wire: u32,
    data: &'a [u8],
    options: &'a [u8],
    /// The block holds less than it says was kept.
    clipped: bool,
}

impl<'a> Packet<'a> {
    #[inline]
    fn record(&self, interface: &Interface) -> Record<'a> {
        Record {
            time: interface.time(self.ticks),
            timed: true,
            link: interface.link,
            data: self.data,
            wire_len: self.wire.max(self.kept),
            offset: 0,
            interface: self.interface,
            fcs_len: interface.fcs_len,
            direction: Direction::Unknown,
        }
    }
}

/// Reads an enhanced packet block.
#[inline]
fn packet<B: ByteOrder>(body: &[u8]) -> Option<Packet<'_>> {
    let (fixed, rest) = body.split_first_chunk::<20>()?;
    let [interface, high, low, kept, wire] = fixed.as_chunks::<4>().0 else { return None };
    let mut packet = Packet {
        interface: B::read_u32(interface),
        ticks: u64::from(B::read_u32(high)) << 32 | u64::from(B::read_u32(low)),
        kept: B::read_u32(kept),
        wire: B::read_u32(wire),
        data: rest,
        options: &[],
        clipped: false,
    };
    let kept = packet.kept as usize;
    if let Some((data, rest)) = rest.split_at_checked(kept) {
        packet.data = data;
        packet.options = rest.get(kept.next_multiple_of(4) - kept..).unwrap_or_default();
    } else {
        packet.clipped = true;
        packet.kept = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    }
    Some(packet)
}

/// Reads an obsolete packet block: like an enhanced one, but its first word is a 16-bit interface
/// and a 16-bit count of drops.
fn old_packet<B: ByteOrder>(body: &[u8]) -> Option<Packet<'_>> {
    let interface = u32::from(B::read_u16(body.first_chunk::<2>()?));
    packet::<B>(body).map(|packet| Packet { interface, ..packet })
}

/// Applies a packet's flags option, which has the same code in both kinds of blocks, to its
/// record; true if an option could not be read.
fn flags<B: ByteOrder>(options: &[u8], record: &mut Record<'_>) -> bool {
    let mut options = Options::new(options);
    let mut bad = false;
    while let Some(option) = options.next::<B>() {
        if option.code != 2 {
            continue;
        }
        let Some(flags) = four::<B>(option.value) else {
            bad = true;
            continue;
        };
        record.direction = match flags & 3 {
            1 => Direction::Inbound,
            2 => Direction::Outbound,
            _ => Direction::Unknown,
        };
        let fcs_len = (flags >> 5 & 0xf) as u8;
        if fcs_len > 0 {
            record.fcs_len = fcs_len;
        }
    }
    bad || options.broken
}

/// Visits what Wireshark numbers as a frame although it is no packet.
fn event(body: &[u8], offset: u64, walk: &mut Walk, visit: &mut impl Visit) {
    walk.records += 1;
    walk.events += 1;
    visit.record(&Record {
        time: Time::default(),
        timed: false,
        link: LinkType::EVENT,
        data: body,
        wire_len: u32::try_from(body.len()).unwrap_or(u32::MAX),
        offset,
        interface: 0,
        fcs_len: 0,
        direction: Direction::Unknown,
    });
}
