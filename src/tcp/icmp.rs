//! ICMP errors about a segment: what a router or a host says of a packet that it did not take.
//!
//! Plain values and their meaning (RFC 792, 1122, 1812, 4443). Which segment of which connection an
//! error quotes, and what that does to the connection, is decided elsewhere.

use std::fmt;
use std::net::IpAddr;

use crate::compact::compact;

use super::Seq;
use crate::stamp::{FrameId, Time};

/// An ICMP error that quotes the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// When the tap saw the error.
    pub time: Time,
    /// Which frame carried it.
    pub frame: FrameId,
    /// Who reports it.
    pub reporter: IpAddr,
    /// Sequence number of the quoted segment, where the quote reaches so far.
    pub seq: Option<Seq>,
    /// Bytes that the next hop takes, from "fragmentation needed" or "packet too big".
    pub mtu: Option<u32>,
    /// `ICMPv6`, whose types and codes are numbered differently.
    pub v6: bool,
    /// Type of the error: in IPv4, 3 is unreachable, 11 time exceeded; in IPv6 1 and 3.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
}

compact!(struct IcmpError { time, frame, reporter, seq, mtu, v6, kind, code });

/// `host unreachable from 10.0.0.254`.
impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.meaning().name(), self.reporter)
    }
}

impl IcmpError {
    /// What the type and code mean, in either version.
    #[must_use]
    pub const fn meaning(&self) -> IcmpMeaning {
        match (self.v6, self.kind, self.code) {
            (false, 3, 0 | 6 | 8 | 11) | (true, 1, 0) => IcmpMeaning::NetUnreachable,
            (false, 3, 1 | 7 | 12) | (true, 1, 3) => IcmpMeaning::HostUnreachable,
            (false, 3, 2) => IcmpMeaning::ProtocolUnreachable,
            (false, 3, 3) | (true, 1, 4) => IcmpMeaning::PortUnreachable,
            (false, 3, 4) | (true, 2, _) => IcmpMeaning::PacketTooBig,
            (false, 3, 5) | (true, 1, 7) => IcmpMeaning::SourceRouteFailed,
            (false, 3, 9 | 10 | 13..=15) | (true, 1, 1 | 5 | 6) => IcmpMeaning::AdminProhibited,
            (true, 1, 2) => IcmpMeaning::BeyondScope,
            (false, 11, 1) => IcmpMeaning::ReassemblyTimeExceeded,
            (false, 11, _) | (true, 3, _) => IcmpMeaning::TimeExceeded,
            (false, 12, _) | (true, 4, _) => IcmpMeaning::ParameterProblem,
            (false, 4, _) => IcmpMeaning::SourceQuench,
            (false, 5, _) => IcmpMeaning::Redirect,
            _ => IcmpMeaning::Unknown,
        }
    }

    /// Whether Linux drops the request of a half-open connection when the error quotes its
    /// SYN-ACK: only for a few types, which differ by version (`tcp_v4_err`, `tcp_v6_err`).
    #[must_use]
    pub const fn drops_half_open(&self) -> bool {
        matches!(
            (self.v6, self.kind, self.code),
            (false, 3, 0 | 1) | (false, 11, 0) | (false, 12, _) | (true, 1, 1 | 4..) | (true, 4, _)
        )
    }
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IcmpMeaning {
    /// No route to the network.
    NetUnreachable,
    /// The last router gets no answer from the host's link.
    HostUnreachable,
    /// The host does not speak TCP.
    ProtocolUnreachable,
    /// The host, or a firewall in its name, refuses the port.
    PortUnreachable,
    /// The next hop takes only shorter packets: path MTU discovery, no failure.
    PacketTooBig,
    /// A source route cannot be followed.
    SourceRouteFailed,
    /// A rule forbids it: a firewall rejects.
    AdminProhibited,
    /// The source address does not reach so far (RFC 4443 3.1).
    BeyondScope,
    /// The hop limit ran out: a routing loop, or a traceroute.
    TimeExceeded,
    /// Fragments were missing for too long: Linux does not tell TCP (`icmp_unreach`).
    ReassemblyTimeExceeded,
    /// The header cannot be understood.
    ParameterProblem,
    /// An old request to slow down, which hosts ignore (RFC 6633).
    SourceQuench,
    /// A better router is named; the packet was forwarded.
    Redirect,
    /// No code that is known.
    Unknown,
}

compact!(
    enum IcmpMeaning {
        NetUnreachable,
        HostUnreachable,
        ProtocolUnreachable,
        PortUnreachable,
        PacketTooBig,
        SourceRouteFailed,
        AdminProhibited,
        BeyondScope,
        TimeExceeded,
        ReassemblyTimeExceeded,
        ParameterProblem,
        SourceQuench,
        Redirect,
        Unknown,
    }
);

impl IcmpMeaning {
    /// What the standards call it, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        let text = self.received();
        text.strip_prefix("received ICMP ").unwrap_or(text)
    }

    /// The same as the cause of a change of state.
    #[must_use]
    pub const fn received(self) -> &'static str {
        match self {
            Self::NetUnreachable => "received ICMP network unreachable",
            Self::HostUnreachable => "received ICMP host unreachable",
            Self::ProtocolUnreachable => "received ICMP protocol unreachable",
            Self::PortUnreachable => "received ICMP port unreachable",
            Self::PacketTooBig => "received ICMP packet too big",
            Self::SourceRouteFailed => "received ICMP source route failed",
            Self::AdminProhibited => "received ICMP administratively prohibited",
            Self::BeyondScope => "received ICMP beyond scope of source address",
            Self::TimeExceeded => "received ICMP time exceeded",
            Self::ReassemblyTimeExceeded => "received ICMP fragment reassembly time exceeded",
            Self::ParameterProblem => "received ICMP parameter problem",
            Self::SourceQuench => "received ICMP source quench",
            Self::Redirect => "received ICMP redirect",
            Self::Unknown => "received ICMP error",
        }
    }

    /// Whether RFC 1122 4.2.3.9 lets it end a connection attempt on every system.
    #[must_use]
    pub const fn is_hard(self) -> bool {
        match self {
            Self::ProtocolUnreachable | Self::PortUnreachable | Self::AdminProhibited => true,
            Self::NetUnreachable
            | Self::HostUnreachable
            | Self::PacketTooBig
            | Self::SourceRouteFailed
            | Self::BeyondScope
            | Self::TimeExceeded
            | Self::ReassemblyTimeExceeded
            | Self::ParameterProblem
            | Self::SourceQuench
            | Self::Redirect
            | Self::Unknown => false,
        }
    }

    /// Whether it is a failure at all, rather than advice to the sender. Linux ends a connection
    /// attempt on any of these (RFC 5461 4.1 tells why).
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::PacketTooBig
            | Self::ReassemblyTimeExceeded
            | Self::SourceQuench
            | Self::Redirect
            | Self::Unknown => false,
            Self::NetUnreachable
            | Self::HostUnreachable
            | Self::ProtocolUnreachable
            | Self::PortUnreachable
            | Self::SourceRouteFailed
            | Self::AdminProhibited
            | Self::BeyondScope
            | Self::TimeExceeded
            | Self::ParameterProblem => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn error(v6: bool, kind: u8, code: u8) -> IcmpError {
        IcmpError {
            time: Time::default(),
            frame: FrameId::default(),
            reporter: Ipv4Addr::new(10, 0, 0, 254).into(),
            seq: None,
            mtu: None,
            v6,
            kind,
            code,
        }
    }

    #[test]
    fn both_versions_number_the_same_meanings_differently() {
        for (v4, v6) in [((3, 0), (1, 0)), ((3, 1), (1, 3)), ((3, 3), (1, 4)), ((3, 13), (1, 1))] {
            assert_eq!(error(false, v4.0, v4.1).meaning(), error(true, v6.0, v6.1).meaning());
        }
        assert_eq!(error(false, 3, 1).to_string(), "host unreachable from 10.0.0.254");
        assert_eq!(error(false, 3, 16).meaning(), IcmpMeaning::Unknown);
    }

    #[test]
    fn a_smaller_mtu_is_no_failure() {
        assert!(
            !error(false, 3, 4).meaning().is_failure() && !error(true, 2, 0).meaning().is_hard()
        );
        assert!(error(false, 11, 0).meaning().is_failure());
    }

    #[test]
    fn half_open_requests_survive_what_linux_takes_for_passing() {
        assert!(error(false, 3, 1).drops_half_open() && !error(false, 3, 13).drops_half_open());
        assert!(error(true, 1, 1).drops_half_open() && !error(true, 1, 3).drops_half_open());
    }
}
