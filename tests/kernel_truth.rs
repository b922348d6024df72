//! The kernel as the judge: its sockets' states against the reconstruction, run by run.
//!
//! A run is a folder that the laboratory (`tests/kernel/lab.py`) wrote: `truth.json`, and for each
//! of two hosts a capture and its settings. Each kernel transition is looked for in the states of
//! that endpoint, once in the capture taken at its own host and once in the one from the other end.
//!
//! By hand, on a folder of runs: `KERNEL_RUNS=DIR cargo test --test all kernel -- --nocapture`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tcpautopsy::certainty::Certainty;
use tcpautopsy::connection::{ConnectionRecord, Entry};
use tcpautopsy::settings::{HostSettings, Profile, Settings};
use tcpautopsy::tcp::Side;

use crate::reference;

/// A change that a segment triggers, known from a tracepoint or a timer event.
const EXACT_NS: i64 = 1_000_000;
/// A change known from polling only.
const POLLED_NS: i64 = 10_000_000;
/// Timers: the kernel's wheel fires up to an eighth late.
const TIMER_SHARE: i64 = 8;

/// One kernel transition.
#[derive(Debug, Clone)]
struct Transition {
    to: String,
    at: i64,
    tag: String,
    polled: bool,
}

/// What a comparison of one run from one capture found.
#[derive(Debug, Default)]
struct Score {
    wire: usize,
    wire_found: usize,
    timers: usize,
    timers_found: usize,
    complaints: Vec<String>,
    false_states: usize,
    dishonest: usize,
}

struct Run {
    name: String,
    folder: PathBuf,
    truth: Value,
}

fn runs(root: &Path) -> Vec<Run> {
    let mut found: Vec<Run> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let text = fs::read_to_string(folder.join("truth.json")).ok()?;
            let truth = serde_json::from_str(&text).expect("truth.json is JSON");
            let name = folder.file_name()?.to_str()?.to_owned();
            Some(Run { name, folder, truth })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

impl Run {
    fn settings(&self) -> Settings {
        let mut settings = Settings::of_profile(Profile::Linux);
        for host in ["client", "server"] {
            let text = fs::read_to_string(self.folder.join(format!("{host}.sysctl"))).unwrap();
            let known = HostSettings::of_profile(Profile::Linux).with_sysctl(&text).unwrap();
            for address in self.truth["hosts"][host]["addresses"].as_array().unwrap() {
                let address: std::net::IpAddr = address.as_str().unwrap().parse().unwrap();
                let bits = if address.is_ipv4() { 32 } else { 128 };
                settings.hosts.push((address, bits, known.clone()));
            }
        }
        settings
    }

    /// Kernel transitions per host, local and remote endpoint, in order.
    fn transitions(&self) -> BTreeMap<(String, String, String), Vec<Transition>> {
        let mut all: BTreeMap<_, Vec<Transition>> = BTreeMap::new();
        for it in self.truth["transitions"].as_array().unwrap() {
            let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
            all.entry((text("host"), text("local"), text("remote"))).or_default().push(
                Transition {
                    to: text("to"),
                    at: it["at_ns"].as_i64().unwrap(),
                    tag: text("tag"),
                    polled: text("source") == "poll",
                },
            );
        }
        for list in all.values_mut() {
            list.sort_by_key(|it| it.at);
        }
        all
    }

    fn score(&self, host: &str, capture_of: &str) -> Score {
        let capture = fs::read(self.folder.join(format!("{capture_of}.pcap"))).unwrap();
        let records = reference::records(&capture, &self.settings());
        let mut score = Score::default();
        for ((owner, local, remote), kernel) in self.transitions() {
            if owner == host {
                compare(&kernel, &entries(&records, &local, &remote), &mut score, &local, &remote);
            }
        }
        score
    }
}

/// The tool's states of the endpoint `local` towards `remote`, over all incarnations.
fn entries(records: &[ConnectionRecord], local: &str, remote: &str) -> Vec<Entry> {
    let mut all = Vec::new();
    for record in records {
        for side in Side::BOTH {
            let (own, peer) = (record.endpoint(side), record.endpoint(side.peer()));
            if own.to_string() == local && peer.to_string() == remote {
                all.extend_from_slice(record.states.of(side));
            }
        }
    }
    all
}

/// Aligns both sequences (longest common subsequence of state names) and scores the alignment.
fn compare(kernel: &[Transition], tool: &[Entry], score: &mut Score, local: &str, remote: &str) {
    let pairs = align(kernel, tool);
    let label = |it: &Transition| format!("{local} > {remote}: {} ({})", it.to, it.tag);
    for (index, it) in kernel.iter().enumerate() {
        let matched = pairs.iter().find(|pair| pair.0 == index).map(|pair| &tool[pair.1]);
        match it.tag.as_str() {
            "wire" => {
                score.wire += 1;
                let Some(entry) = matched else {
                    score.complaints.push(format!("missing {}", label(it)));
                    continue;
                };
                let off = entry.at.nanos() - it.at;
                let tolerance = if it.polled { POLLED_NS } else { EXACT_NS };
                if off.abs() <= tolerance {
                    score.wire_found += 1;
                } else {
                    score.complaints.push(format!("{} is off by {} us", label(it), off / 1_000));
                }
            }
            "timer" => {
                score.timers += 1;
                let Some(entry) = matched else {
                    score.complaints.push(format!("missing {}", label(it)));
                    continue;
                };
                let before = index.checked_sub(1).map_or(it.at, |before| kernel[before].at);
                let late = it.at - entry.at.nanos();
                if late.abs() <= (it.at - before) / TIMER_SHARE + POLLED_NS {
                    score.timers_found += 1;
                } else {
                    score.complaints.push(format!(
                        "{} is off by {} ms",
                        label(it),
                        -late / 1_000_000
                    ));
                }
            }
            _ => {
                if matched.is_some_and(|entry| {
                    entry.certainty == Certainty::Observed
                        && (entry.at.nanos() - it.at).abs() > EXACT_NS
                }) {
                    score.dishonest += 1;
                    score.complaints.push(format!("claimed as observed: {}", label(it)));
                }
            }
        }
    }
    for (index, entry) in tool.iter().enumerate() {
        if !pairs.iter().any(|pair| pair.1 == index) {
            score.false_states += 1;
            score
                .complaints
                .push(format!("never there: {local} > {remote}: {} {entry}", entry.state));
        }
    }
}

fn align(kernel: &[Transition], tool: &[Entry]) -> Vec<(usize, usize)> {
    let (rows, columns) = (kernel.len(), tool.len());
    let mut best = vec![vec![0_usize; columns + 1]; rows + 1];
    let same = |row: usize, column: usize| kernel[row].to == tool[column].state.name();
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            best[row][column] = if same(row, column) {
                best[row + 1][column + 1] + 1
            } else {
                best[row + 1][column].max(best[row][column + 1])
            };
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < rows && column < columns {
        if same(row, column) {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if best[row + 1][column] >= best[row][column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}

/// Compares every run below `root` and prints the table; the sums over all of them, at the own and
/// at the other end.
fn judge(root: &Path) -> [Score; 2] {
    let mut sums = [Score::default(), Score::default()];
    for run in runs(root) {
        for host in ["client", "server"] {
            for (index, capture) in
                [host, if host == "client" { "server" } else { "client" }].into_iter().enumerate()
            {
                let score = run.score(host, capture);
                let place = ["own end", "other end"][index];
                if !score.complaints.is_empty() {
                    println!("{} {host}, {place}: {}/{}", run.name, score.wire_found, score.wire);
                    score.complaints.iter().take(6).for_each(|line| println!("    {line}"));
                }
                let sum = &mut sums[index];
                sum.wire += score.wire;
                sum.wire_found += score.wire_found;
                sum.timers += score.timers;
                sum.timers_found += score.timers_found;
                sum.false_states += score.false_states;
                sum.dishonest += score.dishonest;
            }
        }
    }
    for (sum, place) in sums.iter().zip(["own end", "other end"]) {
        println!(
            "{place}: wire {}/{}, timers {}/{}, states never there {}, dishonest {}",
            sum.wire_found, sum.wire, sum.timers_found, sum.timers, sum.false_states, sum.dishonest
        );
    }
    sums
}

#[test]
fn recorded_kernel_runs_confirm_the_states() {
    let root = std::env::var_os("KERNEL_RUNS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kernel"),
        PathBuf::from,
    );
    let [own, other] = judge(&root);
    assert!(own.wire > 0, "no runs below {}", root.display());
    // Floors, from what was measured when the runs were recorded; docs/states.md names the classes
    // that are still missed. They are raised as those are mended, never lowered.
    assert!(own.wire_found * 1_000 >= own.wire * 998, "missed at its own host's capture");
    assert!(other.wire_found * 1_000 >= other.wire * 970, "missed at the other end's capture");
    assert!(own.false_states <= 12 && other.false_states <= 29, "states the kernel never had");
    assert!(own.dishonest <= 7 && other.dishonest <= 7, "invisible changes claimed as observed");
}
