//! The short way for the frames that nearly every capture consists of: Ethernet, with or without
//! one VLAN tag, IPv4 without options or fragments, TCP.
//!
//! Says exactly what [`decode`](super::decode) says, or nothing; then the long way is taken. A test
//! holds the two against each other.

use super::{Settings, segment};
use crate::capture::LinkType;
use crate::tcp::{Endpoint, Extras, FourTuple, Marks, Segment, Timestamps};
use std::net::Ipv4Addr;

/// A segment between two IPv4 addresses, outside tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Express {
    /// Sender's address.
    pub source: u32,
    /// Receiver's address.
    pub destination: u32,
    /// Sender's port, then receiver's.
    pub ports: (u16, u16),
    /// The segment; its time and frame are the caller's to fill.
    pub segment: Segment,
}

impl Express {
    /// Addresses and ports in the direction of travel.
    #[must_use]
    pub fn tuple(&self) -> FourTuple {
        let endpoint =
            |address, port| Endpoint { address: Ipv4Addr::from_bits(address).into(), port };
        FourTuple {
            source: endpoint(self.source, self.ports.0),
            destination: endpoint(self.destination, self.ports.1),
        }
    }
}

const ETHERNET: LinkType = LinkType(1);
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const IPV4_HEADER: u16 = 20;
/// Version 4, and a header without options.
const PLAIN_IPV4: u8 = 0x45;
const TCP: u8 = 6;

/// Decodes a frame that is of the common kind. Options besides timestamps go to `extras`, which is
/// left alone where there are none.
///
/// Perf: `benches/stages.rs`, decode: a third of the instructions of the long way, which goes
/// through every layer that there could be and keeps addresses of either family.
#[inline]
pub fn express(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    settings: &Settings,
    extras: &mut Option<Extras>,
) -> Option<Express> {
    if link != ETHERNET || settings.verify_checksums {
        return None;
    }
    let mut header = ETHERNET_HEADER;
    match frame.get(12..ETHERNET_HEADER)? {
        [0x08, 0x00] => {}
        [0x81, 0x00] if frame.get(16..18)? == [0x08, 0x00] => header += VLAN_TAG,
        _ => return None,
    }
    let packet = frame.get(header..)?;
    let (ip, rest) = packet.split_first_chunk::<{ IPV4_HEADER as usize }>()?;
    let (fixed, after) = rest.split_first_chunk::<{ segment::FIXED }>()?;
    let total = u16::from_be_bytes([ip[2], ip[3]]);
    let is_whole = (ip[6] & 0x3f) | ip[7] == 0;
    let length = total.checked_sub(IPV4_HEADER)?;
    let header_len = u16::from(fixed[12] >> 4) * 4;
    if ip[0] != PLAIN_IPV4 || !is_whole || ip[9] != TCP || header_len > length {
        return None;
    }
    let options = after.get(..usize::from(header_len).checked_sub(segment::FIXED)?)?;
    let mut marks = Marks::default();
    if rest.len() < usize::from(length) {
        if (wire_len as usize) < header + usize::from(total) {
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
    Some(Express {
        source: u32::from_be_bytes([ip[12], ip[13], ip[14], ip[15]]),
        destination: u32::from_be_bytes([ip[16], ip[17], ip[18], ip[19]]),
        ports: segment::ports(fixed),
        segment: Segment {
            timestamps,
            payload_len: u32::from(length - header_len),
            header_len: IPV4_HEADER + header_len,
            ip_id: u16::from_be_bytes([ip[4], ip[5]]),
            ttl: ip[8],
            traffic_class: ip[1],
            marks,
            ..segment::fixed(fixed)
        },
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::super::{Decoded, Outcome, decode};
    use super::*;

    /// A frame of the common kind: `options` behind the fixed header, then payload.
    fn frame(tag: bool, options: &[u8], payload: usize) -> Vec<u8> {
        let mut frame = vec![2; 12];
        if tag {
            frame.extend([0x81, 0x00, 0x00, 0x07]);
        }
        frame.extend([0x08, 0x00]);
        let total = u16::try_from(40 + options.len() + payload).unwrap().to_be_bytes();
        frame.extend([0x45, 0xb8, total[0], total[1], 0, 9, 0x40, 0, 63, 6, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        frame.extend([0x9c, 0x40, 0x01, 0xbb, 0, 0, 1, 0, 0, 0, 2, 0, words << 4, 0x18]);
        frame.extend([1, 2, 3, 4, 0, 0]);
        frame.extend(options);
        frame.extend(vec![0xaa; payload]);
        frame
    }

    /// What both ways say; none where the short way says nothing.
    fn both(frame: &[u8], wire_len: usize) -> Option<(Express, Option<Extras>, Outcome, Decoded)> {
        let (mut extras, mut long) = (None, Decoded::default());
        let settings = Settings::default();
        let wire_len = u32::try_from(wire_len).unwrap();
        let short = express(ETHERNET, frame, wire_len, &settings, &mut extras)?;
        let outcome = decode(ETHERNET, frame, wire_len, &settings, &mut long);
        Some((short, extras, outcome, long))
    }

    fn assert_same(frame: &[u8], wire_len: usize) -> bool {
        let Some((short, extras, outcome, long)) = both(frame, wire_len) else { return false };
        assert_eq!(outcome, Outcome::Segment);
        let address = |bits| IpAddr::V4(Ipv4Addr::from_bits(bits));
        let (source, destination) = (long.tuple.source, long.tuple.destination);
        assert_eq!((address(short.source), short.ports.0), (source.address, source.port));
        let receiver = (address(short.destination), short.ports.1);
        assert_eq!(receiver, (destination.address, destination.port));
        assert_eq!(short.segment, long.segment);
        assert_eq!((extras.is_some(), extras), (long.has_extras, extras.map(|_| long.extras)));
        assert!(long.tunnel.is_empty());
        true
    }

    #[test]
    fn the_common_frames_go_the_short_way() {
        let stamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let syn = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        for options in [&[][..], &stamps, &syn] {
            for tag in [false, true] {
                let whole = frame(tag, options, 500);
                let wire_len = whole.len();
                assert!(assert_same(&whole, wire_len));
                assert!(
                    assert_same(&whole[..96], wire_len),
                    "cut by the snaplen behind the headers"
                );
                assert!(!assert_same(&whole[..50], wire_len), "cut inside the TCP header");
                assert!(!assert_same(&whole[..96], 96), "cut, and its length forgotten");
            }
        }
    }

    proptest! {
        #[test]
        fn the_short_way_says_what_the_long_way_says(
            tag: bool,
            options in prop::collection::vec(0_u8..40, 0..10),
            payload in 0_usize..40,
            changes in prop::collection::vec((12_usize..70, any::<u8>()), 0..4),
            cut in 0_usize..20,
            forgotten in prop_oneof![Just(0_usize), 0_usize..20],
        ) {
            let mut bytes = frame(tag, &options.repeat(4), payload);
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
