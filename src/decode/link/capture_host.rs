//! Headers that a capturing host's firewall or driver puts before the packet: ENC, PFLOG, NFLOG,
//! PKTAP, PPI, IPNET.

use super::{beyond, frame as of_link};
use crate::capture::LinkType;
use crate::decode::{Captured, Skip, Walk, Walked, ip};

/// `OpenBSD`'s decapsulated `IPsec` traffic: family, index, flags; then IP.
pub(super) fn enc(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    ip::any(walk, beyond(frame, 12)?)
}

/// pf's log: the first byte is the header's length without its padding.
pub(super) fn pflog(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let length = usize::from(frame.byte(0).ok_or(Skip::CutLinkHeader)?);
    if length < 28 {
        return Err(Skip::BadLinkHeader);
    }
    ip::any(walk, beyond(frame, length.next_multiple_of(4))?)
}

/// Linux netfilter's log: attributes in the order of the host's bytes, of which one is the packet.
pub(super) fn nflog(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    const PAYLOAD: u16 = 9;
    let family = frame.byte(0).ok_or(Skip::CutLinkHeader)?;
    if frame.byte(1) != Some(0) {
        return Err(Skip::BadLinkHeader);
    }
    let mut rest = beyond(frame, 4)?;
    // Type numbers are small, so the one with a high byte was written in the other order.
    let big = rest.le16(2).ok_or(Skip::CutLinkHeader)? & 0x7fff > 0xff;
    loop {
        let read = |at| if big { rest.be16(at) } else { rest.le16(at) };
        let length = usize::from(read(0).ok_or(Skip::CutLinkHeader)?);
        let kind = read(2).ok_or(Skip::CutLinkHeader)?;
        if length < 4 {
            return Err(Skip::BadLinkHeader);
        }
        if kind & 0x7fff == PAYLOAD {
            let packet = beyond(rest.with_length(length), 4)?;
            return match family {
                2 | 10 => ip::any(walk, packet),
                // A bridge's log holds what follows the Ethernet header; ARP has its own.
                7 if packet.looks_like_ip() => ip::any(walk, packet),
                _ => Err(Skip::NotIp),
            };
        }
        rest = beyond(rest, length.next_multiple_of(4))?;
    }
}

/// Apple's PKTAP, little-endian: length, record type, link type of the frame inside.
pub(super) fn pktap(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let [length, kind, link] = [0, 4, 8].map(|at| frame.le32(at));
    let length = usize::try_from(length.ok_or(Skip::CutLinkHeader)?).unwrap_or(usize::MAX);
    // 108 bytes in the first version; 149 is a number that anybody may use, so look closely.
    if !(108..=1024).contains(&length) || kind != Some(1) {
        return Err(Skip::UnsupportedLinkType);
    }
    nested(walk, link.ok_or(Skip::CutLinkHeader)?, beyond(frame, length)?)
}

/// CACE's per-packet information, little-endian: version, flags, length, link type.
pub(super) fn ppi(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let length = usize::from(frame.le16(2).ok_or(Skip::CutLinkHeader)?);
    if length < 8 {
        return Err(Skip::BadLinkHeader);
    }
    nested(walk, frame.le32(4).ok_or(Skip::CutLinkHeader)?, beyond(frame, length)?)
}

/// Solaris IP observability: version, family, ..., 24 bytes in all.
pub(super) fn ipnet(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    ip::any(walk, beyond(frame, 24)?)
}

/// A frame of another link type inside.
fn nested(walk: &mut Walk<'_>, link: u32, frame: Captured<'_>) -> Walked {
    walk.enter()?;
    of_link(walk, LinkType(link), frame)
}
