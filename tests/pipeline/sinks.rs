//! A sink gets every connection once, in an order that no cut changes.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tcpautopsy::analysis::JudgedConnection;
use tcpautopsy::compat::zeek::Timers;
use tcpautopsy::flow::{Limits, SHARDS, ZeekRow, ZeekRules};
use tcpautopsy::pipeline::{Discard, Keep, Options, Sink, run};
use tcpautopsy::report::write_zeek_row;

use super::captures::{all, at_one_moment, generated, options, records, tight, told, with_records};
use super::retold::Written;
use crate::segment_lines::SegmentLines;

#[derive(Default)]
struct Ids(Vec<String>);

impl Sink for Ids {
    fn format(&self, connection: &JudgedConnection, into: &mut Vec<u8>) {
        let record = &connection.record;
        into.extend_from_slice(format!("{} {}", record.id, record.known_until.nanos()).as_bytes());
    }

    fn write(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.0.push(String::from_utf8(formatted.to_vec()).unwrap());
        Ok(())
    }
}

#[test]
fn connections_are_written_in_one_order_for_every_cut() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let written = [(1, 1 << 30, 1 << 40), (7, 900, 30_000), (2, 300, 1)].map(|(t, c, w)| {
            let options = Options { keep: Keep::All, ..options(t, c, w) };
            let mut sink = Ids::default();
            let outcome = run(std::slice::from_ref(&path), &options, &mut sink, &|_| {}).unwrap();
            assert_eq!(sink.0.len(), outcome.analysis.connections.len(), "{name}");
            sink.0
        });
        assert!(written.windows(2).all(|two| two[0] == two[1]), "{name}");
    }
}

#[test]
fn segments_are_written_in_the_order_of_the_frames_for_every_cut() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let written = [(1, 1 << 30, 1 << 40), (7, 900, 30_000), (2, 300, 1)].map(|(t, c, w)| {
            let mut sink = SegmentLines::default();
            let inputs = std::slice::from_ref(&path);
            let outcome = run(inputs, &options(t, c, w), &mut sink, &|_| {}).unwrap();
            let lines = String::from_utf8(sink.0.concat()).unwrap();
            let segments: u64 = outcome.analysis.inputs.iter().map(|it| it.tcp_segments).sum();
            assert_eq!(lines.lines().count() as u64, segments, "{name}");
            lines
        });
        assert!(written.windows(2).all(|two| two[0] == two[1]), "{name}");
        let frames = written[0].lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["data"]["frame"]["frame"].as_u64().unwrap()
        });
        assert!(frames.is_sorted(), "{name}");
    }
}

/// The rows of conn.log.
#[derive(Default)]
struct Rows(Vec<u8>);

impl Sink for Rows {
    fn format(&self, _: &JudgedConnection, _: &mut Vec<u8>) {}

    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn wants_zeek_rows(&self) -> bool {
        true
    }

    fn format_zeek_row(&self, row: &ZeekRow, into: &mut Vec<u8>) {
        write_zeek_row(row, into);
    }

    fn write_zeek_row(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(formatted);
        Ok(())
    }
}

#[test]
fn rows_of_conn_log_are_written_in_one_order_for_every_cut() {
    let folder = tempfile::tempdir().unwrap();
    let default = ZeekRules { timers: Timers::DEFAULT, likely_servers: true };
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let rows = |zeek| {
            [(1, 1 << 30, 1 << 40), (7, 900, 30_000), (2, 300, 1)].map(|(t, c, w)| {
                let options = Options { zeek, ..options(t, c, w) };
                let mut sink = Rows::default();
                run(std::slice::from_ref(&path), &options, &mut sink, &|_| {}).unwrap();
                String::from_utf8(sink.0).unwrap()
            })
        };
        for rules in [ZeekRules::default(), default] {
            let written = rows(rules);
            assert!(!written[0].is_empty(), "{name}");
            assert!(written.windows(2).all(|two| two[0] == two[1]), "{name}");
        }
    }
}

#[test]
fn two_taps_that_saw_the_same_give_the_rows_of_one() {
    let capture = super::captures::generated("mix", 3_000);
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one.pcap", "two.pcap"].map(|name| folder.path().join(name));
    fs::write(&paths[0], &capture).unwrap();
    fs::write(&paths[1], super::captures::seen_later(&capture)).unwrap();
    let rows = |paths| {
        let mut sink = Rows::default();
        run(paths, &options(2, 5_000, 60_000), &mut sink, &|_| {}).unwrap();
        let mut rows: Vec<String> =
            String::from_utf8(sink.0).unwrap().lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    let alone = rows(&paths[..1]);
    assert!(alone.len() > 50);
    assert_eq!(rows(&paths), alone);
}

/// The same capture with two bytes fewer of each frame.
fn cut_short(capture: &[u8]) -> Vec<u8> {
    let (header, mut rest) = capture.split_at(24);
    let mut cut = header.to_vec();
    while let Some((record, behind)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(record[8..12].try_into().unwrap());
        let (frame, next) = behind.split_at(length as usize);
        cut.extend_from_slice(&record[..8]);
        cut.extend_from_slice(&(length - 2).to_le_bytes());
        cut.extend_from_slice(&record[12..]);
        cut.extend_from_slice(&frame[..frame.len() - 2]);
        rest = next;
    }
    cut
}

/// Unless all records are kept, SYNs that nothing followed are added up without one, and their lines are made
/// of the line of another.
#[test]
fn an_analysis_tells_the_same_with_and_without_records_of_lone_syns() {
    let folder = tempfile::tempdir().unwrap();
    let flood = super::captures::generated("flood", 3_000);
    let cut = ("cut flood", cut_short(&flood));
    for (name, bytes) in all().into_iter().chain([("one-sided flood", flood), cut]) {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for limits in [Limits::default(), tight()] {
            let brief = Options { keep: Keep::Flagged, limits, ..options(1, 1 << 30, 1 << 40) };
            assert!(brief.detectors.ignore_lone_syns());
            let whole = Options { keep: Keep::All, ..brief.clone() };
            let paths = std::slice::from_ref(&path);
            let mut lines = [Written::default(), Written::default()];
            let [built, made] = &mut lines;
            let with = run(paths, &whole, built, &|_| {}).unwrap();
            let without = run(paths, &brief, made, &|_| {}).unwrap();
            assert!(built.lines == made.lines, "{name}");
            let plain = run(paths, &brief, &mut Discard, &|_| {}).unwrap();
            let [with, without, plain] = [with, without, plain].map(|mut outcome| {
                outcome.analysis.connections.clear();
                told(&outcome)
            });
            assert!(with == without && plain == without, "{name}");
        }
    }
}

/// Lines of one length, counted while they wait.
#[derive(Default)]
struct Waiting {
    now: AtomicUsize,
    most: AtomicUsize,
    written: usize,
}

impl Waiting {
    const LINE: usize = 100;
}

impl Sink for Waiting {
    fn format(&self, _: &JudgedConnection, into: &mut Vec<u8>) {
        into.extend_from_slice(&[b' '; Self::LINE]);
        let now = self.now.fetch_add(Self::LINE, Ordering::Relaxed) + Self::LINE;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    fn write(&mut self, formatted: &[u8]) -> io::Result<()> {
        *self.now.get_mut() -= formatted.len();
        self.written += 1;
        Ok(())
    }
}

#[test]
fn lines_that_wait_take_no_more_than_their_room_where_time_jumps_and_where_room_is_made() {
    const PACKETS: u64 = 60_000;
    const QUARTERS: [usize; 3] = [15_000, 30_000, 45_000];
    let jumping = |name| {
        let capture = generated(name, PACKETS);
        let jumped = records(&capture).into_iter().enumerate().map(|(index, record)| {
            let mut record = record.to_vec();
            let seconds = u32::from_le_bytes(record[..4].try_into().unwrap());
            let days = QUARTERS.iter().map(|quarter| 86_400 * u32::from(index >= *quarter));
            let later = seconds + days.sum::<u32>();
            record[..4].copy_from_slice(&later.to_le_bytes());
            record
        });
        let jumped: Vec<Vec<u8>> = jumped.collect();
        with_records(&capture, jumped.iter().map(Vec::as_slice))
    };
    let few_are_over = Limits { over: SHARDS, ..Limits::default() };
    let closed_at_once = {
        let capture = generated("many_small", PACKETS);
        let mut records: Vec<Vec<u8>> =
            records(&at_one_moment(&capture)).iter().map(|it| it.to_vec()).collect();
        if let Some(last) = records.last_mut() {
            last[..4].copy_from_slice(&86_400_u32.to_le_bytes());
        }
        with_records(&capture, records.iter().map(Vec::as_slice))
    };
    let captures = [
        ("all at one moment, and a day of silence", closed_at_once, few_are_over),
        ("a flood at one moment", at_one_moment(&generated("flood", PACKETS)), tight()),
        (
            "more than there may be at one moment",
            at_one_moment(&generated("many_small", PACKETS)),
            tight(),
        ),
        ("a day of silence, thrice", jumping("many_small"), few_are_over),
        ("a flood of more than there may be", generated("flood", PACKETS), tight()),
        ("more connections than there may be", generated("many_small", PACKETS), tight()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, limits) in captures {
        let path = folder.path().join("capture");
        fs::write(&path, bytes).unwrap();
        for (chunk, wave) in [(1 << 22, 1 << 26), (20_000, 100_000)] {
            let line_room = 4 * Waiting::LINE;
            let options =
                Options { keep: Keep::None, limits, line_room, ..options(2, chunk, wave) };
            let mut sink = Waiting::default();
            run(std::slice::from_ref(&path), &options, &mut sink, &|_| {}).unwrap();
            let most = sink.most.into_inner();
            assert!(sink.written > 5_000, "{name}: {}", sink.written);
            // What one step ends comes on top: a connection, and the one that had its port pair before.
            let room = SHARDS * (line_room + 2 * Waiting::LINE);
            assert!(most <= room, "{name}: {most} bytes waited");
        }
    }
}

struct Full;

impl Sink for Full {
    fn format(&self, _: &JudgedConnection, into: &mut Vec<u8>) {
        into.push(b'\n');
    }

    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other("no space left"))
    }
}

#[test]
fn a_full_disk_ends_the_run_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small");
    fs::write(&path, super::captures::generated("many_small", 500)).unwrap();
    let error = run(&[path], &options(2, 900, 30_000), &mut Full, &|_| {}).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "no space left");
}
