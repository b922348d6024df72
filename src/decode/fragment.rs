//! One IP fragment, as far as a single frame tells.

use super::ip::{Packet, protocol};
use super::{Captured, Outcome, Skip, Walk, Walked, tunnel};
use crate::tcp::{Marks, TunnelLayer};
use std::net::IpAddr;

/// The end of the largest packet that fragments can make (RFC 791 3.1: 13 bits of 8 bytes).
pub(super) const MAX_PACKET: usize = 65_535;

/// A piece of a packet that may carry TCP, for the [`Reassembler`](super::Reassembler).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Sender of the packet.
    pub source: IpAddr,
    /// Receiver of the packet.
    pub destination: IpAddr,
    /// What the whole packet carries, by its IP protocol number.
    pub protocol: u8,
    /// The identification that all pieces of the packet share: 16 bits (IPv4) or 32 (IPv6).
    pub id: u32,
    /// Where the piece begins, in bytes of the packet's payload.
    pub offset: u32,
    /// Whether more pieces follow.
    pub more: bool,
    /// The captured bytes; fewer than `payload_len` when the snaplen cut them.
    pub payload: Vec<u8>,
    /// Bytes of the piece by its IP header.
    pub payload_len: usize,
    /// Bytes of the IP header and the extension headers before the piece.
    pub header_len: usize,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// DSCP and ECN bits, or traffic class.
    pub traffic_class: u8,
    /// What was noticed while decoding the IP header.
    pub marks: Marks,
    /// The tunnels around the packet, outermost first.
    pub tunnel: Vec<TunnelLayer>,
    /// The outermost VLAN id.
    pub vlan: Option<u16>,
    /// Encapsulations taken off so far.
    pub(super) layers: u8,
    /// A routing header says which way the packet goes.
    pub(super) routed: bool,
}

/// What a fragment header says, of either IP version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) protocol: u8,
    pub(super) id: u32,
    /// In bytes.
    pub(super) offset: u32,
    pub(super) more: bool,
}

impl Piece {
    /// Reads an IPv6 fragment header (RFC 8200 4.5).
    pub(super) fn of_v6(header: Captured<'_>) -> Result<Self, Skip> {
        let [next, _, high, low, a, b, c, d] = header.array::<8>(0).ok_or(Skip::CutIpHeader)?;
        let offset = u16::from_be_bytes([high, low]);
        Ok(Self {
            protocol: next,
            id: u32::from_be_bytes([a, b, c, d]),
            offset: u32::from(offset & !7),
            more: offset & 1 != 0,
        })
    }
}

/// A fragment of `packet`: handed on only if the whole packet can carry TCP.
#[cold]
pub(super) fn found(
    walk: &mut Walk<'_>,
    packet: &Packet,
    piece: &Piece,
    payload: Captured<'_>,
) -> Walked {
    match piece.protocol {
        // Extension headers can stand in the first fragment, before the transport's header.
        protocol::TCP | protocol::IPCOMP | 0 | 43 | 51 | 60 | 135 | 139 | 140 => {}
        protocol::ESP => return Err(Skip::Encrypted),
        protocol::ICMP | protocol::ICMPV6 => return Err(Skip::Icmp),
        other if walk.settings.tunnels && tunnel::may_carry(other) => {}
        protocol::UDP => return Err(Skip::Udp),
        _ => return Err(Skip::OtherTransport),
    }
    let (offset, length) = (usize::try_from(piece.offset).unwrap_or(usize::MAX), payload.length());
    // Pieces before the last one end on a multiple of 8 bytes, and none reaches beyond the end.
    let misaligned = piece.more && !length.is_multiple_of(8);
    if length == 0 || misaligned || offset.saturating_add(length) > MAX_PACKET {
        return Err(Skip::BadFragment);
    }
    Ok(Outcome::Fragment(Fragment {
        source: packet.source,
        destination: packet.destination,
        protocol: piece.protocol,
        id: piece.id,
        offset: piece.offset,
        more: piece.more,
        payload: payload.bytes().to_vec(),
        payload_len: length,
        header_len: packet.header_len,
        ttl: packet.ttl,
        traffic_class: packet.traffic_class,
        marks: packet.marks,
        tunnel: walk.out.tunnel.clone(),
        vlan: walk.out.vlan,
        layers: walk.layers,
        routed: packet.routed,
    }))
}
