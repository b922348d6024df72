//! `testdata/scenarios/TCPnnn`: files named `fires-*` and `edge-fires-*` make that detector fire,
//! `quiet-*` and `edge-quiet-*` do not. A first line that ends in `[warning]` names the worst severity
//! that the detector must reach.

use std::fs;
use std::path::{Path, PathBuf};

use tcpautopsy::detect::RULES;
use tcpautopsy::finding::{Finding, Severity};
use tcpautopsy::testkit::Scenario;

use super::replay;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios")
}

/// The scenarios of a detector: file name and content.
fn scenarios(code: &str) -> Vec<(String, Scenario)> {
    let mut files: Vec<_> = fs::read_dir(folder().join(code))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tcp"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let scenario = Scenario::parse(&text).unwrap_or_else(|e| panic!("{code}/{name}: {e}"));
        (name, scenario)
    };
    files.into_iter().map(read).collect()
}

/// The scenarios of all detectors that have some, each with its place.
pub(super) fn all() -> Vec<(String, Scenario)> {
    let mut all = Vec::new();
    for rule in RULES {
        let code = rule.code.to_string();
        let named = |(name, scenario)| (format!("{code}/{name}"), scenario);
        all.extend(scenarios(&code).into_iter().map(named));
    }
    all
}

fn expected_severity(title: &str) -> Option<Severity> {
    let name = title.strip_suffix(']')?.rsplit_once('[')?.1;
    Severity::ALL.into_iter().find(|severity| severity.name() == name)
}

#[test]
fn every_detector_fires_and_keeps_quiet_as_its_scenarios_say() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let code = rule.code.to_string();
        for (name, scenario) in scenarios(&code) {
            let findings = replay::findings(&scenario);
            let own: Vec<&Finding> = findings.iter().filter(|f| f.code == rule.code).collect();
            let kind = name.strip_prefix("edge-").unwrap_or(&name);
            let should_fire = kind.starts_with("fires-");
            assert!(should_fire || kind.starts_with("quiet-"), "{code}/{name}: not a known kind");
            let worst = own.iter().map(|finding| finding.severity).max();
            let expected = expected_severity(scenario.title());
            if should_fire == own.is_empty() || (expected.is_some() && expected != worst) {
                let own: Vec<_> = own.iter().map(|f| (f.severity, f.variant, &f.summary)).collect();
                wrong.push(format!("{code}/{name}: expected {expected:?}, found {own:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_detector_has_a_scenario_of_each_kind() {
    for rule in RULES {
        let names: Vec<_> =
            scenarios(&rule.code.to_string()).into_iter().map(|(name, _)| name).collect();
        for kind in ["fires-", "quiet-", "edge-"] {
            assert!(names.iter().any(|name| name.starts_with(kind)), "{}: no {kind}*", rule.code);
        }
    }
}

#[test]
fn findings_do_not_depend_on_the_start_the_numbers_or_the_address_family() {
    for code in ["TCP102", "TCP103", "TCP301", "TCP303", "TCP305", "TCP306"] {
        for (name, scenario) in scenarios(code) {
            let shape = |scenario: &Scenario| -> Vec<_> {
                let findings = replay::findings(scenario);
                findings.into_iter().map(|f| (f.code, f.variant, f.severity, f.count)).collect()
            };
            let plain = shape(&scenario);
            let shift = tcpautopsy::stamp::Span::from_secs(86_399);
            let moved = scenario.clone().with_isn_shift(0xffff_ff00, 0x7fff_fff0);
            assert_eq!(shape(&moved), plain, "{code}/{name}: other ISNs");
            assert_eq!(shape(&scenario.clone().with_time_shift(shift)), plain, "{code}/{name}");
            assert_eq!(shape(&scenario.as_ipv6()), plain, "{code}/{name}: IPv6");
        }
    }
}

#[test]
fn copies_are_shown_by_the_first_of_them() {
    let (_, scenario) = scenarios("TCP903")
        .into_iter()
        .find(|(name, _)| name == "edge-fires-three-copies")
        .unwrap();
    let findings = replay::findings(&scenario);
    let frames: Vec<_> = findings[0].frames.iter().map(|frame| frame.number()).collect();
    assert_eq!(frames, [4], "frame 3 is the original");
}

#[test]
fn resets_are_of_the_kind_that_their_scenarios_name() {
    let kinds: Vec<_> = scenarios("TCP301")
        .iter()
        .filter(|(name, _)| name.contains("fires-"))
        .map(|(name, scenario)| {
            let findings = replay::findings(scenario);
            let variants: Vec<_> =
                findings.iter().filter(|f| f.code.0 == 301).map(|f| f.variant).collect();
            format!("{name}: {}", variants.join(", "))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "edge-fires-fewer: unread_data",
            "edge-fires-fin-wait-2-gone-late: fin_wait_2_gone",
            "edge-fires-one-in-five: unread_data",
            "edge-fires-several-resets: abort",
            "edge-fires-shut-down-then-aborted: abort",
            "fires-abort: abort",
            "fires-after-fin: after_fin",
            "fires-fin-wait-2-gone: fin_wait_2_gone",
            "fires-idle: idle",
            "fires-linger-zero: abort",
            "fires-load-balancer-idle: idle",
            "fires-orphan-fin-wait-2: orphan_fin_wait_2",
            "fires-refused: refused",
            "fires-to-time-wait: to_time_wait",
            "fires-unknown: unknown",
            "fires-unread-data: unread_data",
        ]
    );
}

/// A tap that doubles frames, steps back in time, cuts headers or leaves checksums to a card, or an
/// analysis without room, shows in findings about the capture and in no others.
#[test]
fn defects_of_a_capture_make_no_findings_about_its_connections() {
    let ours = ["TCP903", "TCP904", "TCP905", "TCP906"].into_iter().flat_map(scenarios);
    let life = ["duplicate-frames", "offloaded-segments", "snaplen-cut", "clock-backwards"];
    let life = scenarios("life").into_iter().filter(|(name, _)| life.contains(&name.as_str()));
    let mut count = 0;
    for (name, scenario) in ours.chain(life).filter(|(name, _)| !name.contains("quiet-")) {
        let findings = replay::findings(&scenario);
        let others: Vec<_> = findings.iter().filter(|finding| finding.code.0 < 900).collect();
        assert!(others.is_empty(), "{name}: {others:#?}");
        count += 1;
    }
    assert!(count > 12, "{count} scenarios");
}
