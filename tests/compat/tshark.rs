//! The program and the installed tshark side by side, on the project's own captures.
//!
//! All captures of the kernel laboratory are put one behind the other into one file: hundreds of
//! connections that use the same addresses and ports again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tcpautopsy::compat::wireshark::AnalysisFlags;

const FILE_HEADER: usize = 24;

/// Whether tshark can be run; without it the test is skipped, but not on the machines that check
/// the project.
fn is_installed() -> bool {
    if Command::new("tshark").arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "tshark is not installed");
    println!("skipped: tshark is not installed");
    false
}

/// The project's captures of hosts, one behind the other.
fn all_of_testdata() -> Vec<u8> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths: Vec<PathBuf> = vec![testdata.join("story.pcap")];
    for run in fs::read_dir(testdata.join("kernel")).unwrap() {
        let run = run.unwrap().path();
        paths.extend(["client.pcap", "server.pcap"].map(|name| run.join(name)));
    }
    paths.retain(|path| path.is_file());
    paths.sort();
    let mut whole = Vec::new();
    for path in paths {
        let capture = fs::read(&path).unwrap();
        let (header, records) = capture.split_at(FILE_HEADER);
        if whole.is_empty() {
            whole.extend_from_slice(header);
        }
        // Magic and link type: one header speaks for all.
        assert_eq!(
            (&whole[..4], &whole[20..24]),
            (&header[..4], &header[20..24]),
            "{}",
            path.display()
        );
        whole.extend_from_slice(records);
    }
    whole
}

fn tshark(arguments: &[&str]) -> String {
    let output = Command::new("tshark").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What tshark shows on each frame.
fn flags_of_tshark(capture: &str) -> BTreeMap<u64, AnalysisFlags> {
    let names: Vec<&str> = AnalysisFlags::all().flat_map(AnalysisFlags::names).collect();
    let fields: Vec<String> = names.iter().map(|name| format!("tcp.analysis.{name}")).collect();
    let mut arguments = vec!["-r", capture, "-Y", "tcp && !icmp && !icmpv6", "-T", "fields"];
    arguments.extend(["-e", "frame.number"]);
    for field in &fields {
        arguments.extend(["-e", field]);
    }
    let told = tshark(&arguments);
    let of_line = |line: &str| {
        let mut values = line.split('\t');
        let frame = values.next().unwrap().parse().unwrap();
        let shown = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
        let shown: Vec<&str> = shown.map(|(name, _)| *name).collect();
        (frame, AnalysisFlags::parse(&shown.join(",")).unwrap())
    };
    told.lines().map(of_line).collect()
}

/// The last completeness that tshark shows of each stream, by the stream's first frame.
fn completeness_of_tshark(capture: &str) -> BTreeMap<u64, u64> {
    let fields = ["frame.number", "tcp.stream", "tcp.completeness"];
    let mut arguments = vec!["-2", "-r", capture, "-Y", "tcp && !icmp && !icmpv6", "-T", "fields"];
    for field in &fields {
        arguments.extend(["-e", field]);
    }
    let told = tshark(&arguments);
    let mut streams: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for line in told.lines() {
        let values: Vec<u64> = line.split('\t').map(|value| value.parse().unwrap()).collect();
        streams.entry(values[1]).or_insert((values[0], 0)).1 = values[2];
    }
    streams.into_values().collect()
}

/// The lines of one type that the program writes.
fn lines(capture: &str, format: &str, kind: &str) -> Vec<Value> {
    let program = assert_cmd::cargo::cargo_bin("tcpautopsy");
    let output = Command::new(program)
        .args(["analyze", capture, "--no-progress", "-o", &format!("{format}:-")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == kind).map(|mut line| line["data"].take()).collect()
}

#[test]
fn segment_lines_and_completeness_say_what_the_installed_tshark_says() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.pcap");
    fs::write(&path, all_of_testdata()).unwrap();
    let capture = path.to_str().unwrap();

    let theirs = flags_of_tshark(capture);
    let segments = lines(capture, "segments", "segment");
    assert!(theirs.len() > 30_000, "too few segments: {}", theirs.len());
    assert_eq!(segments.len(), theirs.len(), "both read the same segments");
    let mut differing = 0;
    for segment in &segments {
        let frame = segment["frame"]["frame"].as_u64().unwrap();
        let shown = segment["wireshark"].as_array().unwrap();
        let shown: Vec<&str> = shown.iter().map(|name| name.as_str().unwrap()).collect();
        let ours = AnalysisFlags::parse(&shown.join(",")).unwrap();
        if theirs[&frame] != ours {
            println!("frame {frame}: tshark {:?}, here {ours:?}", theirs[&frame]);
            differing += 1;
        }
    }
    assert!(differing * 10_000 <= theirs.len(), "{differing} segments of {}", theirs.len());

    let theirs = completeness_of_tshark(capture);
    let connections = lines(capture, "ndjson", "connection");
    let (mut compared, mut differing) = (0, 0);
    for connection in &connections {
        let first = connection["first_frame"]["frame"].as_u64().unwrap();
        let Some(expected) = theirs.get(&first) else { continue };
        compared += 1;
        if connection["wireshark"]["completeness"] != *expected {
            let ours = &connection["wireshark"]["completeness"];
            println!("connection from frame {first}: tshark {expected}, here {ours}");
            differing += 1;
        }
    }
    println!("{compared} of {} streams compared, {differing} differ", theirs.len());
    assert!(compared * 100 >= theirs.len() * 99, "{compared} of {} streams", theirs.len());
    assert!(differing * 100 <= compared, "completeness: {differing} of {compared}");
}
