//! The short way for the frames that nearly every capture consists of: Ethernet, with or without
//! one VLAN tag, IP without options, extension headers or fragments, TCP.
//!
//! Says exactly what [`decode`](super::decode) says, or nothing; then the long way is taken. A test
//! holds the two against each other.

use super::{Settings, segment};
use crate::capture::LinkType;
use crate::tcp::{Endpoint, Extras, FourTuple, Marks, Segment, Timestamps};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A segment between two addresses of one family, outside tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Express<Address> {
    /// Sender's address.
    pub source: Address,
    /// Receiver's address.
    pub destination: Address,
    /// Sender's port, then receiver's.
    pub ports: (u16, u16),
    /// The segment; its time and frame are the caller's to fill.
    pub segment: Segment,
}

impl Express<u32> {
    /// Addresses and ports in the direction of travel.
    #[must_use]
    pub fn tuple(&self) -> FourTuple {
        self.between(|address| Ipv4Addr::from_bits(address).into())
    }
}

impl Express<u128> {
    /// Addresses and ports in the direction of travel.
    #[must_use]
    pub fn tuple(&self) -> FourTuple {
        self.between(|address| Ipv6Addr::from_bits(address).into())
    }
}

impl<Address: Copy> Express<Address> {
    fn between(&self, address: impl Fn(Address) -> IpAddr) -> FourTuple {
        let endpoint = |bits, port| Endpoint { address: address(bits), port };
        FourTuple {
            source: endpoint(self.source, self.ports.0),
            destination: endpoint(self.destination, self.ports.1),
        }
    }
}

const ETHERNET: LinkType = LinkType(1);
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV4_HEADER: u16 = 20;
/// Version 4, and a header without options.
const PLAIN_IPV4: u8 = 0x45;
const IPV6: [u8; 2] = [0x86, 0xdd];
const IPV6_HEADER: u16 = 40;
const TCP: u8 = 6;

/// Decodes a frame that is of the common kind, and IPv4. Options besides timestamps go to `extras`,
/// which is left alone where there are none.
///
/// Perf: `benches/stages.rs`, decode: a third of the instructions of the long way, which goes
/// through every layer that there could be and keeps addresses of either family.
#[expect(clippy::inline_always, reason = "measured: part of the loop over a capture's records")]
#[inline(always)]
pub fn express_v4(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    settings: &Settings,
    extras: &mut Option<Extras>,
) -> Option<Express<u32>> {
    let header = before_packet(link, frame, IPV4, *settings)?;
    let (ip, tcp) = frame.get(header..)?.split_first_chunk::<{ IPV4_HEADER as usize }>()?;
    let total = u16::from_be_bytes([ip[2], ip[3]]);
    let is_whole = (ip[6] & 0x3f) | ip[7] == 0;
    let length = total.checked_sub(IPV4_HEADER)?;
    if ip[0] != PLAIN_IPV4 || !is_whole || ip[9] != TCP {
        return None;
    }
    let room = wire_len as usize >= header + usize::from(total);
    let (ports, segment) = segment_of(tcp, length, room, extras)?;
    Some(Express {
        source: u32::from_be_bytes([ip[12], ip[13], ip[14], ip[15]]),
        destination: u32::from_be_bytes([ip[16], ip[17], ip[18], ip[19]]),
        ports,
        segment: Segment {
            header_len: IPV4_HEADER + segment.header_len,
            ip_id: u16::from_be_bytes([ip[4], ip[5]]),
            ttl: ip[8],
            traffic_class: ip[1],
            ..segment
        },
    })
}

/// The same for one that is IPv6.
pub fn express_v6(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    settings: &Settings,
    extras: &mut Option<Extras>,
) -> Option<Express<u128>> {
    let header = before_packet(link, frame, IPV6, *settings)?;
    let (ip, tcp) = frame.get(header..)?.split_first_chunk::<{ IPV6_HEADER as usize }>()?;
    let length = u16::from_be_bytes([ip[4], ip[5]]);
    if ip[0] >> 4 != 6 || ip[6] != TCP || length == 0 {
        return None;
    }
    let room = wire_len as usize >= header + usize::from(IPV6_HEADER) + usize::from(length);
    let (ports, segment) = segment_of(tcp, length, room, extras)?;
    let (addresses, _) = ip.split_last_chunk::<32>()?.1.as_chunks::<16>();
    let [source, destination] = *addresses else { return None };
    Some(Express {
        source: u128::from_be_bytes(source),
        destination: u128::from_be_bytes(destination),
        ports,
        segment: Segment {
            header_len: IPV6_HEADER + segment.header_len,
            ttl: ip[7],
            traffic_class: ip[0] << 4 | ip[1] >> 4,
            ..segment
        },
    })
}

/// Where the packet begins in a frame of the common kind whose `EtherType` is `wanted`.
#[inline]
fn before_packet(
    link: LinkType,
    frame: &[u8],
    wanted: [u8; 2],
    settings: Settings,
) -> Option<usize> {
    if link != ETHERNET || settings.verify_checksums {
        return None;
    }
    match *frame.get(12..ETHERNET_HEADER)? {
        [0x81, 0x00] if *frame.get(16..18)? == wanted => Some(ETHERNET_HEADER + VLAN_TAG),
        [high, low] if [high, low] == wanted => Some(ETHERNET_HEADER),
        _ => None,
    }
}

/// The segment that is the first `length` bytes of `tcp`, or was before these were cut: the frame
/// had `room` for them. Its header's length is that of TCP alone.
#[expect(clippy::inline_always, reason = "measured: part of the loop over a capture's frames")]
#[inline(always)]
fn segment_of(
    tcp: &[u8],
    length: u16,
    room: bool,
    extras: &mut Option<Extras>,
) -> Option<((u16, u16), Segment)> {
    let (fixed, after) = tcp.split_first_chunk::<{ segment::FIXED }>()?;
    let header_len = u16::from(fixed[12] >> 4) * 4;
    let payload_len = u32::from(length.checked_sub(header_len)?);
    let options = after.get(..usize::from(header_len).checked_sub(segment::FIXED)?)?;
    let mut marks = Marks::default();
    if tcp.len() < usize::from(length) {
        if !room {
            return None;
        }
        marks = Marks::CUT_PAYLOAD;
    }
    let timestamps = match segment::timestamps_alone(options) {
        Some(timestamps) => {
            marks = marks.with(Marks::TIMESTAMPS);
            timestamps
        }
        None if options.is_empty() => Timestamps::default(),
        None => segment::options(options, &mut marks, extras),
    };
    let segment = Segment { timestamps, payload_len, header_len, marks, ..segment::fixed(fixed) };
    Some((segment::ports(fixed), segment))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Decoded, Outcome, decode};
    use super::*;

    /// A frame of the common kind: `options` behind the fixed header, then payload.
    fn frame(tag: bool, v6: bool, options: &[u8], payload: usize) -> Vec<u8> {
        let mut frame = vec![2; 12];
        if tag {
            frame.extend([0x81, 0x00, 0x00, 0x07]);
        }
        let length = |header: usize| {
            u16::try_from(header + 20 + options.len() + payload).unwrap().to_be_bytes()
        };
        if v6 {
            let [high, low] = length(0);
            frame.extend([0x86, 0xdd, 0x6b, 0x80, 0, 1, high, low, 6, 63]);
            frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        } else {
            let [high, low] = length(20);
            frame.extend([0x08, 0x00, 0x45, 0xb8, high, low, 0, 9, 0x40, 0, 63, 6, 0, 0]);
            frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        }
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        frame.extend([0x9c, 0x40, 0x01, 0xbb, 0, 0, 1, 0, 0, 0, 2, 0, words << 4, 0x18]);
        frame.extend([1, 2, 3, 4, 0, 0]);
        frame.extend(options);
        frame.extend(vec![0xaa; payload]);
        frame
    }

    /// Whether there is a short way; if so, it says what the long one says.
    fn assert_same(frame: &[u8], wire_len: usize) -> bool {
        let settings = Settings::default();
        let wire_len = u32::try_from(wire_len).unwrap();
        let (mut extras, mut long) = (None, Decoded::default());
        let v4 = express_v4(ETHERNET, frame, wire_len, &settings, &mut extras);
        let short = v4.map(|found| (found.tuple(), found.segment)).or_else(|| {
            let v6 = express_v6(ETHERNET, frame, wire_len, &settings, &mut extras);
            v6.map(|found| (found.tuple(), found.segment))
        });
        let Some((tuple, segment)) = short else { return false };
        let outcome = decode(ETHERNET, frame, wire_len, &settings, &mut long);
        assert_eq!(outcome, Outcome::Segment);
        assert_eq!((tuple, segment), (long.tuple, long.segment));
        assert_eq!((extras.is_some(), extras), (long.has_extras, extras.map(|_| long.extras)));
        assert!(long.tunnel.is_empty());
        true
    }

    #[test]
    fn the_common_frames_go_the_short_way() {
        let stamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let syn = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        for options in [&[][..], &stamps, &syn] {
            for (tag, v6) in [(false, false), (true, false), (false, true), (true, true)] {
                let whole = frame(tag, v6, options, 500);
                let (wire_len, headers) = (whole.len(), whole.len() - 500);
                assert!(assert_same(&whole, wire_len));
                let cut = &whole[..headers + 2];
                assert!(assert_same(cut, wire_len), "cut by the snaplen behind the headers");
                assert!(!assert_same(cut, cut.len()), "cut, and its length forgotten");
                let inside = &whole[..headers - options.len() - 4];
                assert!(!assert_same(inside, wire_len), "cut inside the TCP header");
            }
        }
    }

    proptest! {
        #[test]
        fn the_short_way_says_what_the_long_way_says(
            tag: bool,
            v6: bool,
            options in prop::collection::vec(0_u8..40, 0..10),
            payload in 0_usize..40,
            changes in prop::collection::vec((12_usize..90, any::<u8>()), 0..4),
            cut in 0_usize..20,
            forgotten in prop_oneof![Just(0_usize), 0_usize..20],
        ) {
            let mut bytes = frame(tag, v6, &options.repeat(4), payload);
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            let wire_len = bytes.len() - forgotten.min(payload);
            bytes.truncate(bytes.len() - cut.min(payload));
            assert_same(&bytes, wire_len);
        }
    }
}
