//! What tells flows apart: addresses, ports, and the tunnel around them.

use std::net::IpAddr;

use crate::tcp::{Endpoint, FourTuple, TunnelLayer};

/// The flow of a packed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow<'a> {
    Narrow([u32; 3]),
    Wide(FourTuple, &'a [TunnelLayer]),
}

impl<'a> Flow<'a> {
    /// The canonical tuple, without the tunnel.
    pub(super) fn tuple(self) -> FourTuple {
        match self {
            Flow::Narrow(key) => tuple_of(key),
            Flow::Wide(tuple, _) => tuple,
        }
    }

    /// The tunnel around it, outermost layer first.
    pub(super) const fn tunnel(self) -> &'a [TunnelLayer] {
        match self {
            Flow::Narrow(_) => &[],
            Flow::Wide(_, tunnel) => tunnel,
        }
    }

    /// The flow with this tuple in this tunnel.
    pub(super) fn in_tunnel(self, tunnel: &[TunnelLayer]) -> Flow<'_> {
        Flow::Wide(self.tuple(), tunnel).normal()
    }

    fn normal(self) -> Self {
        match self {
            Flow::Wide(tuple, []) => narrow(tuple).map_or(self, Flow::Narrow),
            Flow::Wide(..) | Flow::Narrow(_) => self,
        }
    }

    /// The flow with this tuple outside of tunnels.
    pub(super) fn without_tunnel(self) -> Self {
        match self {
            Flow::Wide(tuple, _) => Flow::Wide(tuple, &[]).normal(),
            Flow::Narrow(_) => self,
        }
    }
}

/// The compact form of an IPv4 flow in canonical order.
pub(super) fn narrow(tuple: FourTuple) -> Option<[u32; 3]> {
    let (IpAddr::V4(low), IpAddr::V4(high)) = (tuple.source.address, tuple.destination.address)
    else {
        return None;
    };
    let ports = u32::from(tuple.source.port) << 16 | u32::from(tuple.destination.port);
    Some([low.to_bits(), high.to_bits(), ports])
}

/// The canonical tuple of a compact flow.
pub(super) fn tuple_of([low, high, ports]: [u32; 3]) -> FourTuple {
    let endpoint = |address: u32, port: u32| Endpoint {
        address: IpAddr::V4(std::net::Ipv4Addr::from_bits(address)),
        port: (port & 0xffff) as u16,
    };
    FourTuple { source: endpoint(low, ports >> 16), destination: endpoint(high, ports) }
}
