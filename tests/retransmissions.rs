//! The kernel's own counters against the causes: how often it sent something again, and why.
//!
//! A run is a folder that `tests/kernel/retransmissions.py` wrote: a capture from each of two hosts
//! and what the TCP of each host counted meanwhile, with nothing else going on in its namespace.
//!
//! By hand, on a folder of runs: `RETRANSMISSION_RUNS=DIR cargo test --test all retransmissions`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tcpautopsy::connection::{ConnectionRecord, RepeatCause, Traffic};
use tcpautopsy::settings::Settings;
use tcpautopsy::tcp::Side;

use crate::reference;

/// The MSS; a timestamp takes twelve bytes of it, which rounding up makes good.
const FULL_SEGMENT: u64 = 1_460;

struct Run {
    name: String,
    folder: PathBuf,
    truth: Value,
}

impl Run {
    /// What the TCP of `host` counted as `name`; 0 where the kernel does not know the counter.
    fn counted(&self, host: Side, name: &str) -> u64 {
        self.truth["counters"][host.name()][name].as_u64().unwrap_or(0)
    }

    /// What `host` sent, as the capture of `tap` shows it, over all connections.
    fn records(&self, tap: Side) -> Vec<ConnectionRecord> {
        let path = self.folder.join(format!("{}.pcap", tap.name()));
        let records = reference::records(&fs::read(path).unwrap(), &Settings::default());
        assert!(!records.is_empty(), "{}: nothing in the capture", self.name);
        records
    }
}

fn runs() -> Vec<Run> {
    let given = std::env::var_os("RETRANSMISSION_RUNS").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/retransmissions");
    let mut runs: Vec<Run> = fs::read_dir(given.unwrap_or(own))
        .unwrap()
        .filter_map(|entry| {
            let folder = entry.unwrap().path();
            let text = fs::read_to_string(folder.join("counters.json")).ok()?;
            let name = folder.file_name()?.to_str()?.to_owned();
            Some(Run { name, folder, truth: serde_json::from_str(&text).unwrap() })
        })
        .collect();
    runs.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(runs.len() >= 15, "runs are missing");
    runs
}

/// Counts of one side over all records.
struct Counts<'a>(Vec<&'a Traffic>);

impl<'a> Counts<'a> {
    fn of(records: &'a [ConnectionRecord], side: Side) -> Self {
        Self(records.iter().map(|record| record.traffic.of(side)).collect())
    }

    fn cause(&self, cause: RepeatCause) -> u64 {
        self.0.iter().map(|traffic| u64::from(traffic.repeats.of(cause))).sum()
    }

    /// Of this cause, as far as the sender could know: those proved needless later included.
    fn sent_as(&self, cause: RepeatCause) -> u64 {
        let needless = self.0.iter().map(|traffic| u64::from(traffic.needless.of(cause)));
        self.cause(cause) + needless.sum::<u64>()
    }

    /// Retransmissions in units of full segments, as the kernel counts them.
    fn segments(&self) -> u64 {
        let data: u64 = self.0.iter().map(|traffic| traffic.retransmitted_segments).sum();
        let bytes: u64 = self.0.iter().map(|traffic| traffic.retransmitted_bytes).sum();
        let all: u64 =
            self.0.iter().map(|traffic| u64::from(traffic.repeats.retransmissions())).sum();
        all - data + data.max(bytes.div_ceil(FULL_SEGMENT))
    }

    fn timeouts(&self) -> u64 {
        self.0.iter().map(|traffic| u64::from(traffic.rto.timeouts)).sum()
    }
}

#[test]
fn a_capture_at_the_sender_counts_as_many_retransmissions_as_its_kernel() {
    for run in runs() {
        for host in Side::BOTH {
            let records = run.records(host);
            let sent = Counts::of(&records, host);
            assert_eq!(sent.segments(), run.counted(host, "RetransSegs"), "{} {host:?}", run.name);
        }
    }
}

#[test]
fn the_causes_are_those_that_the_kernel_counted() {
    for run in runs() {
        for host in Side::BOTH {
            let records = run.records(host);
            let sent = Counts::of(&records, host);
            let counted = |name| run.counted(host, name);
            let check = |what: &str, found: u64, kernel: u64| {
                assert_eq!(found, kernel, "{} {host:?}: {what}", run.name);
            };
            let handshakes = sent.cause(RepeatCause::Syn) + sent.cause(RepeatCause::SynAck);
            check("handshakes", handshakes, counted("TCPSynRetrans"));
            check("timeouts", sent.timeouts() + handshakes, counted("TCPTimeouts"));
            let probes = sent.sent_as(RepeatCause::TailLossProbe) + sent.cause(RepeatCause::Fin);
            check("probes", probes, counted("TCPLossProbes"));
            if !run.name.starts_with("offload") {
                let fast = sent.sent_as(RepeatCause::Fast);
                check("fast", fast, counted("TCPFastRetrans"));
                let rto = sent.sent_as(RepeatCause::Rto) + handshakes;
                check("rto", rto, counted("TCPTimeouts") + counted("TCPSlowStartRetrans"));
            }
            check("keep-alives", sent.cause(RepeatCause::KeepAlive), counted("TCPKeepAlive"));
            check("window probes", sent.cause(RepeatCause::WindowProbe), counted("TCPWinProbe"));
            if counted("RetransSegs") > 0 {
                let spurious = sent.cause(RepeatCause::Spurious);
                check("spurious", spurious, counted("TCPDSACKRecv"));
            }
            check("unknown", sent.sent_as(RepeatCause::Unknown), 0);
        }
    }
}

#[test]
fn a_capture_at_the_receiver_takes_neither_copies_nor_late_segments_for_retransmissions() {
    for run in runs() {
        for host in Side::BOTH {
            let records = run.records(host.peer());
            let sent = Counts::of(&records, host);
            let kernel = run.counted(host, "RetransSegs");
            assert!(sent.segments() <= kernel, "{} {host:?}: {}", run.name, sent.segments());
            if host == Side::Server {
                let late = sent.cause(RepeatCause::Reordering);
                assert_eq!(late > 0, run.name.starts_with("reordered"), "{}: {late}", run.name);
                let copies = sent.cause(RepeatCause::PathDuplicate);
                assert_eq!(copies > 0, run.name == "duplicated", "{}: {copies}", run.name);
            }
        }
    }
}

#[test]
fn nothing_is_called_missing_that_both_taps_saw() {
    for run in runs() {
        for tap in Side::BOTH {
            for record in run.records(tap) {
                for side in Side::BOTH {
                    let missing = record.traffic.of(side).missing_bytes;
                    assert_eq!(missing, 0, "{} at {tap:?}", run.name);
                }
            }
        }
    }
}
