//! Pseudo-headers of hosts' own captures: loopback and Linux's "cooked" ones.

use super::{beyond, ethernet, ppp};
use crate::decode::ethertype::{self, IPV6};
use crate::decode::{Captured, Skip, Walk, Walked, ip};
use etherparse::LinuxSllHeader;

/// BSD loopback: the address family in the order of the host that captured, or in network order.
/// The packet itself says which IP it is, since each system numbers IPv6's family differently.
pub(super) fn loopback(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let family = frame.array::<4>(0).ok_or(Skip::CutLinkHeader)?;
    let rest = beyond(frame, 4)?;
    match (u32::from_le_bytes(family), u32::from_be_bytes(family)) {
        (2, _) | (_, 2) => ip::v4(walk, rest),
        // IPv6 in Linux and Windows, NetBSD and OpenBSD, FreeBSD, macOS.
        (10 | 23 | 24 | 28 | 30, _) | (_, 10 | 23 | 24 | 28 | 30) => ip::v6(walk, rest),
        // PPP framing under this link type.
        (_, 0xff03_0000..=0xff03_ffff) => ppp::frame(walk, frame),
        // An EtherType in place of the family.
        (_, kind @ 0x0600..=0xffff) | (kind @ 0x0600..=0xffff, _) => {
            ethertype::payload(walk, u16::try_from(kind).unwrap_or_default(), rest)
        }
        _ => Err(Skip::NotIp),
    }
}

/// The packet type of what the host itself sends.
const OUTGOING: u8 = 4;

/// Linux cooked, version 1 (`LINKTYPE_LINUX_SLL`).
pub(super) fn linux_v1(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let header = frame.array::<{ LinuxSllHeader::LEN }>(0).ok_or(Skip::CutLinkHeader)?;
    let hardware = u16::from_be_bytes([header[2], header[3]]);
    let kind = u16::from_be_bytes([header[14], header[15]]);
    walk.out.interface = Some((0, header[..2] == [0, OUTGOING]));
    linux(walk, hardware, kind, beyond(frame, LinuxSllHeader::LEN)?)
}

/// Linux cooked, version 2 (`LINKTYPE_LINUX_SLL2`).
pub(super) fn linux_v2(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    const HEADER: usize = 20;
    let kind = frame.be16(0).ok_or(Skip::CutLinkHeader)?;
    let hardware = frame.be16(8).ok_or(Skip::CutLinkHeader)?;
    let interface = frame.be32(4).ok_or(Skip::CutLinkHeader)?;
    walk.out.interface = Some((interface, frame.byte(10) == Some(OUTGOING)));
    linux(walk, hardware, kind, beyond(frame, HEADER)?)
}

/// The two versions differ only in their layout: `hardware` is an ARPHRD number that tells what
/// `kind` means.
fn linux(walk: &mut Walk<'_>, hardware: u16, kind: u16, rest: Captured<'_>) -> Walked {
    match (hardware, kind) {
        // GRE devices: the type is GRE's, where an Ethernet frame inside has its own number.
        (778, _) => ethertype::payload(walk, kind, rest),
        // LLC; 1 is 802.3 without it, and CAN and others have higher numbers.
        (_, 0x0004) => ethernet::logical_link(walk, rest),
        (_, 0x0000..=0x05ff) => Err(Skip::NotIp),
        // Some tunnel devices leave IPv4's number on IPv6 packets; the reader of IPv4 tells.
        (_, IPV6) => ip::v6(walk, rest),
        _ => ethertype::payload(walk, kind, rest),
    }
}
