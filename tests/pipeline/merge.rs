//! Several captures of the same time: interfaces, taps, rotated series beside each other.

use std::fs;
use std::path::{Path, PathBuf};

use tcpautopsy::analysis::Analysis;

use super::captures::{
    analyse, assert_same, disordered, fragmented, generated, options, records, seen_later,
    with_records,
};

/// Which file a record goes to.
type Deal = fn(usize) -> usize;

/// The records of a capture dealt to several files, whose names are in the opposite order.
fn dealt(folder: &Path, capture: &[u8], files: usize, deal: Deal) -> Vec<PathBuf> {
    let records = records(capture);
    let file = |index: usize| {
        let mine = records.iter().enumerate().filter(|(at, _)| deal(*at) == index);
        let path = folder.join(format!("{}.pcap", files - index));
        fs::write(&path, with_records(capture, mine.map(|(_, record)| *record))).unwrap();
        path
    };
    (0..files).map(file).collect()
}

/// What does not depend on which file a frame lies in.
fn facts(analysis: &Analysis) -> Vec<String> {
    let mut facts: Vec<String> = analysis
        .connections
        .iter()
        .map(|judged| {
            let record = &judged.record;
            let sent = [&record.traffic.client, &record.traffic.server]
                .map(|it| (it.segments, it.unique_bytes, it.retransmitted_bytes, it.missing_bytes));
            format!("{} {:?} {sent:?} {:?}", record.first_time, record.client, judged.findings)
        })
        .collect();
    facts.sort();
    facts
}

#[test]
fn captures_of_the_same_time_are_one_capture() {
    let capture = generated("mix", 4_000);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.pcap");
    fs::write(&whole, &capture).unwrap();
    let whole = facts(&analyse(&[whole], &options(2, 1 << 20, 1 << 26)).analysis);
    let deals: [(usize, Deal); 4] = [
        (2, |at| at % 2),
        (5, |at| at * 7 % 5),
        // Two rotated series beside each other.
        (6, |at| at / 1_500 * 2 + at % 2),
        // A file inside the time of another.
        (2, |at| usize::from((1_000..1_200).contains(&at))),
    ];
    for (files, deal) in deals {
        let folder = tempfile::tempdir().unwrap();
        let paths = dealt(folder.path(), &capture, files, deal);
        for (threads, chunk, wave) in [(1, 1 << 30, 1 << 40), (2, 700, 6_000), (2, 1 << 20, 1)] {
            let analysis = analyse(&paths, &options(threads, chunk, wave)).analysis;
            assert_eq!(facts(&analysis), whole, "{files} files, {chunk}, {wave}");
        }
    }
}

#[test]
fn every_cut_of_captures_of_the_same_time_tells_the_same() {
    let mix = generated("mix", 3_000);
    let small = generated("many_small", 2_000);
    for (name, capture) in
        [("mix", &mix), ("disordered", &disordered(&mix)), ("fragmented", &fragmented(&small))]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = dealt(folder.path(), capture, 4, |at| (at / 900) % 2 * 2 + at % 2);
        // The same frames once more, from another tap.
        let copy = folder.path().join("copy.pcap");
        let part: Vec<&[u8]> = records(capture).into_iter().skip(700).take(900).collect();
        fs::write(&copy, with_records(capture, part)).unwrap();
        paths.push(copy);
        assert_same(&paths, name, |options| options);
        paths.reverse();
        assert_same(&paths, name, |options| options);
    }
}

#[test]
fn names_of_connections_are_unique_where_captures_overlap() {
    let capture = generated("mix", 3_000);
    let folder = tempfile::tempdir().unwrap();
    let paths = dealt(folder.path(), &capture, 3, |at| at % 3);
    let analysis = analyse(&paths, &options(2, 5_000, 20_000)).analysis;
    let ids: Vec<u64> = analysis.connections.iter().map(|judged| judged.record.id).collect();
    assert!(ids.len() > 50 && ids.is_sorted_by(|one, next| one < next));
}

#[test]
fn two_taps_that_saw_the_same_segments_make_no_retransmissions() {
    let capture = generated("mix", 3_000);
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one.pcap");
    fs::write(&one, &capture).unwrap();
    let alone = analyse(std::slice::from_ref(&one), &options(2, 5_000, 60_000)).analysis;
    let two = folder.path().join("two.pcap");
    fs::write(&two, seen_later(&capture)).unwrap();
    let both = analyse(&[two, one], &options(2, 5_000, 60_000)).analysis;
    assert_eq!(facts(&both), facts(&alone));
    let seen: Vec<u64> = both.inputs.iter().map(|input| input.seen_elsewhere).collect();
    assert_eq!(seen.iter().sum::<u64>(), alone.inputs[0].tcp_segments);
    assert_eq!(both.inputs[0].path, folder.path().join("one.pcap").to_string_lossy());
}

#[test]
fn more_captures_of_the_same_time_than_are_read_side_by_side_are_all_read() {
    let capture = generated("mix", 2_500);
    let folder = tempfile::tempdir().unwrap();
    let paths = dealt(folder.path(), &capture, 250, |at| at % 250);
    let outcome = analyse(&paths, &options(2, 1 << 20, 1 << 26));
    assert_eq!((outcome.unreadable.len(), outcome.analysis.inputs.len()), (0, 250));
    let frames: u64 = outcome.analysis.inputs.iter().map(|input| input.frames).sum();
    assert_eq!(frames, records(&capture).len() as u64);
    assert_same(&paths, "250 files", |options| options);
}
