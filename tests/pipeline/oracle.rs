//! The pipeline finds the connections that the obvious loop finds.

use std::fs;

use tcpautopsy::connection::ConnectionRecord;
use tcpautopsy::pipeline::Options;
use tcpautopsy::settings::Settings;
use tcpautopsy::stamp::Time;

use super::captures::{all, analyse, options, scenarios};
use crate::kernel_truth::run::{recorded, runs};
use crate::reference;

/// The obvious loop keeps closed connections until the end; all else is the same.
fn without_end(mut record: ConnectionRecord) -> ConnectionRecord {
    record.known_until = Time::MAX;
    record
}

#[test]
fn connections_are_those_of_the_obvious_loop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    let names = all().into_iter().filter(|(name, _)| *name != "fragmented");
    let generated = names.map(|(name, bytes)| (name.to_owned(), bytes));
    let written = scenarios().into_iter().map(|(path, bytes)| (path.display().to_string(), bytes));
    for (name, bytes) in generated.chain(written) {
        fs::write(&path, &bytes).unwrap();
        let analysis = analyse(std::slice::from_ref(&path), &options(2, 3_000, 30_000)).analysis;
        let found: Vec<_> =
            analysis.connections.into_iter().map(|judged| without_end(judged.record)).collect();
        let expected: Vec<_> = reference::records(&bytes, &Settings::default())
            .into_iter()
            .filter(|record| record.tunnel.is_empty())
            .map(without_end)
            .collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{name}");
        }
    }
}

/// What connections know of their neighbours goes across the shards.
#[test]
fn with_the_settings_of_the_hosts_neighbours_say_the_same_whatever_the_cut() {
    let of_neighbours =
        |name: &str| ["bucket", "queue", "cookies", "flood"].iter().any(|word| name.contains(word));
    let runs = runs(&recorded());
    let mut compared = 0;
    for run in runs.iter().filter(|run| of_neighbours(&run.name)) {
        for path in run.captures() {
            let bytes = fs::read(&path).unwrap();
            let expected: Vec<_> =
                reference::records(&bytes, &run.settings()).into_iter().map(without_end).collect();
            for (threads, chunk, wave) in [(1, 1 << 20, 1 << 20), (3, 700, 4_000)] {
                let options = Options { settings: run.settings(), ..options(threads, chunk, wave) };
                let analysis = analyse(std::slice::from_ref(&path), &options).analysis;
                let found = analysis.connections.into_iter();
                let found: Vec<_> = found.map(|judged| without_end(judged.record)).collect();
                assert_eq!(found, expected, "{}", path.display());
                compared += 1;
            }
        }
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn fragments_are_put_together_whatever_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, split] = ["mix", "fragmented"].map(|name| {
        let path = folder.path().join(name);
        let bytes = all().into_iter().find(|(other, _)| *other == name).unwrap().1;
        fs::write(&path, bytes).unwrap();
        analyse(&[path], &options(2, 3_000, 30_000)).analysis
    });
    assert!(split.inputs[0].frames > whole.inputs[0].frames + 500);
    assert_eq!(split.inputs[0].tcp_segments, whole.inputs[0].tcp_segments);
    let payload = |analysis: &tcpautopsy::analysis::Analysis| {
        let traffic = analysis.connections.iter().map(|it| it.record.traffic.clone());
        traffic.map(|it| (it.client.payload_bytes, it.server.payload_bytes)).collect::<Vec<_>>()
    };
    assert_eq!(payload(&split), payload(&whole));
}
