//! tcptrace as a third voice: bytes sent again, on the project's own captures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tcpautopsy::connection::{ConnectionRecord, RepeatCause, Traffic};
use tcpautopsy::settings::Settings;
use tcpautopsy::tcp::{Endpoint, Side};

use crate::reference;

/// The connections of a capture as tcptrace tells them: columns by name. None (with a message)
/// where it is not installed, which is a failure where all tools must be there.
fn tcptrace(path: &Path) -> Option<Vec<BTreeMap<String, String>>> {
    let output = Command::new("tcptrace").args(["-nlr", "--csv"]).arg(path).output();
    let Ok(output) = output else {
        assert!(std::env::var_os("CI").is_none(), "tcptrace is not installed");
        println!("skipped: tcptrace is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("conn_#"));
    let head = cells(lines.next().expect("a header line"));
    let rows = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    Some(rows.map(|line| head.iter().cloned().zip(cells(line)).collect()).collect())
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/retransmissions");
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|run| {
            let run = run.unwrap().path();
            ["client.pcap", "server.pcap"].map(|name| run.join(name))
        })
        .collect();
    all.sort();
    all
}

/// The column of what `endpoint` sent.
fn column(row: &BTreeMap<String, String>, name: &str, endpoint: Endpoint) -> u64 {
    let is_a =
        row["host_a"] == endpoint.address.to_string() && row["port_a"] == endpoint.port.to_string();
    let towards = if is_a { "a2b" } else { "b2a" };
    row[&format!("{name}_{towards}")].parse().unwrap()
}

/// Repeated bytes as tcptrace counts them: SYN and FIN as one byte each.
fn repeated(traffic: &Traffic) -> u64 {
    let control = [RepeatCause::Syn, RepeatCause::SynAck, RepeatCause::Fin];
    let control: u32 = control.iter().map(|cause| traffic.repeats.of(*cause)).sum();
    traffic.retransmitted_bytes + u64::from(control)
}

/// Copies made by the network, and originals that come after their repetition, are retransmissions
/// to tcptrace.
fn differs_by_class(traffic: &Traffic) -> bool {
    traffic.repeats.of(RepeatCause::PathDuplicate) > 0
        || traffic.repeats.of(RepeatCause::Reordering) > 10
}

#[test]
fn tcptrace_counts_the_same_bytes_sent_again() {
    let mut compared = 0;
    for path in captures() {
        let Some(rows) = tcptrace(&path) else { return };
        let records: Vec<ConnectionRecord> =
            reference::records(&std::fs::read(&path).unwrap(), &Settings::default());
        assert_eq!(rows.len(), records.len(), "{}", path.display());
        for (row, record) in rows.iter().zip(&records) {
            for side in Side::BOTH {
                let traffic = record.traffic.of(side);
                let endpoint = record.endpoint(side);
                let shown = path.display();
                let unique = column(row, "unique_bytes_sent", endpoint);
                assert_eq!(traffic.unique_bytes, unique, "{shown} {side:?}");
                if !differs_by_class(traffic) {
                    let bytes = column(row, "rexmt_data_bytes", endpoint);
                    assert_eq!(repeated(traffic), bytes, "{shown} {side:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 76, "{compared}");
}
