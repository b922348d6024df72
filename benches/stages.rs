//! How fast the stages are, in frames: beside the floor, which walks the records, reads each TCP
//! header and looks its flow up in a hash table, and does nothing else.
//!
//! `cargo bench --features testkit`. Captures are generated in memory once for each shape.
//! `benches/ratios.sh` prints what was measured last as a table, beside the floor.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on says so by panicking; the floor is the plainest code"
)]

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hashbrown::HashMap;
use tcpautopsy::analysis::{JudgedConnection, JudgedSegment};
use tcpautopsy::capture::{Context, Window};
use tcpautopsy::decode::{self, Decoded, Outcome, decode, express_v4};
use tcpautopsy::detect::{Detectors, Selection, Thresholds};
use tcpautopsy::flow::{Batch, ZeekRow};
use tcpautopsy::pipeline::{Discard, Keep, Options, Sink, run};
use tcpautopsy::report::{self, Connections};
use tcpautopsy::settings::Settings;
use tcpautopsy::summary::OneHand;
use tcpautopsy::testkit::{Format, Shape, generate, split};

const PACKETS: u64 = 300_000;
const SHAPES: [&str; 6] = ["mix", "mix_short", "many_small", "few_large", "flood", "elephant"];

/// A generated capture, in memory and in a file.
struct Capture {
    bytes: Vec<u8>,
    /// The same frames in a classic capture, for the floor.
    classic: Vec<u8>,
    path: PathBuf,
}

impl Capture {
    fn new(folder: &tempfile::TempDir, name: &str, shape: Shape) -> Self {
        let generated = |shape| {
            let mut bytes = Vec::new();
            generate(shape, PACKETS, 1, &mut bytes).unwrap();
            bytes
        };
        let (bytes, path) = (generated(shape), folder.path().join(name));
        std::fs::write(&path, &bytes).unwrap();
        let classic = generated(Shape { format: Format::Pcap, ..shape });
        Self { bytes, classic, path }
    }

    /// Frames and bytes a second.
    const fn throughput(&self) -> Throughput {
        Throughput::ElementsAndBytes { elements: PACKETS, bytes: self.bytes.len() as u64 }
    }
}

fn captures(folder: &tempfile::TempDir) -> Vec<(&'static str, Capture)> {
    let mix = Shape::named("mix").unwrap();
    let mut shapes: Vec<_> =
        SHAPES.into_iter().map(|name| (name, Shape::named(name).unwrap())).collect();
    shapes.push(("snaplen_96", Shape { snaplen: 96, ..mix }));
    shapes.push(("pcapng", Shape { format: Format::Pcapng, ..mix }));
    shapes.into_iter().map(|(name, shape)| (name, Capture::new(folder, name, shape))).collect()
}

/// The whole run on a compressed capture, beside decompressing it and the floor.
fn compressed(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mix = Shape::named("mix").unwrap();
    let mut capture = Capture::new(&folder, "plain", Shape { snaplen: 96, ..mix });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&capture.bytes).unwrap();
    let packed = gzip.finish().unwrap();
    capture.path = folder.path().join("mix.pcap.gz");
    std::fs::write(&capture.path, &packed).unwrap();
    let mut group = criterion.benchmark_group("gzip_snaplen_96");
    group.throughput(capture.throughput());
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            let mut bytes = Vec::with_capacity(capture.bytes.len());
            GzDecoder::new(black_box(&packed[..])).read_to_end(&mut bytes).unwrap();
            floor(&bytes)
        });
    });
    for threads in [1, 2] {
        whole(&mut group, &capture, threads);
    }
    group.finish();
}

/// Mixed traffic in one file, and in files of 1,000 and of 100 frames.
fn archives(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let one = Capture::new(&folder, "one.pcap", Shape::named("mix").unwrap());
    let mut group = criterion.benchmark_group("files");
    group.throughput(one.throughput());
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("floor", |bencher| bencher.iter(|| floor(black_box(&one.bytes))));
    for frames in [usize::MAX, 1_000, 100] {
        let folder = folder.path().join(frames.to_string());
        std::fs::create_dir(&folder).unwrap();
        let files = split(&one.bytes, frames).zip(0..);
        let written = files.map(|(file, index)| {
            let path = folder.join(format!("{index:06}.pcap"));
            std::fs::write(&path, file).unwrap();
            path
        });
        let inputs: Vec<PathBuf> = written.collect();
        for threads in [1, 2] {
            let options = options(threads);
            let name = format!("{}_files_{threads}_threads", inputs.len());
            group.bench_function(name, |bencher| {
                bencher.iter(|| run(black_box(&inputs), &options, &mut Discard, &|_| {}).unwrap());
            });
        }
    }
    group.finish();
}

/// Connections as text, beside copying that text: each format by itself from a run's connections, and
/// whole runs that write it to nowhere.
fn output(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mix", "many_small"] {
        let capture = Capture::new(&folder, name, Shape::named(name).unwrap());
        let inputs = [capture.path.clone()];
        let all = Options { keep: Keep::All, ..options(1) };
        let analysis = run(&inputs, &all, &mut Discard, &|_| {}).unwrap().analysis;
        let connections = &analysis.connections;
        let lines = |bytes: &mut Vec<u8>, format: fn(&JudgedConnection, &mut Vec<u8>)| {
            bytes.clear();
            for connection in connections {
                format(black_box(connection), bytes);
            }
            bytes.len()
        };
        let (mut text, mut bytes) = (Vec::new(), Vec::new());
        lines(&mut text, report::write_connection);
        lines(&mut bytes, report::write_connection_by_serde_json);
        assert!(text == bytes, "both write the same");
        let mut group = criterion.benchmark_group(format!("output_{name}"));
        group.throughput(Throughput::ElementsAndBytes {
            elements: connections.len() as u64,
            bytes: text.len() as u64,
        });
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        group.bench_function("floor", |bencher| {
            bencher.iter(|| {
                bytes.clear();
                bytes.extend_from_slice(black_box(&text));
                bytes.len()
            });
        });
        group.bench_function("ndjson", |bencher| {
            bencher.iter(|| lines(&mut bytes, report::write_connection));
        });
        group.bench_function("ndjson_by_serde_json", |bencher| {
            bencher.iter(|| lines(&mut bytes, report::write_connection_by_serde_json));
        });
        group.bench_function("json_all", |bencher| {
            bencher.iter(|| {
                bytes.clear();
                report::write_json(&analysis, Connections::All, &OneHand, &mut bytes).unwrap();
                bytes.len()
            });
        });
        for wanted in [Wanted::Nothing, Wanted::Lines, Wanted::Rows, Wanted::Segments] {
            group.bench_function(format!("whole_{wanted:?}").to_lowercase(), |bencher| {
                bencher.iter(|| {
                    let mut sink = Nowhere { wanted, bytes: 0 };
                    run(black_box(&inputs), &options(1), &mut sink, &|_| {}).unwrap();
                    sink.bytes
                });
            });
        }
        group.finish();
    }
}

/// What a run is to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Lines,
    Rows,
    Segments,
}

/// Takes what a run writes, and counts its bytes.
struct Nowhere {
    wanted: Wanted,
    bytes: usize,
}

impl Nowhere {
    fn take(&mut self, formatted: &[u8]) {
        self.bytes += black_box(formatted).len();
    }
}

impl Sink for Nowhere {
    fn format(&self, connection: &JudgedConnection, into: &mut Vec<u8>) {
        report::write_connection(connection, into);
    }

    fn write(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.take(formatted);
        Ok(())
    }

    fn is_wanted(&self) -> bool {
        self.wanted == Wanted::Lines
    }

    fn wants_segments(&self) -> bool {
        self.wanted == Wanted::Segments
    }

    fn format_segment(&self, segment: &JudgedSegment<'_>, into: &mut Vec<u8>) {
        report::write_segment(segment, into);
    }

    fn write_segment(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.take(formatted);
        Ok(())
    }

    fn wants_zeek_rows(&self) -> bool {
        self.wanted == Wanted::Rows
    }

    fn format_zeek_row(&self, row: &ZeekRow, into: &mut Vec<u8>) {
        report::write_zeek_row(row, into);
    }

    fn write_zeek_row(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.take(formatted);
        Ok(())
    }
}

/// The least that any reader of flows does: 64 bytes of state for each.
#[derive(Default)]
struct Floor {
    flows: HashMap<[u8; 12], [u64; 8], foldhash::fast::RandomState>,
}

impl Floor {
    /// Length of a classic capture's header, and of one before each record.
    const FILE: usize = 24;
    const RECORD: usize = 16;

    /// Takes all records that lie in `bytes` whole; returns how many bytes these are.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(header) = bytes.get(at..at + Self::RECORD) {
            let length =
                u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let begin = at + Self::RECORD;
            let Some(frame) = bytes.get(begin..begin + length) else { break };
            at = begin + length;
            if frame.len() < 54 || frame[12..14] != [8, 0] || frame[23] != 6 {
                continue;
            }
            self.note(frame);
        }
        at
    }

    fn note(&mut self, frame: &[u8]) {
        let tcp = 14 + usize::from(frame[14] & 15) * 4;
        let mut key = [0; 12];
        let forward = frame[26..30] <= frame[30..34];
        let (low, high, first, second) =
            if forward { (26, 30, tcp, tcp + 2) } else { (30, 26, tcp + 2, tcp) };
        key[..4].copy_from_slice(&frame[low..low + 4]);
        key[4..8].copy_from_slice(&frame[high..high + 4]);
        key[8..10].copy_from_slice(&frame[first..first + 2]);
        key[10..].copy_from_slice(&frame[second..second + 2]);
        let state = self.flows.entry(key).or_default();
        state[0] += 1;
        state[1] += frame.len() as u64;
        state[2] |= u64::from(frame[tcp + 13]);
        let number = |at: usize| {
            u64::from(u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]))
        };
        state[3 + usize::from(forward)] = number(tcp + 4);
        state[5 + usize::from(forward)] = number(tcp + 8);
    }
}

/// The floor of what lies in memory.
fn floor(bytes: &[u8]) -> usize {
    let mut floor = Floor::default();
    floor.take(&bytes[Floor::FILE..]);
    floor.flows.len()
}

/// The floor of what has to be read first, in pieces that stay in the core's cache: whole runs read too.
fn floor_read(path: &Path) -> usize {
    const PIECE: usize = 256 << 10;
    let mut file = File::open(path).unwrap();
    file.read_exact(&mut [0; Floor::FILE]).unwrap();
    let (mut floor, mut piece, mut filled) = (Floor::default(), vec![0; PIECE], 0);
    loop {
        let read = file.read(&mut piece[filled..]).unwrap();
        if read == 0 {
            return floor.flows.len();
        }
        filled += read;
        let taken = floor.take(&piece[..filled]);
        piece.copy_within(taken..filled, 0);
        filled -= taken;
    }
}

fn walk(bytes: &[u8]) -> u64 {
    let (mut context, start) = Context::open(bytes).unwrap();
    let window = Window { bytes, base: 0, at_end: true };
    let mut kept = 0;
    context.walk(window, start..bytes.len(), &mut |record| kept += record.data.len() as u64);
    kept
}

fn decoded(bytes: &[u8], batch: &mut Batch) -> u64 {
    let (mut context, start) = Context::open(bytes).unwrap();
    let window = Window { bytes, base: 0, at_end: true };
    let (settings, mut decoded) = (decode::Settings::default(), Decoded::default());
    batch.clear();
    let mut frame = 0;
    context.walk(window, start..bytes.len(), &mut |record| {
        batch.tick(record.time);
        let mut extras = None;
        if let Some(found) =
            express_v4(record.link, record.data, record.wire_len, &settings, &mut extras)
        {
            let source = (found.source, found.ports.0);
            let destination = (found.destination, found.ports.1);
            batch.push_narrow(frame, source, destination, &found.segment, extras.as_ref());
            frame += 1;
            return;
        }
        let outcome = decode(record.link, record.data, record.wire_len, &settings, &mut decoded);
        if outcome == Outcome::Segment {
            let Decoded { tuple, segment, extras, tunnel, .. } = &decoded;
            batch.push(frame, *tuple, tunnel, segment, extras);
        }
        frame += 1;
    });
    batch.segments()
}

fn options(threads: usize) -> Options {
    let settings = Settings::default();
    let detectors = Detectors::new(settings.clone(), Thresholds::default(), &Selection::default());
    Options { threads, keep: Keep::None, ..Options::new(settings, detectors) }
}

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn whole(group: &mut Group<'_>, capture: &Capture, threads: usize) {
    let options = options(threads);
    let inputs = [capture.path.clone()];
    group.bench_function(format!("whole_{threads}_threads"), |bencher| {
        bencher.iter(|| run(black_box(&inputs), &options, &mut Discard, &|_| {}).unwrap());
    });
}

fn stages(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for (name, capture) in captures(&folder) {
        let mut group = criterion.benchmark_group(name);
        group.throughput(capture.throughput());
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        let bytes = &capture.classic;
        group.bench_function("floor", |bencher| bencher.iter(|| floor(black_box(bytes))));
        // Of pcapng the classic capture is the floor, which is in no file.
        if bytes == &capture.bytes {
            group.bench_function("floor_read", |bencher| {
                bencher.iter(|| floor_read(black_box(&capture.path)));
            });
        }
        group.bench_function("walk", |bencher| bencher.iter(|| walk(black_box(&capture.bytes))));
        let mut batch = Batch::default();
        group.bench_function("decode", |bencher| {
            bencher.iter(|| decoded(black_box(&capture.bytes), &mut batch));
        });
        for threads in [1, 2] {
            whole(&mut group, &capture, threads);
        }
        group.finish();
    }
}

criterion_group!(benches, stages, compressed, archives, output);
criterion_main!(benches);
