//! Tests of the language and of the compiled bytes, read back by other parsers.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Format, Scenario};
use crate::stamp::Span;
use crate::tcp::{Extras, Flags, FourTuple, Segment, Seq};

const HEAD: &str = "# test\nclient 10.0.0.1:40000\nserver 10.0.0.2:80\n";

fn parse(body: &str) -> Scenario {
    Scenario::parse(&format!("{HEAD}{body}")).unwrap()
}

fn segments(body: &str) -> Vec<(FourTuple, Segment, Extras)> {
    parse(body).segments().collect()
}

/// The error's line, column and message; the head has three lines.
fn failure(body: &str) -> (u32, u32, String) {
    let error = Scenario::parse(&format!("{HEAD}{body}")).unwrap_err();
    (error.line, error.column, error.message)
}

/// Times in nanoseconds and bytes of the records of a classic capture, by another reader.
fn records(capture: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut reader = pcap_file::pcap::PcapReader::new(capture).unwrap();
    let mut records = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let nanos = i64::try_from(packet.timestamp.as_nanos()).unwrap();
        records.push((nanos, packet.data.into_owned()));
    }
    records
}

fn scenario_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .flat_map(|group| std::fs::read_dir(group.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn numbers_are_relative_to_the_isn_of_the_side_they_belong_to() {
    let found = segments(
        "isn client 4294967295\nisn server 500\n\
         +0.25 > S 0:0(0) win 100 <mss 1460,nop,wscale 7>\n\
         +0.25 < S. 0:0(0) ack 1 <sackOK,TS val 7 ecr 8>\n\
         +0 < . 1:1(0) ack 1 <nop,nop,sack 11:21 31:41>\n\
         +0 < R. =0:0(0) ack 1\n",
    );
    let numbers: Vec<_> = found.iter().map(|(_, segment, _)| (segment.seq, segment.ack)).collect();
    assert_eq!(
        numbers,
        [(Seq(u32::MAX), Seq(0)), (Seq(500), Seq(0)), (Seq(501), Seq(0)), (Seq(0), Seq(0))]
    );
    assert_eq!(found[0].2.syn.window_scale, Some(7));
    assert_eq!(found[1].1.timestamps().map(|stamps| (stamps.value, stamps.echo)), Some((7, 8)));
    assert_eq!(found[2].2.sack.as_slice()[1].left, Seq(30));
    assert_eq!(found[1].1.time.since(found[0].1.time), Span::from_millis(250));
    assert_eq!((found[0].1.window, found[3].1.window), (100, 0));
    assert_eq!(found[0].0, found[1].0.reversed());
}

#[test]
fn flags_are_the_letters_of_tcpdump() {
    let found = segments("+0 > SEW 0:0(0)\n+0 > none 0:0(0)\n+0 > FPU 0:0(0) urg 3\n");
    let flags: Vec<Flags> = found.iter().map(|(_, segment, _)| segment.flags).collect();
    assert_eq!(
        flags,
        [
            Flags::SYN | Flags::ECE | Flags::CWR,
            Flags::default(),
            Flags::FIN | Flags::PSH | Flags::URG
        ]
    );
}

#[test]
fn repeated_blocks_interleave_by_time_and_restore_the_flow() {
    let found = segments(
        "repeat 2 every 0.1 as i {\nclient 10.0.1.{i+1}:{50000+i}\n+0 > S 0:0(0)\n\
         +1 > S 0:0(0)\n}\n+0.5 > S 0:0(0)\n",
    );
    let seen: Vec<(u16, i64)> = found
        .iter()
        .map(|(tuple, segment, _)| {
            (tuple.source.port, segment.time.since(found[0].1.time).nanos() / 1_000_000)
        })
        .collect();
    assert_eq!(seen, [(50_000, 0), (50_001, 100), (50_000, 1000), (50_001, 1100), (40_000, 1600)]);
    assert_eq!(found[1].0.source.address, "10.0.1.2".parse::<IpAddr>().unwrap());
}

#[test]
fn errors_name_the_line_and_column_as_written() {
    for (body, line, column, part) in [
        ("+0 > S 0:0(1)\n", 4, 8, "do not end at"),
        ("+0 > SX 0:0(0)\n", 4, 7, "`X`"),
        ("+0 > SS 0:0(0)\n", 4, 7, "twice"),
        ("+0 > . 0:0(0)\n", 4, 14, "without `ack`"),
        ("+0 > S 0:0(0) ack 1\n", 4, 20, "without the flag"),
        ("+0 ? S 0:0(0)\n", 4, 4, "expected `>`"),
        ("+0 > S 0:0(0) win 65536\n", 4, 19, "too large"),
        ("+0 > S 0:0(0) <mss 1,bad>\n", 4, 22, "`bad`"),
        ("+0 > S 0:0(0) <mss 1\n", 4, 21, "expected `,`"),
        ("+0 > S 0:0(0) <md5,md5,md5>\n", 4, 16, "40 bytes"),
        ("+0 > S 0:0(0) fast\n", 4, 15, "no attribute"),
        ("\n\n+x > S 0:0(0)\n", 6, 2, "seconds"),
        ("+0 web > S 0:0(0)\n", 4, 4, "`web`"),
        ("client 10.0.0.1\n", 4, 8, "ADDRESS:PORT"),
        ("client [::1]:5\n+0 > S 0:0(0)\n", 5, 4, "IP versions"),
        ("hello\n", 4, 1, "`hello`"),
        ("}\n", 4, 1, "without a block"),
        ("repeat 2 {\n", 4, 1, "no `}`"),
        ("repeat 2 as i {\n+0 > S {i}:{i}(0) win {i}{i}x 7\n}\n", 5, 29, "`x`"),
        ("repeat 2 as i {\n+0 > S {k}:0(0)\n}\n", 5, 8, "`k`"),
        ("repeat 100001 {\n}\n", 4, 8, "repetitions"),
        ("repeat 1 {\nrepeat 1 {\nrepeat 1 {\nrepeat 1 {\nrepeat 1 {\n", 8, 8, "nested"),
        ("repeat 100000 {\nrepeat 100000 {\nclient 1.1.1.1:1\n}\n}\n", 6, 1, "executed"),
        ("repeat 100000 {\nrepeat 5 {\n+0 > S 0:0(0)\n}\n}\n", 6, 14, "frames"),
        ("repeat 5000 {\n+0 > . 1:65001(65000) ack 1\n}\n", 5, 28, "bytes in all"),
        ("+0 > . 1:65501(65500) ack 1\n", 4, 8, "payload"),
        ("start 1960-01-01T00:00:00Z\n", 4, 7, "1970"),
        ("snaplen 0\n", 4, 9, "snaplen"),
        ("format cap\n", 4, 8, "pcapng"),
        ("+0 frame abc\n", 4, 10, "odd"),
    ] {
        let (at_line, at_column, message) = failure(body);
        assert_eq!((at_line, at_column), (line, column), "{body}: {message}");
        assert!(message.contains(part), "{body}: {message}");
    }
}

#[test]
fn the_first_line_says_what_is_verified() {
    assert_eq!(parse("").title(), "test");
    for text in ["", "client 10.0.0.1:1\n", "# \n", "\n# x\n"] {
        assert_eq!(Scenario::parse(text).unwrap_err().line, 1, "{text:?}");
    }
}

#[test]
fn another_reader_finds_every_segment_in_the_compiled_capture() {
    let scenario = parse(
        "format pcap-ns\n+0.000000001 > S 0:0(0) <mss 1460>\n+0 frame ffff\n\
         +1 > P. 1:11(10) ack 1 dup ttl 9 tos 3 id 77\n",
    );
    let records = records(&scenario.compile());
    assert_eq!(records.len(), 4);
    assert_eq!(records[0].0 % 1_000_000_000, 1);
    assert_eq!(records[2].1, records[3].1);
    let numbers: Vec<u64> = scenario.segments().map(|(.., s)| s).zip(1..).map(|(_, n)| n).collect();
    assert_eq!(numbers.len(), 3);
    for (_, segment, _) in scenario.segments() {
        let record = &records[usize::try_from(segment.frame.number()).unwrap() - 1];
        let sliced = etherparse::SlicedPacket::from_ethernet(&record.1).unwrap();
        let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        assert_eq!(segment.time.nanos(), record.0);
        assert_eq!(segment.checksum, tcp.checksum());
        assert_eq!(segment.payload_len as usize, tcp.payload().len());
        assert_eq!(segment.seq, Seq(tcp.sequence_number()));
    }
}

#[test]
fn a_cut_frame_keeps_its_lengths_and_is_marked() {
    use crate::tcp::Marks;
    let found = segments(
        "+0 > S 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0> cut 58\n\
         +0 > P. 1:101(100) ack 1 cut 60\n+0 > P. 1:101(100) ack 1 cut 40\n\
         +0 > P. 1:101(100) ack 1 badsum\n",
    );
    assert_eq!(found.len(), 3);
    assert!(found[0].1.marks.contains(Marks::CUT_HEADER));
    assert_eq!((found[0].2.syn.mss, found[0].2.syn.sack_permitted), (Some(1460), false));
    assert!(found[1].1.marks.contains(Marks::CUT_PAYLOAD));
    assert_eq!(found[1].1.payload_len, 100);
    assert_eq!(found[2].1.frame.number(), 4);
    assert!(found[2].1.marks.contains(Marks::BAD_CHECKSUM.with(Marks::CHECKSUM_VERIFIED)));
}

#[test]
fn a_damaged_file_differs_only_where_it_was_asked_to() {
    let body = "+0 > S 0:0(0)\n+0 > S 0:0(0)\n";
    let whole = parse(body).compile();
    assert_eq!(parse(&format!("truncate 10\n{body}")).compile(), whole[..whole.len() - 10]);
    let damaged = parse(&format!("overwrite 2 8 ffffff7f\n{body}")).compile();
    let second = 24 + 16 + 54;
    assert_eq!(damaged[second + 8..second + 12], [0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(damaged.len(), whole.len());
    assert_eq!(damaged.iter().zip(&whole).filter(|(a, b)| a != b).count(), 4);
}

#[test]
fn transforms_change_what_they_say_and_nothing_else() {
    let scenario = parse("+0 > S 0:0(0)\n+0.5 < S. 0:0(0) ack 1 <nop,nop,sack 5:6>\n");
    let plain: Vec<_> = scenario.segments().collect();

    let shifted: Vec<_> = scenario.clone().with_isn_shift(5, 7).segments().collect();
    assert_eq!(shifted[0].1.seq, plain[0].1.seq.plus(5));
    assert_eq!(shifted[1].1.seq, plain[1].1.seq.plus(7));
    assert_eq!(shifted[1].1.ack, plain[1].1.ack.plus(5));
    assert_eq!(shifted[1].2.sack.as_slice()[0].left, plain[1].2.sack.as_slice()[0].left.plus(5));

    let later: Vec<_> = scenario.clone().with_time_shift(Span::from_secs(9)).segments().collect();
    assert_eq!(later[1].1.time.since(plain[1].1.time), Span::from_secs(9));
    assert_eq!(Segment { time: plain[1].1.time, ..later[1].1 }, plain[1].1);

    let ipv6: Vec<_> = scenario.clone().as_ipv6().segments().collect();
    assert_eq!(ipv6[0].0.source.to_string(), "[2001:db8::a00:1]:40000");
    assert_eq!(ipv6[0].1.header_len, plain[0].1.header_len + 20);

    let swapped: Vec<_> = scenario.clone().sides_swapped().segments().collect();
    assert_eq!(swapped[0].0.source.to_string(), "10.0.0.2:40000");
    assert_eq!(swapped[0].0.destination.to_string(), "10.0.0.1:80");

    let capture = scenario.as_pcapng().compile();
    let mut reader = pcap_file::pcapng::PcapNgReader::new(&capture[..]).unwrap();
    let mut packets = 0;
    while let Some(block) = reader.next_block() {
        packets +=
            usize::from(matches!(block.unwrap(), pcap_file::pcapng::Block::EnhancedPacket(_)));
    }
    assert_eq!(packets, 2);
}

#[test]
fn every_scenario_file_compiles_and_reads_back() {
    let files = scenario_files();
    assert!(files.len() > 20, "only {} scenarios found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let scenario =
            Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(scenario.segments().next().is_some(), "{} has no segment", file.display());
        let damaged = scenario.head.truncate > 0 || !scenario.head.overwrites.is_empty();
        if scenario.head.format != Format::Pcapng && scenario.head.snaplen > 60_000 && !damaged {
            let cut = text.contains(" cut ");
            let capture = scenario.compile();
            if !cut {
                let found = records(&capture).len();
                assert!(found >= scenario.events.len(), "{}", file.display());
            }
        }
    }
}
