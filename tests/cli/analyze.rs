//! Captures in, summary out.

use super::{CLEAN, Desk, capture};

/// The summary without the time that reading took.
fn timeless(text: &str) -> String {
    let mut kept: String = text
        .lines()
        .map(|line| line.split(", read in ").next().unwrap_or(line).to_owned() + "\n")
        .collect();
    if !text.ends_with('\n') {
        kept.pop();
    }
    kept
}

#[test]
fn the_summary_tells_what_is_wrong_and_exits_with_0_unless_asked() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    let (code, out, errors) = desk.run(&["analyze", "web.pcap"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(out.contains("\nNOTICE    TCP105 connection_refused   10.0.0.2:80   "), "{out}");
    insta::assert_snapshot!(timeless(&out));
}

#[test]
fn findings_that_are_asked_for_make_the_exit_code_1() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    desk.clean("clean.pcap");
    let code = |limit, file| desk.run(&["analyze", "--fail-on", limit, file]).0;
    for limit in ["notice", "info", "TCP105", "tcp105", "connection_refused", "critical,TCP105"] {
        assert_eq!(code(limit, "web.pcap"), Some(1), "{limit}");
        assert_eq!(code(limit, "clean.pcap"), Some(0), "{limit}");
    }
    for limit in ["warning", "TCP101"] {
        assert_eq!(code(limit, "web.pcap"), Some(0), "{limit}");
    }
    let (_, _, errors) = desk.run(&["analyze", "--json", "--fail-on", "notice", "web.pcap"]);
    assert_eq!(errors, "tcpautopsy: error: found what --fail-on names: TCP105\n");
}

#[test]
fn a_damaged_file_makes_the_exit_code_2_and_says_so() {
    let desk = Desk::new();
    let capture = std::fs::read(desk.refused("web.pcap")).unwrap();
    desk.write("cut.pcap", &capture[..capture.len() - 1]);
    let (code, _, errors) = desk.run(&["analyze", "--json", "cut.pcap"]);
    let told = "tcpautopsy: error: damaged files, of which the rest was analysed: 1\n";
    assert_eq!((code, errors.as_str()), (Some(2), told));
}

#[test]
fn files_of_one_name_are_told_apart() {
    let desk = Desk::new();
    desk.refused("taps/one/web.pcap");
    desk.clean("taps/two/web.pcap");
    let out = desk.stdout(&["analyze", "taps"]);
    assert!(out.contains("taps/ (2 files, pcap)"), "{out}");
    assert!(out.contains("  open   one/web.pcap frame "), "{out}");
}

#[test]
fn detectors_can_be_chosen_by_code_and_by_name() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    let is_found = |more: &[&str]| {
        let out = desk.stdout(&[&["analyze", "web.pcap"], more].concat());
        out.contains("TCP105 connection_refused")
    };
    assert!(is_found(&[]) && is_found(&["--only", "tcp105"]) && is_found(&["--skip", "TCP101"]));
    assert!(!is_found(&["--skip", "connection_refused"]));
    assert!(!is_found(&["--only", "TCP101,TCP102"]));
}

#[test]
fn quiet_says_nothing_of_a_clean_capture() {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    assert_eq!(desk.run(&["analyze", "-q", "clean.pcap"]), (Some(0), String::new(), String::new()));
}

#[test]
fn colours_are_for_terminals_or_for_those_who_ask() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    assert!(!desk.stdout(&["analyze", "web.pcap"]).contains('\u{1b}'));
    assert!(desk.stdout(&["analyze", "--color", "always", "web.pcap"]).contains("\u{1b}["));
}

#[test]
fn a_folder_is_searched_and_what_is_no_capture_is_passed_over() {
    let desk = Desk::new();
    desk.refused("incident/deep/web.pcap");
    desk.clean("incident/clean.pcap");
    desk.write("incident/notes.txt", "no capture");
    let (code, out, errors) = desk.run(&["analyze", "incident"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("incident/ (2 files, pcap)"), "{out}");
    assert!(out.contains("10 frames, 10 TCP segments, 2 connections"), "{out}");
    let (_, _, errors) = desk.run(&["analyze", "-v", "incident"]);
    assert_eq!(errors, "tcpautopsy: warning: files in folders that are no captures: 1\n");
}

#[test]
fn standard_input_is_a_capture_like_any_other() {
    let desk = Desk::new();
    let output = desk.program(&["analyze", "-"]).write_stdin(capture(CLEAN)).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains("8 frames, 8 TCP segments, 1 connection"), "{out}");
}

#[test]
fn settings_of_a_host_change_what_is_inferred() {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    desk.write("web.sysctl", "net.ipv4.tcp_fin_timeout = 7\n");
    let out =
        desk.stdout(&["analyze", "--json", "--sysctl", "10.0.0.0/8=web.sysctl", "clean.pcap"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let host = &report["settings"]["hosts"][0];
    assert_eq!(host["network"], "10.0.0.0/8");
    assert_eq!(host["settings"]["fin_timeout_ns"], 7_000_000_000_i64);
    let out = desk.stdout(&["analyze", "--json", "--profile", "rfc", "clean.pcap"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["settings"]["default"]["time_wait_ns"], 240_000_000_000_i64);
}

#[test]
fn the_report_is_the_same_for_any_number_of_threads_and_any_chunk_size() {
    let desk = Desk::new();
    desk.refused("a.pcap");
    desk.clean("b.pcap");
    let report = |more: &[&str]| {
        desk.stdout(&[&["analyze", "--json", "--connections", "all"], more].concat())
    };
    let one = report(&["--threads", "1", "a.pcap", "b.pcap"]);
    assert!(one.contains("\"TCP105\""), "{one}");
    assert_eq!(one, report(&["--threads", "4", "b.pcap", "a.pcap"]));
    assert_eq!(one, report(&["--chunk-size", "64", "a.pcap", "b.pcap"]));
}

#[test]
fn a_filter_and_a_period_are_named_with_what_they_left_out() {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    let all = desk.stdout(&["analyze", "clean.pcap"]);
    assert!(!all.contains("filter") && !all.contains("period"), "{all}");
    let out = desk.stdout(&["analyze", "clean.pcap", "--filter", "port 1", "--to", "2000-01-01"]);
    assert!(out.contains("\nperiod   before 2000-01-01T00:00:00.000000000Z: "), "{out}");
    let out = desk.stdout(&["analyze", "clean.pcap", "--filter", "port 1"]);
    assert!(out.contains("\nfilter   port 1: ") && out.contains(" TCP segments left out"), "{out}");
}
