//! What must be true of every connection of every capture, whatever it shows: no state that the
//! transition table does not lead to, none before its cause, no contradiction between both sides.
//!
//! Runs over the public captures where they lie beside the project, and over the recorded runs of
//! the kernel laboratory.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tcpautopsy::capture::Context;
use tcpautopsy::certainty::Certainty;
use tcpautopsy::connection::{Cause, ConnectionRecord, Entry, Event, State, next};
use tcpautopsy::settings::Settings;
use tcpautopsy::stamp::Time;
use tcpautopsy::tcp::Side;

use crate::kernel_truth::run::recorded_captures;
use crate::reference;

/// Everything that is wrong with a record, as sentences.
fn contradictions(record: &ConnectionRecord, ordered: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for side in Side::BOTH {
        let entries = record.states.of(side);
        wrong.extend(entries.first().and_then(begins_wrong));
        for pair in entries.windows(2) {
            wrong.extend(goes_on_wrong(pair[0], pair[1]));
        }
        for entry in entries {
            wrong.extend(is_wrong(entry, record));
        }
        // With a clock that goes back, both sides' entries cannot be compared.
        wrong.extend(contradicts(record, side).filter(|_| ordered));
    }
    wrong
}

/// A record begins where a connection can begin, or where a capture can.
fn begins_wrong(first: &Entry) -> Option<String> {
    let possible = match first.state {
        State::SynSent | State::SynReceived | State::Closed => true,
        State::Established => {
            matches!(first.cause, Cause::Midstream) || first.certainty != Certainty::Observed
        }
        State::Listen
        | State::FinWait1
        | State::FinWait2
        | State::CloseWait
        | State::Closing
        | State::LastAck
        | State::TimeWait => false,
    };
    (!possible).then(|| format!("begins in {} ({first})", first.state))
}

fn goes_on_wrong(before: Entry, after: Entry) -> Option<String> {
    let led = Event::ALL.iter().any(|event| next(before.state, *event) == Some(after.state));
    // By way of FIN-WAIT-2 or of CLOSING.
    let either = after.cause == Cause::ReceivedFinAndAck
        && (before.state, after.state) == (State::FinWait1, State::TimeWait)
        && after.certainty == Certainty::Inferred;
    if !led && !either {
        return Some(format!("{} after {} ({after})", after.state, before.state));
    }
    (after.at < before.at).then(|| format!("{} before {}", after.state, before.state))
}

fn is_wrong(entry: &Entry, record: &ConnectionRecord) -> Option<String> {
    let state = entry.state;
    if entry.at < record.first_time || entry.at > record.known_until {
        return Some(format!("{state} outside of what is known ({entry})"));
    }
    if entry.frame.is_none() && entry.certainty == Certainty::Observed {
        return Some(format!("{state} observed without a frame"));
    }
    let early = entry.frame.is_some_and(|frame| frame < record.first_frame);
    early.then(|| format!("{state} caused by a frame before the first"))
}

/// What one side received, the other has sent before, where both are in the capture.
fn contradicts(record: &ConnectionRecord, side: Side) -> Option<String> {
    let sender = record.states.of(side.peer());
    let sent = |states: &[State]| {
        sender
            .iter()
            .find(|entry| states.contains(&entry.state) && entry.certainty == Certainty::Observed)
    };
    for entry in record.states.of(side) {
        let origin = match entry.cause {
            Cause::ReceivedSyn => sent(&[State::SynSent]),
            Cause::ReceivedFin => sent(&[State::FinWait1, State::LastAck]),
            Cause::ReceivedRst if entry.certainty == Certainty::Observed => sent(&[State::Closed]),
            _ => None,
        };
        let sent_later = origin.is_some_and(|origin| {
            origin.at > entry.at && !matches!(entry.cause, Cause::ReceivedRst)
        });
        if sent_later {
            return Some(format!("{} received before it was sent ({entry})", entry.state));
        }
    }
    None
}

/// Checks a capture; how many connections it had.
fn check(name: &str, bytes: &[u8], wrong: &mut Vec<String>) -> usize {
    if Context::open(bytes).is_err() {
        return 0;
    }
    let records = reference::records(bytes, &Settings::default());
    let (mut last, mut ordered) = (Time::MIN, true);
    reference::for_each_segment(bytes, &mut |time, _| {
        ordered &= time >= last;
        last = time;
    });
    for record in &records {
        for sentence in contradictions(record, ordered) {
            let (client, server) = (record.client, record.server);
            wrong.push(format!("{name}: {client} -> {server} (#{}): {sentence}", record.id));
        }
    }
    records.len()
}

fn assert_none(wrong: &[String]) {
    wrong.iter().take(60).for_each(|sentence| println!("{sentence}"));
    assert!(wrong.is_empty(), "{} contradictions", wrong.len());
}

/// A file's bytes, unpacked if gzip packed them; a cut file gives what stands before the cut.
fn unpacked(path: &Path) -> Option<Vec<u8>> {
    let packed = fs::read(path).ok()?;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Some(packed);
    }
    let mut bytes = Vec::new();
    let _ = MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut bytes);
    Some(bytes)
}

#[test]
fn public_captures_show_only_possible_sequences_of_states() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    let Ok(index) = fs::read_to_string(folder.join("INDEX.tsv")) else {
        println!("skipped: no public captures at {}", folder.display());
        return;
    };
    let (mut wrong, mut connections) = (Vec::new(), 0);
    for path in index.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        if let Some(bytes) = unpacked(&folder.join(path)) {
            connections += check(path, &bytes, &mut wrong);
        }
    }
    println!("{connections} connections");
    assert!(connections > 1_000, "the captures were not read");
    assert_none(&wrong);
}

#[test]
fn recorded_kernel_runs_show_only_possible_sequences_of_states() {
    let (mut wrong, mut connections) = (Vec::new(), 0);
    for (name, bytes) in recorded_captures() {
        connections += check(&name, &bytes, &mut wrong);
    }
    assert!(connections > 1_000, "the runs were not read");
    assert_none(&wrong);
}
