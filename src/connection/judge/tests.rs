//! The rules on the scenarios of `testdata/scenarios/causes`: each says what it expects.
//!
//! `# expect 5 rto`: frame 5 is a repetition of that cause. `# expect 7 corrects 5 spurious`: frame
//! 7 shows that frame 5 was spurious. `# expect missing 100` and `# expect repeated 200`: bytes of the
//! client. Nothing else may be a repetition.

use std::fmt::Write as _;
use std::path::Path;

use crate::connection::{Beginning, Connection, ConnectionRecord, Effects, RepeatCause};
use crate::settings::Settings;
use crate::stamp::Time;
use crate::tcp::{Orientation, Side};
use crate::testkit::Scenario;

/// What each frame of a scenario did, and the record of its one connection.
fn observed(text: &str) -> (Vec<(u64, Effects)>, ConnectionRecord) {
    let settings = Settings::default();
    let scenario = Scenario::parse(text).unwrap();
    let mut live: Option<Connection> = None;
    let mut clock = Time::MIN;
    let mut effects = Vec::new();
    for (tuple, segment, extras) in scenario.segments() {
        clock = clock.max(segment.time);
        let forward = tuple.canonical().1 == Orientation::Forward;
        let connection = live.get_or_insert_with(|| {
            let beginning = Beginning { id: 1, tuple, forward, tunnel: Vec::new() };
            Connection::new(beginning, &segment)
        });
        let effect = connection.observe(forward, &segment, &extras, &settings);
        effects.push((segment.frame.number(), effect));
    }
    (effects, live.unwrap().finish(clock, None, &settings))
}

fn scenarios() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios/causes");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    all.sort();
    assert!(all.len() > 20, "scenarios are missing");
    all
}

#[test]
fn every_scenario_finds_the_causes_that_it_expects() {
    for (name, text) in scenarios() {
        let (effects, record) = observed(&text);
        let traffic = &record.traffic.client;
        let mut found = Vec::new();
        for (frame, effect) in effects {
            if let Some(repeat) = effect.repeat {
                found.push(format!("{frame} {}", repeat.cause.name()));
            }
            if let Some(proof) = effect.proof {
                let (repeat, is) = (proof.repeat.number(), proof.is.name());
                found.push(format!("{frame} corrects {repeat} {is}"));
            }
        }
        let expected: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# expect ")).collect();
        for expectation in &expected {
            if let Some(bytes) = expectation.strip_prefix("missing ") {
                assert_eq!(traffic.missing_bytes.to_string(), bytes, "{name}");
            } else if let Some(bytes) = expectation.strip_prefix("repeated ") {
                assert_eq!(traffic.retransmitted_bytes.to_string(), bytes, "{name}");
            }
        }
        let of_frames = |line: &&&str| line.starts_with(|first: char| first.is_ascii_digit());
        let expected: Vec<&str> = expected.iter().filter(of_frames).copied().collect();
        assert_eq!(found, expected, "{name}");
        assert!(!expected.is_empty() || traffic.missing_bytes > 0, "{name} expects nothing");
    }
}

#[test]
fn counts_follow_what_later_segments_prove() {
    for (name, text) in scenarios() {
        let (effects, record) = observed(&text);
        let mut expected = std::collections::BTreeMap::new();
        for (_, effect) in &effects {
            let causes = effect.repeat.map(|repeat| (repeat.cause, 1));
            let was = effect.proof.map(|proof| (proof.was, -1));
            let is = effect.proof.map(|proof| (proof.is, 1));
            for (cause, by) in [causes, was, is].into_iter().flatten() {
                *expected.entry(cause).or_insert(0) += by;
            }
        }
        for cause in RepeatCause::ALL {
            let counted: i64 = Side::BOTH
                .iter()
                .map(|side| i64::from(record.traffic.of(*side).repeats.of(cause)))
                .sum();
            let noted = expected.get(&cause).copied().unwrap_or(0);
            assert_eq!(counted, noted, "{name}: {}", cause.name());
        }
    }
}

#[test]
fn every_cause_explains_itself_as_its_snapshot() {
    let mut text = String::new();
    for (name, scenario) in scenarios() {
        writeln!(text, "## {name}").unwrap();
        for (frame, effect) in observed(&scenario).0 {
            if let Some(repeat) = effect.repeat {
                writeln!(text, "{frame:>3} {}: {repeat}", repeat.cause.name()).unwrap();
            }
            if let Some(proof) = effect.proof {
                writeln!(text, "{frame:>3} {proof}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(text);
}
