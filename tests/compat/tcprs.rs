//! The research set of TCPRS (an analyser of retransmissions, 2015): its types against the causes.
//!
//! Its rows name a segment and the trigger that it assumes. Triggers fall into two classes that both
//! know, timers and reports of the receiver; the rest is generic there.

use std::collections::BTreeMap;

use super::captures::{folder, segments, table};
use tcpautopsy::connection::{Beginning, Connection, RepeatCause};
use tcpautopsy::settings::Settings;
use tcpautopsy::tcp::Orientation;

/// What set a sender off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trigger {
    Timer,
    Report,
    Unsaid,
}

/// The class of a `rtype` (the set's README).
fn theirs(rtype: &str) -> Trigger {
    match rtype {
        "1" | "14" | "15" => Trigger::Timer,
        "2" | "3" | "4" | "9" | "10" | "11" | "12" | "13" | "16" => Trigger::Report,
        _ => Trigger::Unsaid,
    }
}

fn ours(cause: RepeatCause) -> Trigger {
    match cause {
        RepeatCause::Rto
        | RepeatCause::TailLossProbe
        | RepeatCause::Syn
        | RepeatCause::SynAck
        | RepeatCause::Fin
        | RepeatCause::ZeroWindow => Trigger::Timer,
        RepeatCause::Fast => Trigger::Report,
        RepeatCause::Spurious
        | RepeatCause::Reordering
        | RepeatCause::KeepAlive
        | RepeatCause::WindowProbe
        | RepeatCause::CaptureDuplicate
        | RepeatCause::PathDuplicate
        | RepeatCause::Unknown => Trigger::Unsaid,
    }
}

/// The cause of every repetition in a capture, by time in microseconds and sequence number.
fn causes(path: &std::path::Path) -> BTreeMap<(i64, u32), RepeatCause> {
    let settings = Settings::default();
    let mut live = BTreeMap::new();
    let mut found = BTreeMap::new();
    for seen in segments(path).expect("a capture") {
        let (canonical, orientation) = seen.tuple.canonical();
        let forward = orientation == Orientation::Forward;
        let connection =
            live.entry((canonical.source, canonical.destination)).or_insert_with(|| {
                let beginning = Beginning { id: 1, tuple: seen.tuple, forward, tunnel: Vec::new() };
                Connection::new(beginning, &seen.segment)
            });
        let effects = connection.observe(forward, &seen.segment, &seen.extras, &settings);
        if let Some(repeat) = effects.repeat {
            found.insert((seen.segment.time.nanos() / 1_000, seen.segment.seq.0), repeat.cause);
        }
    }
    found
}

/// `1285864240.534240` in microseconds.
fn micros(text: &str) -> i64 {
    text.replace('.', "").parse().expect("seconds with six decimals")
}

#[test]
fn the_research_set_names_the_same_segments_and_nearly_always_the_same_triggers() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("tcprs/tcpretransmissions.tsv")).unwrap();
    let mut traces: BTreeMap<&str, BTreeMap<(i64, u32), RepeatCause>> = BTreeMap::new();
    let (mut rows, mut named, mut typed, mut agreed) = (0, 0, 0, 0);
    let mut differences = BTreeMap::new();
    for row in table(&text) {
        let path = folder.join("files/zeek+zeek@tcprs").join(row["trace"]);
        let causes = traces.entry(row["trace"]).or_insert_with(|| causes(&path));
        let key = (micros(row["ts"]), row["seq"].parse::<u32>().unwrap());
        rows += 1;
        let Some(cause) = causes.get(&key).copied() else { continue };
        named += 1;
        let (theirs, ours) = (theirs(row["rtype"]), ours(cause));
        if theirs == Trigger::Unsaid || ours == Trigger::Unsaid {
            continue;
        }
        typed += 1;
        agreed += usize::from(theirs == ours);
        if theirs != ours {
            *differences.entry((row["rtype"].to_owned(), cause.name())).or_insert(0) += 1;
        }
    }
    println!("{named} of {rows} rows named, {agreed} of {typed} triggers agree: {differences:?}");
    assert!(rows > 600 && named * 1_000 >= rows * 995, "{named} of {rows}");
    assert!(typed > 150 && agreed * 100 >= typed * 94, "{agreed} of {typed}: {differences:?}");
}

#[test]
fn the_segments_that_the_research_set_calls_reordered_are_reordered() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("tcprs/tcpreordering.tsv")).unwrap();
    for row in table(&text) {
        let causes = causes(&folder.join("files/zeek+zeek@tcprs").join(row["trace"]));
        let key = (micros(row["ts"]), row["seq"].parse::<u32>().unwrap());
        assert_eq!(causes.get(&key), Some(&RepeatCause::Reordering), "{row:?}");
    }
}
