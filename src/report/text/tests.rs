//! Tests of the summary as people see it.

use super::*;
use crate::analysis::{Input, InputDamage};
use crate::finding::Severity;
use crate::report::tests::{analysis, flood, with_inputs};
use crate::summary::OneHand;
use crate::summary::samples::{graceful, refused, unanswered};

fn options(detail: Detail) -> TextOptions {
    TextOptions {
        detail,
        width: 80,
        color: false,
        elapsed: None,
        typed: vec!["incident/".to_owned()],
    }
}

fn text(analysis: &Analysis, detail: Detail) -> String {
    let mut out = Vec::new();
    write_text(analysis, &options(detail), &OneHand, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_first_screen_of_a_flood_is_the_answer() {
    let text = text(&flood(), Detail::Normal);
    assert!(text.contains("CRITICAL  TCP101 syn_flood   10.0.0.2:443   "), "{text}");
    assert!(text.contains("\n  half-open  ▂") && text.contains("████"), "{text}");
    assert!(text.contains("net.ipv4.tcp_syncookies = 1"), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for detail in [Detail::Quiet, Detail::Normal, Detail::Full] {
        let text = text(&flood(), detail);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{text}");
    }
}

#[test]
fn everything_is_told_when_asked() {
    let text = text(&flood(), Detail::Full);
    for piece in ["  why    ", "  filter ", "  seen   ", " listener ", "settings  profile linux"] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn quiet_tells_findings_and_nothing_of_a_clean_capture() {
    assert_eq!(text(&analysis(vec![graceful(0, 0, 90_000)]), Detail::Quiet), "");
    let text = text(&analysis(vec![refused(0, 0)]), Detail::Quiet);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("NOTICE    TCP105 connection_refused   10.0.0.2:443   "), "{text}");
}

#[test]
fn quiet_leaves_out_remarks() {
    let mut analysis = analysis(vec![refused(0, 0)]);
    analysis.findings[0].severity = Severity::Info;
    assert_eq!(text(&analysis, Detail::Quiet), "");
}

#[test]
fn a_clean_capture_says_so() {
    let text = text(&analysis(vec![graceful(0, 0, 90_000)]), Detail::Normal);
    assert!(text.contains("\nNo findings.\n"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn notices_are_told_where_nothing_is_worse() {
    let text = text(&analysis(vec![refused(0, 0), graceful(1, 5, 90_000)]), Detail::Normal);
    assert!(text.contains("NOTICE    TCP105"), "{text}");
    assert!(!text.contains("more with -v   1 notice"), "{text}");
}

#[test]
fn notices_stand_back_behind_what_is_worse() {
    let mut records = vec![refused(5_000, 0)];
    records.extend(flood().connections.into_iter().map(|judged| judged.record));
    let text = text(&analysis(records), Detail::Normal);
    assert!(text.contains("\nmore with -v   1 notice (TCP105)   1 remark (TCP301)\n"), "{text}");
    assert!(!text.contains("TCP105 connection_refused"), "{text}");
}

#[test]
fn an_empty_capture_is_told_from_one_without_tcp() {
    let input = |frames, skipped: &[(&'static str, u64)]| Input {
        path: "x.pcap".to_owned(),
        format: "pcap",
        compression: "none",
        frames,
        skipped: skipped.to_vec(),
        ..Input::default()
    };
    let empty = text(&with_inputs(vec![input(0, &[])], Vec::new()), Detail::Normal);
    assert!(
        empty.ends_with("0 frames, 0 TCP segments, 0 connections\n\nThe capture holds no frame.\n"),
        "{empty}"
    );
    let arp = text(&with_inputs(vec![input(12, &[("arp", 12)])], Vec::new()), Detail::Normal);
    assert!(
        arp.contains("\nskipped 12 frames: 12 arp\n\nThe capture holds no TCP segment.\n"),
        "{arp}"
    );
}

#[test]
fn a_single_syn_is_a_connection_that_nobody_answered() {
    let mut analysis = analysis(vec![unanswered(0, 0, &[], 0)]);
    analysis.inputs[0].frames = 1;
    analysis.inputs[0].tcp_segments = 1;
    let text = text(&analysis, Detail::Normal);
    assert!(text.contains("1 frame, 1 TCP segment, 1 connection\n"), "{text}");
    assert!(text.contains(" handshake   unanswered 1\n"), "{text}");
}

#[test]
fn damage_and_skipped_frames_are_in_sight() {
    let place =
        |offset| InputDamage { kind: "bad_record", offset, skipped_bytes: 512, after_frame: 7 };
    let mut analysis = analysis(vec![graceful(0, 0, 90_000)]);
    let input = &mut analysis.inputs[0];
    input.damage = [1_000, 2_000, 3_000, 4_000].map(place).into();
    input.damage_total = 70;
    input.skipped = vec![("arp", 10), ("cut_tcp_header", 2), ("udp", 5), ("sctp", 1)];
    let short = text(&analysis, Detail::Normal);
    assert!(short.contains("bad_record at byte 3,000"), "{short}");
    assert!(short.contains("damaged  67 more places (-v lists more)"), "{short}");
    assert!(
        short.contains("skipped 18 frames: 10 arp, 5 udp, 2 cut_tcp_header, ... (-v for all)"),
        "{short}"
    );
    let full = text(&analysis, Detail::Full);
    assert!(full.contains("byte 4,000") && full.contains("66 more places\n"), "{full}");
    assert!(full.contains("2 cut_tcp_header, 1 sctp\n"), "{full}");
}

#[test]
fn files_of_one_folder_are_named_by_it() {
    let input = |path: &str, format| Input {
        path: path.to_owned(),
        format,
        compression: "gzip",
        ..Input::default()
    };
    let inputs = vec![input("incident/a.pcap.gz", "pcap"), input("incident/b.pcapng.gz", "pcapng")];
    let text = text(&with_inputs(inputs, Vec::new()), Detail::Normal);
    assert!(text.contains("   incident/ (2 files, pcap, gzip, pcapng)\n"), "{text}");
}
