//! IP headers, and which transport or tunnel they carry.

use super::extensions::{self, Chain};
use super::fragment::{self, Piece};
use super::{Captured, Skip, Walk, Walked, compressed, icmp, segment, tunnel};
use crate::tcp::Marks;
use etherparse::err::ipv4::{HeaderError, HeaderSliceError};
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use std::net::IpAddr;

/// IP protocol numbers, by the names of the IANA registry.
pub(super) mod protocol {
    pub(in crate::decode) const ICMP: u8 = 1;
    pub(in crate::decode) const IPV4: u8 = 4;
    pub(in crate::decode) const TCP: u8 = 6;
    pub(in crate::decode) const UDP: u8 = 17;
    pub(in crate::decode) const IPV6: u8 = 41;
    pub(in crate::decode) const GRE: u8 = 47;
    pub(in crate::decode) const ESP: u8 = 50;
    pub(in crate::decode) const AH: u8 = 51;
    pub(in crate::decode) const ICMPV6: u8 = 58;
    pub(in crate::decode) const ETHERIP: u8 = 97;
    pub(in crate::decode) const IPCOMP: u8 = 108;
    pub(in crate::decode) const L2TP: u8 = 115;
    pub(in crate::decode) const MPLS: u8 = 137;
    pub(in crate::decode) const ETHERNET: u8 = 143;
}

/// What the layers above need to know of the packet around them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: u8,
    pub(super) traffic_class: u8,
    /// IPv4 identification; 0 for IPv6.
    pub(super) id: u16,
    /// A routing header says which way the packet goes.
    pub(super) routed: bool,
    /// Bytes of the IP header and its extensions so far.
    pub(super) header_len: usize,
    pub(super) marks: Marks,
}

/// A packet of either version, by its first four bits.
pub(super) fn any(walk: &mut Walk<'_>, packet: Captured<'_>) -> Walked {
    match packet.byte(0).ok_or(Skip::CutIpHeader)? >> 4 {
        4 => v4(walk, packet),
        6 => v6(walk, packet),
        _ => Err(Skip::BadIpVersion),
    }
}

/// An IPv4 packet.
#[inline]
pub(super) fn v4(walk: &mut Walk<'_>, packet: Captured<'_>) -> Walked {
    let header = match Ipv4HeaderSlice::from_slice(packet.bytes()) {
        Ok(header) => header,
        Err(HeaderSliceError::Content(HeaderError::UnexpectedVersion { version_number: 6 })) => {
            return v6(walk, packet);
        }
        Err(error) => return Err(refused(&error)),
    };
    let header_len = header.slice().len();
    let (length, marks) = match usize::from(header.total_len()) {
        // Segmentation offload: the host's own capture sees packets too large for the field.
        0 => (packet.length(), Marks::GUESSED_LENGTH),
        total if total < header_len => return Err(Skip::BadIpTotalLength),
        total => (total, Marks::default()),
    };
    walk.claim(length, packet.length());
    let payload = packet.with_length(length).after(header_len).ok_or(Skip::CutIpHeader)?;
    let mut info = Packet {
        source: IpAddr::V4(header.source_addr()),
        destination: IpAddr::V4(header.destination_addr()),
        ttl: header.ttl(),
        traffic_class: header.dcp().value() << 2 | header.ecn().value(),
        id: header.identification(),
        routed: false,
        header_len,
        marks,
    };
    if header.is_fragmenting_payload() {
        let piece = Piece {
            protocol: header.protocol().0,
            id: u32::from(info.id),
            offset: u32::from(header.fragments_offset().value()) * 8,
            more: header.more_fragments(),
        };
        return fragment::found(walk, &info, &piece, payload);
    }
    match header.protocol().0 {
        protocol::TCP => segment::found(walk, &info, payload),
        protocol::AH => beyond_extensions(walk, &mut info, protocol::AH, payload),
        other => transport(walk, &info, other, payload),
    }
}

/// An IPv6 packet.
#[inline]
pub(super) fn v6(walk: &mut Walk<'_>, packet: Captured<'_>) -> Walked {
    let header = Ipv6HeaderSlice::from_slice(packet.bytes()).map_err(|_| {
        let version = packet.byte(0).map_or(6, |first| first >> 4);
        if version == 6 { Skip::CutIpHeader } else { Skip::BadIpVersion }
    })?;
    let next = header.next_header().0;
    let body = packet.after(header.slice().len()).ok_or(Skip::CutIpHeader)?;
    let (length, marks) = match usize::from(header.payload_length()) {
        0 => match extensions::jumbo_length(next, body) {
            Some(length) => (length, Marks::default()),
            None => (body.length(), Marks::GUESSED_LENGTH),
        },
        length => (length, Marks::default()),
    };
    let mut info = Packet {
        source: IpAddr::V6(header.source_addr()),
        destination: IpAddr::V6(header.destination_addr()),
        ttl: header.hop_limit(),
        traffic_class: header.traffic_class(),
        id: 0,
        routed: false,
        header_len: header.slice().len(),
        marks,
    };
    walk.claim(length, body.length());
    let payload = body.with_length(length);
    if next == protocol::TCP {
        return segment::found(walk, &info, payload);
    }
    beyond_extensions(walk, &mut info, next, payload)
}

/// What follows a chain of extension headers, of which `next` is the first.
pub(super) fn beyond_extensions(
    walk: &mut Walk<'_>,
    packet: &mut Packet,
    next: u8,
    payload: Captured<'_>,
) -> Walked {
    let chain = Chain::walk(next, payload)?;
    packet.header_len += payload.length() - chain.rest.length();
    packet.routed |= chain.routed;
    if let Some(destination) = chain.destination {
        packet.destination = IpAddr::V6(destination);
    }
    match chain.piece {
        Some(piece) => fragment::found(walk, packet, &piece, chain.rest),
        None => transport(walk, packet, chain.next, chain.rest),
    }
}

/// What a whole packet carries.
pub(super) fn transport(
    walk: &mut Walk<'_>,
    packet: &Packet,
    kind: u8,
    payload: Captured<'_>,
) -> Walked {
    match kind {
        protocol::TCP => segment::found(walk, packet, payload),
        protocol::UDP => tunnel::udp::datagram(walk, packet, payload),
        protocol::ICMP | protocol::ICMPV6 => icmp::message(walk, packet, kind, payload),
        protocol::ESP => Err(Skip::Encrypted),
        protocol::IPCOMP => compressed::packet(walk, packet, payload),
        other => tunnel::packet(walk, packet, other, payload),
    }
}

#[cold]
fn refused(error: &HeaderSliceError) -> Skip {
    match error {
        HeaderSliceError::Len(_) => Skip::CutIpHeader,
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. }) => Skip::BadIpVersion,
        HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. }) => {
            Skip::BadIpHeaderLength
        }
    }
}
