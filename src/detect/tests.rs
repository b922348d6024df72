//! Tests of the detectors as a whole, and what the tests of single rules share.

use super::*;
use crate::connection::ConnectionRecord;
use crate::finding::{Code, Finding};
use crate::input::Input;
use crate::settings::Settings;
use crate::summary::samples::{aborted, at, graceful, half_open, open, refused, unanswered};
use crate::summary::{OneHand, Summary};

/// A whole run over records: what a test of a rule looks at.
pub(super) struct Run {
    pub(super) findings: Vec<Finding>,
}

impl Run {
    /// With the default settings and thresholds.
    pub(super) fn of(records: impl IntoIterator<Item = ConnectionRecord>) -> Self {
        Self::with(Settings::default(), records)
    }

    pub(super) fn with(
        settings: Settings,
        records: impl IntoIterator<Item = ConnectionRecord>,
    ) -> Self {
        Self::configured(settings, &[], records, &[])
    }

    pub(super) fn set(
        assignments: &[&str],
        records: impl IntoIterator<Item = ConnectionRecord>,
    ) -> Self {
        Self::configured(Settings::default(), assignments, records, &[])
    }

    pub(super) fn inputs(inputs: &[Input]) -> Self {
        Self::configured(Settings::default(), &[], [], inputs)
    }

    /// With totals that `change` has changed.
    pub(super) fn with_summary(
        records: impl IntoIterator<Item = ConnectionRecord>,
        change: impl FnOnce(&mut Summary),
    ) -> Self {
        let detectors =
            Detectors::new(Settings::default(), Thresholds::default(), &Selection::default());
        let (mut summary, mut accumulator) = (Summary::default(), Accumulator::default());
        for record in records {
            detectors.connection(&record, &mut accumulator);
            summary.add(&record);
        }
        change(&mut summary);
        Self { findings: detectors.conclude(&accumulator, &summary, &[], &OneHand) }
    }

    pub(super) fn configured(
        settings: Settings,
        assignments: &[&str],
        records: impl IntoIterator<Item = ConnectionRecord>,
        inputs: &[Input],
    ) -> Self {
        let mut thresholds = Thresholds::default();
        for assignment in assignments {
            thresholds.set(assignment).unwrap();
        }
        let detectors = Detectors::new(settings, thresholds, &Selection::default());
        let (mut summary, mut accumulator) = (Summary::default(), Accumulator::default());
        for record in records {
            detectors.connection(&record, &mut accumulator);
            summary.add(&record);
        }
        Self { findings: detectors.conclude(&accumulator, &summary, inputs, &OneHand) }
    }

    /// The one finding with `code`.
    pub(super) fn only(&self, code: Code) -> Finding {
        let mut found: Vec<_> = self.all(code);
        assert_eq!(found.len(), 1, "{:#?}", self.findings);
        found.remove(0)
    }

    pub(super) fn all(&self, code: Code) -> Vec<Finding> {
        self.findings.iter().filter(|finding| finding.code == code).cloned().collect()
    }

    pub(super) fn none(&self, code: Code) -> bool {
        self.all(code).is_empty()
    }
}

fn sample_run() -> Vec<ConnectionRecord> {
    (0..120)
        .map(|n: u64| {
            let from = n.cast_signed() * 31;
            let mut record = match n % 6 {
                0 => open(n, from, 200_000),
                1 => graceful(n, from, 200_000),
                2 => half_open(n, from, &[1_000, 2_000, 4_000], 200_000),
                3 => unanswered(n, from, &[1_000, 2_000], 200_000),
                4 => refused(n, from),
                _ => aborted(n, from, 1),
            };
            record.server.port += u16::try_from(n / 6 % 3).unwrap();
            record
        })
        .collect()
}

fn conclude(parts: &[&[ConnectionRecord]]) -> Vec<Finding> {
    let detectors =
        Detectors::new(Settings::default(), Thresholds::default(), &Selection::default());
    let (mut summary, mut accumulator) = (Summary::default(), Accumulator::default());
    for part in parts {
        let mut found = Accumulator::default();
        for record in *part {
            detectors.connection(record, &mut found);
            summary.add(record);
        }
        accumulator.merge(found);
    }
    detectors.conclude(&accumulator, &summary, &[], &OneHand)
}

#[test]
fn the_order_of_connections_and_shards_leaves_no_trace_in_findings() {
    let records = sample_run();
    let mut backwards = records.clone();
    backwards.reverse();
    let whole = conclude(&[&records]);
    assert!(whole.len() > 5, "{whole:#?}");
    for cut in [1, 17, 60, 119] {
        let (one, other) = backwards.split_at(cut);
        assert_eq!(conclude(&[one, other]), whole);
        assert_eq!(conclude(&[other, one]), whole);
    }
}

#[test]
fn however_often_shards_hand_on_the_same_groups_are_kept() {
    let detectors =
        Detectors::new(Settings::default(), Thresholds::default(), &Selection::default());
    // Some listeners come again and again, others once.
    let record = |n: u64| {
        let mut record = refused(n, n.cast_signed());
        record.server.port = u16::try_from(if n.is_multiple_of(3) { n % 50 } else { n }).unwrap();
        record
    };
    let rule = RULES.iter().position(|rule| rule.code == Code(105)).unwrap();
    let kept = |many: u64| {
        let mut whole = Accumulator::with_limit(64);
        let mut shards = [0; 4].map(|_| Accumulator::with_limit(64));
        for n in 0..6_000_u64 {
            // Of four that end at the same time the last one comes first.
            let (ended, shard) = (at(n.cast_signed() / 4), usize::try_from(3 - n % 4).unwrap());
            detectors.connection(&record(n), &mut shards[shard]);
            shards[shard].hand_on((ended, n));
            assert!(shards[shard].groups(rule).len() < 16, "a shard keeps few");
            if n % many == many - 1 {
                whole.take_over(shards.iter_mut(), Some((ended, 0)));
            }
        }
        whole.take_over(shards.iter_mut(), None);
        whole.merge_all(shards.into());
        let groups = whole.groups(rule);
        assert_eq!(groups.len(), 64);
        let count: u64 = groups.iter().map(|(_, group)| group.count).sum();
        assert_eq!(count + whole.evicted(rule).connections, 6_000);
        format!("{groups:?}")
    };
    let often = kept(1);
    assert!([10, 777, u64::MAX].into_iter().all(|many| kept(many) == often));
}

#[test]
fn the_worst_findings_come_first() {
    let findings = conclude(&[&sample_run()]);
    let order: Vec<_> = findings.iter().map(|f| (std::cmp::Reverse(f.severity), f.code)).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn an_ordinary_capture_has_no_finding() {
    let records = (0..300).map(|n| graceful(n, n.cast_signed() * 50, 90_000));
    let open = (300..320).map(|n| open(n, 14_000, 90_000));
    let progress = [half_open(400, 89_999, &[], 90_000), unanswered(401, 89_999, &[], 90_000)];
    let run = Run::of(records.chain(open).chain(progress));
    assert!(run.findings.is_empty(), "{:#?}", run.findings);
}

#[test]
fn a_connection_is_marked_by_the_detectors_that_fired_on_it() {
    let detectors =
        Detectors::new(Settings::default(), Thresholds::default(), &Selection::default());
    let mut accumulator = Accumulator::default();
    let half_open = half_open(1, 0, &[1_000, 2_000], 90_000);
    let codes = detectors.connection(&half_open, &mut accumulator);
    assert_eq!(codes, [Code(102)], "a pile-up marks no connection");
    assert!(detectors.connection(&graceful(2, 0, 90_000), &mut accumulator).is_empty());
}

#[test]
fn only_and_skip_choose_detectors_by_code_or_name() {
    let found = |only: &[&str], skip: &[&str]| {
        let selection = Selection::new(only, skip).unwrap();
        let detectors = Detectors::new(Settings::default(), Thresholds::default(), &selection);
        let mut accumulator = Accumulator::default();
        let refused = detectors.connection(&refused(1, 0), &mut accumulator);
        let silent = unanswered(2, 0, &[1_000], 9_000);
        let silent = detectors.connection(&silent, &mut accumulator);
        (refused.len(), silent.len())
    };
    assert_eq!(found(&[], &["TCP301"]), (1, 1));
    assert_eq!(found(&["tcp105"], &[]), (1, 0));
    assert_eq!(found(&[], &["connection_refused", "reset_abort"]), (0, 1));
    let error = Selection::new(&["TCP999"], &[]).unwrap_err();
    assert!(error.to_string().contains("no detector `TCP999`"), "{error}");
}

#[test]
fn wrong_thresholds_are_refused_with_what_would_be_right() {
    let error = |text: &str| Thresholds::default().set(text).unwrap_err().to_string();
    assert!(error("TCP303").contains("CODE.NAME=VALUE"));
    assert!(error("TCP999.limit=1").contains("no detector"));
    assert!(error("TCP303.lmit=60s").contains("it has limit, leak_count"));
    assert!(error("TCP303.limit=60").contains("a duration with its unit"));
    assert!(error("TCP101.warning_share=a").contains("a percentage"));
    assert!(error("TCP206.warning=-1").contains("a whole number"));
    assert!(error("TCP303.limit=99999999999999999999h").contains("a duration"));
}

#[test]
fn thresholds_are_set_by_code_or_name_and_shown_as_typed() {
    let mut thresholds = Thresholds::default();
    thresholds.set("close_wait_leak.limit=2m").unwrap();
    thresholds.set("tcp101.warning_share=50%").unwrap();
    let changed: Vec<_> =
        thresholds.in_force().into_iter().filter(ThresholdInForce::is_changed).collect();
    let texts: Vec<_> = changed.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["TCP101.warning_share=50%", "TCP303.limit=2m"]);
}

#[test]
fn codes_and_names_are_unique_and_ordered() {
    assert!(RULES.windows(2).all(|pair| pair[0].code < pair[1].code));
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn every_page_has_all_headings_in_order_with_text() {
    for rule in RULES {
        let page = rule.page();
        assert!(!rule.gist().is_empty(), "{} has no gist", rule.code);
        let sections: Vec<_> = page.split("\n## ").skip(1).collect();
        let headings: Vec<_> =
            sections.iter().map(|s| s.lines().next().unwrap_or_default()).collect();
        assert_eq!(headings, HEADINGS, "{}", rule.code);
        for section in sections {
            assert!(
                section.lines().skip(1).any(|line| !line.is_empty()),
                "{}: {section}",
                rule.code
            );
        }
    }
}

#[test]
fn every_threshold_is_documented_with_its_source() {
    for rule in RULES {
        let page = rule.page();
        for threshold in rule.thresholds {
            assert_eq!(threshold.code, rule.code, "{}", threshold.name);
            assert!(!threshold.meaning.is_empty() && !threshold.source.is_empty());
            assert!(page.contains(&format!("| `{}` |", threshold.name)), "{}", rule.code);
            let text = threshold.default_text();
            let mut thresholds = Thresholds::default();
            thresholds.set(&format!("{}.{}={text}", rule.code, threshold.name)).unwrap();
            assert_eq!(thresholds.of(threshold), threshold.default, "{text}");
        }
    }
}

#[test]
fn no_page_or_advice_recommends_what_harms() {
    for finding in conclude(&[&sample_run()]) {
        for advice in &finding.advice {
            assert_ne!(advice.setting, "net.ipv4.tcp_tw_recycle");
        }
    }
}

#[test]
fn fingerprints_depend_on_code_variant_and_subject_alone() {
    let findings = conclude(&[&sample_run()]);
    let later = conclude(&[&sample_run()[..60]]);
    for finding in &later {
        let same = findings.iter().find(|f| {
            (f.code, f.variant, &f.subject) == (finding.code, finding.variant, &finding.subject)
        });
        assert_eq!(same.unwrap().fingerprint(), finding.fingerprint());
    }
    let mut ids: Vec<_> = findings.iter().map(Finding::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), findings.len());
    assert!(ids[0].starts_with("TCP1") && ids[0].len() == "TCP102-".len() + 8, "{}", ids[0]);
}

#[test]
fn groups_cite_bounded_samples_with_the_smallest_ids() {
    let records: Vec<_> = (0..200).rev().map(|n| refused(n, 10)).collect();
    let finding = conclude(&[&records]).remove(0);
    assert_eq!(finding.count, 200);
    let first: Vec<u64> = (0..20).collect();
    assert_eq!(finding.connections, first);
    assert_eq!(finding.frames.len(), Finding::MAX_FRAMES);
}

#[test]
fn a_scan_of_all_ports_does_not_fill_the_report() {
    let records: Vec<_> = (0..5_000_u16)
        .map(|port| {
            let mut record = refused(port.into(), 10);
            record.server.port = port;
            record
        })
        .collect();
    let mut findings = conclude(&[&records]);
    findings.retain(|finding| finding.code == Code(105));
    assert_eq!(findings.len(), Detectors::MAX_FINDINGS_PER_VARIANT + 1);
    assert_eq!(findings.iter().map(|finding| finding.count).sum::<u64>(), 5_000);
    let rest = findings.iter().find(|f| matches!(f.subject, crate::finding::Subject::Capture(_)));
    assert!(
        rest.unwrap().summary.contains("other places: 4,968 connections"),
        "{:?}",
        rest.unwrap().summary
    );
}

#[test]
fn fewer_groups_in_less_memory_lose_no_connection() {
    let detectors =
        Detectors::new(Settings::default(), Thresholds::default(), &Selection::default());
    let limit = Accumulator::limit_within(1 << 20, 64);
    assert!(limit < Accumulator::MAX_GROUPS);
    assert_eq!(Accumulator::limit_within(u64::MAX, 64), Accumulator::MAX_GROUPS);
    let mut accumulator = Accumulator::with_limit(limit);
    for port in 0..5_000_u16 {
        let mut record = refused(port.into(), 10);
        record.server.port = port;
        detectors.connection(&record, &mut accumulator);
    }
    let rule = RULES.iter().position(|rule| rule.code == Code(105)).unwrap();
    let kept = accumulator.groups(rule);
    assert_eq!(kept.len(), limit);
    let count: u64 = kept.iter().map(|(_, group)| group.count).sum();
    assert_eq!(count + accumulator.evicted(rule).connections, 5_000);
}
