//! Streams of every format: whole, in parts, damaged, nested, and in archives.

use std::io::Write;

use super::*;

/// Bytes that compress, but not to nothing.
fn content(len: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0] & 0x3f
    };
    (0..len).map(next).collect()
}

fn compress(format: Compression, bytes: &[u8]) -> Vec<u8> {
    match format {
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => {
            // As the command line tool does.
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

const ALL: [Compression; 5] =
    [Compression::Gzip, Compression::Zstd, Compression::Lz4, Compression::Xz, Compression::Bzip2];

/// A reader that gives a few bytes at a time, as a slow pipe does.
struct Trickle(io::Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(1000);
        self.0.read(&mut buffer[..len])
    }
}

fn open(bytes: Vec<u8>) -> Stream {
    Stream::new(Box::new(Trickle(io::Cursor::new(bytes)))).unwrap()
}

/// All bytes of the current member, in pieces of an odd size.
fn drain(stream: &mut Stream) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), vec![0; 7777]);
    loop {
        let count = stream.fill(&mut piece);
        all.extend(&piece[..count]);
        if count < piece.len() {
            return all;
        }
    }
}

fn only(bytes: Vec<u8>) -> (Member, Vec<u8>, Option<StreamDamage>) {
    let mut stream = open(bytes);
    let member = stream.next_member().unwrap();
    let all = drain(&mut stream);
    let damage = stream.damage().cloned();
    assert_eq!(stream.next_member(), None);
    (member, all, damage)
}

#[test]
fn plain_streams_pass_through() {
    let bytes = content(300_000);
    let (member, all, damage) = only(bytes.clone());
    assert_eq!((member.name, member.compression, damage), (None, vec![], None));
    assert!(all == bytes);
}

#[test]
fn an_empty_stream_is_one_empty_member() {
    assert!(only(Vec::new()).1.is_empty());
}

#[test]
fn every_format_is_recognised_and_decoded() {
    let bytes = content(300_000);
    for format in ALL {
        let (member, all, damage) = only(compress(format, &bytes));
        assert_eq!((member.compression, damage), (vec![format], None));
        assert!(all == bytes, "{format}");
    }
}

#[test]
fn several_streams_in_a_row_are_one() {
    let bytes = content(100_000);
    for format in ALL {
        let parts = [&bytes[..30_000], &bytes[30_000..30_000], &bytes[30_000..]];
        let joined = parts.map(|part| compress(format, part)).concat();
        let (_, all, damage) = only(joined);
        assert_eq!(damage, None, "{format}");
        assert!(all == bytes, "{format}");
    }
}

#[test]
fn a_stream_that_is_cut_gives_what_was_decoded_and_says_where_it_ended() {
    let bytes = content(2_000_000);
    for format in ALL {
        let mut stored = compress(format, &bytes);
        stored.truncate(stored.len() - 5);
        let (_, all, damage) = only(stored.clone());
        let damage = damage.unwrap_or_else(|| panic!("{format} did not notice"));
        assert_eq!(damage.offset, all.len() as u64);
        assert!(damage.stored_offset <= stored.len() as u64);
        // bzip2 and xz decode by large blocks of which the last one is lost.
        assert!(all.len() > 900_000 && bytes.starts_with(&all), "{format}: {}", all.len());
    }
}

#[test]
fn a_stream_that_is_damaged_inside_gives_what_stands_before() {
    let bytes = content(4_000_000);
    for format in ALL {
        let mut stored = compress(format, &bytes);
        let middle = stored.len() / 2;
        stored[middle..middle + 64].fill(0xff);
        let (_, all, damage) = only(stored);
        let damage = damage.unwrap_or_else(|| panic!("{format} did not notice"));
        assert_eq!(damage.offset, all.len() as u64);
        let sound = all.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
        assert!(sound > 900_000, "{format} gave {} bytes, {sound} of them sound", all.len());
    }
}

#[test]
fn rubbish_behind_a_stream_is_told_and_costs_nothing() {
    let bytes = content(50_000);
    for format in ALL {
        let stored = [compress(format, &bytes), b"rubbish!rubbish!".to_vec()].concat();
        let (_, all, damage) = only(stored);
        assert!(all == bytes, "{format}");
        // bzip2's decoder takes what is no further stream for the end.
        assert!(damage.is_some() || format == Compression::Bzip2, "{format}");
    }
}

#[test]
fn zeros_behind_gzip_are_padding() {
    let stored = [compress(Compression::Gzip, b"abc"), vec![0; 300_000]].concat();
    let (_, all, damage) = only(stored);
    assert_eq!((all, damage), (b"abc".to_vec(), None));
}

#[test]
fn skippable_frames_are_skipped() {
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let zstd = [skippable.clone(), compress(Compression::Zstd, b"abc")].concat();
    assert_eq!(only(zstd).1, b"abc");
    let lz4 = |bytes| compress(Compression::Lz4, bytes);
    let joined = [lz4(b"abc"), skippable, lz4(b"def")].concat();
    let (_, all, damage) = only(joined);
    assert_eq!((all, damage), (b"abcdef".to_vec(), None));
}

#[test]
fn layers_are_peeled_to_a_limit() {
    let twice = compress(Compression::Xz, &compress(Compression::Gzip, b"abc"));
    let (member, all, _) = only(twice);
    assert_eq!(member.compression, [Compression::Xz, Compression::Gzip]);
    assert_eq!(all, b"abc");
    let deep = (0..6).fold(b"abc".to_vec(), |inner, _| compress(Compression::Gzip, &inner));
    let (member, all, _) = only(deep);
    assert_eq!(member.compression.len(), MAX_LAYERS);
    assert_eq!(Compression::of(&all), Some(Compression::Gzip));
}

fn tar_header(name: &str, kind: u8, size: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..124 + size.len()].copy_from_slice(size);
    header[148..156].fill(b' ');
    header[156] = kind;
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn tar_file(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut file = tar_header(name, kind, format!("{:011o}", bytes.len()).as_bytes());
    file.extend(bytes);
    file.resize(file.len().next_multiple_of(512), 0);
    file
}

fn members(bytes: Vec<u8>) -> (Vec<(String, Vec<u8>)>, Option<StreamDamage>) {
    let mut stream = open(bytes);
    let mut found = Vec::new();
    while let Some(member) = stream.next_member() {
        let all = drain(&mut stream);
        found.push((member.name.unwrap(), all));
        if let Some(damage) = stream.damage().cloned() {
            return (found, Some(damage));
        }
    }
    (found, stream.damage().cloned())
}

#[test]
fn archives_give_their_regular_files_and_peel_each() {
    let long = "d/".repeat(60) + "long.pcap";
    let pax = b"30 mtime=1700000000.123456789\n21 path=from/pax.pcap\n";
    let archive = [
        tar_file("dir/", b'5', b""),
        tar_file("a.pcap", b'0', &content(1000)),
        tar_file("b.pcap.gz", 0, &compress(Compression::Gzip, b"bee")),
        tar_file("././@LongLink", b'L', format!("{long}\0").as_bytes()),
        tar_file("cut", b'0', b"long"),
        tar_file("PaxHeader", b'x', pax),
        tar_file("short", b'0', b"pax"),
        tar_file("empty", b'0', b""),
        vec![0; 1024],
    ]
    .concat();
    let expected: Vec<(String, Vec<u8>)> = vec![
        ("a.pcap".into(), content(1000)),
        ("b.pcap.gz".into(), b"bee".to_vec()),
        (long, b"long".to_vec()),
        ("from/pax.pcap".into(), b"pax".to_vec()),
        ("empty".into(), Vec::new()),
    ];
    assert_eq!(members(archive.clone()), (expected.clone(), None));
    assert_eq!(members(compress(Compression::Zstd, &archive)), (expected, None));
}

#[test]
fn members_that_nobody_reads_are_passed_over() {
    let archive = [tar_file("a", b'0', &content(700_000)), tar_file("b", b'0', b"b")].concat();
    let mut stream = open(archive);
    assert_eq!(stream.next_member().unwrap().name.unwrap(), "a");
    stream.fill(&mut [0; 10]);
    assert_eq!(stream.next_member().unwrap().name.unwrap(), "b");
    assert_eq!(drain(&mut stream), b"b");
}

#[test]
fn archives_that_are_cut_or_broken_say_so() {
    let archive = [tar_file("a", b'0', &content(2000)), tar_file("b", b'0', b"b")].concat();
    let (found, damage) = members(archive[..1000].to_vec());
    assert_eq!((found.len(), found[0].1.len()), (1, 488));
    assert_eq!(damage.unwrap().reason, "the archive ends inside a file");
    let mut broken = archive;
    broken[2560 + 3] ^= 1;
    let (found, damage) = members(broken);
    assert_eq!((found.len(), damage.unwrap().reason.as_str()), (1, "no tar header"));
}

#[test]
fn sizes_beyond_eight_gibibytes_are_read() {
    let mut size = [0; 12];
    size[0] = 0x80;
    size[6..].copy_from_slice(&[3, 0, 0, 0, 0, 0]);
    let (found, damage) = members([tar_header("big", b'0', &size), content(5000)].concat());
    assert_eq!(found[0].1.len(), 5000);
    assert!(damage.is_some(), "only 5,000 of 3 TiB are there");
}

#[test]
fn damage_in_the_first_bytes_of_a_layer_is_told() {
    let mut stored = compress(Compression::Gzip, b"abc");
    stored.truncate(5);
    let (_, all, damage) = only(stored);
    assert!(all.is_empty() && damage.is_some());
}
