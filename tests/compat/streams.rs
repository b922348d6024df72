//! Connections against tshark's `tcp.stream`, over all public captures: where the numbers differ, one
//! of the classes of `docs/compatibility.md` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::captures::{bytes, folder, table};

/// A frame as tshark placed it.
struct Placed {
    frame: u64,
    stream: String,
    flags: u32,
    quoted: bool,
}

/// What one capture is taken for here.
#[derive(Default)]
struct Ours {
    /// By frame.
    connection: BTreeMap<u64, u64>,
    /// By connection.
    tunnel: BTreeMap<u64, String>,
    first: BTreeMap<u64, u64>,
}

const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

fn theirs(folder: &Path, path: &str) -> Option<Vec<Placed>> {
    let base = path.strip_prefix("files/")?;
    let text = bytes(&folder.join(format!("tshark/{base}.frames.tsv.gz")))?;
    let text = String::from_utf8(text).ok()?;
    // A header that tshark cannot read either has no stream; the index counts it as one.
    let placed = table(&text).into_iter().flat_map(|row| {
        let frame = row["frame.number"].parse().unwrap();
        let flags = row["tcp.flags"].split(',').next().unwrap_or_default();
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
        let several = row["tcp.stream"].contains(',');
        let quoted = several || row["in_icmp_error"] != "0";
        let streams: Vec<_> = row["tcp.stream"].split(',').map(str::to_owned).collect();
        streams.into_iter().map(move |stream| Placed { frame, stream, flags, quoted })
    });
    Some(placed.collect())
}

fn run(file: &Path, outputs: &[&Path], words: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpautopsy"));
    command.args(["analyze", "--quiet", "--no-progress"]).args(words).arg(file);
    for output in outputs {
        command.arg("-o").arg(output);
    }
    command.output().unwrap().stdout
}

fn connections(file: &Path) -> u64 {
    let report = run(file, &[], &["--json", "--connections", "none"]);
    let report: Value = serde_json::from_slice(&report).unwrap();
    report["summary"]["connections"].as_u64().unwrap()
}

fn ours(file: &Path) -> Ours {
    let scratch = tempfile::tempdir().unwrap();
    let (lines, segments) =
        (scratch.path().join("a.ndjson"), scratch.path().join("a.segments.ndjson"));
    run(file, &[&lines, &segments], &["--connections", "all"]);
    let mut ours = Ours::default();
    let read = |path| fs::read_to_string(path).unwrap();
    for line in read(&segments).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let data = &line["data"];
        if let Some(connection) = data["connection"].as_u64() {
            ours.connection.insert(data["frame"]["frame"].as_u64().unwrap(), connection);
        }
    }
    for line in read(&lines).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["type"] == "connection" {
            let (data, id) = (&line["data"], line["data"]["id"].as_u64().unwrap());
            ours.tunnel.insert(id, data["tunnel"].to_string());
            ours.first.insert(id, data["first_frame"]["frame"].as_u64().unwrap());
        }
    }
    ours
}

/// Counts the differences of a capture by class; what no rule explains is in the second list.
fn classify(theirs: &[Placed], ours: &Ours) -> (BTreeMap<&'static str, u64>, Vec<String>) {
    let mut classes = BTreeMap::new();
    let mut unexplained = Vec::new();
    let mut streams: BTreeMap<&str, Vec<&Placed>> = BTreeMap::new();
    for placed in theirs {
        streams.entry(&placed.stream).or_default().push(placed);
    }
    let mut first_stream: BTreeMap<u64, &str> = BTreeMap::new();
    for (stream, frames) in &streams {
        if frames.iter().all(|placed| placed.quoted) {
            *classes.entry("quoted").or_default() += 1;
            continue;
        }
        let mut met: Vec<u64> = Vec::new();
        for placed in frames.iter().filter(|placed| !placed.quoted) {
            let Some(id) = ours.connection.get(&placed.frame) else { continue };
            if met.contains(id) {
                continue;
            }
            let is_other_tunnel = met.iter().all(|other| ours.tunnel[other] != ours.tunnel[id]);
            let starts = placed.frame == ours.first[id];
            if met.is_empty() {
            } else if is_other_tunnel {
                *classes.entry("tunnel").or_default() += 1;
            } else if starts && placed.flags & (SYN | ACK) == SYN | ACK {
                *classes.entry("SYN-ACK of an unseen SYN").or_default() += 1;
            } else if starts {
                unexplained.push(format!("stream {stream}: {id} begins at frame {}", placed.frame));
            }
            met.push(*id);
        }
        if met.is_empty() {
            *classes.entry("no segment").or_default() += 1;
        }
        for id in &met {
            let Some(earlier) = first_stream.insert(*id, stream) else { continue };
            if frames.first().is_some_and(|placed| placed.flags & (SYN | ACK) == SYN) {
                *classes.entry("SYN that begins nothing").or_default() += 1;
            } else {
                unexplained.push(format!("streams {earlier} and {stream} are both {id}"));
            }
        }
    }
    let seen: BTreeSet<&u64> = ours.connection.values().collect();
    let theirs_alone = ours.tunnel.keys().filter(|id| !seen.contains(id)).count();
    if theirs_alone > 0 {
        unexplained.push(format!("{theirs_alone} connections without a segment"));
    }
    (classes, unexplained)
}

#[test]
fn connections_are_tsharks_streams_or_a_rule_says_why_not() {
    let Some(folder) = folder() else { return };
    let index = fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let (mut captures, mut equal) = (0, 0);
    let mut classes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in table(&index) {
        let path = row["path"];
        let Ok(expected) = row["tcp_streams"].parse::<u64>() else { continue };
        captures += 1;
        let file = folder.join(path);
        if connections(&file) == expected {
            equal += 1;
            continue;
        }
        let Some(theirs) = theirs(&folder, path) else {
            wrong.push(format!("{path}: no frames of tshark"));
            continue;
        };
        let (found, unexplained) = classify(&theirs, &ours(&file));
        for (class, number) in &found {
            let entry = classes.entry(class).or_default();
            *entry = (entry.0 + 1, entry.1 + number);
        }
        if found.is_empty() || !unexplained.is_empty() {
            wrong.push(format!("{path}: {found:?} {unexplained:?}"));
        }
    }
    println!("{equal} of {captures} captures have tshark's number");
    for (class, (files, number)) in &classes {
        println!("{class}: {number} in {files} captures");
    }
    assert!(captures > 1_000, "the index was not read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
