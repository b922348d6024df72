//! UDP, and the tunnels over it, by their registered ports and a check of their headers.

use super::{enter, gre, pseudowire};
use crate::decode::ip::{self, Packet};
use crate::decode::link::wireless::{self, Origin};
use crate::decode::link::{ethernet, ppp};
use crate::decode::{Captured, Skip, Walk, Walked, ethertype};

/// What a tunnel's header announces as its payload.
enum Inner {
    Ethernet,
    Ip,
    Ppp,
    Mpls,
    EtherType(u16),
    Gre,
    Wireless,
    /// Cisco's controllers send the two bytes of the frame control in the other order.
    WirelessSwapped,
}

/// A tunnel's header that was found plausible.
struct Opened<'a> {
    kind: &'static str,
    id: Option<u64>,
    inner: Inner,
    payload: Captured<'a>,
}

impl<'a> Opened<'a> {
    fn new(kind: &'static str, inner: Inner, payload: Captured<'a>) -> Self {
        Self { kind, id: None, inner, payload }
    }

    fn with_id(self, id: u32) -> Self {
        Self { id: Some(u64::from(id)), ..self }
    }
}

/// A UDP datagram.
pub(in crate::decode) fn datagram(
    walk: &mut Walk<'_>,
    packet: &Packet,
    udp: Captured<'_>,
) -> Walked {
    const HEADER: usize = 8;
    let (Some(source), Some(destination), Some(payload)) =
        (udp.be16(0), udp.be16(2), udp.after(HEADER))
    else {
        return Err(Skip::Udp);
    };
    if !walk.settings.tunnels {
        return Err(Skip::Udp);
    }
    match open(destination, payload).or_else(|| open(source, payload)) {
        Some(opened) => inside(walk, packet, &opened),
        None if source == IPSEC_NAT || destination == IPSEC_NAT => Err(encrypted_or_udp(payload)),
        None => Err(Skip::Udp),
    }
}

/// `IPsec` through address translation (RFC 3948).
const IPSEC_NAT: u16 = 4500;

/// Whether a datagram to or from `port` may be a tunnel's.
pub(in crate::decode) fn is_tunnel_port(port: u16) -> bool {
    matches!(
        port,
        1701 | 2152 | 3544 | 4341 | 4754 | 4789 | 4790 | 5247 | 6081 | 6635 | 8472 | 37_008
    )
}

fn open(port: u16, payload: Captured<'_>) -> Option<Opened<'_>> {
    match port {
        1701 => l2tp(payload),
        2152 => gtp_user(payload),
        3544 => teredo(payload),
        4341 => lisp(payload),
        4789 | 8472 => vxlan(payload),
        4754 => gre_in_udp(payload),
        4790 => vxlan_generic(payload),
        5247 => capwap(payload),
        6081 => geneve(payload),
        6635 => Some(Opened::new("mpls", Inner::Mpls, payload)),
        37_008 => sniffer_stream(payload),
        _ => None,
    }
}

#[cold]
fn inside(walk: &mut Walk<'_>, packet: &Packet, opened: &Opened<'_>) -> Walked {
    if !matches!(opened.inner, Inner::Gre) {
        enter(walk, packet, opened.kind, opened.id)?;
    }
    match opened.inner {
        Inner::Ethernet => ethernet::frame(walk, opened.payload),
        Inner::Ip => ip::any(walk, opened.payload),
        Inner::Ppp => ppp::frame(walk, opened.payload),
        Inner::Mpls => ethertype::mpls(walk, opened.payload),
        Inner::EtherType(kind) => ethertype::payload(walk, kind, opened.payload),
        Inner::Gre => gre::packet(walk, packet, opened.payload),
        Inner::Wireless => wireless::frame(walk, opened.payload, Origin::Controller),
        Inner::WirelessSwapped => wireless::swapped(walk, opened.payload),
    }
}

/// ESP begins with a non-zero index; four zero bytes mark key exchange, one byte a keep-alive.
fn encrypted_or_udp(payload: Captured<'_>) -> Skip {
    match payload.be32(0) {
        Some(index) if index != 0 => Skip::Encrypted,
        _ => Skip::Udp,
    }
}

/// VXLAN (RFC 7348 5): only the I flag, reserved fields of 0.
fn vxlan(payload: Captured<'_>) -> Option<Opened<'_>> {
    let (flags, network) = (payload.be32(0)?, payload.be32(4)?);
    // Group-based policy adds its own flags and an id in the first word.
    let known = flags & 0x7700_0000 == 0 && flags & 0x0800_0000 != 0;
    let inner = payload.after(8)?;
    (known && network & 0xff == 0)
        .then(|| Opened::new("vxlan", Inner::Ethernet, inner).with_id(network >> 8))
}

/// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe 3): version 0, the I flag, and the payload's kind.
fn vxlan_generic(payload: Captured<'_>) -> Option<Opened<'_>> {
    let (flags, network) = (payload.be32(0)?, payload.be32(4)?);
    if flags & 0x3000_0000 != 0 || flags & 0x0800_0000 == 0 {
        return None;
    }
    let names_payload = flags & 0x0400_0000 != 0;
    let inner = match flags & 0xff {
        _ if !names_payload => Inner::Ethernet,
        1 | 2 => Inner::Ip,
        3 => Inner::Ethernet,
        5 => Inner::Mpls,
        _ => return None,
    };
    Some(Opened::new("vxlan", inner, payload.after(8)?).with_id(network >> 8))
}

/// GENEVE (RFC 8926 3.4): version 0, no control message, options of a stated length.
fn geneve(payload: Captured<'_>) -> Option<Opened<'_>> {
    let [first, flags] = payload.array::<2>(0)?;
    let (kind, network) = (payload.be16(2)?, payload.be32(4)?);
    let (control, reserved) = (flags & 0x80 != 0, flags & 0x3f != 0);
    if first >> 6 != 0 || control || reserved || network & 0xff != 0 {
        return None;
    }
    let options = usize::from(first & 0x3f) * 4;
    let inner = payload.after(8 + options)?;
    Some(Opened::new("geneve", Inner::EtherType(kind), inner).with_id(network >> 8))
}

/// GTP-U (3GPP TS 29.281 5): version 1, a user packet, optional fields and extension headers.
/// Its endpoint id differs by direction, so the layer has none.
fn gtp_user(payload: Captured<'_>) -> Option<Opened<'_>> {
    const USER_PACKET: u8 = 255;
    let [flags, message] = payload.array::<2>(0)?;
    if flags & 0xf0 != 0x30 || message != USER_PACKET {
        return None;
    }
    let mut at = 8;
    if flags & 7 != 0 {
        let mut next = payload.byte(11)?;
        at = 12;
        // The next type counts only with its flag; every extension is at least 4 bytes long.
        while flags & 4 != 0 && next != 0 {
            let length = usize::from(payload.byte(at)?) * 4;
            if length == 0 {
                return None;
            }
            next = payload.byte(at + length - 1)?;
            at += length;
        }
    }
    let inner = payload.after(at)?;
    // The message type vouches for a packet, and gateways cut those that they mirror.
    starts_ip(inner).then(|| Opened::new("gtp-u", Inner::Ip, inner))
}

fn starts_ip(inner: Captured<'_>) -> bool {
    inner.byte(0).is_some_and(|first| matches!(first, 0x45..=0x4f | 0x60..=0x6f))
}

/// Teredo (RFC 4380 5.1.1): authentication and origin may precede the IPv6 packet.
fn teredo(payload: Captured<'_>) -> Option<Opened<'_>> {
    let mut inner = payload;
    if inner.be16(0)? == 0x0001 {
        let [client, value] = inner.array::<2>(2)?;
        inner = inner.after(13 + usize::from(client) + usize::from(value))?;
    }
    if inner.be16(0)? == 0x0000 {
        inner = inner.after(8)?;
    }
    let v6 = inner.byte(0)? >> 4 == 6 && inner.looks_like_ip();
    v6.then(|| Opened::new("teredo", Inner::Ip, inner))
}

/// LISP's data (RFC 9300 5.1): 8 bytes, then the packet. Its instance is not in every direction.
fn lisp(payload: Captured<'_>) -> Option<Opened<'_>> {
    let inner = payload.after(8)?;
    inner.looks_like_ip().then(|| Opened::new("lisp", Inner::Ip, inner))
}

/// GRE in UDP (RFC 8086): no layer of its own beside GRE's.
fn gre_in_udp(payload: Captured<'_>) -> Option<Opened<'_>> {
    // Reserved bits and the version are 0 (RFC 2784 2.1).
    (payload.be16(0)? & 0x4fff == 0).then(|| Opened::new("gre", Inner::Gre, payload))
}

/// L2TP: version 2 data messages carry PPP (RFC 2661 3.1), version 3 a pseudowire. Their session
/// ids differ by direction.
fn l2tp(payload: Captured<'_>) -> Option<Opened<'_>> {
    let flags = payload.be16(0)?;
    let has = |bit| flags & bit != 0;
    if has(0x8000) {
        return None;
    }
    if flags & 0xf == 3 {
        let inner = pseudowire(payload.after(8))?;
        return Some(Opened::new("l2tp", Inner::Ethernet, inner));
    }
    if flags & 0xf != 2 {
        return None;
    }
    let mut at = if has(0x4000) { 8 } else { 6 };
    at += if has(0x0800) { 4 } else { 0 };
    if has(0x0200) {
        at += 2 + usize::from(payload.be16(at)?);
    }
    Some(Opened::new("l2tp", Inner::Ppp, payload.after(at)?))
}

/// CAPWAP's data channel (RFC 5415 4.3): version 0, not encrypted, not split, 802.11 or 802.3.
fn capwap(payload: Captured<'_>) -> Option<Opened<'_>> {
    let header = payload.be32(0)?;
    let length = usize::from(payload.byte(1)? >> 3) * 4;
    let (native, fragment) = (header & 0x100 != 0, header & 0x80 != 0);
    let binding = header >> 9 & 0x1f;
    if header >> 24 != 0 || fragment || length < 8 {
        return None;
    }
    let inner = payload.after(length)?;
    match (native, binding) {
        (false, _) => Some(Opened::new("capwap", Inner::Ethernet, inner)),
        (true, 1) if wireless::is_data(inner.byte(0)?) => {
            Some(Opened::new("capwap", Inner::Wireless, inner))
        }
        (true, 1) => Some(Opened::new("capwap", Inner::WirelessSwapped, inner)),
        _ => None,
    }
}

/// TZSP: version 1, a received or sent frame, tagged fields until an end tag.
fn sniffer_stream(payload: Captured<'_>) -> Option<Opened<'_>> {
    let [version, message] = payload.array::<2>(0)?;
    let inner = match payload.be16(2)? {
        1 => Inner::Ethernet,
        18 => Inner::Wireless,
        _ => return None,
    };
    if version != 1 || message > 1 {
        return None;
    }
    let mut at = 4;
    loop {
        match payload.byte(at)? {
            0 => at += 1,
            1 => return Some(Opened::new("tzsp", inner, payload.after(at + 1)?)),
            _ => at += 2 + usize::from(payload.byte(at + 1)?),
        }
    }
}
