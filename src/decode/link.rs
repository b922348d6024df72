//! Link types: which reader takes a frame's first header off.
//!
//! Numbers are those of the tcpdump group's LINKTYPE registry, whose pages also describe the
//! headers; what a file's writer may have meant otherwise is noted where it is tolerated.

mod capture_host;
mod cooked;
pub(super) mod ethernet;
pub(super) mod ppp;
mod wan;
pub(super) mod wireless;

use super::{Captured, Skip, Walk, Walked, ethertype, ip};
use crate::capture::LinkType;

/// Ethernet II or 802.3.
const ETHERNET: u32 = 1;

/// A frame of link type `link`.
#[inline]
pub(super) fn frame(walk: &mut Walk<'_>, link: LinkType, frame: Captured<'_>) -> Walked {
    if link.0 == ETHERNET { ethernet::frame(walk, frame) } else { other(walk, link.0, frame) }
}

fn other(walk: &mut Walk<'_>, link: u32, frame: Captured<'_>) -> Walked {
    match link {
        ETHERNET => ethernet::frame(walk, frame),
        0 | 108 => cooked::loopback(walk, frame),
        113 => cooked::linux_v1(walk, frame),
        276 => cooked::linux_v2(walk, frame),
        // Raw IP, by the number that each system gave it.
        12 | 14 | 101 => ip::any(walk, frame),
        228 => ip::v4(walk, frame),
        229 => ip::v6(walk, frame),
        _ => uncommon(walk, link, frame),
    }
}

#[cold]
fn uncommon(walk: &mut Walk<'_>, link: u32, frame: Captured<'_>) -> Walked {
    walk.enter()?;
    match link {
        6 => ethernet::token_ring(walk, frame),
        10 => ethernet::fddi(walk, frame),
        9 | 50 => ppp::frame(walk, frame),
        // A byte or two of direction, then PPP.
        166 => ppp::from_daemon(walk, frame),
        204 => ppp::frame(walk, beyond(frame, 1)?),
        51 => ppp::over_ethernet(walk, frame),
        104 => wan::cisco_hdlc(walk, frame),
        205 => wan::cisco_hdlc(walk, beyond(frame, 1)?),
        107 => wan::frame_relay(walk, frame),
        // ATM with LLC (RFC 2684), Classical IP over ATM, SunATM's 4 bytes before it.
        11 | 100 | 106 => wan::atm(walk, frame),
        123 => wan::atm(walk, beyond(frame, 4)?),
        143 => wan::docsis(walk, frame),
        105 => wireless::frame(walk, frame, wireless::Origin::UNPADDED),
        119 => wireless::prism(walk, frame),
        127 => wireless::radiotap(walk, frame),
        163 => wireless::avs(walk, frame),
        109 => capture_host::enc(walk, frame),
        117 => capture_host::pflog(walk, frame),
        138 => tagged(walk, frame, 16),
        149 | 258 => capture_host::pktap(walk, frame),
        192 => capture_host::ppi(walk, frame),
        226 => capture_host::ipnet(walk, frame),
        239 => capture_host::nflog(walk, frame),
        // NetANALYZER: 4 bytes of its own, in the second form with the preamble after them; and
        // Broadcom's tag in front.
        240 | 282 => ethernet::frame(walk, beyond(frame, 4)?),
        241 => ethernet::frame(walk, beyond(frame, 12)?),
        // IPoIB: two addresses of 20 bytes before the 4-byte header (RFC 4391 6).
        242 => ipoib(walk, frame),
        274 => ethernet::preamble(walk, frame),
        // Switch tags of Broadcom and Marvell, the latter with and without a type of their own.
        281 => ethernet::broadcom(walk, frame),
        284 => ethernet::marvell(walk, frame),
        285 => ethernet::frame(walk, frame),
        _ => Err(Skip::UnsupportedLinkType),
    }
}

/// An `EtherType` at `at`, and what follows it.
fn tagged(walk: &mut Walk<'_>, frame: Captured<'_>, at: usize) -> Walked {
    let kind = frame.be16(at).ok_or(Skip::CutLinkHeader)?;
    ethertype::payload(walk, kind, beyond(frame, at + 2)?)
}

fn ipoib(walk: &mut Walk<'_>, frame: Captured<'_>) -> Walked {
    let kind = frame.be16(40).ok_or(Skip::CutLinkHeader)?;
    ethertype::payload(walk, kind, beyond(frame, 44)?)
}

/// What follows `count` bytes of a link header.
fn beyond(frame: Captured<'_>, count: usize) -> Result<Captured<'_>, Skip> {
    frame.after(count).ok_or(Skip::CutLinkHeader)
}
