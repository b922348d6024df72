//! 802.11 data frames, with the capture headers that may stand before them.

use super::{beyond, ethernet};
use crate::decode::{Captured, Outcome, Skip, Walk, Walked, ethertype, ip};

/// Where a frame came from, which decides what its fields mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Origin {
    /// Received by radio; with `padded`, the body begins at a multiple of 4 bytes.
    Air {
        /// See above.
        padded: bool,
    },
    /// Forwarded in a tunnel by an access point: whole, with sequence numbers of no meaning.
    Controller,
}

impl Origin {
    /// Received by radio, headers as they were.
    pub(in crate::decode) const UNPADDED: Self = Self::Air { padded: false };
}

/// Radiotap: a little-endian length, a bit map of fields, and the fields. Only the flags matter
/// here, which say whether the body is padded.
pub(super) fn radiotap(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    const TSFT: u32 = 1;
    const FLAGS: u32 = 2;
    const MORE_MAPS: u32 = 1 << 31;
    const DATA_PAD: u8 = 0x20;
    let length = usize::from(frame.le16(2).ok_or(Skip::CutLinkHeader)?);
    if frame.byte(0) != Some(0) || length < 8 {
        return Err(Skip::BadLinkHeader);
    }
    let header = frame.with_length(length);
    let fields = header.le32(4).ok_or(Skip::CutLinkHeader)?;
    let mut at = 8;
    let mut map = fields;
    while map & MORE_MAPS != 0 {
        map = header.le32(at).ok_or(Skip::BadLinkHeader)?;
        at += 4;
    }
    if fields & TSFT != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if fields & FLAGS != 0 { header.byte(at).unwrap_or_default() } else { 0 };
    self::frame(walk, beyond(frame, length)?, Origin::Air { padded: flags & DATA_PAD != 0 })
}

/// Prism: message code and length, in either order of bytes; some drivers write AVS under the
/// same link type.
pub(super) fn prism(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let code = frame.array::<4>(0).ok_or(Skip::CutLinkHeader)?;
    if matches!(code, [0x80, 0x21, 0x10 | 0x20, _]) {
        return avs(walk, frame);
    }
    let big = matches!(code, [0, 0, 0, 0x41..=0x44]);
    let length = if big { frame.be32(4) } else { frame.le32(4) };
    let length = usize::try_from(length.ok_or(Skip::CutLinkHeader)?).unwrap_or(usize::MAX);
    self::frame(walk, beyond(frame, length)?, Origin::UNPADDED)
}

/// AVS: a magic number and a length in network order.
pub(super) fn avs(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let length = frame.be32(4).ok_or(Skip::CutLinkHeader)?;
    self::frame(
        walk,
        beyond(frame, usize::try_from(length).unwrap_or(usize::MAX))?,
        Origin::UNPADDED,
    )
}

/// Whether a first byte of a frame control says data: type 2, version 0.
pub(in crate::decode) fn is_data(control: u8) -> bool {
    control & 0x0f == 0x08
}

/// An 802.11 frame whose frame control was written in the other order of bytes.
pub(in crate::decode) fn swapped(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let [flags, control] = frame.array::<2>(0).ok_or(Skip::CutLinkHeader)?;
    data(walk, frame, [control, flags], Origin::Controller)
}

/// An 802.11 frame (IEEE 802.11 9.3).
pub(in crate::decode) fn frame(walk: &mut Walk<'_>, frame: Captured<'_>, origin: Origin) -> Walked {
    let [control, flags] = frame.array::<2>(0).ok_or(Skip::CutLinkHeader)?;
    data(walk, frame, [control, flags], origin)
}

fn data(
    walk: &mut Walk<'_>,
    frame: Captured<'_>,
    [control, flags]: [u8; 2],
    origin: Origin,
) -> Walked {
    const NO_DATA: u8 = 0x40;
    const QOS: u8 = 0x80;
    if !is_data(control) || control & NO_DATA != 0 {
        return Err(Skip::LinkControl);
    }
    let [to_system, from_system, more, protected, order] =
        [0x01, 0x02, 0x04, 0x40, 0x80].map(|bit| flags & bit != 0);
    if protected {
        return Err(Skip::Encrypted);
    }
    // The number of the piece within the frame is in the low bits.
    let piece = frame.byte(22).ok_or(Skip::CutLinkHeader)? & 0x0f;
    if more || (piece != 0 && origin != Origin::Controller) {
        return Err(Skip::LinkFragment);
    }
    let mut header = 24;
    if to_system && from_system {
        header += 6;
    }
    let mut aggregated = false;
    if control & QOS != 0 {
        aggregated = frame.byte(header).ok_or(Skip::CutLinkHeader)? & 0x80 != 0;
        header += if order { 6 } else { 2 };
    }
    if origin == (Origin::Air { padded: true }) {
        header = header.next_multiple_of(4);
    }
    let body = beyond(frame, header)?;
    if aggregated { subframes(walk, body) } else { logical_link(walk, body) }
}

/// An A-MSDU: addresses, length, LLC, and padding to 4 bytes, again and again. A frame gives one
/// segment, so the first one counts; otherwise the first reason does.
fn subframes(walk: &mut Walk<'_>, mut body: Captured<'_>) -> Walked {
    const HEADER: usize = 14;
    let mut first = None;
    while let Some(length) = body.be16(12).map(usize::from).filter(|&length| length > 0) {
        walk.enter()?;
        let inner = beyond(body, HEADER)?.with_length(length);
        match logical_link(walk, inner) {
            Err(skip) | Ok(Outcome::Skip(skip)) => first = first.or(Some(skip)),
            found @ Ok(Outcome::Segment | Outcome::Fragment(_) | Outcome::Quote(_)) => {
                return found;
            }
        }
        match body.after((HEADER + length).next_multiple_of(4)) {
            Some(rest) => body = rest,
            None => break,
        }
    }
    Err(first.unwrap_or(Skip::CutLinkHeader))
}

/// LLC, or what drivers that already took it off leave: the bare type or the bare packet.
fn logical_link(walk: &mut Walk<'_>, body: Captured<'_>) -> Walked {
    match body.array::<2>(0).ok_or(Skip::CutLinkHeader)? {
        [0xaa, 0xaa] => ethernet::logical_link(walk, body),
        [0x08, 0x00] => ip::v4(walk, beyond(body, 2)?),
        [0x86, 0xdd] => ethertype::payload(walk, ethertype::IPV6, beyond(body, 2)?),
        _ => Err(Skip::NotIp),
    }
}
