//! Builds frames: Ethernet or raw IP, IPv4 or IPv6, TCP, with valid checksums.
//!
//! Shared by the scenario compiler and the generators. Knows wire formats only, nothing of
//! connections or of capture files.

use std::net::IpAddr;

use crate::capture::LinkType;
use crate::tcp::{Endpoint, Flags, Seq};

/// Length of an Ethernet II header in bytes.
pub(super) const ETHERNET_LEN: usize = 14;
/// Length of a TCP header without options in bytes (RFC 9293 3.1).
pub(super) const TCP_LEN: usize = 20;
const TCP_PROTOCOL: u8 = 6;

/// What stands below IP in the frames of a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Ethernet II; the hardware addresses are derived from the IP addresses.
    #[default]
    Ethernet,
    /// No link header: the frame begins with the IP header (LINKTYPE 101).
    Raw,
}

impl Link {
    /// The number that the capture file carries.
    #[must_use]
    pub const fn link_type(self) -> LinkType {
        match self {
            Self::Ethernet => LinkType(1),
            Self::Raw => LinkType(101),
        }
    }

    /// Bytes before the IP header.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::Ethernet => ETHERNET_LEN,
            Self::Raw => 0,
        }
    }
}

/// Everything that one TCP packet says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) urgent: u16,
    /// A multiple of four bytes, at most 40.
    pub(super) options: &'a [u8],
    pub(super) payload: &'a [u8],
    /// IPv4 only.
    pub(super) ip_id: u16,
    pub(super) ttl: u8,
    pub(super) traffic_class: u8,
    /// Replaces the length field of the IP header; 0 is what offloading hosts record.
    pub(super) ip_length: Option<u16>,
    /// Added to the correct TCP checksum with exclusive or; 0 leaves it correct.
    pub(super) checksum_error: u16,
    /// The checksum is only the sum of the pseudo-header.
    pub(super) checksum_offloaded: bool,
}

impl Packet<'_> {
    /// Length of the IP header in bytes.
    pub(super) const fn ip_header_len(&self) -> usize {
        match self.source.address {
            IpAddr::V4(_) => 20,
            IpAddr::V6(_) => 40,
        }
    }

    /// Length of the TCP header in bytes.
    pub(super) const fn tcp_header_len(&self) -> usize {
        TCP_LEN + self.options.len()
    }

    /// Appends the frame to `out`; returns the TCP checksum as sent.
    pub(super) fn write(&self, link: Link, out: &mut Vec<u8>) -> u16 {
        let tcp_len = self.tcp_header_len() + self.payload.len();
        let header = IpHeader {
            source: self.source.address,
            destination: self.destination.address,
            protocol: TCP_PROTOCOL,
            id: self.ip_id,
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            length: self.ip_length,
        };
        header.push_link(link, out);
        let pseudo_sum = header.push(tcp_len, out);
        self.push_segment(pseudo_sum, out)
    }

    fn push_segment(&self, pseudo_sum: u64, out: &mut Vec<u8>) -> u16 {
        let start = out.len();
        out.extend_from_slice(&self.source.port.to_be_bytes());
        out.extend_from_slice(&self.destination.port.to_be_bytes());
        out.extend_from_slice(&self.seq.0.to_be_bytes());
        out.extend_from_slice(&self.ack.0.to_be_bytes());
        let words = u16::try_from(self.tcp_header_len() / 4).unwrap_or(5);
        out.extend_from_slice(&((words << 12) | (self.flags.0 & 0xfff)).to_be_bytes());
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.urgent.to_be_bytes());
        out.extend_from_slice(self.options);
        out.extend_from_slice(self.payload);
        let segment = out.get_mut(start..).unwrap_or_default();
        let total = pseudo_sum + u64::from(TCP_PROTOCOL) + segment.len() as u64 + sum(segment);
        let segment_len = segment.len() as u64;
        let checksum = if self.checksum_offloaded {
            fold(pseudo_sum + u64::from(TCP_PROTOCOL) + segment_len)
        } else {
            !fold(total) ^ self.checksum_error
        };
        if let Some(field) = segment.get_mut(16..18) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        checksum
    }
}

/// What an IP header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpHeader {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// IPv4 only.
    pub(super) id: u16,
    pub(super) ttl: u8,
    pub(super) traffic_class: u8,
    /// Replaces the length field.
    pub(super) length: Option<u16>,
}

impl IpHeader {
    /// Appends the link header for the packet.
    pub(super) fn push_link(&self, link: Link, out: &mut Vec<u8>) {
        if link == Link::Ethernet {
            push_hardware_address(self.destination, out);
            push_hardware_address(self.source, out);
            out.extend_from_slice(match self.source {
                IpAddr::V4(_) => &[0x08, 0x00],
                IpAddr::V6(_) => &[0x86, 0xdd],
            });
        }
    }

    /// Appends the header of a packet with `payload` bytes; returns the sum of the addresses for
    /// the pseudo header.
    pub(super) fn push(&self, payload: usize, out: &mut Vec<u8>) -> u64 {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = self.length.unwrap_or_else(|| clamp(payload + 20));
                let [id, length] = [self.id.to_be_bytes(), total.to_be_bytes()];
                // Don't Fragment is set, as path MTU discovery sets it everywhere.
                let mut header = [
                    0x45,
                    self.traffic_class,
                    length[0],
                    length[1],
                    id[0],
                    id[1],
                    0x40,
                    0,
                    self.ttl,
                    self.protocol,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                ];
                header[12..16].copy_from_slice(&source.octets());
                header[16..20].copy_from_slice(&destination.octets());
                let checksum = (!fold(sum(&header))).to_be_bytes();
                header[10..12].copy_from_slice(&checksum);
                out.extend_from_slice(&header);
                sum(&source.octets()) + sum(&destination.octets())
            }
            (source, destination) => {
                let (source, destination) = (as_v6(source), as_v6(destination));
                let length = self.length.unwrap_or_else(|| clamp(payload)).to_be_bytes();
                let class = self.traffic_class;
                out.extend_from_slice(&[0x60 | (class >> 4), class << 4, 0, 0]);
                out.extend_from_slice(&[length[0], length[1], self.protocol, self.ttl]);
                out.extend_from_slice(&source);
                out.extend_from_slice(&destination);
                sum(&source) + sum(&destination)
            }
        }
    }
}

/// A locally administered address that depends on the IP address alone.
fn push_hardware_address(address: IpAddr, out: &mut Vec<u8>) {
    let [.., a, b, c, d] = as_v6(address);
    out.extend_from_slice(&[0x02, 0x00, a, b, c, d]);
}

fn as_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// A length for a 16-bit field; what does not fit is 0, as segmentation offload records it.
fn clamp(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(0)
}

/// Sum of the big-endian 16-bit words, the last one padded (RFC 1071), not yet folded.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(4);
    let tail = match *words.remainder() {
        [a, b, c] => u64::from(u32::from_be_bytes([a, b, c, 0])),
        [a, b] => u64::from(u16::from_be_bytes([a, b])),
        [a] => u64::from(u16::from_be_bytes([a, 0])),
        _ => 0,
    };
    // 32-bit words sum to the same value modulo 2^16 - 1 as 16-bit words do.
    words.fold(tail, |total, word| match *word {
        [a, b, c, d] => total + u64::from(u32::from_be_bytes([a, b, c, d])),
        _ => total,
    })
}

/// Folds a sum into 16 bits with end-around carry.
pub(super) fn fold(mut total: u64) -> u16 {
    loop {
        match u16::try_from(total) {
            Ok(folded) => return folded,
            Err(_) => total = (total & 0xffff) + (total >> 16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet<'a>(addresses: [&str; 2], payload: &'a [u8]) -> Packet<'a> {
        Packet {
            source: Endpoint { address: addresses[0].parse().unwrap(), port: 40_000 },
            destination: Endpoint { address: addresses[1].parse().unwrap(), port: 80 },
            seq: Seq(0xfeed_f00d),
            ack: Seq(7),
            flags: Flags::PSH | Flags::ACK,
            window: 502,
            urgent: 0,
            options: &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload,
            ip_id: 9,
            ttl: 63,
            traffic_class: 0x28,
            ip_length: None,
            checksum_error: 0,
            checksum_offloaded: false,
        }
    }

    #[test]
    fn another_parser_reads_the_headers_and_agrees_with_both_checksums() {
        let payload: Vec<u8> = (0..=254).collect();
        for addresses in [["10.0.0.1", "10.255.0.2"], ["2001:db8::1", "2001:db8::ffff"]] {
            for length in [0, 1, 2, 3, 255] {
                let packet = packet(addresses, &payload[..length]);
                let mut frame = Vec::new();
                let sent = packet.write(Link::Ethernet, &mut frame);
                let sliced = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
                let Some(etherparse::TransportSlice::Tcp(tcp)) = &sliced.transport else {
                    panic!("no TCP header found");
                };
                let computed = match sliced.net.as_ref().unwrap() {
                    etherparse::NetSlice::Ipv4(ip) => {
                        let header = ip.header();
                        assert_eq!(
                            header.to_header().calc_header_checksum(),
                            header.header_checksum()
                        );
                        assert_eq!((header.identification(), header.ttl()), (9, 63));
                        tcp.calc_checksum_ipv4(header.source(), header.destination())
                    }
                    etherparse::NetSlice::Ipv6(ip) => {
                        tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination())
                    }
                    etherparse::NetSlice::Arp(_) => panic!("not an IP packet"),
                };
                assert_eq!(computed.unwrap(), sent);
                assert_eq!(tcp.checksum(), sent);
                assert_eq!(
                    (tcp.sequence_number(), tcp.payload()),
                    (0xfeed_f00d, &payload[..length])
                );
            }
        }
    }

    #[test]
    fn a_wanted_checksum_error_makes_the_checksum_wrong() {
        let mut frame = Vec::new();
        let right = packet(["10.0.0.1", "10.0.0.2"], b"x").write(Link::Raw, &mut frame);
        frame.clear();
        let wrong = Packet { checksum_error: 0x5555, ..packet(["10.0.0.1", "10.0.0.2"], b"x") }
            .write(Link::Raw, &mut frame);
        assert_eq!(right ^ wrong, 0x5555);
        assert_eq!(frame[36..38], wrong.to_be_bytes());
    }
}
