//! Ethernet and what shares its logical link: 802.3 with LLC, FDDI, Token Ring, switch tags.

use super::{beyond, tagged};
use crate::decode::ethertype::{self, IPV4, IPV6, MAX_8023_LENGTH};
use crate::decode::{Captured, Skip, Walk, Walked, ip};

/// Destination and source address, before the type.
const ADDRESSES: usize = 12;
const HEADER: usize = 14;

/// An Ethernet frame without preamble; a trailing check sequence is dropped by the IP length.
#[inline]
pub(in crate::decode) fn frame(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let kind = frame.be16(ADDRESSES).ok_or(Skip::CutLinkHeader)?;
    let rest = frame.after(HEADER).ok_or(Skip::CutLinkHeader)?;
    if kind <= MAX_8023_LENGTH && is_inter_switch_link(frame) {
        // Cisco ISL: 26 bytes around the whole frame, and a check sequence of its own.
        walk.enter()?;
        return self::frame(walk, beyond(frame, 26)?);
    }
    ethertype::payload(walk, kind, rest)
}

/// Whether an Ethernet header with IP behind it starts here: a guard for formats that do not say.
pub(in crate::decode) fn looks_like_ethernet(frame: Captured<'_>) -> bool {
    let mut at = ADDRESSES;
    while matches!(frame.be16(at), Some(0x8100 | 0x88a8)) && at < ADDRESSES + 8 {
        at += 4;
    }
    matches!(frame.be16(at), Some(IPV4 | IPV6))
        && frame.after(at + 2).is_some_and(Captured::looks_like_ip)
}

/// An LLC header (IEEE 802.2), with SNAP or with IP's own service access point.
pub(in crate::decode) fn logical_link(walk: &mut Walk<'_>, rest: Captured<'_>) -> Walked {
    let service = rest.array::<3>(0).ok_or(Skip::CutLinkHeader)?;
    match service {
        [0xaa, 0xaa, 0x03] => {
            let organisation = rest.array::<3>(3).ok_or(Skip::CutLinkHeader)?;
            match organisation {
                // RFC 1042, the bridge tunnel, and what Cisco and Apple stacks send IP with.
                [0, 0, 0 | 0xf8] => tagged(walk, rest, 6),
                // Bridged Ethernet with and without its check sequence (RFC 2684 5.2): 2 pad
                // bytes, then the frame.
                [0, 0x80, 0xc2] => match rest.be16(6).ok_or(Skip::CutLinkHeader)? {
                    1 | 7 => self::frame(walk, beyond(rest, 10)?),
                    _ => Err(Skip::LinkControl),
                },
                _ => Err(Skip::NotIp),
            }
        }
        [0x06, 0x06, 0x03] => ip::any(walk, beyond(rest, 3)?),
        // OSI network layer: the next byte says that it is IP (RFC 2684 B).
        [0xfe, 0xfe, 0x03] => match rest.byte(3).ok_or(Skip::CutLinkHeader)? {
            0xcc => ip::v4(walk, beyond(rest, 4)?),
            0x8e => ip::v6(walk, beyond(rest, 4)?),
            _ => Err(Skip::NotIp),
        },
        [0x42, 0x42, _] => Err(Skip::LinkControl),
        _ => Err(Skip::NotIp),
    }
}

/// FDDI: frame control, addresses, LLC. Some drivers put 3 bytes of padding first.
pub(super) fn fddi(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    const LLC: u8 = 0x50;
    let padded = frame.byte(0) == Some(0) && frame.byte(3).is_some_and(|fc| fc & 0xf0 == LLC);
    let frame = if padded { beyond(frame, 3)? } else { frame };
    match frame.byte(0).ok_or(Skip::CutLinkHeader)? {
        control if control & 0xf0 == LLC => logical_link(walk, beyond(frame, 13)?),
        _ => Err(Skip::LinkControl),
    }
}

/// Token Ring (IEEE 802.5): access and frame control, addresses, maybe a route, LLC.
pub(super) fn token_ring(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let header = frame.array::<14>(0).ok_or(Skip::CutLinkHeader)?;
    if header[1] & 0xc0 != 0x40 {
        return Err(Skip::LinkControl);
    }
    let routed = header[8] & 0x80 != 0;
    let route = if routed { frame.byte(14).ok_or(Skip::CutLinkHeader)? & 0x1f } else { 0 };
    logical_link(walk, beyond(frame, 14 + usize::from(route))?)
}

/// A frame with its preamble (IEEE 802.3br): only start delimiters of whole frames are taken.
pub(super) fn preamble(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    /// Seven bytes and the delimiter, of which the first ones may be lost.
    const LONGEST: usize = 8;
    let delimiter = frame.bytes().iter().take(LONGEST).position(|&byte| byte != 0x55);
    match delimiter.and_then(|at| Some((at, frame.byte(at)?))) {
        // An express frame; the first piece of a preemptable one, with all of its headers.
        Some((at, 0xd5 | 0xe6 | 0x4c | 0x7f | 0xb3)) => self::frame(walk, beyond(frame, at + 1)?),
        // A continuation: its delimiter and a count.
        Some((_, 0x61 | 0x52 | 0x9e | 0x2a)) => Err(Skip::LinkFragment),
        // Verification and response.
        Some((_, 0x07 | 0x19)) => Err(Skip::LinkControl),
        _ => Err(Skip::BadLinkHeader),
    }
}

/// Broadcom's tag of 4 bytes between the addresses and the type.
pub(super) fn broadcom(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    tagged(walk, frame, ADDRESSES + 4)
}

/// Marvell's DSA tag between the addresses and the type.
pub(super) fn marvell(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    dsa(walk, beyond(frame, ADDRESSES)?)
}

/// A DSA tag, of 8 bytes where its last bit of the third byte says so, then the type.
pub(in crate::decode) fn dsa(walk: &mut Walk<'_>, tag: Captured<'_>) -> Walked {
    let extended = tag.byte(2).ok_or(Skip::CutLinkHeader)? & 0x10 != 0;
    tagged(walk, tag, if extended { 8 } else { 4 })
}

#[cold]
fn is_inter_switch_link(frame: Captured<'_>) -> bool {
    matches!(frame.array::<5>(0), Some([0x01 | 0x0c, 0x00, 0x0c, 0x00, 0x00]))
}
