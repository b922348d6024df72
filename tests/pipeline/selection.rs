//! A filter and a period leave out what they say, and nothing else changes.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use tcpautopsy::analysis::Analysis;
use tcpautopsy::pipeline::{Options, Period};

use super::captures::{
    analyse, assert_same, fragmented, generated, options, records, with_records,
};

fn connections(analysis: &Analysis) -> Vec<String> {
    let told = analysis.connections.iter().map(|judged| {
        let record = &judged.record;
        let sent = [&record.traffic.client, &record.traffic.server].map(|it| it.segments);
        // Not the frames: their numbers are those of the file.
        let close = &record.close;
        let fins = [close.fin.client, close.fin.server].map(|fin| fin.map(|mark| mark.time));
        let (began, client, outcome) = (record.first_time, record.client, close.outcome);
        format!("{began} {client:?} {outcome:?} {fins:?} {sent:?}")
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

/// Source and destination of an IPv4 frame.
fn addresses(record: &[u8]) -> Option<[Ipv4Addr; 2]> {
    let frame = &record[16..];
    let at = |from: usize| {
        Ipv4Addr::from_bits(u32::from_be_bytes(frame[from..from + 4].try_into().unwrap()))
    };
    (frame.len() >= 34 && frame[12..14] == [8, 0]).then(|| [at(26), at(30)])
}

fn nanos(record: &[u8]) -> i64 {
    let word = |at: usize| i64::from(u32::from_le_bytes(record[at..at + 4].try_into().unwrap()));
    word(0) * 1_000_000_000 + word(4) * 1_000
}

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn analysed(path: &PathBuf, change: impl Fn(Options) -> Options) -> Analysis {
    analyse(std::slice::from_ref(path), &change(options(2, 3_000, 40_000))).analysis
}

#[test]
fn a_filter_gives_what_a_capture_of_these_segments_gives() {
    let folder = tempfile::tempdir().unwrap();
    let capture = generated("mix", 3_000);
    let someone = records(&capture).iter().find_map(|record| addresses(record)).unwrap()[0];
    let kept = records(&capture)
        .into_iter()
        .filter(|record| addresses(record).is_none_or(|ends| ends.contains(&someone)));
    let part = written(&folder, "part", &with_records(&capture, kept));
    let whole = written(&folder, "whole", &capture);
    let filter = format!("host {someone} or ip6");
    let filtered = |options| Options { filter: Some(filter.parse().unwrap()), ..options };
    let (chosen, alone) = (analysed(&whole, filtered), analysed(&part, |options| options));
    assert_eq!(connections(&chosen), connections(&alone));
    let (one, other) = (&chosen.inputs[0], &alone.inputs[0]);
    assert_eq!(one.tcp_segments, other.tcp_segments);
    let all = analysed(&whole, |options| options).inputs[0].tcp_segments;
    assert!(one.tcp_segments < all && one.left_out == all - one.tcp_segments);
    assert_eq!(chosen.selection.filter.as_deref(), Some(filter.as_str()));
    assert_same(&[whole], "filter", filtered);
}

#[test]
fn a_filter_sees_segments_that_were_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "it", &fragmented(&generated("many_small", 2_000)));
    let all = analysed(&path, |options| options).inputs[0].tcp_segments;
    for filter in ["port 1", "vlan 5"] {
        let none = |options| Options { filter: Some(filter.parse().unwrap()), ..options };
        let input = &analysed(&path, none).inputs[0];
        assert_eq!((input.tcp_segments, input.left_out), (0, all), "{filter}");
    }
}

#[test]
fn a_period_gives_what_a_capture_of_these_frames_gives() {
    let folder = tempfile::tempdir().unwrap();
    let capture = generated("mix", 3_000);
    let times: Vec<i64> = records(&capture).into_iter().map(nanos).collect();
    let (start, end) = (times[0], *times.iter().max().unwrap());
    let (from, to) = (start + (end - start) / 4, start + (end - start) / 2);
    let kept = records(&capture).into_iter().filter(|it| (from..to).contains(&nanos(it)));
    let part = written(&folder, "part", &with_records(&capture, kept));
    let whole = written(&folder, "whole", &capture);
    let text = |nanos: i64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    let absolute = Period { from: text(from).parse().ok(), to: text(to).parse().ok() };
    let after = |nanos: i64| format!("+{}", text(nanos - start)).parse().ok();
    let relative = Period { from: after(from), to: after(to) };
    let alone = analysed(&part, |options| options);
    for period in [absolute, relative] {
        let chosen = analysed(&whole, |options| Options { period, ..options });
        assert_eq!(connections(&chosen), connections(&alone));
        let (one, other) = (&chosen.inputs[0], &alone.inputs[0]);
        assert_eq!((one.first_time, one.last_time), (other.first_time, other.last_time));
        assert_eq!(one.frames - one.outside_period, other.frames);
    }
    assert_same(&[whole], "period", |options| Options { period: relative, ..options });
}

/// A capture of 20 MiB whose frames have these times, in seconds.
fn long(seconds: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut bytes = generated("mix", 1)[..24].to_vec();
    let length = 10_000_u32.to_le_bytes();
    for second in seconds {
        bytes.extend([&second.to_le_bytes()[..], &[0; 4], &length, &length].concat());
        bytes.extend([0; 10_000]);
    }
    bytes
}

#[test]
fn a_file_that_lies_outside_the_period_as_a_whole_is_listed_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let frames = 2_100_u32;
    let before = written(&folder, "before.pcap", &long((0..frames).map(|at| 1_000_000 + at)));
    // Its middle was captured in the period.
    let mixed = |at| if (700..1_400).contains(&at) { 1_010_000 + at } else { 1_000_000 + at };
    let mixed = written(&folder, "mixed.pcap", &long((0..frames).map(mixed)));
    let inside = written(&folder, "inside.pcap", &long((0..frames).map(|at| 1_009_000 + at)));
    // Less than a minute away.
    let near = written(&folder, "near.pcap", &long((0..frames).map(|at| 1_012_030 + at)));
    let after = written(&folder, "after.pcap", &long((0..frames).map(|at| 1_090_000 + at)));
    let cut =
        written(&folder, "cut.pcap", &long((0..frames).map(|at| 1_095_000 + at))[..20_000_000]);
    let period =
        Period { from: Some("1009000".parse().unwrap()), to: Some("1012000".parse().unwrap()) };
    let options = Options { period, ..options(2, 1 << 20, 1 << 26) };
    let analysis = analyse(&[before, mixed, inside, near, after, cut], &options).analysis;
    let told: Vec<_> = analysis
        .inputs
        .iter()
        .map(|it| {
            let name = it.path.rsplit('/').next().unwrap();
            (name, it.not_read, it.frames, it.outside_period)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("before.pcap", true, 0, 0),
            ("mixed.pcap", false, 2_100, 1_400),
            ("inside.pcap", false, 2_100, 0),
            ("near.pcap", false, 2_100, 2_100),
            ("after.pcap", true, 0, 0),
            ("cut.pcap", false, 1_996, 1_996),
        ]
    );
}
