//! Tunnels: packets whose payload is another packet or frame.
//!
//! A tunnel is part of a flow's identity, so each one taken off leaves a
//! [`TunnelLayer`](crate::tcp::TunnelLayer). Whatever only a port number announces is checked for
//! plausibility first, since anybody may use any port.

mod gre;
pub(super) mod udp;

use super::ip::{Packet, protocol};
use super::link::ethernet;
use super::{Captured, Skip, Walk, Walked, ethertype, ip};
use crate::tcp::TunnelLayer;

/// Whether packets of IP protocol `kind` can be tunnels.
pub(super) fn may_carry(kind: u8) -> bool {
    matches!(
        kind,
        protocol::UDP
            | protocol::IPV4
            | protocol::IPV6
            | protocol::GRE
            | protocol::ETHERIP
            | protocol::L2TP
            | protocol::MPLS
            | protocol::ETHERNET
    )
}

/// A packet of IP protocol `kind`, which is none of the usual transports.
#[cold]
pub(super) fn packet(
    walk: &mut Walk<'_>,
    packet: &Packet,
    kind: u8,
    payload: Captured<'_>,
) -> Walked {
    if !walk.settings.tunnels {
        return Err(Skip::OtherTransport);
    }
    let outer_v4 = packet.source.is_ipv4();
    match kind {
        // Segment routing (RFC 8986 5): the packet's way, which it has in one direction only and
        // with other addresses back. As part of the flow it would tear the two directions apart.
        protocol::IPV4 | protocol::IPV6 | protocol::ETHERNET if packet.routed => {
            walk.enter()?;
            match kind {
                protocol::IPV4 => ip::v4(walk, payload),
                protocol::IPV6 => ip::v6(walk, payload),
                _ => ethernet::frame(walk, payload),
            }
        }
        protocol::IPV4 => {
            enter(walk, packet, if outer_v4 { "ipip" } else { "4in6" }, None)?;
            ip::v4(walk, payload)
        }
        protocol::IPV6 => {
            enter(walk, packet, if outer_v4 { "6in4" } else { "6in6" }, None)?;
            ip::v6(walk, payload)
        }
        protocol::GRE => gre::packet(walk, packet, payload),
        // EtherIP (RFC 3378): version 3 and 12 reserved bits.
        protocol::ETHERIP if payload.be16(0) == Some(0x3000) => {
            enter(walk, packet, "etherip", None)?;
            ethernet::frame(walk, payload.after(2).ok_or(Skip::CutTunnelHeader)?)
        }
        protocol::ETHERNET => {
            enter(walk, packet, "ethernet", None)?;
            ethernet::frame(walk, payload)
        }
        protocol::MPLS => {
            enter(walk, packet, "mpls", None)?;
            ethertype::mpls(walk, payload)
        }
        protocol::L2TP => {
            // Session 0 is the control connection (RFC 3931 4.1.1.2).
            let session = payload.be32(0).ok_or(Skip::CutTunnelHeader)?;
            if session == 0 {
                return Err(Skip::OtherTransport);
            }
            let inner = pseudowire(payload.after(4)).ok_or(Skip::OtherTransport)?;
            enter(walk, packet, "l2tp", None)?;
            ethernet::frame(walk, inner)
        }
        _ => Err(Skip::OtherTransport),
    }
}

/// Notes one more tunnel around whatever comes next.
fn enter(
    walk: &mut Walk<'_>,
    packet: &Packet,
    kind: &'static str,
    id: Option<u64>,
) -> Result<(), Skip> {
    walk.enter()?;
    let (low, high) = if packet.source <= packet.destination {
        (packet.source, packet.destination)
    } else {
        (packet.destination, packet.source)
    };
    walk.out.tunnel.push(TunnelLayer { kind, low, high, id });
    Ok(())
}

/// The frame in an `L2TPv3` session, behind a cookie and a sublayer whose lengths only the control
/// connection tells (RFC 3931 4.1): the first place where a frame with IP fits.
fn pseudowire(rest: Option<Captured<'_>>) -> Option<Captured<'_>> {
    [0, 4, 8, 12]
        .into_iter()
        .filter_map(|skipped| rest?.after(skipped))
        .find(|&frame| ethernet::looks_like_ethernet(frame))
}
