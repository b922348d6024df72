//! Segment lines frame by frame, and `completeness` connection by connection, against what tshark
//! 4.0.17 said of the public captures.
//!
//! Every difference is put into a class by a rule, and `docs/compatibility.md` holds the counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tcpautopsy::compat::wireshark::{AnalysisFlags, Analyzer, Completeness};
use tcpautopsy::detect::{Detectors, Selection, Thresholds};
use tcpautopsy::pipeline::{self, Keep, Options};
use tcpautopsy::settings::Settings;
use tcpautopsy::tcp::Orientation;

use super::captures::{bytes, folder, paths, segments, table};
use crate::segment_lines::SegmentLines;

/// What the tool says of one capture.
struct Ours {
    /// By frame number.
    segments: BTreeMap<u64, Segment>,
    /// First frame and completeness, by connection.
    connections: BTreeMap<u64, (u64, u8)>,
    is_damaged: bool,
}

struct Segment {
    connection: u64,
    flags: AnalysisFlags,
    is_syn: bool,
    is_syn_ack: bool,
}

fn ours(path: &Path) -> Ours {
    let settings = Settings::default();
    let selection = Selection::new::<&str>(&[], &[]).unwrap();
    let detectors = Detectors::new(settings.clone(), Thresholds::default(), &selection);
    let options = Options { threads: 1, keep: Keep::All, ..Options::new(settings, detectors) };
    let mut lines = SegmentLines::default();
    let outcome = pipeline::run(&[path.to_owned()], &options, &mut lines, &|_| {}).unwrap();
    let segments = lines.0.iter().map(|line| {
        let line: Value = serde_json::from_slice(line).unwrap();
        let data = &line["data"];
        let mut flags = AnalysisFlags::NONE;
        for name in data["wireshark"].as_array().unwrap() {
            flags |= AnalysisFlags::named(name.as_str().unwrap()).unwrap();
        }
        let letters = data["flags"].as_str().unwrap();
        let is_syn_ack = letters.contains('S') && letters.contains('.');
        let is_syn = letters.contains('S') && !is_syn_ack;
        let connection = data["connection"].as_u64().unwrap();
        (
            data["frame"]["frame"].as_u64().unwrap(),
            Segment { connection, flags, is_syn, is_syn_ack },
        )
    });
    let segments = segments.collect();
    let connections = outcome.analysis.connections.iter().map(|judged| {
        let record = &judged.record;
        (record.id, (record.first_frame.number(), record.completeness.bits()))
    });
    let is_damaged = outcome.analysis.inputs.iter().any(|input| input.damage_total > 0);
    Ours { segments, connections: connections.collect(), is_damaged }
}

/// What tshark says of one capture.
struct Theirs {
    /// Stream and flags, by frame number.
    segments: BTreeMap<u64, (String, AnalysisFlags)>,
    /// By stream.
    completeness: BTreeMap<String, u8>,
}

fn theirs(folder: &Path, path: &str) -> Option<Theirs> {
    let base = path.strip_prefix("files/")?;
    let frames = bytes(&folder.join(format!("tshark/{base}.frames.tsv.gz")))?;
    let frames = String::from_utf8(frames).ok()?;
    let segments =
        table(&frames).into_iter().filter(|row| row["in_icmp_error"] == "0").map(|row| {
            let flags = AnalysisFlags::parse(row.get("analysis").copied().unwrap_or_default());
            let stream = row["tcp.stream"].to_owned();
            (row["frame.number"].parse().unwrap(), (stream, flags.expect("a known flag")))
        });
    let segments = segments.collect();
    let streams = bytes(&folder.join(format!("tshark/{base}.streams.tsv")))?;
    let streams = String::from_utf8(streams).ok()?;
    let completeness = table(&streams)
        .iter()
        .filter_map(|row| Some((row["tcp.stream"].to_owned(), row["completeness"].parse().ok()?)))
        .collect();
    Some(Theirs { segments, completeness })
}

/// Differences by class, each with a first example.
#[derive(Default)]
struct Score {
    compared: usize,
    equal: usize,
    classes: BTreeMap<&'static str, (usize, String)>,
}

impl Score {
    fn differ(&mut self, class: &'static str, example: impl Into<String>) {
        let example = example.into();
        self.classes.entry(class).or_insert_with(|| (0, example)).0 += 1;
    }

    fn count(&self, class: &str) -> usize {
        self.classes.get(class).map_or(0, |(count, _)| *count)
    }

    fn print(&self, what: &str) {
        println!("{what}: {} compared, {} equal", self.compared, self.equal);
        for (class, (count, example)) in &self.classes {
            println!("{count:6}  {class}   {example}");
        }
    }
}

const BEYOND_DAMAGE: &str = "read behind damage, where tshark stops";
const ONLY_TSHARK: &str = "read by tshark only";
const ONLY_HERE: &str = "read here only";
const AFTER_ONE_SIDED: &str = "in a stream of which only one of the two reads some segment";
const TWO_PASSES: &str = "SYN-ACK that its successor contradicts: tshark's second pass knows";
const UNEXPLAINED: &str = "unexplained";

/// Compares the segments of a capture.
fn compare_segments(path: &str, ours: &Ours, theirs: &Theirs, score: &mut Score) {
    let last = theirs.segments.keys().last().copied().unwrap_or(0);
    let of_stream = |frame: &u64| theirs.segments.get(frame).map(|(stream, _)| stream);
    // Connections and streams of which one of the two lacks a segment.
    let mut lacking: BTreeSet<&String> = BTreeSet::new();
    let mut torn: BTreeSet<u64> = BTreeSet::new();
    for (frame, segment) in &ours.segments {
        if !theirs.segments.contains_key(frame) {
            torn.insert(segment.connection);
            let class = if ours.is_damaged && *frame > last { BEYOND_DAMAGE } else { ONLY_HERE };
            score.differ(class, format!("{path} {frame}"));
        }
    }
    for (frame, (stream, _)) in &theirs.segments {
        if !ours.segments.contains_key(frame) {
            lacking.insert(stream);
        }
    }
    for (frame, (stream, flags)) in &theirs.segments {
        score.compared += 1;
        let example = || format!("{path} {frame}");
        let Some(segment) = ours.segments.get(frame) else {
            score.differ(ONLY_TSHARK, example());
            continue;
        };
        if segment.flags == *flags {
            score.equal += 1;
            continue;
        }
        let without_reuse = segment.flags | AnalysisFlags::REUSED_PORTS;
        let another_follows = ours
            .segments
            .range(frame + 1..)
            .any(|(later, it)| it.is_syn_ack && of_stream(later) == Some(stream));
        if lacking.contains(stream) || torn.contains(&segment.connection) {
            score.differ(AFTER_ONE_SIDED, example());
        } else if segment.is_syn_ack && without_reuse == *flags && another_follows {
            score.differ(TWO_PASSES, example());
        } else {
            score.differ(UNEXPLAINED, format!("{path} {frame}: {flags}, here {}", segment.flags));
        }
    }
}

const NOT_READ: &str = "the stream's first segment is not read here";
const OTHER_SPLIT: &str = "the connection and the stream have different segments";
const FIRST_SEGMENT: &str = "whether the first segment counts: recorded on another reading";
const ANNOUNCED: &str = "announced by another protocol, so that tshark misses the SYN";

/// Compares the completeness of the streams with that of the connections that begin with them.
fn compare_completeness(path: &str, ours: &Ours, theirs: &Theirs, score: &mut Score) {
    let mut streams: BTreeMap<&String, Vec<u64>> = BTreeMap::new();
    for (frame, (stream, _)) in &theirs.segments {
        streams.entry(stream).or_default().push(*frame);
    }
    let mut connections: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (frame, segment) in &ours.segments {
        connections.entry(segment.connection).or_default().push(*frame);
    }
    for (stream, frames) in streams {
        let Some(expected) = theirs.completeness.get(stream) else { continue };
        score.compared += 1;
        let example = || format!("{path} stream {stream}: {expected}");
        let Some(segment) = ours.segments.get(&frames[0]) else {
            score.differ(NOT_READ, example());
            continue;
        };
        let (first, completeness) = ours.connections[&segment.connection];
        if completeness == *expected && first == frames[0] {
            score.equal += 1;
        } else if connections[&segment.connection] != frames {
            score.differ(OTHER_SPLIT, example());
        } else if completeness == expected | Completeness::SYN {
            score.differ(ANNOUNCED, example());
        } else if !segment.is_syn && (completeness ^ expected).count_ones() <= 2 {
            score.differ(FIRST_SEGMENT, example());
        } else {
            score.differ(UNEXPLAINED, format!("{}, here {completeness}", example()));
        }
    }
}

#[test]
fn segment_lines_and_completeness_say_what_tshark_said() {
    let Some(folder) = folder() else { return };
    let (mut frames, mut streams) = (Score::default(), Score::default());
    for path in paths(&folder) {
        let Some(theirs) = theirs(&folder, &path) else { continue };
        let ours = ours(&folder.join(&path));
        compare_segments(&path, &ours, &theirs, &mut frames);
        compare_completeness(&path, &ours, &theirs, &mut streams);
    }
    frames.print("segments");
    streams.print("completeness");
    assert!(frames.compared > 200_000, "too few segments: {}", frames.compared);
    assert!(frames.equal * 10_000 >= frames.compared * 9_995, "segments: {}", frames.equal);
    assert!(frames.count(UNEXPLAINED) * 10_000 <= frames.compared, "too many unexplained");
    assert!(streams.equal * 1_000 >= streams.compared * 990, "streams: {}", streams.equal);
    assert!(streams.count(UNEXPLAINED) * 1_000 <= streams.compared, "too many unexplained");
}

/// The obvious loop: one analyzer for every pair of endpoints, frame after frame.
#[test]
fn segment_lines_are_those_of_a_serial_walk_tuple_by_tuple() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for path in paths(&folder).into_iter().step_by(17) {
        let file = folder.join(&path);
        let Some(seen) = segments(&file) else { continue };
        let ours = ours(&file);
        let mut analyzers: BTreeMap<_, Analyzer> = BTreeMap::new();
        for one in &seen {
            let (tuple, orientation) = one.tuple.canonical();
            let analyzer = analyzers.entry((tuple.source, tuple.destination)).or_default();
            let forward = orientation == Orientation::Forward;
            let expected = analyzer.observe(forward, &one.segment, &one.extras);
            let number = one.segment.frame.number();
            if let Some(segment) = ours.segments.get(&number) {
                assert_eq!(segment.flags, expected, "{path} {number}");
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "too few segments: {compared}");
}
