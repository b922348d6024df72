//! The TCP header (RFC 9293 3.1), whole or cut.
//!
//! Read by hand: etherparse's slice refuses the headers that a snaplen cut, which are still worth
//! having, and one reader serves both.

use super::ip::Packet;
use super::{Captured, Outcome, Skip, Walk, Walked};
use crate::tcp::{Endpoint, Extras, Flags, FourTuple, Marks, Segment, Seq, SynOptions, Timestamps};
use etherparse::TcpHeaderSlice;
use std::net::IpAddr;

/// Bytes of a header without options.
pub(super) const FIXED: usize = 20;
/// Ports, numbers, flags and window: with less than these a segment says too little.
const LEAST: usize = 16;

/// A packet's payload that is TCP.
#[inline]
pub(super) fn found(walk: &mut Walk<'_>, packet: &Packet, tcp: Captured<'_>) -> Walked {
    match tcp.bytes().split_first_chunk::<FIXED>() {
        Some((fixed, options)) => read(walk, packet, tcp, fixed, options),
        None => read_cut(walk, packet, tcp),
    }
}

#[cold]
fn read_cut(walk: &mut Walk<'_>, packet: &Packet, tcp: Captured<'_>) -> Walked {
    if tcp.length() < FIXED {
        return Err(Skip::BadTcpHeaderLength);
    }
    if tcp.bytes().len() < LEAST {
        return Err(Skip::CutTcpHeader);
    }
    let mut fixed = [0; FIXED];
    fixed.iter_mut().zip(tcp.bytes()).for_each(|(to, from)| *to = *from);
    read(walk, packet, tcp, &fixed, &[])
}

#[inline]
fn read(
    walk: &mut Walk<'_>,
    packet: &Packet,
    tcp: Captured<'_>,
    fixed: &[u8; FIXED],
    after: &[u8],
) -> Walked {
    let header_len = usize::from(fixed[12] >> 4) * 4;
    if header_len < FIXED || header_len > tcp.length() {
        return Err(Skip::BadTcpHeaderLength);
    }
    let out = &mut *walk.out;
    let (source, destination) = ports(fixed);
    out.tuple = FourTuple {
        source: Endpoint { address: packet.source, port: source },
        destination: Endpoint { address: packet.destination, port: destination },
    };
    let mut marks = packet.marks;
    let mut extras = None;
    let whole = after.get(..header_len - FIXED);
    let timestamps = options(whole.unwrap_or(after), &mut marks, &mut extras);
    if whole.is_none() {
        marks = marks.with(Marks::CUT_HEADER);
        extras.get_or_insert(Extras::NONE).malformed = true;
    }
    if let Some(extras) = extras {
        out.extras = extras;
        out.has_extras = true;
    }
    if tcp.is_cut() {
        marks = marks.with(Marks::CUT_PAYLOAD);
    } else if walk.settings.verify_checksums {
        marks = verified(packet, tcp, marks);
    }
    out.segment = Segment {
        timestamps,
        payload_len: u32::try_from(tcp.length() - header_len).unwrap_or(u32::MAX),
        header_len: u16::try_from(packet.header_len + header_len).unwrap_or(u16::MAX),
        ip_id: packet.id,
        ttl: packet.ttl,
        traffic_class: packet.traffic_class,
        marks,
        ..self::fixed(fixed)
    };
    Ok(Outcome::Segment)
}

/// Sender's port, then receiver's.
#[inline]
pub(super) fn ports(fixed: &[u8; FIXED]) -> (u16, u16) {
    (u16::from_be_bytes([fixed[0], fixed[1]]), u16::from_be_bytes([fixed[2], fixed[3]]))
}

/// What the part of the header that is always there says about a segment.
#[inline]
pub(super) fn fixed(fixed: &[u8; FIXED]) -> Segment {
    let be16 = |a: u8, b: u8| u16::from_be_bytes([a, b]);
    let be32 = |a: u8, b: u8, c: u8, d: u8| u32::from_be_bytes([a, b, c, d]);
    Segment {
        seq: Seq(be32(fixed[4], fixed[5], fixed[6], fixed[7])),
        ack: Seq(be32(fixed[8], fixed[9], fixed[10], fixed[11])),
        window: be16(fixed[14], fixed[15]),
        flags: Flags(be16(fixed[12], fixed[13]) & 0xfff),
        checksum: be16(fixed[16], fixed[17]),
        ..Segment::default()
    }
}

/// The timestamps among the options; others go to `extras`.
#[inline]
pub(super) fn options(bytes: &[u8], marks: &mut Marks, extras: &mut Option<Extras>) -> Timestamps {
    let be32 = |a: u8, b: u8, c: u8, d: u8| u32::from_be_bytes([a, b, c, d]);
    match *bytes {
        [] => Timestamps::default(),
        // What nearly every segment after the handshake carries: NOP, NOP, timestamps.
        [1, 1, 8, 10, v0, v1, v2, v3, e0, e1, e2, e3] => {
            *marks = marks.with(Marks::TIMESTAMPS);
            Timestamps { value: be32(v0, v1, v2, v3), echo: be32(e0, e1, e2, e3) }
        }
        // A SYN or SYN-ACK of Linux: MSS, SACK permitted, timestamps, NOP, window scale.
        [2, 4, m0, m1, 4, 2, 8, 10, v0, v1, v2, v3, e0, e1, e2, e3, 1, 3, 3, scale] => {
            *marks = marks.with(Marks::TIMESTAMPS);
            let mss = Some(u16::from_be_bytes([m0, m1]));
            let window_scale = Some(scale);
            let syn = SynOptions { mss, window_scale, sack_permitted: true, fast_open: None };
            *extras = Some(Extras { syn, ..Extras::NONE });
            Timestamps { value: be32(v0, v1, v2, v3), echo: be32(e0, e1, e2, e3) }
        }
        _ => {
            let (stamps, found) = Extras::parse(bytes);
            if stamps.is_some() {
                *marks = marks.with(Marks::TIMESTAMPS);
            }
            if !found.is_none() {
                *extras = Some(found);
            }
            stamps.unwrap_or_default()
        }
    }
}

/// `marks` and what the checksum says; unchanged where the packet is longer than a pseudo-header
/// can state.
#[cold]
fn verified(packet: &Packet, tcp: Captured<'_>, marks: Marks) -> Marks {
    let Ok(header) = TcpHeaderSlice::from_slice(tcp.bytes()) else {
        return marks;
    };
    let payload = tcp.bytes().get(header.slice().len()..).unwrap_or_default();
    let expected = match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), payload).ok()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), payload).ok()
        }
        _ => None,
    };
    match expected {
        Some(expected) if expected == header.checksum() => marks.with(Marks::CHECKSUM_VERIFIED),
        Some(_) => marks.with(Marks::CHECKSUM_VERIFIED).with(Marks::BAD_CHECKSUM),
        None => marks,
    }
}
