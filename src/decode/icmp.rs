//! ICMP errors that quote the TCP segment which they are about.

use super::extensions::Chain;
use super::ip::{Packet, protocol};
use super::{Captured, Outcome, Skip, Walk, Walked};
use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, FourTuple, IcmpError, Seq, TunnelLayer};
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use std::net::IpAddr;

/// An ICMP error about a TCP segment (RFC 792, RFC 4443).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpQuote {
    /// The quoted segment's tuple, in the direction in which that segment travelled.
    pub tuple: FourTuple,
    /// The error; its time and frame are the caller's to fill.
    pub error: IcmpError,
    /// The tunnels around the error, outermost first.
    pub tunnel: Vec<TunnelLayer>,
    /// The outermost VLAN id.
    pub vlan: Option<u16>,
}

/// An ICMP message of the IP protocol `kind`.
#[cold]
pub(super) fn message(
    walk: &mut Walk<'_>,
    packet: &Packet,
    kind: u8,
    message: Captured<'_>,
) -> Walked {
    quote(walk, packet, kind == protocol::ICMPV6, message).map(Outcome::Quote).ok_or(Skip::Icmp)
}

fn quote(walk: &Walk<'_>, packet: &Packet, v6: bool, message: Captured<'_>) -> Option<IcmpQuote> {
    let [kind, code, _, _, a, b, c, d] = message.array::<8>(0)?;
    let rest = u32::from_be_bytes([a, b, c, d]);
    let mtu = match (v6, kind, code) {
        (false, 3, 4) => Some(rest & 0xffff).filter(|&mtu| mtu > 0),
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        (false, 3 | 4 | 5 | 11 | 12, _) | (true, 1 | 3 | 4, _) => None,
        (true, 2, _) => Some(rest),
        _ => return None,
    };
    let quoted = message.after(8)?;
    let (source, destination, segment) = match quoted.byte(0)? >> 4 {
        4 => quoted_v4(quoted)?,
        6 => quoted_v6(quoted)?,
        _ => return None,
    };
    Some(IcmpQuote {
        tuple: FourTuple {
            source: Endpoint { address: source, port: segment.be16(0)? },
            destination: Endpoint { address: destination, port: segment.be16(2)? },
        },
        error: IcmpError {
            time: Time::default(),
            frame: FrameId::default(),
            reporter: packet.source,
            seq: segment.be32(4).map(Seq),
            mtu,
            v6,
            kind,
            code,
        },
        tunnel: walk.out.tunnel.clone(),
        vlan: walk.out.vlan,
    })
}

fn quoted_v4(quoted: Captured<'_>) -> Option<(IpAddr, IpAddr, Captured<'_>)> {
    let header = Ipv4HeaderSlice::from_slice(quoted.bytes()).ok()?;
    let first = header.fragments_offset().value() == 0;
    if header.protocol().0 != protocol::TCP || !first {
        return None;
    }
    let (source, destination) = (header.source_addr(), header.destination_addr());
    Some((source.into(), destination.into(), quoted.after(header.slice().len())?))
}

fn quoted_v6(quoted: Captured<'_>) -> Option<(IpAddr, IpAddr, Captured<'_>)> {
    let header = Ipv6HeaderSlice::from_slice(quoted.bytes()).ok()?;
    let chain = Chain::walk(header.next_header().0, quoted.after(header.slice().len())?).ok()?;
    let first = chain.piece.is_none_or(|piece| piece.offset == 0);
    if chain.next != protocol::TCP || !first {
        return None;
    }
    let destination = chain.destination.unwrap_or(header.destination_addr());
    Some((header.source_addr().into(), destination.into(), chain.rest))
}
