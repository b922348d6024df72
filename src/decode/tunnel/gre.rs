//! GRE (RFC 2784, 2890), with what travels in it: NVGRE, ERSPAN, PPTP.

use super::enter;
use crate::decode::ip::Packet;
use crate::decode::link::{ethernet, ppp};
use crate::decode::{Captured, Skip, Walk, Walked, ethertype};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// In version 1: an acknowledgment number follows (RFC 2637 4.1).
const ACKNOWLEDGMENT: u16 = 0x0080;
/// NVGRE's network ids below this are reserved (RFC 7637 3.2); a plain tap's keys are small.
const FIRST_NVGRE_KEY: u32 = 0x1000 << 8;

/// The payload of a packet of IP protocol 47.
pub(super) fn packet(walk: &mut Walk<'_>, packet: &Packet, gre: Captured<'_>) -> Walked {
    let flags = gre.be16(0).ok_or(Skip::CutTunnelHeader)?;
    let kind = gre.be16(2).ok_or(Skip::CutTunnelHeader)?;
    match (flags & 7, kind) {
        (0, _) => generic(walk, packet, gre, flags, kind),
        (1, ethertype::PPP) => point_to_point(walk, packet, gre, flags),
        _ => Err(Skip::OtherTransport),
    }
}

fn generic(
    walk: &mut Walk<'_>,
    packet: &Packet,
    gre: Captured<'_>,
    flags: u16,
    kind: u16,
) -> Walked {
    let has = |bit| flags & bit != 0;
    let mut at = if has(CHECKSUM | ROUTING) { 8 } else { 4 };
    let key = if has(KEY) { Some(gre.be32(at).ok_or(Skip::CutTunnelHeader)?) } else { None };
    at += if has(KEY) { 4 } else { 0 };
    at += if has(SEQUENCE) { 4 } else { 0 };
    if has(ROUTING) {
        at = beyond_routes(gre, at)?;
    }
    let inner = gre.after(at).ok_or(Skip::CutTunnelHeader)?;
    match kind {
        0x88be | 0x22eb => erspan(walk, packet, inner, kind, has(SEQUENCE)),
        ethertype::BRIDGED => {
            // The low 8 bits of NVGRE's key are a hash that may differ by direction.
            let virtual_subnet =
                key.filter(|&key| flags & !7 == KEY && key >= FIRST_NVGRE_KEY).map(|key| key >> 8);
            match virtual_subnet {
                Some(subnet) => enter(walk, packet, "nvgre", Some(u64::from(subnet)))?,
                None => enter(walk, packet, "gre", key.map(u64::from))?,
            }
            ethernet::frame(walk, inner)
        }
        // Cisco's WCCP redirects put 4 bytes before the packet in their second version.
        0x883e => {
            enter(walk, packet, "gre", key.map(u64::from))?;
            let redirected = if inner.looks_like_ip() { Some(inner) } else { inner.after(4) };
            ethertype::payload(walk, ethertype::IPV4, redirected.ok_or(Skip::CutTunnelHeader)?)
        }
        kind => {
            enter(walk, packet, "gre", key.map(u64::from))?;
            ethertype::payload(walk, kind, inner)
        }
    }
}

/// Source route entries (RFC 1701): family, offset, length, until a length of 0.
fn beyond_routes(gre: Captured<'_>, mut at: usize) -> Result<usize, Skip> {
    loop {
        let length = usize::from(gre.byte(at + 3).ok_or(Skip::CutTunnelHeader)?);
        at += 4 + length;
        if length == 0 {
            return Ok(at);
        }
    }
}

/// A mirrored frame: without a header of its own when GRE counts nothing (type I), else with 8
/// bytes (type II) or 12, and 8 more if its last bit says so (type III).
fn erspan(
    walk: &mut Walk<'_>,
    packet: &Packet,
    inner: Captured<'_>,
    kind: u16,
    sequenced: bool,
) -> Walked {
    if kind == 0x88be && !sequenced {
        enter(walk, packet, "erspan", None)?;
        return ethernet::frame(walk, inner);
    }
    let version = inner.be16(0).ok_or(Skip::CutTunnelHeader)? >> 12;
    let session = inner.be16(2).ok_or(Skip::CutTunnelHeader)? & 0x3ff;
    let header = match version {
        1 => 8,
        2 => {
            let optional = inner.byte(11).ok_or(Skip::CutTunnelHeader)? & 1 != 0;
            if optional { 20 } else { 12 }
        }
        _ => return Err(Skip::OtherTransport),
    };
    enter(walk, packet, "erspan", Some(u64::from(session)))?;
    ethernet::frame(walk, inner.after(header).ok_or(Skip::CutTunnelHeader)?)
}

/// PPTP's enhanced GRE. Its call id differs by direction, so the layer has none.
fn point_to_point(walk: &mut Walk<'_>, packet: &Packet, gre: Captured<'_>, flags: u16) -> Walked {
    let mut at = 8;
    if flags & SEQUENCE == 0 {
        // An acknowledgment alone.
        return Err(Skip::LinkControl);
    }
    at += 4;
    if flags & ACKNOWLEDGMENT != 0 {
        at += 4;
    }
    enter(walk, packet, "pptp", None)?;
    ppp::frame(walk, gre.after(at).ok_or(Skip::CutTunnelHeader)?)
}
