//! Captures to cut: generated ones, all scenarios, damaged and disordered ones.

use std::fs;
use std::path::{Path, PathBuf};

use tcpautopsy::analysis::Analysis;
use tcpautopsy::detect::{Detectors, Selection};
use tcpautopsy::flow::Limits;
use tcpautopsy::pipeline::{Discard, Keep, Options, Outcome, run};
use tcpautopsy::report::{Connections, write_json};
use tcpautopsy::settings::Settings;
use tcpautopsy::testkit::{Format, Scenario, Shape, generate};

/// Length of a classic file header.
const FILE_HEADER: usize = 24;

/// A generated capture in memory.
pub(crate) fn generated(name: &str, packets: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    generate(Shape::named(name).unwrap(), packets, 7, &mut bytes).unwrap();
    bytes
}

/// The same as pcapng.
pub(crate) fn generated_ng(name: &str, packets: u64) -> Vec<u8> {
    let shape = Shape { format: Format::Pcapng, ..Shape::named(name).unwrap() };
    let mut bytes = Vec::new();
    generate(shape, packets, 7, &mut bytes).unwrap();
    bytes
}

/// Every scenario of `testdata`, compiled, by its path.
pub(crate) fn scenarios() -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "tcp") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, Scenario::parse(&text).unwrap().compile()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "the scenarios were not found");
    found
}

/// The records of a classic little-endian capture, each with its header.
pub(crate) fn records(capture: &[u8]) -> Vec<&[u8]> {
    let mut rest = &capture[FILE_HEADER..];
    let mut records = Vec::new();
    while rest.len() >= 16 {
        let kept = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, after) = rest.split_at(16 + kept);
        records.push(record);
        rest = after;
    }
    records
}

/// The capture with other records.
pub(crate) fn with_records<'a>(
    capture: &[u8],
    records: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut bytes = capture[..FILE_HEADER].to_vec();
    records.into_iter().for_each(|record| bytes.extend_from_slice(record));
    bytes
}

/// Blocks of records in another order, so that time runs backwards again and again.
pub(crate) fn disordered(capture: &[u8]) -> Vec<u8> {
    let records = records(capture);
    let blocks = records.chunks(37).collect::<Vec<_>>();
    let swapped = blocks.chunks(3).flat_map(|three| three.iter().rev().copied().flatten().copied());
    with_records(capture, swapped)
}

/// Every second IPv4 frame with payload split into two IP fragments, the later one first at times.
pub(crate) fn fragmented(capture: &[u8]) -> Vec<u8> {
    let mut split = Vec::new();
    for (index, record) in records(capture).into_iter().enumerate() {
        let frame = &record[16..];
        let is_ipv4 = frame.len() >= 14 + 20 + 40 && frame[12..15] == [8, 0, 0x45];
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        if !is_ipv4 || index % 2 == 0 || total < 20 + 40 || frame.len() != 14 + total {
            split.push(record.to_vec());
            continue;
        }
        let piece = |from: usize, to: usize, more: bool| {
            let mut piece = record[..16 + 34].to_vec();
            piece.extend_from_slice(&frame[34 + from..34 + to]);
            let length = u16::try_from(20 + to - from).unwrap();
            piece[32..34].copy_from_slice(&length.to_be_bytes());
            let offset = u16::try_from(from / 8).unwrap() | if more { 0x2000 } else { 0 };
            piece[36..38].copy_from_slice(&offset.to_be_bytes());
            let kept = u32::try_from(piece.len() - 16).unwrap().to_le_bytes();
            piece[8..12].copy_from_slice(&kept);
            piece[12..16].copy_from_slice(&kept);
            piece
        };
        let id = u16::try_from(index % 60_000).unwrap().to_be_bytes();
        let mut pieces = [piece(0, 24, true), piece(24, total - 20, false)];
        for piece in &mut pieces {
            piece[34..36].copy_from_slice(&id);
        }
        if index % 3 == 0 {
            pieces.reverse();
        }
        split.extend(pieces);
    }
    with_records(capture, split.iter().map(Vec::as_slice))
}

/// What another tap sees: every frame 0.7 ms later, with a lower TTL.
pub(crate) fn seen_later(capture: &[u8]) -> Vec<u8> {
    let later = records(capture).into_iter().map(|record| {
        let mut record = record.to_vec();
        let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        let micros = u64::from(word(0)) * 1_000_000 + u64::from(word(4)) + 700;
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        record[0..4].copy_from_slice(&u32::try_from(seconds).unwrap().to_le_bytes());
        record[4..8].copy_from_slice(&u32::try_from(rest).unwrap().to_le_bytes());
        if record[16 + 12..16 + 14] == [8, 0] {
            record[16 + 22] -= 1;
        }
        record
    });
    let later: Vec<Vec<u8>> = later.collect();
    with_records(capture, later.iter().map(Vec::as_slice))
}

/// Garbage and runs of zeros in several places, and an end in the middle of a record.
pub(crate) fn damaged(capture: &[u8]) -> Vec<u8> {
    let mut bytes = capture.to_vec();
    let length = bytes.len();
    for (index, at) in (1..9).map(|part| (part, length * part / 10 + 13 * part)) {
        match index % 3 {
            0 => bytes[at..at + 700].fill(0),
            1 => bytes[at..at + 90].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31)),
            _ => drop(bytes.drain(at..at + 5)),
        }
    }
    bytes.truncate(bytes.len() - 11);
    bytes
}

/// The capture, by a clock that stands still.
pub(crate) fn at_one_moment(capture: &[u8]) -> Vec<u8> {
    let stopped = records(capture).into_iter().map(|record| {
        let mut record = record.to_vec();
        record[..8].fill(0);
        record
    });
    let stopped: Vec<Vec<u8>> = stopped.collect();
    with_records(capture, stopped.iter().map(Vec::as_slice))
}

/// Everything to be cut, by name.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mix = generated("mix", 4_000);
    let small = generated("many_small", 3_000);
    vec![
        ("disordered", disordered(&mix)),
        ("damaged", damaged(&mix)),
        ("fragmented", fragmented(&mix)),
        ("pcapng", generated_ng("mix", 1_500)),
        ("damaged pcapng", damaged(&generated_ng("mix", 1_500))),
        ("flood", generated("flood_answered", 3_000)),
        ("at one moment", at_one_moment(&small)),
        ("mix", mix),
        ("small", small),
    ]
}

/// Options with these cuts that keep everything.
pub(crate) fn options(threads: usize, chunk_size: u64, wave_size: u64) -> Options {
    let settings = Settings::default();
    let thresholds = tcpautopsy::detect::Thresholds::default();
    let detectors = Detectors::new(settings.clone(), thresholds, &Selection::default());
    // Lines leave when there are as many as in a wave of packets, or one by one.
    let line_room = usize::try_from(wave_size / 100).unwrap().min(Options::LINE_ROOM);
    let options = Options::new(settings, detectors);
    Options { threads, chunk_size, wave_size, line_room, keep: Keep::All, ..options }
}

/// Limits so low that connections are evicted all the time.
pub(crate) fn tight() -> Limits {
    Limits { embryonic: 128, connections: 192, over: 128, awake: 64, closed_awake: 32 }
}

/// What is said of a scenario, given as text.
pub(crate) fn analyse_scenario(text: &str, options: &Options) -> Analysis {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    fs::write(&path, Scenario::parse(text).unwrap().compile()).unwrap();
    analyse(&[path], options).analysis
}

/// Runs without a sink.
pub(crate) fn analyse(inputs: &[PathBuf], options: &Options) -> Outcome {
    run(inputs, options, &mut Discard, &|_| {}).unwrap()
}

/// Everything that an outcome says, as text.
pub(crate) fn told(outcome: &Outcome) -> String {
    let mut json = Vec::new();
    write_json(&outcome.analysis, Connections::All, &outcome.threads, &mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    format!("{json}\n{:?}\n{:?}", outcome.unreadable, outcome.analysis.summary.shed)
}

/// Threads, chunk size, wave size. The first is one serial walk.
const CUTS: [(usize, u64, u64); 6] = [
    (1, 1 << 30, 1 << 40),
    (1, 300, 1 << 20),
    (2, 300, 7_000),
    (7, 1_111, 50_000),
    (7, 20_000, 100_000),
    (2, 1 << 20, 1),
];

/// Analyses with every cut; all have to tell the same.
pub(crate) fn assert_same(inputs: &[PathBuf], what: &str, change: impl Fn(Options) -> Options) {
    let mut serial = None;
    for (threads, chunk, wave) in CUTS {
        let outcome = analyse(inputs, &change(options(threads, chunk, wave)));
        let told = told(&outcome);
        let serial = serial.get_or_insert_with(|| told.clone());
        if *serial != told {
            let differing = serial.lines().zip(told.lines()).find(|(one, other)| one != other);
            panic!("{what} differs for {threads} threads, {chunk}, {wave}: {differing:#?}");
        }
    }
}
