//! Why a frame gave no segment: the closed list of reasons, and counters over it.
//!
//! Trouble in one frame is no error; it is counted by these reasons, whose names are part of the
//! report's contract.

/// Why a frame was not turned into a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// No IP packet inside: ARP, LLDP, spanning tree, another network protocol.
    NotIp,
    /// Frames that only run the link: 802.11 management, PPP negotiation, and the like.
    LinkControl,
    /// UDP, and no tunnel that could be opened.
    Udp,
    /// ICMP or `ICMPv6`, and no error that quotes a TCP segment.
    Icmp,
    /// Another IP protocol: SCTP, OSPF, an unopened tunnel.
    OtherTransport,
    /// Encrypted: ESP, or a protected 802.11 or `MACsec` frame.
    Encrypted,
    /// Headers compressed (Van Jacobson, ROHC, IP payload compression).
    Compressed,
    /// The link type is not known to this program.
    UnsupportedLinkType,
    /// The captured bytes end inside a link header.
    CutLinkHeader,
    /// The captured bytes end inside an IP header or an extension header.
    CutIpHeader,
    /// The captured bytes end within the first 16 bytes of a TCP header.
    CutTcpHeader,
    /// The captured bytes end inside the header of a tunnel.
    CutTunnelHeader,
    /// A link header contradicts its own format.
    BadLinkHeader,
    /// The IP version is neither 4 nor 6, or not the one that was announced.
    BadIpVersion,
    /// The IPv4 header length is below 20 bytes.
    BadIpHeaderLength,
    /// The IPv4 total length is shorter than its header.
    BadIpTotalLength,
    /// A chain of IP extension headers is longer than its packet, or has too many members.
    BadExtensionHeader,
    /// The TCP header length is below 20 bytes, or longer than the packet.
    BadTcpHeaderLength,
    /// More encapsulations than [`MAX_LAYERS`](super::MAX_LAYERS).
    NestedTooDeep,
    /// One piece of a frame that the link layer split (802.11, multilink PPP, frame preemption).
    LinkFragment,
    /// An IP fragment of a packet that was rebuilt, and that counts in its completing frame.
    Fragment,
    /// An IP fragment with an impossible offset or length.
    BadFragment,
    /// An IP fragment whose packet was not complete in time, or at the end of the capture.
    FragmentIncomplete,
    /// An IP fragment whose bytes or length contradict another fragment of the packet.
    FragmentConflict,
    /// An IP fragment that was given up for memory.
    FragmentEvicted,
}

impl Skip {
    /// Every reason, in the order of the report.
    pub const ALL: [Self; 25] = [
        Self::NotIp,
        Self::LinkControl,
        Self::Udp,
        Self::Icmp,
        Self::OtherTransport,
        Self::Encrypted,
        Self::Compressed,
        Self::UnsupportedLinkType,
        Self::CutLinkHeader,
        Self::CutIpHeader,
        Self::CutTcpHeader,
        Self::CutTunnelHeader,
        Self::BadLinkHeader,
        Self::BadIpVersion,
        Self::BadIpHeaderLength,
        Self::BadIpTotalLength,
        Self::BadExtensionHeader,
        Self::BadTcpHeaderLength,
        Self::NestedTooDeep,
        Self::LinkFragment,
        Self::Fragment,
        Self::BadFragment,
        Self::FragmentIncomplete,
        Self::FragmentConflict,
        Self::FragmentEvicted,
    ];

    /// The stable name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::LinkControl => "link_control",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::OtherTransport => "other_transport",
            Self::Encrypted => "encrypted",
            Self::Compressed => "compressed",
            Self::UnsupportedLinkType => "unsupported_link_type",
            Self::CutLinkHeader => "cut_link_header",
            Self::CutIpHeader => "cut_ip_header",
            Self::CutTcpHeader => "cut_tcp_header",
            Self::CutTunnelHeader => "cut_tunnel_header",
            Self::BadLinkHeader => "bad_link_header",
            Self::BadIpVersion => "bad_ip_version",
            Self::BadIpHeaderLength => "bad_ip_header_length",
            Self::BadIpTotalLength => "bad_ip_total_length",
            Self::BadExtensionHeader => "bad_extension_header",
            Self::BadTcpHeaderLength => "bad_tcp_header_length",
            Self::NestedTooDeep => "nested_too_deep",
            Self::LinkFragment => "link_fragment",
            Self::Fragment => "fragment",
            Self::BadFragment => "bad_fragment",
            Self::FragmentIncomplete => "fragment_incomplete",
            Self::FragmentConflict => "fragment_conflict",
            Self::FragmentEvicted => "fragment_evicted",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// How many frames were skipped, by reason. Mergeable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkipCounts([u64; Skip::ALL.len()]);

impl SkipCounts {
    /// Counts `frames` more frames.
    pub fn add(&mut self, skip: Skip, frames: u64) {
        if let Some(count) = self.0.get_mut(skip.index()) {
            *count += frames;
        }
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Frames skipped for one reason.
    #[must_use]
    pub fn of(&self, skip: Skip) -> u64 {
        self.0.get(skip.index()).copied().unwrap_or_default()
    }

    /// Frames skipped for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, in the order of [`Skip::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Skip, u64)> + '_ {
        Skip::ALL.into_iter().zip(self.0).filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_its_own_name_and_its_own_counter() {
        let names: BTreeSet<&str> = Skip::ALL.iter().map(|skip| skip.name()).collect();
        assert_eq!(names.len(), Skip::ALL.len());
        assert!(Skip::ALL.iter().enumerate().all(|(at, skip)| skip.index() == at));
    }

    #[test]
    fn merged_counts_are_the_sums() {
        let mut one = SkipCounts::default();
        one.add(Skip::Udp, 2);
        let mut two = one;
        two.add(Skip::NotIp, 1);
        one.merge(&two);
        assert_eq!(one.iter().collect::<Vec<_>>(), [(Skip::NotIp, 1), (Skip::Udp, 4)]);
        assert_eq!((one.total(), one.of(Skip::Udp)), (5, 4));
    }
}
