//! Tests of generated captures: determinism, and what another reader finds in them.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use super::*;

fn capture(shape: Shape, packets: u64, seed: u64) -> (Totals, Vec<u8>) {
    let mut bytes = Vec::new();
    let totals = generate(shape, packets, seed, &mut bytes).unwrap();
    (totals, bytes)
}

/// Times, flags and tuples of the segments, by other parsers.
fn segments(capture: &[u8]) -> Vec<(u128, u8, String)> {
    let mut reader = pcap_file::pcap::PcapReader::new(capture).unwrap();
    let mut found = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let sliced = etherparse::SlicedPacket::from_ethernet(&packet.data).unwrap();
        let Some(etherparse::TransportSlice::Tcp(tcp)) = &sliced.transport else { continue };
        let (name, checksum) = match sliced.net.as_ref().unwrap() {
            etherparse::NetSlice::Ipv4(ip) => (
                format!("{:?}>{:?}", ip.header().source_addr(), ip.header().destination_addr()),
                tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()),
            ),
            etherparse::NetSlice::Ipv6(ip) => (
                format!("{:?}>{:?}", ip.header().source_addr(), ip.header().destination_addr()),
                tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()),
            ),
            etherparse::NetSlice::Arp(_) => continue,
        };
        assert_eq!(checksum.unwrap(), tcp.checksum());
        let flags = tcp.slice()[13];
        let name = format!("{name} {}>{}", tcp.source_port(), tcp.destination_port());
        found.push((packet.timestamp.as_nanos(), flags, name));
    }
    found
}

#[test]
fn the_same_seed_gives_the_same_first_megabyte_of_every_shape() {
    let mut digests = BTreeMap::new();
    for name in Shape::NAMES {
        let shape = Shape::named(name).unwrap();
        let (_, bytes) = capture(shape, 20_000, 7);
        let head = &bytes[..bytes.len().min(1 << 20)];
        let digest: String = Sha1::digest(head)
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let (_, other) = capture(shape, 20_000, 8);
        assert_ne!(bytes, other, "{name}: the seed changes nothing");
        digests.insert(name, digest);
    }
    // Whoever changes a generator changes these on purpose: recorded measurements name seeds.
    insta::assert_debug_snapshot!(digests);
}

#[test]
fn every_shape_has_the_wanted_number_of_frames_in_every_format() {
    for name in Shape::NAMES {
        for format in [Format::Pcap, Format::PcapNanos, Format::Pcapng] {
            let shape = Shape { format, ..Shape::named(name).unwrap() };
            let (totals, bytes) = capture(shape, 3_000, 1);
            assert_eq!((totals.frames, totals.bytes), (3_000, bytes.len() as u64), "{name}");
            let mut frames = 0;
            if format == Format::Pcapng {
                let mut reader = pcap_file::pcapng::PcapNgReader::new(&bytes[..]).unwrap();
                while let Some(block) = reader.next_block() {
                    let packet = block.unwrap().into_enhanced_packet();
                    frames += u64::from(packet.is_some());
                }
            } else {
                let mut reader = pcap_file::pcap::PcapReader::new(&bytes[..]).unwrap();
                while let Some(packet) = reader.next_packet() {
                    packet.unwrap();
                    frames += 1;
                }
            }
            assert_eq!(frames, 3_000, "{name} {format:?}");
        }
    }
}

#[test]
fn a_mix_holds_whole_lives_in_order_of_time_with_valid_checksums() {
    let (totals, bytes) = capture(Shape::new(Traffic::Mix), 200_000, 3);
    let found = segments(&bytes);
    assert_eq!(found.len() as u64, totals.segments);
    assert!(totals.segments < totals.frames, "no noise");
    assert!(found.is_sorted_by_key(|(time, ..)| *time));
    let count = |flags: u8| found.iter().filter(|(_, found, _)| *found == flags).count();
    let (syn, fin, reset) = (count(0x02), count(0x11), count(0x14));
    assert!(syn > 3_000 && fin > 1_000 && reset > 100, "{syn} SYNs, {fin} FINs, {reset} resets");
    assert!(found.iter().any(|(.., name)| name.contains("2001:db8")), "no IPv6");
    let opened: BTreeSet<&String> =
        found.iter().filter(|(_, flags, _)| *flags == 0x02).map(|(.., name)| name).collect();
    assert_eq!(opened.len() as u64, totals.connections, "a tuple was used twice");
}

#[test]
fn a_flood_comes_from_distinct_sources_and_fills_the_backlog_once() {
    let (totals, bytes) = capture(Shape::new(Traffic::Flood { answered: true }), 500_000, 1);
    let found = segments(&bytes);
    assert!(found.is_sorted_by_key(|(time, ..)| *time));
    let sources: BTreeSet<&String> =
        found.iter().filter(|(_, flags, _)| *flags == 0x02).map(|(.., name)| name).collect();
    assert_eq!(sources.len() as u64, totals.connections);
    let answers = found.iter().filter(|(_, flags, _)| *flags == 0x12).count();
    // Nearly five seconds: first SYN-ACKs, and retries after one and three seconds.
    assert_eq!(answers, 3 * 1_024);
}

#[test]
fn a_snaplen_cuts_the_frames_and_keeps_their_lengths() {
    let whole = Shape::new(Traffic::FewLarge);
    let (_, long) = capture(whole, 5_000, 1);
    let (_, short) = capture(Shape { snaplen: 96, ..whole }, 5_000, 1);
    assert!(short.len() <= 24 + 5_000 * (16 + 96) && long.len() > 10 * short.len());
    let original = u32::from_le_bytes(short[24 + 12..24 + 16].try_into().unwrap());
    assert_eq!(original, 74);
}
