//! TCP101 on hand-built floods: when it fires, when it stays quiet, and the edge between.

use super::*;
use crate::detect::tests::Run;
use crate::finding::Value;
use crate::settings::Settings;
use crate::summary::samples::{graceful, half_open, open, unanswered};

const GAPS: [i64; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];

/// `count` SYNs of different sources, 10 ms apart from `from` on, each half-open for 63 s.
fn flood(count: u64, from: i64) -> Vec<ConnectionRecord> {
    let source = |n: u64| {
        let mut record =
            half_open(1_000 + n, from + i64::try_from(n).unwrap() * 10, &GAPS, 300_000);
        record.client.address =
            [198, 18, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap()].into();
        record
    };
    (0..count).map(source).collect()
}

fn value(finding: &crate::finding::Finding, name: &str) -> Value {
    finding.evidence.iter().find(|evidence| evidence.name == name).unwrap().value.clone()
}

#[test]
fn sixteen_at_once_are_a_notice_and_fifteen_are_none() {
    assert!(Run::of(flood(15, 0)).none(CODE));
    let finding = Run::of(flood(16, 0)).only(CODE);
    assert_eq!(finding.severity, Severity::Notice);
    assert_eq!(value(&finding, "peak_half_open"), Value::Integer(16));
}

#[test]
fn sixteen_one_after_the_other_are_no_pile() {
    let apart = (0..16).map(|n| half_open(n, n.cast_signed() * 70_000, &GAPS, 2_000_000));
    assert!(Run::of(apart).none(CODE));
}

#[test]
fn a_quarter_of_the_assumed_backlog_is_a_warning() {
    let severity = |count| Run::of(flood(count, 0)).only(CODE).severity;
    assert_eq!([severity(255), severity(256)], [Severity::Notice, Severity::Warning]);
}

#[test]
fn a_full_backlog_with_few_completions_is_critical() {
    let mut settings = Settings::default();
    settings.default.somaxconn = Some(128);
    settings.default.syncookies = Some(0);
    settings.default.from_host = true;
    let finding = Run::with(settings, flood(200, 0)).only(CODE);
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(value(&finding, "backlog_from"), Value::Text("settings".to_owned()));
    assert!(finding.advice[0].side_effects.contains("Now 0"), "{:?}", finding.advice);
}

#[test]
fn an_occupancy_that_stands_still_while_syns_are_dropped_tells_the_backlog() {
    let mut records = flood(128, 0);
    let dropped = (0..40)
        .map(|n| unanswered(5_000 + n, 5_000 + n.cast_signed() * 500, &[1_000, 2_000], 300_000));
    records.extend(dropped);
    let finding = Run::of(records).only(CODE);
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(value(&finding, "backlog"), Value::Integer(128));
    assert_eq!(value(&finding, "backlog_from"), Value::Text("inferred".to_owned()));
}

#[test]
fn spoofed_sources_and_harm_to_real_clients_are_told() {
    let mut records = flood(400, 100_000);
    records.extend((0..100).map(|n| graceful(n, n.cast_signed() * 900, 300_000)));
    records.extend((0..4).map(|n| open(600 + n, 103_000 + n.cast_signed() * 300, 300_000)));
    records.extend((0..6).map(|n| unanswered(700 + n, 103_000, &[1_000, 2_000], 300_000)));
    let finding = Run::of(records).only(CODE);
    assert!(finding.summary.contains("spoofed"), "{}", finding.summary);
    assert!(finding.summary.contains("completed 100 % before, 40 % during"), "{}", finding.summary);
}

#[test]
fn cookies_are_recognised_by_syn_acks_that_are_never_repeated() {
    let records = (0..40).map(|n| half_open(n, 0, &[], 30_000));
    let mut records: Vec<_> = records.collect();
    for record in &mut records {
        record.states.server.truncate(2);
    }
    let finding = Run::of(records).only(CODE);
    assert_eq!(value(&finding, "syn_cookies"), Value::Flag(true));
    assert_eq!(finding.severity, Severity::Notice);
}

#[test]
fn a_flood_within_one_tick_counts_its_syns() {
    let finding = Run::of((0..40).map(|n| half_open(n, 5, &GAPS, 90_000))).only(CODE);
    assert_eq!(value(&finding, "syns_during"), Value::Integer(40));
}

#[test]
fn a_busy_listener_whose_clients_complete_is_quiet() {
    let records = (0..500).map(|n| graceful(n, 10, 90_000));
    assert!(Run::of(records).none(CODE));
}

#[test]
fn half_open_is_silent_where_this_speaks() {
    let run = Run::of(flood(16, 0));
    assert!(run.none(Code(102)));
    assert!(!Run::of(flood(15, 0)).none(Code(102)));
}
