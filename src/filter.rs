//! Which segments to look at: an expression in the manner of tcpdump.
//!
//! Parsed here, since libpcap's filters work on bytes of one link type and know nothing of tunnels;
//! evaluated on decoded segments before they are dealt to shards. `docs/filter.md` describes the
//! language. Knows nothing of connections: an expression that only one direction satisfies leaves
//! half of each connection out.

mod lexer;
mod names;
mod parser;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use crate::tcp::FourTuple;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    text: String,
    node: Node,
    needs_vlan: bool,
}

/// What an expression is about: where a segment came from and where it went.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Addresses and ports in the direction of travel, inside tunnels.
    pub tuple: FourTuple,
    /// The outermost VLAN id; [`Filter::needs_vlan`] says whether it counts.
    pub vlan: Option<u16>,
}

/// Why an expression cannot be parsed. Prints the expression and points at the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    text: String,
    /// Offset of the place in bytes.
    at: usize,
    message: String,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Not(Box<Node>),
    /// Parts joined from left to right: `and` and `or` bind alike, as in tcpdump.
    Chain(Box<Node>, Vec<(Join, Node)>),
    /// On the ends that count, all of them or any.
    Ends(Ends, Test),
    Ip,
    Ip6,
    /// Every segment.
    Tcp,
    Vlan(Option<u16>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

/// Which ends of a segment a test is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ends {
    Source,
    Destination,
    #[default]
    Either,
    Both,
}

/// What is tested of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// An address with the bits that count.
    Net4(u32, u32),
    Net6(u128, u128),
    /// The first port and the last one.
    Ports(u16, u16),
}

impl Filter {
    /// Whether the segment is to be looked at.
    #[must_use]
    pub fn accepts(&self, candidate: &Candidate) -> bool {
        self.node.accepts(candidate)
    }

    /// Whether VLAN ids count.
    #[must_use]
    pub const fn needs_vlan(&self) -> bool {
        self.needs_vlan
    }
}

/// The expression as it was written.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let node = parser::parse(text)?;
        Ok(Self { text: text.trim().to_owned(), needs_vlan: node.needs_vlan(), node })
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.at).unwrap_or(&self.text);
        // Tabs are kept, so that the mark stands below what it points at.
        let indent: String = before.chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
        write!(f, "{}\n  {}\n  {indent}^", self.message, self.text)
    }
}

impl Node {
    fn accepts(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Not(inner) => !inner.accepts(candidate),
            Self::Chain(first, rest) => {
                rest.iter().fold(first.accepts(candidate), |so_far, (join, next)| match join {
                    Join::And => so_far && next.accepts(candidate),
                    Join::Or => so_far || next.accepts(candidate),
                })
            }
            Self::Ends(ends, test) => {
                let FourTuple { source, destination } = candidate.tuple;
                let source = || test.holds(source.address, source.port);
                let destination = || test.holds(destination.address, destination.port);
                match ends {
                    Ends::Source => source(),
                    Ends::Destination => destination(),
                    Ends::Either => source() || destination(),
                    Ends::Both => source() && destination(),
                }
            }
            Self::Ip => candidate.tuple.source.address.is_ipv4(),
            Self::Ip6 => candidate.tuple.source.address.is_ipv6(),
            Self::Tcp => true,
            Self::Vlan(None) => candidate.vlan.is_some(),
            Self::Vlan(id) => candidate.vlan == *id,
        }
    }

    fn needs_vlan(&self) -> bool {
        match self {
            Self::Not(inner) => inner.needs_vlan(),
            Self::Chain(first, rest) => {
                first.needs_vlan() || rest.iter().any(|(_, node)| node.needs_vlan())
            }
            Self::Vlan(_) => true,
            Self::Ends(..) | Self::Ip | Self::Ip6 | Self::Tcp => false,
        }
    }
}

impl Test {
    /// The network of `address` with a prefix of so many bits; none if it has fewer bits.
    fn net(address: IpAddr, prefix: u32) -> Option<Self> {
        Some(match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix)?).unwrap_or(0);
                Self::Net4(address.to_bits() & mask, mask)
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix)?).unwrap_or(0);
                Self::Net6(address.to_bits() & mask, mask)
            }
        })
    }

    fn masked(address: Ipv4Addr, mask: Ipv4Addr) -> Self {
        Self::Net4(address.to_bits() & mask.to_bits(), mask.to_bits())
    }

    fn host(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Net4(address.to_bits(), u32::MAX),
            IpAddr::V6(address) => Self::Net6(address.to_bits(), u128::MAX),
        }
    }

    const fn holds(self, address: IpAddr, port: u16) -> bool {
        match (self, address) {
            (Self::Net4(net, mask), IpAddr::V4(address)) => address.to_bits() & mask == net,
            (Self::Net6(net, mask), IpAddr::V6(address)) => address.to_bits() & mask == net,
            (Self::Net4(..), IpAddr::V6(_)) | (Self::Net6(..), IpAddr::V4(_)) => false,
            (Self::Ports(first, last), _) => first <= port && port <= last,
        }
    }
}
