//! Captures of several interfaces, which are written a block of one after a block of the other.

use std::fs;
use std::path::PathBuf;

use tcpautopsy::analysis::Analysis;
use tcpautopsy::pipeline::Options;

use super::captures::{analyse, assert_same, fragmented, generated, options, records, told};

/// Nanoseconds of a block of one interface.
const TURN: u64 = 200_000_000;

/// How much slower than in the generated capture time passes: the turns have to be short beside it.
const SLOWER: u64 = 100;

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let length = u32::try_from(12 + body.len() + padding).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &vec![0; padding], &length].concat()
}

fn word(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(record[at..at + 4].try_into().unwrap())
}

/// The record's time, after `start`, slowed down.
fn nanos(record: &[u8], start: u64) -> u64 {
    let nanos = u64::from(word(record, 0)) * 1_000_000_000 + u64::from(word(record, 4)) * 1_000;
    start + (nanos - start) * SLOWER
}

/// Received or sent, as seen from the host with the lower address.
fn interface(record: &[u8]) -> u32 {
    let frame = &record[16..];
    u32::from(frame.len() >= 34 && frame[12..14] == [8, 0] && frame[26..30] > frame[30..34])
}

/// The records with two interfaces, one for each direction; in the order of time, or with the
/// interfaces taking turns.
fn captured_on_two(capture: &[u8], takes_turns: bool) -> Vec<u8> {
    let mut records = records(capture);
    let start = u64::from(word(records[0], 0)) * 1_000_000_000;
    records.sort_by_key(|record| {
        let time = nanos(record, start);
        (takes_turns.then_some((time / TURN, interface(record))), time)
    });
    let mut bytes = block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
    bytes = block(0x0a0d_0d0a, &[&bytes[8..16], &[0xff; 8][..]].concat());
    // Ethernet, any length, times in nanoseconds.
    let described = block(1, &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([&described[..], &described].concat());
    for record in records {
        let time = nanos(record, start);
        let words = [
            interface(record),
            u32::try_from(time >> 32).unwrap(),
            u32::try_from(time & 0xffff_ffff).unwrap(),
            word(record, 8),
            word(record, 12),
        ];
        let head: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(block(6, &[&head[..], &record[16..]].concat()));
    }
    bytes
}

/// All but frame numbers, which are those of the file.
fn facts(analysis: &Analysis) -> Vec<String> {
    let told = analysis.connections.iter().map(|judged| {
        let record = &judged.record;
        let states = [&record.states.client, &record.states.server]
            .map(|of| of.iter().map(|it| (it.state, it.at, it.cause)).collect::<Vec<_>>());
        let sent = [&record.traffic.client, &record.traffic.server]
            .map(|it| (it.segments, it.unique_bytes, it.retransmitted_bytes, it.missing_bytes));
        let (began, client, outcome) = (record.first_time, record.client, record.close.outcome);
        format!("{began} {client:?} {outcome:?} {sent:?} {states:?} {:?}", judged.findings)
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn interfaces_that_take_turns_in_a_file_tell_what_they_would_in_order() {
    let capture = generated("mix", 4_000);
    let folder = tempfile::tempdir().unwrap();
    let turns = written(&folder, "turns.pcapng", &captured_on_two(&capture, true));
    let order = written(&folder, "order.pcapng", &captured_on_two(&capture, false));
    let analysed = |path: &PathBuf, chunk, wave| {
        analyse(std::slice::from_ref(path), &options(2, chunk, wave)).analysis
    };
    let expected = facts(&analysed(&order, 1 << 20, 1 << 26));
    for (chunk, wave) in [(700, 6_000), (20_000, 100_000), (1 << 20, 1 << 26)] {
        let analysis = analysed(&turns, chunk, wave);
        assert!(facts(&analysis) == expected, "{chunk} {wave}");
        let input = &analysis.inputs[0];
        assert_eq!(input.quality.clock.steps, 0, "no clock was set");
        let turns = input.oddities.iter().find(|(name, _)| *name == "interfaces_took_turns");
        assert!(turns.is_some_and(|(_, turns)| *turns > 50), "{:?}", input.oddities);
    }
}

#[test]
fn every_cut_of_interfaces_that_take_turns_tells_the_same_beside_other_captures_too() {
    let mix = generated("mix", 3_000);
    let folder = tempfile::tempdir().unwrap();
    let turns = written(&folder, "turns.pcapng", &captured_on_two(&mix, true));
    assert_same(std::slice::from_ref(&turns), "alone", |options| options);
    let cut = written(&folder, "cut.pcapng", &captured_on_two(&fragmented(&mix), true)[..300_000]);
    let other = written(&folder, "other.pcap", &generated("mix", 1_500));
    assert_same(&[turns, cut, other], "with others", |options| options);
}

#[test]
fn where_order_is_given_up_depends_on_no_thread_and_no_wave() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.pcapng");
    fs::write(&path, captured_on_two(&generated("mix", 3_000), true)).unwrap();
    let with = |threads, wave, waiting_segments| {
        let options = Options { waiting_segments, ..options(threads, 5_000, wave) };
        told(&analyse(std::slice::from_ref(&path), &options))
    };
    let given_up = with(1, 1 << 40, 100);
    assert!(given_up != with(1, 1 << 40, 1 << 20), "it makes a difference");
    for (threads, wave) in [(2, 20_000), (7, 60_000), (7, 1)] {
        assert!(with(threads, wave, 100) == given_up, "{threads} threads, {wave}");
    }
}
