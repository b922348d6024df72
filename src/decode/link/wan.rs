//! Wide-area links: Cisco HDLC, Frame Relay, ATM, DOCSIS.

use super::{beyond, ethernet, tagged};
use crate::decode::{Captured, Skip, Walk, Walked, ip};

/// Cisco HDLC: address, control, an `EtherType`.
pub(super) fn cisco_hdlc(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    match frame.be16(2).ok_or(Skip::CutLinkHeader)? {
        // Keep-alives.
        0x8035 => Err(Skip::LinkControl),
        // OSI: a byte of padding, and the network layer.
        0xfefe => Err(Skip::NotIp),
        _ => tagged(walk, frame, 2),
    }
}

/// Frame Relay (RFC 2427): the address, control, and a network layer identifier; or Cisco's
/// form, an `EtherType` after the address.
pub(super) fn frame_relay(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    /// Address bytes, of which the last has its low bit set (Q.922 3.2).
    const LONGEST: usize = 4;
    let last = frame.bytes().iter().take(LONGEST).position(|byte| byte & 1 != 0);
    let address = last.ok_or(Skip::BadLinkHeader)? + 1;
    if frame.byte(address).ok_or(Skip::CutLinkHeader)? != 0x03 {
        return tagged(walk, frame, address);
    }
    let padded = frame.byte(address + 1) == Some(0);
    let at = address + 1 + usize::from(padded);
    let rest = beyond(frame, at + 1)?;
    match frame.byte(at).ok_or(Skip::CutLinkHeader)? {
        0xcc => ip::v4(walk, rest),
        0x8e => ip::v6(walk, rest),
        0x80 => match rest.array::<3>(0).ok_or(Skip::CutLinkHeader)? {
            [0, 0, 0] => tagged(walk, rest, 3),
            [0, 0x80, 0xc2] => ethernet::frame(walk, beyond(rest, 5)?),
            _ => Err(Skip::NotIp),
        },
        _ => Err(Skip::NotIp),
    }
}

/// ATM adaptation layer 5 (RFC 2684): LLC, or IP alone on its circuit.
pub(super) fn atm(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    match frame.array::<3>(0).ok_or(Skip::CutLinkHeader)? {
        [0xaa, 0xaa, 0x03] | [0xfe, 0xfe, 0x03] | [0x06, 0x06, 0x03] => {
            ethernet::logical_link(walk, frame)
        }
        _ if frame.looks_like_ip() => ip::any(walk, frame),
        // Bridged without LLC: two bytes of padding before the frame.
        [0, 0, _] => ethernet::frame(walk, beyond(frame, 2)?),
        _ => Err(Skip::NotIp),
    }
}

/// DOCSIS: a MAC header with maybe an extension and a check, then Ethernet.
pub(super) fn docsis(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let [control, extension, ..] = frame.array::<4>(0).ok_or(Skip::CutLinkHeader)?;
    // The two highest bits: 0 is a packet, 1 ATM, 2 isolation, 3 the MAC's own.
    if control & 0xc0 != 0 {
        return Err(Skip::LinkControl);
    }
    let extended = if control & 1 != 0 { usize::from(extension) } else { 0 };
    ethernet::frame(walk, beyond(frame, 6 + extended)?)
}
