//! A scenario through the whole pipeline: from its capture file to the findings.

use std::fs;

use tcpautopsy::analysis::Analysis;
use tcpautopsy::detect::{Detectors, Selection, Thresholds};
use tcpautopsy::finding::Finding;
use tcpautopsy::flow::Limits;
use tcpautopsy::pipeline::{Discard, Options, run};
use tcpautopsy::settings::Settings;
use tcpautopsy::testkit::Scenario;

/// What the detectors say about `scenario`.
pub(crate) fn findings(scenario: &Scenario) -> Vec<Finding> {
    analysis(scenario).findings
}

/// All that is said about `scenario`.
pub(crate) fn analysis(scenario: &Scenario) -> Analysis {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    fs::write(&path, scenario.compile()).unwrap();
    let settings = settings(scenario);
    let detectors = Detectors::new(settings.clone(), Thresholds::default(), &Selection::default());
    let mut options = Options { threads: 1, ..Options::new(settings, detectors) };
    if let Some(limit) = scenario.limit() {
        options.limits = Limits {
            embryonic: limit,
            connections: limit,
            over: limit,
            awake: limit,
            closed_awake: limit,
        };
    }
    run(&[path], &options, &mut Discard, &|_| {}).unwrap().analysis
}

/// The settings that the scenario's `sysctl` lines name, for every host.
fn settings(scenario: &Scenario) -> Settings {
    let mut settings = Settings::default();
    let lines = scenario.sysctls().iter().map(|(name, value)| format!("{name} = {value}"));
    let text = lines.collect::<Vec<_>>().join("\n");
    if !text.is_empty() {
        settings.default = settings.default.with_sysctl(&text).unwrap();
    }
    settings
}
