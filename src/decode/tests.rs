//! Frames built by hand, layer by layer, and what they decode to.

use std::io::Write as _;

use super::*;

const CLIENT: u16 = 40_000;

/// A TCP header without options, and 4 bytes of payload.
fn tcp() -> Vec<u8> {
    let mut bytes = CLIENT.to_be_bytes().to_vec();
    bytes.extend([0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    bytes
}

/// An IPv4 packet from 10.0.0.`hosts.0` to 10.0.0.`hosts.1`.
fn v4(protocol: u8, hosts: (u8, u8), payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x45, 0, total[0], total[1], 0, 1, 0x40, 0, 64, protocol, 0, 0];
    bytes.extend([10, 0, 0, hosts.0, 10, 0, 0, hosts.1]);
    bytes.extend(payload);
    bytes
}

/// An IPv6 packet from `2001:db8::a` to `2001:db8::b` for the hosts a and b.
fn v6(next: u8, hosts: (u8, u8), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    for host in [hosts.0, hosts.1] {
        bytes.extend(address(host));
    }
    bytes.extend(payload);
    bytes
}

fn address(host: u8) -> [u8; 16] {
    [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

fn segment_v4() -> Vec<u8> {
    v4(6, (1, 2), &tcp())
}

fn segment_v6() -> Vec<u8> {
    v6(6, (1, 2), &tcp())
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet frame.
fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &kind.to_be_bytes(), payload])
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let words = [50_000, port, length, 0].map(u16::to_be_bytes);
    join(&[words.as_flattened(), payload])
}

fn decoded(link: u32, frame: &[u8], settings: Settings) -> (Outcome, Decoded) {
    let mut out = Decoded::default();
    let length = u32::try_from(frame.len()).unwrap();
    let outcome = decode(LinkType(link), frame, length, &settings, &mut out);
    (outcome, out)
}

/// Kind and id of each tunnel around a segment.
type Layers = [(&'static str, Option<u64>)];

fn kinds(out: &Decoded) -> Vec<(&'static str, Option<u64>)> {
    out.tunnel.iter().map(|layer| (layer.kind, layer.id)).collect()
}

/// Frames of every link type with the same segment inside; the addresses are the inner ones.
fn links() -> Vec<(&'static str, u32, Vec<u8>)> {
    let (four, six) = (segment_v4(), segment_v6());
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &four]);
    let length = |payload: &[u8]| u16::try_from(payload.len()).unwrap();
    let wlan = join(&[&[0x08, 1], &[0; 22], &snap]);
    let wlan_qos = join(&[&[0x88, 1], &[0; 22], &[0, 0], &snap]);
    let subframe = |inner: &[u8]| {
        let mut bytes = join(&[&[0; 12], &length(inner).to_be_bytes(), inner]);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let aggregated = join(&[&[0x88, 1], &[0; 22], &[0x80, 0], &subframe(&snap)]);
    let radiotap = join(&[&[0, 0, 8, 0, 0, 0, 0, 0], &wlan]);
    let tagged = |times: usize| {
        let tags = [0x81, 0, 0, 5].repeat(times);
        join(&[&[0; 12], &tags, &[8, 0], &four])
    };
    vec![
        ("Ethernet II", 1, ethernet(0x0800, &four)),
        ("Ethernet II with IPv6", 1, ethernet(0x86dd, &six)),
        ("Ethernet II with padding", 1, join(&[&ethernet(0x0800, &four), &[0; 6]])),
        ("802.3 with LLC and SNAP", 1, ethernet(length(&snap), &snap)),
        ("one VLAN tag", 1, tagged(1)),
        ("five VLAN tags", 1, tagged(5)),
        ("provider bridge", 1, join(&[&[0; 12], &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 5, 8, 0], &four])),
        ("MPLS", 1, ethernet(0x8847, &join(&[&[0, 1, 0, 64, 0, 1, 1, 64], &four]))),
        (
            "MPLS pseudowire with a control word",
            1,
            ethernet(0x8847, &join(&[&[0, 1, 1, 64, 0, 0, 0, 0], &ethernet(0x0800, &four)])),
        ),
        ("PPPoE", 1, ethernet(0x8864, &join(&[&[0x11, 0, 0, 7, 0, 0, 0, 0x21], &four]))),
        ("PPP", 9, join(&[&[0xff, 3, 0, 0x21], &four])),
        ("PPP with a short protocol", 9, join(&[&[0x21], &four])),
        ("PPP in HDLC framing", 50, join(&[&[0xff, 3, 0, 0x57], &six])),
        ("Cisco HDLC", 104, join(&[&[0x0f, 0, 8, 0], &four])),
        ("Frame Relay", 107, join(&[&[0x18, 0x41, 3, 0xcc], &four])),
        ("SLL", 113, join(&[&[0, 0, 0, 1, 0, 6], &[0; 8], &[8, 0], &four])),
        ("SLL2", 276, join(&[&[0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1], &[0; 10], &six])),
        ("NULL, little-endian", 0, join(&[&[2, 0, 0, 0], &four])),
        ("NULL, big-endian", 0, join(&[&[0, 0, 0, 2], &four])),
        ("NULL with the IPv6 of macOS", 0, join(&[&[30, 0, 0, 0], &six])),
        ("LOOP", 108, join(&[&[0, 0, 0, 24], &six])),
        ("raw 12", 12, four.clone()),
        ("raw 14", 14, six.clone()),
        ("raw 101", 101, four.clone()),
        ("raw IPv4", 228, four.clone()),
        ("raw IPv6", 229, six.clone()),
        ("802.11", 105, wlan.clone()),
        ("802.11 with quality of service", 105, wlan_qos),
        ("A-MSDU", 105, aggregated),
        ("radiotap", 127, radiotap),
        ("Prism", 119, join(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0; 136], &wlan])),
        ("AVS", 163, join(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &wlan])),
        (
            "PKTAP",
            258,
            join(&[&[108, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], &[0; 96], &ethernet(0x0800, &four)]),
        ),
        ("NFLOG", 239, join(&[&[2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 1, 0, 48, 0, 9, 0], &four])),
        ("IPoIB", 242, join(&[&[0; 40], &[8, 0, 0, 0], &four])),
        ("ENC", 109, join(&[&[2, 0, 0, 0], &[0; 8], &four])),
        ("PFLOG", 117, join(&[&[61, 2], &[0; 62], &four])),
        ("DOCSIS", 143, join(&[&[0, 0, 0, 60, 0, 0], &ethernet(0x0800, &four)])),
        ("PPI", 192, join(&[&[0, 0, 8, 0, 1, 0, 0, 0], &ethernet(0x0800, &four)])),
    ]
}

/// Tunnels with the same segment inside, and the layers that are noted.
fn tunnels() -> Vec<(&'static str, Vec<u8>, &'static Layers)> {
    let (four, six) = (segment_v4(), segment_v6());
    let frame = ethernet(0x0800, &four);
    let over_udp = |port, payload: &[u8]| v4(17, (8, 9), &udp(port, payload));
    let gre = |header: &[u8], inner: &[u8]| v4(47, (8, 9), &join(&[header, inner]));
    let deflated = {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&tcp()).unwrap();
        encoder.finish().unwrap()
    };
    let routing = join(&[&[6, 2, 4, 1, 0, 0, 0, 0], &address(2)]);
    let way = join(&[&[41, 2, 4, 0, 0, 0, 0, 0], &address(2), &six]);
    vec![
        ("IP in IP", v4(4, (8, 9), &four), &[("ipip", None)]),
        ("6in4", v4(41, (8, 9), &six), &[("6in4", None)]),
        ("4in6", v6(4, (8, 9), &four), &[("4in6", None)]),
        ("6in6", v6(41, (8, 9), &six), &[("6in6", None)]),
        ("GRE", gre(&[0, 0, 8, 0], &four), &[("gre", None)]),
        (
            "GRE with checksum, key and sequence",
            gre(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1], &four),
            &[("gre", Some(77))],
        ),
        ("GRE with a frame", gre(&[0, 0, 0x65, 0x58], &frame), &[("gre", None)]),
        ("NVGRE", gre(&[0x20, 0, 0x65, 0x58, 0, 0x20, 1, 9], &frame), &[("nvgre", Some(0x2001))]),
        ("ERSPAN I", gre(&[0, 0, 0x88, 0xbe], &frame), &[("erspan", None)]),
        (
            "ERSPAN II",
            gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 100, 0, 0, 0, 0], &frame),
            &[("erspan", Some(100))],
        ),
        (
            "ERSPAN III",
            gre(&join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 100], &[0; 8]]), &frame),
            &[("erspan", Some(100))],
        ),
        (
            "VXLAN",
            over_udp(4789, &join(&[&[8, 0, 0, 0, 0, 16, 0x92, 0], &frame])),
            &[("vxlan", Some(4242))],
        ),
        (
            "VXLAN-GPE",
            over_udp(4790, &join(&[&[0x0c, 0, 0, 1, 0, 16, 0x92, 0], &four])),
            &[("vxlan", Some(4242))],
        ),
        (
            "GENEVE with options",
            over_udp(6081, &join(&[&[2, 0, 0x65, 0x58, 0, 0, 7, 0], &[0; 8], &frame])),
            &[("geneve", Some(7))],
        ),
        (
            "GTP-U with an extension",
            over_udp(
                2152,
                &join(&[&[0x34, 255, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0x85, 1, 0, 9, 0], &four]),
            ),
            &[("gtp-u", None)],
        ),
        ("Teredo", over_udp(3544, &six), &[("teredo", None)]),
        ("L2TPv3", v4(115, (8, 9), &join(&[&[0, 0, 0, 9, 1, 2, 3, 4], &frame])), &[("l2tp", None)]),
        ("MPLS in UDP", over_udp(6635, &join(&[&[0, 1, 1, 64], &four])), &[("mpls", None)]),
        ("AH", v4(51, (1, 2), &join(&[&[6, 4], &[0; 22], &tcp()])), &[]),
        ("hop-by-hop", v6(0, (1, 2), &join(&[&[6, 0, 1, 4, 0, 0, 0, 0], &tcp()])), &[]),
        ("routing header with segments left", v6(43, (1, 3), &join(&[&routing, &tcp()])), &[]),
        ("segment routing around a packet", v6(43, (8, 9), &way), &[]),
        ("IPComp", v4(108, (1, 2), &join(&[&[6, 0, 0, 2], &deflated])), &[]),
        (
            "tenants in tunnels in tunnels",
            over_udp(
                4789,
                &join(&[&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(0x0800, &v4(4, (6, 7), &four))]),
            ),
            &[("vxlan", Some(7)), ("ipip", None)],
        ),
    ]
}

fn assert_inner(name: &str, outcome: &Outcome, out: &Decoded) {
    assert_eq!(*outcome, Outcome::Segment, "{name}");
    let ends = [out.tuple.source, out.tuple.destination].map(|end| match end.address {
        IpAddr::V4(address) => (address.octets()[3], end.port),
        IpAddr::V6(address) => (address.octets()[15], end.port),
    });
    assert_eq!(ends, [(1, CLIENT), (2, 80)], "{name}");
    assert_eq!((out.segment.seq.0, out.segment.payload_len), (7, 4), "{name}");
}

#[test]
fn every_link_type_gives_the_segment_inside() {
    for (name, link, frame) in links() {
        let (outcome, out) = decoded(link, &frame, Settings::default());
        assert_inner(name, &outcome, &out);
        assert!(out.tunnel.is_empty(), "{name}");
    }
}

#[test]
fn every_tunnel_gives_the_segment_inside_and_what_tells_it_apart() {
    for (name, packet, layers) in tunnels() {
        let (outcome, out) = decoded(101, &packet, Settings::default());
        assert_inner(name, &outcome, &out);
        assert_eq!(kinds(&out), layers, "{name}");
    }
}

#[test]
fn both_directions_of_a_tunnel_are_one() {
    let there = v4(4, (8, 9), &segment_v4());
    let back = v4(4, (9, 8), &v4(6, (2, 1), &tcp()));
    let tunnel = |packet| decoded(101, packet, Settings::default()).1.tunnel;
    assert_eq!(tunnel(&there), tunnel(&back));
    assert_ne!(tunnel(&there), tunnel(&v4(4, (8, 7), &segment_v4())), "another outer address");
}

#[test]
fn without_tunnels_only_the_outer_headers_count() {
    let settings = Settings { tunnels: false, ..Settings::default() };
    for (name, packet, layers) in tunnels() {
        let (outcome, _) = decoded(101, &packet, settings);
        let is_tunnel = !layers.is_empty() || name == "segment routing around a packet";
        assert_eq!(matches!(outcome, Outcome::Skip(_)), is_tunnel, "{name}: {outcome:?}");
    }
    for (name, link, frame) in links() {
        assert_inner(name, &decoded(link, &frame, settings).0, &decoded(link, &frame, settings).1);
    }
}

/// A frame that the snaplen cut anywhere is a skip, or the same segment with the same lengths.
#[test]
fn a_cut_changes_no_address_and_no_length() {
    let tunnels = tunnels().into_iter().map(|(name, packet, _)| (name, 101, packet));
    for (name, link, frame) in links().into_iter().chain(tunnels) {
        let length = u32::try_from(frame.len()).unwrap();
        for cut in 0..frame.len() {
            let mut out = Decoded::default();
            let kept = &frame[..cut];
            match decode(LinkType(link), kept, length, &Settings::default(), &mut out) {
                outcome @ Outcome::Segment => assert_inner(name, &outcome, &out),
                Outcome::Skip(_) => {}
                other => panic!("{name} cut at {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn nested_bombs_are_given_up_at_the_bound_of_layers() {
    let too_deep = Outcome::Skip(Skip::NestedTooDeep);
    let tags = join(&[&[0; 12], &[0x81, 0, 0, 1].repeat(2_000), &[8, 0], &segment_v4()]);
    assert_eq!(decoded(1, &tags, Settings::default()).0, too_deep);
    let labels = ethernet(0x8847, &[0, 1, 0, 64].repeat(2_000));
    assert_eq!(decoded(1, &labels, Settings::default()).0, too_deep);
    let mut packet = segment_v4();
    for _ in 0..200 {
        packet = v4(4, (8, 9), &packet);
    }
    assert_eq!(decoded(101, &packet, Settings::default()).0, too_deep);
    let mut way = segment_v6();
    for _ in 0..200 {
        way = v6(43, (8, 9), &join(&[&[41, 2, 4, 0, 0, 0, 0, 0], &address(2), &way]));
    }
    assert_eq!(decoded(101, &way, Settings::default()).0, too_deep);
}

#[test]
fn compression_inside_compression_is_not_opened() {
    let deflate = |bytes: &[u8]| {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        join(&[&[108, 0, 0, 2], &encoder.finish().unwrap()])
    };
    let twice = deflate(&deflate(&tcp()));
    let outcome = decoded(101, &v4(108, (1, 2), &twice), Settings::default()).0;
    assert_eq!(outcome, Outcome::Skip(Skip::Compressed));
}

#[test]
fn offloaded_packets_take_their_length_from_the_frame() {
    let mut packet = segment_v4();
    packet[2..4].fill(0);
    let (outcome, out) = decoded(101, &packet, Settings::default());
    assert_inner("IPv4", &outcome, &out);
    assert!(out.segment.marks.contains(crate::tcp::Marks::GUESSED_LENGTH));
    let mut packet = segment_v6();
    packet[4..6].fill(0);
    assert_inner("IPv6", &outcome, &decoded(101, &packet, Settings::default()).1);
}

#[test]
fn a_jumbogram_has_the_length_of_its_option() {
    let length = 8 + 24 + 70_000_u32;
    let [a, b, c, d] = length.to_be_bytes();
    let mut packet = v6(0, (1, 2), &join(&[&[6, 0, 0xc2, 4, a, b, c, d], &tcp()]));
    packet[4..6].fill(0);
    let mut out = Decoded::default();
    let wire = 40 + length;
    let outcome = decode(LinkType(101), &packet, wire, &Settings::default(), &mut out);
    assert_eq!((outcome, out.segment.payload_len), (Outcome::Segment, 70_004));
}

#[test]
fn an_icmp_error_names_the_segment_that_it_quotes() {
    let quote = &segment_v4()[..28];
    let message = join(&[&[3, 4, 0, 0, 0, 0, 5, 120], quote]);
    let (outcome, _) = decoded(101, &v4(1, (9, 1), &message), Settings::default());
    let Outcome::Quote(quote) = outcome else { panic!("{outcome:?}") };
    assert_eq!((quote.tuple.source.port, quote.tuple.destination.port), (CLIENT, 80));
    assert_eq!((quote.error.mtu, quote.error.seq), (Some(1_400), Some(crate::tcp::Seq(7))));
    assert_eq!(quote.error.reporter, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
    let message = join(&[&[1, 3, 0, 0, 0, 0, 0, 0], &segment_v6()[..48]]);
    let (outcome, _) = decoded(101, &v6(58, (9, 1), &message), Settings::default());
    let Outcome::Quote(quote) = outcome else { panic!("{outcome:?}") };
    assert_eq!(quote.error.to_string(), "host unreachable from 2001:db8::9");
}
