//! Reports to files and to standard output.

use std::io::Read as _;
use std::process::{Command, Stdio};

use super::{Desk, json};

#[test]
fn several_reports_and_the_summary_come_from_one_run() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    let (code, out, errors) =
        desk.run(&["analyze", "web.pcap", "-o", "r.json", "-o", "ndjson:lines", "-q"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(out.starts_with("NOTICE"), "{out}");
    let report = json(&desk.path("r.json"));
    assert_eq!(report["findings"][0]["code"], "TCP105");
    assert_eq!(report["connections"][0]["handshake"]["outcome"], "refused");
    let lines = std::fs::read_to_string(desk.path("lines")).unwrap();
    let kinds: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(kinds, ["connection", "finding", "finding", "run"]);
}

#[test]
fn lines_hold_all_connections_and_the_report_those_that_were_flagged() {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    let count = |arguments: &[&str]| {
        desk.stdout(&[&["analyze", "clean.pcap"], arguments].concat())
            .matches("\"community_id\"")
            .count()
    };
    assert_eq!(count(&["--json"]), 0);
    assert_eq!(count(&["--json", "--connections", "all"]), 1);
    assert_eq!(count(&["-o", "ndjson:-"]), 1);
    assert_eq!(count(&["-o", "ndjson:-", "--connections", "none"]), 0);
    assert_eq!(count(&["-o", "ndjson:-", "--connections", "flagged"]), 0);
}

#[test]
fn a_report_on_standard_output_stands_alone() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    let report: serde_json::Value =
        serde_json::from_str(&desk.stdout(&["analyze", "web.pcap", "--json"])).unwrap();
    assert_eq!(report["tool"]["name"], "tcpautopsy");
}

#[test]
fn what_is_written_fits_the_schema_that_is_printed() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    desk.run(&["analyze", "web.pcap", "-o", "r.json", "--connections", "all"]);
    let schema = serde_json::from_str(&desk.stdout(&["schema"])).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = json(&desk.path("r.json"));
    assert!(validator.is_valid(&report));
    assert!(!validator.is_valid(&report["connections"][0]));
    let schema = serde_json::from_str(&desk.stdout(&["schema", "connection"])).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&report["connections"][0]));
}

#[test]
fn segments_come_one_a_line_and_fit_their_schema() {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    let (code, out, errors) =
        desk.run(&["analyze", "clean.pcap", "-o", "all.segments.ndjson", "-q"]);
    assert_eq!((code, out.as_str(), errors.as_str()), (Some(0), "", ""));
    let written = std::fs::read_to_string(desk.path("all.segments.ndjson")).unwrap();
    assert_eq!(written, desk.stdout(&["analyze", "clean.pcap", "-o", "segments:-"]));
    let schema = serde_json::from_str(&desk.stdout(&["schema", "segment"])).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let segments: Vec<serde_json::Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(segments.len(), 8);
    for (index, segment) in segments.iter().enumerate() {
        assert_eq!(segment["type"], "segment");
        assert!(validator.is_valid(&segment["data"]), "{segment}");
        assert_eq!(segment["data"]["frame"]["frame"], index + 1);
        assert_eq!(segment["data"]["connection"], 1);
    }
    let [first, second] = [&segments[0]["data"], &segments[1]["data"]];
    assert_eq!([&first["flags"], &first["from"]], ["S", "client"]);
    assert_eq!([&second["flags"], &second["from"]], ["S.", "server"]);
    assert_eq!([&second["client_state"], &second["server_state"]], ["SYN-SENT", "SYN-RECEIVED"]);
    assert_eq!(first["server_state"], serde_json::Value::Null);
    let last = &segments[7]["data"];
    assert_eq!([&last["client_state"], &last["server_state"]], ["TIME-WAIT", "CLOSED"]);
}

#[test]
fn an_input_is_never_overwritten() {
    let desk = Desk::new();
    let capture = desk.refused("web.pcap");
    let before = std::fs::read(&capture).unwrap();
    let (code, _, errors) = desk.run(&["analyze", "web.pcap", "-o", "json:./web.pcap"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("is an input"), "{errors}");
    assert_eq!(std::fs::read(&capture).unwrap(), before);
}

#[test]
fn two_reports_never_share_a_file() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    let both = ["analyze", "web.pcap", "-o", "x.json", "-o", "ndjson:./x.json"];
    let (code, _, errors) = desk.run(&both);
    assert_eq!(code, Some(2));
    assert!(errors.contains("two reports cannot both go to ./x.json"), "{errors}");
    let (code, ..) =
        desk.run(&["analyze", "web.pcap", "-o", "json:/dev/null", "-o", "ndjson:/dev/null"]);
    assert_eq!(code, Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    let program = assert_cmd::cargo::cargo_bin("tcpautopsy");
    for arguments in [
        &["analyze", "web.pcap", "--json"][..],
        &["schema"],
        &["detectors"],
        &["completions", "bash"],
    ] {
        let mut child = Command::new(&program)
            .args(arguments)
            .current_dir(desk.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
