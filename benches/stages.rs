//! How fast the stages are, in frames: beside the floor, which walks the records, reads each TCP
//! header and looks its flow up in a hash table, and does nothing else.
//!
//! `cargo bench --features testkit`. Captures are generated in memory once for each shape.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on says so by panicking; the floor is the plainest code"
)]

use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;
use hashbrown::HashMap;
use tcpautopsy::capture::{Context, Window};
use tcpautopsy::decode::{self, Decoded, Outcome, decode, express};
use tcpautopsy::detect::{Detectors, Selection, Thresholds};
use tcpautopsy::flow::Batch;
use tcpautopsy::pipeline::{Discard, Keep, Options, run};
use tcpautopsy::settings::Settings;
use tcpautopsy::testkit::{Format, Shape, generate, split};

const PACKETS: u64 = 300_000;
const SHAPES: [&str; 5] = ["mix", "many_small", "few_large", "flood", "elephant"];

/// A generated capture, in memory and in a file.
struct Capture {
    bytes: Vec<u8>,
    path: PathBuf,
}

fn captures(folder: &tempfile::TempDir) -> Vec<(&'static str, Capture)> {
    let capture = |name: &'static str| {
        let mut bytes = Vec::new();
        generate(Shape::named(name).unwrap(), PACKETS, 1, &mut bytes).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        (name, Capture { bytes, path })
    };
    let mut captures: Vec<_> = SHAPES.into_iter().map(capture).collect();
    captures.push(("snaplen_96", other(folder, "snaplen_96", Format::Pcap, 96)));
    captures.push(("pcapng", other(folder, "pcapng", Format::Pcapng, 262_144)));
    captures
}

/// Mixed traffic in another format or with another snapshot length.
fn other(folder: &tempfile::TempDir, name: &str, format: Format, snaplen: u32) -> Capture {
    let mut bytes = Vec::new();
    let shape = Shape { format, snaplen, ..Shape::named("mix").unwrap() };
    generate(shape, PACKETS, 1, &mut bytes).unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, &bytes).unwrap();
    Capture { bytes, path }
}

/// The whole run on a compressed capture, beside nothing: what it costs is the decompression.
fn compressed(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let plain = other(&folder, "plain", Format::Pcap, 96);
    let path = folder.path().join("mix.pcap.gz");
    let mut gzip = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    gzip.write_all(&plain.bytes).unwrap();
    gzip.finish().unwrap();
    let mut group = criterion.benchmark_group("gzip_snaplen_96");
    group.throughput(Throughput::Elements(PACKETS));
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    whole(&mut group, &Capture { bytes: Vec::new(), path }, 1);
    group.finish();
}

/// Mixed traffic in one file, and in files of 1,000 and of 100 frames.
fn archives(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let one = other(&folder, "one.pcap", Format::Pcap, 262_144);
    let mut group = criterion.benchmark_group("files");
    group.throughput(Throughput::Elements(PACKETS));
    group.sample_size(10).measurement_time(Duration::from_secs(3));
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

/// The least that any reader of flows does: 64 bytes of state for each.
fn floor(bytes: &[u8]) -> usize {
    let mut flows: HashMap<[u8; 12], [u64; 8], foldhash::fast::RandomState> = HashMap::default();
    let mut at = 24;
    while let Some(header) = bytes.get(at..at + 16) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some(frame) = bytes.get(at + 16..at + 16 + length) else { break };
        at += 16 + length;
        if frame.len() < 54 || frame[12..14] != [8, 0] || frame[23] != 6 {
            continue;
        }
        let tcp = 14 + usize::from(frame[14] & 15) * 4;
        let mut key = [0; 12];
        let forward = frame[26..30] <= frame[30..34];
        let (low, high, first, second) =
            if forward { (26, 30, tcp, tcp + 2) } else { (30, 26, tcp + 2, tcp) };
        key[..4].copy_from_slice(&frame[low..low + 4]);
        key[4..8].copy_from_slice(&frame[high..high + 4]);
        key[8..10].copy_from_slice(&frame[first..first + 2]);
        key[10..].copy_from_slice(&frame[second..second + 2]);
        let state = flows.entry(key).or_default();
        state[0] += 1;
        state[1] += length as u64;
        state[2] |= u64::from(frame[tcp + 13]);
        let number = |at: usize| {
            u64::from(u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]))
        };
        state[3 + usize::from(forward)] = number(tcp + 4);
        state[5 + usize::from(forward)] = number(tcp + 8);
    }
    flows.len()
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
            express(record.link, record.data, record.wire_len, &settings, &mut extras)
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
        group.throughput(Throughput::Elements(PACKETS));
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        if name != "pcapng" {
            let bytes = &capture.bytes;
            group.bench_function("floor", |bencher| bencher.iter(|| floor(black_box(bytes))));
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

criterion_group!(benches, stages, compressed, archives);
criterion_main!(benches);
