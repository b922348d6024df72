//! The display filters of findings, tried in a real tshark: each selects the frames that its finding
//! cites.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use tcpautopsy::finding::Finding;
use tcpautopsy::testkit::Scenario;

use super::{replay, scenarios};

/// Whether tshark can be asked; where it is missing the test is skipped, but not in CI.
fn has_tshark() -> bool {
    let found =
        Command::new("tshark").arg("--version").output().is_ok_and(|it| it.status.success());
    if !found {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!in_ci, "tshark is missing");
        println!("skipped: no tshark");
    }
    found
}

/// The frames of `scenario` that the filter selects, and what tshark complained about: a damaged
/// file, or the filter.
fn selected(scenario: &Scenario, filter: &str) -> (BTreeSet<u64>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.pcap");
    fs::write(&file, scenario.compile()).unwrap();
    let output = Command::new("tshark")
        .args(["-n", "-Y", filter, "-T", "fields", "-e", "frame.number", "-r"])
        .arg(&file)
        .output()
        .unwrap();
    let numbers = String::from_utf8_lossy(&output.stdout);
    let selected = numbers.lines().filter_map(|line| line.trim().parse().ok()).collect();
    (selected, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn display_filters_select_the_frames_that_findings_cite() {
    if !has_tshark() {
        return;
    }
    // One example of each detector and kind, once for each address family.
    let mut examples: BTreeMap<(String, &str, bool), (String, Scenario, Finding)> = BTreeMap::new();
    for (name, scenario) in scenarios::all() {
        for (is_ipv6, scenario) in [(false, scenario.clone()), (true, scenario.as_ipv6())] {
            for finding in replay::findings(&scenario) {
                let key = (finding.code.to_string(), finding.variant, is_ipv6);
                let example = (name.clone(), scenario.clone(), finding);
                examples.entry(key).or_insert(example);
            }
        }
    }
    let mut wrong = Vec::new();
    for ((code, variant, _), (name, scenario, finding)) in &examples {
        let filter = &finding.display_filter;
        let (selected, complaint) = selected(scenario, filter);
        let cited = finding.frames.iter().map(|frame| frame.number());
        let missed: Vec<_> = cited.filter(|frame| !selected.contains(frame)).collect();
        if !missed.is_empty() || complaint.contains("filter") {
            wrong.push(format!(
                "{code} {variant} in {name}: `{filter}` lacks {missed:?}; {complaint}"
            ));
        }
    }
    assert!(examples.len() > 20, "{} examples", examples.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
