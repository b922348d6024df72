//! Who speaks to whom: endpoints, tuples, sides, and the tunnel around a flow.

use std::fmt;
use std::net::IpAddr;

use crate::compact::compact;

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IPv4 or IPv6 address as it stood in the innermost IP header.
    pub address: IpAddr,
    /// TCP port.
    pub port: u16,
}

compact!(struct Endpoint { address, port });

impl Endpoint {
    /// Orders endpoints as they are ordered.
    ///
    /// Perf: the standard library compares IPv6 addresses piece by piece.
    #[inline]
    const fn rank(self) -> (bool, u128, u16) {
        match self.address {
            IpAddr::V4(address) => (false, address.to_bits() as u128, self.port),
            IpAddr::V6(address) => (true, address.to_bits(), self.port),
        }
    }
}

/// `10.0.0.1:443`, `[2001:db8::1]:443`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// The two endpoints of one segment, in the direction in which it travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourTuple {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
}

impl FourTuple {
    /// The same flow, seen from the other direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }

    /// The tuple with its lower endpoint as source, and how the segment travelled through it.
    #[must_use]
    pub fn canonical(self) -> (Self, Orientation) {
        if self.source.rank() <= self.destination.rank() {
            (self, Orientation::Forward)
        } else {
            (self.reversed(), Orientation::Backward)
        }
    }
}

/// Direction of a segment relative to its flow's canonical tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// From the lower endpoint to the higher one.
    Forward,
    /// From the higher endpoint to the lower one.
    Backward,
}

impl Orientation {
    /// The other direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Backward,
            Self::Backward => Self::Forward,
        }
    }
}

/// One endpoint of a connection by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Sent the first SYN, or is assumed to have.
    Client,
    /// The other one.
    Server,
}

compact!(
    enum Side {
        Client,
        Server,
    }
);

impl Side {
    /// Both sides, client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The opposite side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// `client` or `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// One layer of encapsulation around a flow, outermost first in a list of them.
///
/// Part of a flow's identity: two tenants may use the same addresses inside different tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelLayer {
    /// Which protocol: `ipip`, `6in4`, `gre`, `erspan`, `vxlan`, `geneve`, `gtp-u`, `teredo`, ...
    pub kind: &'static str,
    /// The lower of the two outer addresses.
    pub low: IpAddr,
    /// The higher of the two outer addresses.
    pub high: IpAddr,
    /// VNI, key, TEID or session, where the protocol has one that both directions share.
    pub id: Option<u64>,
}

/// `vxlan 5 between 192.0.2.1 and 192.0.2.2`
impl fmt::Display for TunnelLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if let Some(id) = self.id {
            write!(f, " {id}")?;
        }
        write!(f, " between {} and {}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        let address = prop_oneof![
            prop::array::uniform4(0_u8..3).prop_map(IpAddr::from),
            prop::array::uniform16(0_u8..3).prop_map(IpAddr::from),
        ];
        (address, 0_u16..3).prop_map(|(address, port)| Endpoint { address, port })
    }

    proptest! {
        #[test]
        fn endpoints_rank_as_they_are_ordered(one in endpoint(), other in endpoint()) {
            prop_assert_eq!(one.rank().cmp(&other.rank()), one.cmp(&other));
        }
    }
}
