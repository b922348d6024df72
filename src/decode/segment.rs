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
    let outcome = read(walk, packet, tcp, &fixed, &[])?;
    walk.out.segment.marks = walk.out.segment.marks.with(Marks::CUT_HEADER);
    Ok(outcome)
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
    let payload_len = u32::try_from(tcp.length() - header_len).unwrap_or(u32::MAX);
    if walk.overhang > 0 {
        let overhang = u32::try_from(walk.overhang).unwrap_or(u32::MAX);
        let framed_len = Some(payload_len.saturating_sub(overhang));
        extras.get_or_insert(Extras::NONE).framed_len = framed_len;
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
        payload_len,
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

/// What nearly every segment after the handshake carries: NOP, NOP, timestamps.
#[expect(clippy::inline_always, reason = "measured: asked for every segment")]
#[inline(always)]
pub(super) fn timestamps_alone(options: &[u8]) -> Option<Timestamps> {
    let ([[1, 1, 8, 10], value, echo], []) = options.as_chunks() else { return None };
    Some(Timestamps { value: u32::from_be_bytes(*value), echo: u32::from_be_bytes(*echo) })
}

/// The timestamps among the options; others go to `extras`.
pub(super) fn options(bytes: &[u8], marks: &mut Marks, extras: &mut Option<Extras>) -> Timestamps {
    let be32 = |a: u8, b: u8, c: u8, d: u8| u32::from_be_bytes([a, b, c, d]);
    if let Some(timestamps) = timestamps_alone(bytes) {
        *marks = marks.with(Marks::TIMESTAMPS);
        return timestamps;
    }
    match *bytes {
        [] => Timestamps::default(),
        // A SYN of the simplest senders: MSS alone.
        [2, 4, m0, m1] => {
            let mss = Some(u16::from_be_bytes([m0, m1]));
            let syn = SynOptions { mss, ..Extras::NONE.syn };
            *extras = Some(Extras { syn, ..Extras::NONE });
            Timestamps::default()
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
        Some(_) => {
            let wrong = marks.with(Marks::CHECKSUM_VERIFIED).with(Marks::BAD_CHECKSUM);
            let length = tcp.length();
            let left_over = [pseudo_sum(packet, length), pseudo_sum(packet, 0), 0];
            if left_over.contains(&header.checksum()) {
                wrong.with(Marks::UNFINISHED_CHECKSUM)
            } else {
                wrong
            }
        }
        None => marks,
    }
}

/// The sum of the pseudo-header (RFC 9293 3.1), which Linux writes into the field for the network
/// card to go on from; cards that split large segments want it without the length.
fn pseudo_sum(packet: &Packet, length: usize) -> u16 {
    const TCP: u32 = 6;
    let words = |octets: &[u8]| -> u32 {
        octets
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
            .sum()
    };
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => words(&address.octets()),
        IpAddr::V6(address) => words(&address.octets()),
    };
    let length = u32::try_from(length).unwrap_or_default();
    let mut sum = address(packet.source) + address(packet.destination) + TCP;
    sum += (length & 0xffff) + (length >> 16);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Decoded, Settings, decode};
    use super::*;
    use crate::capture::LinkType;

    /// An Ethernet frame with `before` between its addresses and an IPv4 packet that claims `total`
    /// bytes and has 46.
    fn frame(before: &[u8], total: u16) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend(before);
        let total = total.to_be_bytes();
        frame.extend([0x45, 0, total[0], total[1], 0, 9, 0x40, 0, 63, 6, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame
            .extend([0x9c, 0x40, 0x01, 0xbb, 0, 0, 1, 0, 0, 0, 2, 0, 0x50, 0x10, 1, 2, 0, 0, 0, 0]);
        frame.extend([0xaa; 6]);
        frame
    }

    fn lengths(frame: &[u8], wire_len: usize) -> (u32, Option<u32>) {
        let mut decoded = Decoded::default();
        let wire_len = u32::try_from(wire_len).unwrap();
        let outcome = decode(LinkType(1), frame, wire_len, &Settings::default(), &mut decoded);
        assert_eq!(outcome, Outcome::Segment);
        let framed_len = if decoded.has_extras { decoded.extras.framed_len } else { None };
        (decoded.segment.payload_len, framed_len)
    }

    #[test]
    fn a_claim_beyond_the_frame_is_kept_beside_what_the_frame_had_room_for() {
        let whole = frame(&[0x08, 0x00], 46);
        assert_eq!(lengths(&whole, whole.len()), (6, None));
        let claims = frame(&[0x08, 0x00], 1_040);
        assert_eq!(lengths(&claims, claims.len()), (1_000, Some(6)));
        assert_eq!(lengths(&claims, 14 + 1_040), (1_000, None), "cut by the snaplen");
    }

    #[test]
    fn a_claim_inside_a_tunnel_is_held_against_the_frame_as_well() {
        let inner = frame(&[0x08, 0x00], 1_040)[14..].to_vec();
        let outer = (20 + 1_040_u16).to_be_bytes();
        let mut tunnelled = vec![2; 12];
        tunnelled.extend([0x08, 0x00, 0x45, 0, outer[0], outer[1], 0, 9, 0x40, 0, 63, 4, 0, 0]);
        tunnelled.extend([10, 0, 0, 3, 10, 0, 0, 4]);
        tunnelled.extend(inner);
        assert_eq!(lengths(&tunnelled, tunnelled.len()), (1_000, Some(6)));
        assert_eq!(lengths(&tunnelled, 14 + 20 + 1_040), (1_000, None));
    }

    #[test]
    fn what_lies_beyond_the_length_of_pppoe_is_padding() {
        let pppoe = |length| [0x88, 0x64, 0x11, 0, 0, 1, 0, length, 0x00, 0x21];
        let padded = frame(&pppoe(42), 46);
        assert_eq!(lengths(&padded, padded.len()), (6, Some(0)));
        let whole = frame(&pppoe(48), 46);
        assert_eq!(lengths(&whole, whole.len()), (6, None));
    }
}
