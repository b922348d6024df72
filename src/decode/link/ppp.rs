//! PPP (RFC 1661), bare, in HDLC framing (RFC 1662) and over Ethernet (RFC 2516).

use super::{beyond, ethernet};
use crate::decode::{Captured, Skip, Walk, Walked, ethertype, ip};

/// A PPP frame: maybe address and control, the protocol, and what it says follows.
pub(in crate::decode) fn frame(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let header = frame.array::<2>(0).ok_or(Skip::CutLinkHeader)?;
    if header == [0xff, 0x03] { protocol(walk, beyond(frame, 2)?) } else { bare(walk, frame) }
}

/// What pppd's log mode writes: a byte of direction in place of the address, and control.
pub(super) fn from_daemon(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    match frame.array::<2>(0).ok_or(Skip::CutLinkHeader)? {
        [0 | 1, 0x03] => protocol(walk, beyond(frame, 2)?),
        [0 | 1, 0xff] => self::frame(walk, beyond(frame, 1)?),
        [0 | 1, _] => protocol(walk, beyond(frame, 1)?),
        _ => self::frame(walk, frame),
    }
}

/// A `PPPoE` header; in the session stage PPP follows, without framing.
pub(in crate::decode) fn over_ethernet(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let header = frame.array::<6>(0).ok_or(Skip::CutLinkHeader)?;
    if header[0] != 0x11 {
        return Err(Skip::BadLinkHeader);
    }
    if header[1] != 0 {
        return Err(Skip::LinkControl);
    }
    let rest = beyond(frame, 6)?;
    // What lies beyond the stated length is padding; a length that cannot be is ignored.
    let stated = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let is_possible = (2..=rest.length()).contains(&stated);
    protocol(walk, if is_possible { rest.with_length(stated) } else { rest })
}

/// PPP without address and control, or Cisco's framing, which some drivers write under this link
/// type (address 0x0f or 0x8f, control 0, an `EtherType`).
fn bare(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    match frame.array::<2>(0) {
        Some([0x0f | 0x8f, 0x00]) => super::wan::cisco_hdlc(walk, frame),
        _ => protocol(walk, frame),
    }
}

/// The protocol field, of one byte where that is odd (RFC 1661 2).
fn protocol(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let first = frame.byte(0).ok_or(Skip::CutLinkHeader)?;
    let (protocol, rest) = if first & 1 != 0 {
        (u16::from(first), beyond(frame, 1)?)
    } else {
        (frame.be16(0).ok_or(Skip::CutLinkHeader)?, beyond(frame, 2)?)
    };
    walk.enter()?;
    match protocol {
        0x0021 => ip::v4(walk, rest),
        0x0057 => ip::v6(walk, rest),
        0x0281 | 0x0283 => ethertype::mpls(walk, rest),
        0x0031 => bridged(walk, rest),
        0x003d => multilink(walk, rest),
        // Van Jacobson, ROHC, IP header compression, PPP compression.
        0x002d | 0x002f | 0x0003 | 0x0005 | 0x0061 | 0x0063 | 0x0065 | 0x0067 | 0x0069 | 0x0161
        | 0x0163 | 0x0165 | 0x00fb | 0x00fd => Err(Skip::Compressed),
        0x0053 | 0x0055 => Err(Skip::Encrypted),
        // Network control and link control protocols.
        0x8000..=0xffff => Err(Skip::LinkControl),
        _ => Err(Skip::NotIp),
    }
}

/// A bridged frame (RFC 3518 4.2): flags, the kind of LAN, and the frame.
fn bridged(walk: &mut Walk<'_>, rest: Captured<'_>) -> Walked {
    match rest.byte(1).ok_or(Skip::CutLinkHeader)? {
        1 => ethernet::frame(walk, beyond(rest, 2)?),
        _ => Err(Skip::NotIp),
    }
}

/// Multilink (RFC 1990 3): only a fragment that is a whole packet can be read.
fn multilink(walk: &mut Walk<'_>, rest: Captured<'_>) -> Walked {
    match rest.byte(0).ok_or(Skip::CutLinkHeader)? & 0xc0 {
        0xc0 => protocol(walk, beyond(rest, 4)?),
        _ => Err(Skip::LinkFragment),
    }
}
