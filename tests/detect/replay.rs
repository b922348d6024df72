//! A scenario's segments through the engine, the totals and the detectors, without files.

use std::collections::BTreeMap;

use tcpautopsy::connection::{Beginning, Connection, ConnectionRecord, Mark};
use tcpautopsy::detect::{Accumulator, Detectors, Selection, Thresholds};
use tcpautopsy::finding::Finding;
use tcpautopsy::settings::Settings;
use tcpautopsy::stamp::Time;
use tcpautopsy::summary::Summary;
use tcpautopsy::tcp::Orientation;
use tcpautopsy::testkit::Scenario;

/// What the detectors say about `scenario`.
pub(crate) fn findings(scenario: &Scenario) -> Vec<Finding> {
    let settings = settings(scenario);
    let records = records(scenario, &settings);
    let detectors = Detectors::new(settings, Thresholds::default(), &Selection::default());
    let (mut summary, mut accumulator) = (Summary::default(), Accumulator::default());
    for record in &records {
        detectors.connection(record, &mut accumulator);
        summary.add(record);
    }
    detectors.conclude(&accumulator, &summary, &[])
}

/// The connections of `scenario`, each followed to the end of the capture.
pub(crate) fn records(scenario: &Scenario, settings: &Settings) -> Vec<ConnectionRecord> {
    let mut live: BTreeMap<_, Connection> = BTreeMap::new();
    let mut clock = Time::MIN;
    let mut over = Vec::new();
    for (id, (tuple, segment, extras)) in scenario.segments().enumerate() {
        let (canonical, orientation) = tuple.canonical();
        let key = (canonical.source, canonical.destination);
        let forward = orientation == Orientation::Forward;
        clock = clock.max(segment.time);
        if live.get_mut(&key).is_some_and(|it| it.is_replaced_by(forward, &segment)) {
            let by = Mark { time: segment.time, frame: segment.frame };
            over.extend(live.remove(&key).map(|old| old.finish(clock, Some(by), settings)));
        }
        let beginning = Beginning { id: id as u64, tuple, forward, tunnel: Vec::new() };
        let connection = live.entry(key).or_insert_with(|| Connection::new(beginning, &segment));
        connection.observe(forward, &segment, &extras, settings);
    }
    over.extend(live.into_values().map(|connection| connection.finish(clock, None, settings)));
    over
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
