//! What an `EtherType` announces: IP, or one more tag or shim before it.

use super::link::{ethernet, ppp};
use super::{Captured, Skip, Walk, Walked, ip};

/// `EtherType` of IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
pub(super) const IPV6: u16 = 0x86dd;
/// An Ethernet frame inside (NVGRE, RFC 7637; GRE taps).
pub(super) const BRIDGED: u16 = 0x6558;
/// An MPLS label stack, unicast.
pub(super) const MPLS: u16 = 0x8847;
/// A PPP frame inside (GRE, RFC 2637).
pub(super) const PPP: u16 = 0x880b;
/// Numbers up to here are the length of an 802.3 frame instead (IEEE 802.3 3.2.6).
pub(super) const MAX_8023_LENGTH: u16 = 1500;

/// Decodes what follows an `EtherType` of `kind`.
#[inline]
pub(super) fn payload(walk: &mut Walk<'_>, mut kind: u16, mut rest: Captured<'_>) -> Walked {
    loop {
        match kind {
            IPV4 => return ip::v4(walk, rest),
            IPV6 => return ip::v6(walk, rest),
            // 802.1Q, 802.1ad, and what switches used for the outer tag before that.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
                walk.enter()?;
                let tag = rest.be16(0).ok_or(Skip::CutLinkHeader)? & 0xfff;
                kind = rest.be16(2).ok_or(Skip::CutLinkHeader)?;
                rest = rest.after(4).ok_or(Skip::CutLinkHeader)?;
                if walk.out.vlan.is_none() && tag != 0 {
                    walk.out.vlan = Some(tag);
                }
            }
            _ => return uncommon(walk, kind, rest),
        }
    }
}

#[cold]
fn uncommon(walk: &mut Walk<'_>, kind: u16, rest: Captured<'_>) -> Walked {
    walk.enter()?;
    match kind {
        MPLS | 0x8848 => mpls(walk, rest),
        0x8864 => ppp::over_ethernet(walk, rest),
        PPP => ppp::frame(walk, rest),
        BRIDGED => ethernet::frame(walk, rest),
        // 802.1ah: a service tag of 4 bytes, then the customer's frame (IEEE 802.1Q 9.7).
        0x88e7 => ethernet::frame(walk, rest.after(4).ok_or(Skip::CutLinkHeader)?),
        // 802.1BR: an E-TAG of 6 bytes before the type.
        0x893f => tagged(walk, rest, 6),
        // Cisco VN-Tag; HSR (IEC 62439-3): path and size, sequence number, then the type.
        0x8926 | 0x892f => tagged(walk, rest, 4),
        // Marvell DSA with an EtherType: 2 reserved bytes, then the tag.
        0xdada => ethernet::dsa(walk, rest.after(2).ok_or(Skip::CutLinkHeader)?),
        0x8909 => cisco_metadata(walk, rest),
        0x88e5 => macsec(walk, rest),
        // Cisco FabricPath: the rest of its tag, then the whole inner frame.
        0x8903 => ethernet::frame(walk, rest.after(2).ok_or(Skip::CutLinkHeader)?),
        // Length of an 802.3 frame, with LLC inside.
        0..=MAX_8023_LENGTH => {
            ethernet::logical_link(walk, rest.with_length(rest.length().min(usize::from(kind))))
        }
        // A PPPoE session still being found, 802.1X, slow protocols, flow control.
        0x8863 | 0x888e | 0x8808 | 0x8809 | 0x88cc => Err(Skip::LinkControl),
        _ => Err(Skip::NotIp),
    }
}

/// A tag of `length` bytes, then an `EtherType`.
fn tagged(walk: &mut Walk<'_>, rest: Captured<'_>, length: usize) -> Walked {
    let kind = rest.be16(length).ok_or(Skip::CutLinkHeader)?;
    payload(walk, kind, rest.after(length + 2).ok_or(Skip::CutLinkHeader)?)
}

/// Cisco metadata: version, its length in words of 4 bytes, options, then the type.
fn cisco_metadata(walk: &mut Walk<'_>, rest: Captured<'_>) -> Walked {
    let words = rest.byte(1).ok_or(Skip::CutLinkHeader)?;
    if words == 0 {
        return Err(Skip::BadLinkHeader);
    }
    tagged(walk, rest, 2 + usize::from(words) * 4)
}

/// `MACsec` that only authenticates (IEEE 802.1AE 9): the tag, and the payload in the clear.
fn macsec(walk: &mut Walk<'_>, rest: Captured<'_>) -> Walked {
    let control = rest.byte(0).ok_or(Skip::CutLinkHeader)?;
    if control & 0x0c != 0 {
        return Err(Skip::Encrypted);
    }
    let explicit_channel = control & 0x20 != 0;
    tagged(walk, rest, if explicit_channel { 14 } else { 6 })
}

/// A label stack (RFC 3032), then IP or an Ethernet pseudowire: nothing says which (RFC 4385 3).
pub(super) fn mpls(walk: &mut Walk<'_>, mut rest: Captured<'_>) -> Walked {
    loop {
        walk.enter()?;
        let entry = rest.be32(0).ok_or(Skip::CutLinkHeader)?;
        rest = rest.after(4).ok_or(Skip::CutLinkHeader)?;
        if entry & 0x100 != 0 {
            break;
        }
    }
    if rest.looks_like_ip() {
        return ip::any(walk, rest);
    }
    if ethernet::looks_like_ethernet(rest) {
        return ethernet::frame(walk, rest);
    }
    // A control word begins with four zero bits; the frame follows (RFC 4448 4.6).
    let after_word = rest.after(4).filter(|_| rest.byte(0).is_some_and(|first| first >> 4 == 0));
    match after_word {
        Some(frame) if ethernet::looks_like_ethernet(frame) => ethernet::frame(walk, frame),
        _ => Err(Skip::NotIp),
    }
}
