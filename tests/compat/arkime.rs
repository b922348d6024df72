//! Sessions, packets, payload and initial RTT of Arkime, and packets of Suricata's flows, for the
//! public captures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tcpautopsy::connection::ConnectionRecord;
use tcpautopsy::detect::{Detectors, Selection, Thresholds};
use tcpautopsy::pipeline::{self, Discard, Keep, Options};
use tcpautopsy::settings::Settings;
use tcpautopsy::tcp::{Endpoint, Side};

use super::captures::{folder, table};

fn connections(file: PathBuf) -> Vec<ConnectionRecord> {
    let settings = Settings::default();
    let detectors = Detectors::new(settings.clone(), Thresholds::default(), &Selection::default());
    let mut options = Options::new(settings, detectors);
    (options.threads, options.keep) = (1, Keep::All);
    let outcome = pipeline::run(&[file], &options, &mut Discard, &|_| ()).unwrap();
    outcome.analysis.connections.into_iter().map(|judged| judged.record).collect()
}

fn endpoint(address: &str, port: &str) -> Endpoint {
    Endpoint { address: address.parse().unwrap(), port: port.parse().unwrap() }
}

/// Both endpoints, the lower one first.
fn pair(one: Endpoint, other: Endpoint) -> [Endpoint; 2] {
    if one <= other { [one, other] } else { [other, one] }
}

fn between(connections: &[ConnectionRecord], ends: [Endpoint; 2]) -> Vec<&ConnectionRecord> {
    connections.iter().filter(|record| pair(record.client, record.server) == ends).collect()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

#[test]
fn sessions_packets_and_round_trips_are_those_of_arkime() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("arkime/tcp_sessions.tsv")).unwrap();
    let mut by_capture: BTreeMap<&str, BTreeMap<[Endpoint; 2], Vec<_>>> = BTreeMap::new();
    for row in table(&text) {
        let source = endpoint(row["src_ip"], row["src_port"]);
        let ends = pair(source, endpoint(row["dst_ip"], row["dst_port"]));
        by_capture.entry(row["pcap"]).or_default().entry(ends).or_default().push(row);
    }
    let (mut pairs, mut sessions, mut packets, mut payload) = (0, 0, 0, 0);
    let (mut round_trips, mut equal_round_trips) = (0, 0);
    for (capture, by_ends) in by_capture {
        let all = connections(folder.join("files").join(capture));
        for (ends, theirs) in by_ends {
            let ours = between(&all, ends);
            let sum = |of: &dyn Fn(&ConnectionRecord, Side) -> u64| -> u64 {
                let each = ours.iter().flat_map(|record| Side::BOTH.map(|side| of(record, side)));
                each.sum()
            };
            let total = |columns: [&str; 2]| -> u64 {
                theirs.iter().flat_map(|row| columns.map(|column| number(row[column]))).sum()
            };
            pairs += 1;
            sessions += usize::from(ours.len() == theirs.len());
            let seen = sum(&|record, side| record.traffic.of(side).segments);
            packets += usize::from(total(["src_packets", "dst_packets"]) == seen);
            let bytes = sum(&|record, side| record.traffic.of(side).unique_bytes);
            payload += usize::from(total(["client_payload", "server_payload"]) == bytes);
            // Half of the handshake, in ms.
            let (theirs, ours) = (number(theirs[0]["initRTT"]), ours.first());
            let duration = ours.and_then(|record| record.handshake.duration);
            if let Some(duration) = duration.filter(|_| theirs > 0) {
                round_trips += 1;
                let half = u64::try_from(duration.nanos() / 2_000_000).unwrap();
                equal_round_trips += usize::from(half.abs_diff(theirs) <= 1);
            }
        }
    }
    println!("address pairs {pairs}; same number of sessions {sessions}, packets {packets}");
    println!("same payload {payload}; initial RTT {equal_round_trips} of {round_trips}");
    assert!(pairs >= 120, "too few: {pairs}");
    assert_eq!(packets, pairs);
    assert!(sessions * 100 >= pairs * 95, "{sessions} of {pairs}");
    assert!(payload * 100 >= pairs * 94, "{payload} of {pairs}");
    assert_eq!(equal_round_trips, round_trips);
}

#[test]
fn flows_have_the_packets_that_suricata_counts() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("suricata/tcp_expectations.tsv")).unwrap();
    let mut compared = 0;
    for row in table(&text).iter().filter(|row| row["kind"] == "flow") {
        // The table quotes its JSON as CSV does.
        let json = row["expectation"].trim_matches('"').replace("\"\"", "\"");
        let expected: Value = serde_json::from_str(&json).unwrap();
        let end = |address: &str, port: &str| {
            let address = expected[address].as_str()?.parse().ok()?;
            Some(Endpoint { address, port: u16::try_from(expected[port].as_u64()?).ok()? })
        };
        let ends = end("src_ip", "src_port").zip(end("dest_ip", "dest_port"));
        let Some((source, destination)) = ends else { continue };
        let file = folder.join("files/OISF+suricata-verify").join(row["pcap"]);
        let all = connections(file);
        let ours = between(&all, pair(source, destination));
        for (column, sender) in
            [("flow.pkts_toserver", source), ("flow.pkts_toclient", destination)]
        {
            let Some(packets) = expected[column].as_u64() else { continue };
            let of = |record: &&ConnectionRecord| {
                let side = if record.client == sender { Side::Client } else { Side::Server };
                record.traffic.of(side).segments
            };
            let seen: u64 = ours.iter().map(of).sum();
            assert_eq!(seen, packets, "{} {column}", row["pcap"]);
            compared += 1;
        }
    }
    println!("packet counts of Suricata's flows: {compared}, all the same");
    assert!(compared >= 18, "too few: {compared}");
}
