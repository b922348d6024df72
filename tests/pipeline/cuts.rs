//! However a capture is cut, and however many threads there are, the same bytes come out.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tcpautopsy::analysis::Analysis;
use tcpautopsy::pipeline::Options;

use super::captures::{
    all, analyse, assert_same, generated, options, records, scenarios, tight, told, with_records,
};

#[test]
fn every_cut_of_a_capture_tells_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_same(&[path], name, |options| options);
    }
}

#[test]
fn a_limit_of_memory_costs_the_same_for_every_cut() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_same(&[path], name, |options| options.within(Options::LEAST_MEMORY));
    }
}

#[test]
fn evictions_are_the_same_for_every_cut() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let evicting = |options| Options { limits: tight(), ..options };
        if name != "pcapng" && name != "damaged pcapng" {
            let outcome =
                analyse(std::slice::from_ref(&path), &evicting(options(2, 10_000, 50_000)));
            let shed = outcome.analysis.summary.shed.total();
            assert!(shed > 100, "{name}: only {shed} evictions");
        }
        assert_same(&[path], name, evicting);
    }
}

#[test]
fn every_cut_of_many_files_tells_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    // All scenarios begin at the same time, so they are merged.
    for (index, (_, bytes)) in scenarios().into_iter().step_by(3).enumerate() {
        let path = folder.path().join(format!("{index}.pcap"));
        fs::write(&path, bytes).unwrap();
        paths.push(path);
    }
    paths.push(folder.path().join("missing.pcap"));
    assert_same(&paths, "scenarios", |options| options);
    let told_before = told(&analyse(&paths, &options(2, 1 << 20, 1 << 26)));
    paths.reverse();
    assert_eq!(told_before, told(&analyse(&paths, &options(2, 1 << 20, 1 << 26))));
}

/// What both hosts of a run captured, ICMP errors among it, is merged.
#[test]
fn every_cut_of_two_taps_tells_the_same() {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kernel");
    let mut merged = 0;
    for run in fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()) {
        let name = run.file_name().unwrap().to_string_lossy().into_owned();
        let taps = ["client.pcap", "server.pcap"].map(|tap| run.join(tap));
        let is_short = |tap: &PathBuf| tap.metadata().is_ok_and(|it| it.len() < 10_000);
        if name.starts_with("icmp_") && taps.iter().all(is_short) {
            assert_same(&taps, &name, |options| options);
            merged += 1;
        }
    }
    assert!(merged > 5, "only {merged} runs");
}

#[test]
fn a_compressed_capture_tells_the_same_as_a_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = generated("mix", 3_000);
    let (plain, packed) = (folder.path().join("it"), folder.path().join("gz/it"));
    fs::create_dir(folder.path().join("gz")).unwrap();
    fs::write(&plain, &bytes).unwrap();
    fs::write(&packed, gzip(&bytes)).unwrap();
    assert_same(std::slice::from_ref(&packed), "gzip", |options| options);
    let serial = analyse(&[plain], &options(1, 1 << 30, 1 << 40));
    let stream = analyse(&[packed], &options(2, 3_000, 20_000));
    assert_eq!(serial.analysis.connections, stream.analysis.connections);
    assert_eq!(serial.analysis.findings, stream.analysis.findings);
    let (one, other) = (&serial.analysis.inputs[0], &stream.analysis.inputs[0]);
    assert_eq!((one.frames, &one.skipped), (other.frames, &other.skipped));
    assert_eq!((one.compression, other.compression), ("none", "gzip"));
}

/// Some are unpacked at once, side by side; what is too long for that is read as a stream, and so is
/// all where waves are small.
#[test]
fn compressed_files_tell_the_same_however_they_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("plain"), folder.path().join("packed"));
    fs::create_dir(&plain).unwrap();
    fs::create_dir(&packed).unwrap();
    let whole = generated("mix", 6_000);
    let records = records(&whole);
    let mut paths = (Vec::new(), Vec::new());
    let (mut at, mut ratios) = (0, Vec::new());
    for (index, count) in [100, 1_500, 40, 60, 1_700, 1_300, 1, 900, 399].into_iter().enumerate() {
        let part = records[at..at + count].iter().copied();
        at += count;
        let mut bytes = with_records(&whole, part);
        if index == 3 {
            // Inside a record.
            bytes.truncate(bytes.len() - 7);
        }
        let mut compressed = gzip(&bytes);
        ratios.push((bytes.len(), compressed.len()));
        if index == 7 {
            compressed.truncate(compressed.len() / 2);
        }
        paths.0.push(plain.join(format!("{index}")));
        paths.1.push(packed.join(format!("{index}")));
        fs::write(&paths.0[index], bytes).unwrap();
        fs::write(&paths.1[index], compressed).unwrap();
    }
    // With the second of the cuts half a MiB is unpacked at once, and a file is taken to be six times
    // as long as it is stored.
    assert!(
        ratios.iter().any(|(raw, stored)| *raw > 1 << 20 && 6 * stored < 1 << 19),
        "{ratios:?}"
    );
    assert_same(&paths.1, "gzip files", |options| options);
    let cut = analyse(&paths.1[7..8], &options(1, 1 << 30, 1 << 40));
    assert_eq!(cut.unreadable.len(), 1);
    assert!(cut.analysis.inputs[0].damage.iter().any(|damage| damage.kind == "cut_stream"));
    assert!(cut.analysis.inputs[0].frames > 100);
    for paths in [&mut paths.0, &mut paths.1] {
        paths.remove(7);
    }
    let [plain, packed] =
        [paths.0, paths.1].map(|paths| analyse(&paths, &options(2, 300, 1 << 22)));
    assert_eq!(seen(&plain.analysis), seen(&packed.analysis));
}

/// Files that are too long to be unpacked at once, between others and whatever is wrong with them: read
/// ahead or not, and as far as there is room.
#[test]
fn compressed_files_tell_the_same_however_far_they_are_read_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let whole = generated("mix", 5_000);
    let records = records(&whole);
    let mut paths = Vec::new();
    for (index, part) in records.chunks(600).enumerate() {
        let path = folder.path().join(format!("{index}"));
        let bytes = with_records(&whole, part.iter().copied());
        let mut packed = gzip(&bytes);
        let middle = packed.len() / 2;
        match index {
            1 => packed = bytes,
            2 => packed.truncate(middle),
            4 => packed[middle] ^= 0x55,
            // Inside a record.
            5 => packed = gzip(&bytes[..bytes.len() - 9]),
            // Damage in the capture, not in what packs it.
            6 => {
                let mut bytes = bytes;
                let at = bytes.len() / 3;
                bytes[at..at + 40].fill(0xa7);
                packed = gzip(&bytes);
            }
            _ => {}
        }
        fs::write(&path, packed).unwrap();
        paths.push(path);
    }
    paths.insert(3, folder.path().join("missing.gz"));
    let mut told_before = None;
    for ahead_segments in [0, 1, 1_000, Options::AHEAD_SEGMENTS] {
        let reads_ahead = Some(ahead_segments > 0);
        let change = |options| Options { reads_ahead, ahead_segments, ..options };
        assert_same(&paths, &format!("{ahead_segments} ahead"), change);
        let now = told(&analyse(&paths, &change(options(4, 3_000, 20_000))));
        assert_eq!(*told_before.get_or_insert_with(|| now.clone()), now);
    }
}

/// Two series beside each other, one of them of few frames: unpacked side by side, whatever is wrong with
/// them, and read ahead or not.
#[test]
fn compressed_files_of_the_same_time_tell_the_same_as_plain_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("plain"), folder.path().join("packed"));
    fs::create_dir(&plain).unwrap();
    fs::create_dir(&packed).unwrap();
    let whole = generated("mix", 5_000);
    let records: Vec<(usize, &[u8])> = records(&whole).into_iter().enumerate().collect();
    let mut paths = (Vec::new(), Vec::new());
    for (series, part) in records.chunks(1_300).enumerate() {
        for (tap, is_its) in [|at| at % 3 != 0, |at| at % 3 == 0 && at % 11 != 0, |at| at % 33 == 0]
            .into_iter()
            .enumerate()
        {
            let is_its: fn(usize) -> bool = is_its;
            let its = part.iter().filter(|(at, _)| is_its(*at)).map(|(_, record)| *record);
            let bytes = with_records(&whole, its);
            let name = format!("{series}{tap}");
            paths.0.push(plain.join(&name));
            paths.1.push(packed.join(&name));
            fs::write(plain.join(&name), &bytes).unwrap();
            fs::write(packed.join(&name), gzip(&bytes)).unwrap();
        }
    }
    for reads_ahead in [Some(false), Some(true)] {
        let cut = Options { reads_ahead, ..options(2, 3_000, 20_000) };
        let [plain, packed] = [&paths.0, &paths.1].map(|paths| analyse(paths, &cut).analysis);
        assert!(seen(&plain) == seen(&packed));
    }
    // Cut, and damaged.
    for (path, is_cut) in [(&paths.1[3], true), (&paths.1[4], false), (&paths.1[7], true)] {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        if is_cut {
            bytes.truncate(middle);
        } else {
            bytes[middle] ^= 0x55;
        }
        fs::write(path, bytes).unwrap();
    }
    let mut told_before = None;
    for reads_ahead in [Some(false), Some(true)] {
        let change = |options| Options { reads_ahead, ..options };
        assert_same(&paths.1, &format!("{reads_ahead:?}"), change);
        let outcome = analyse(&paths.1, &change(options(4, 3_000, 20_000)));
        assert_eq!(outcome.unreadable.len(), 3);
        let now = told(&outcome);
        assert_eq!(*told_before.get_or_insert_with(|| now.clone()), now);
    }
}

/// What is told of each connection, but for what numbers of frames follow from.
fn seen(analysis: &Analysis) -> impl PartialEq + std::fmt::Debug {
    let facts = analysis.connections.iter().map(|judged| {
        let record = &judged.record;
        let sent = [&record.traffic.client, &record.traffic.server]
            .map(|it| (it.segments, it.unique_bytes, it.retransmitted_bytes, it.missing_bytes));
        (record.client, record.server, sent, judged.findings.clone())
    });
    facts.collect::<Vec<_>>()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_capture_split_into_files_gives_the_same_connections() {
    let folder = tempfile::tempdir().unwrap();
    let whole = generated("mix", 3_000);
    let records = records(&whole);
    let mut paths = Vec::new();
    for (index, part) in records.chunks(700).enumerate() {
        // Names in the opposite order: the first time decides.
        let path = folder.path().join(format!("{}.pcap", 9 - index));
        fs::write(&path, with_records(&whole, part.iter().copied())).unwrap();
        paths.push(path);
    }
    let path = folder.path().join("whole.pcap");
    fs::write(&path, &whole).unwrap();
    let parts = analyse(&paths, &options(2, 5_000, 60_000)).analysis;
    let whole = analyse(&[path], &options(2, 5_000, 60_000)).analysis;
    assert_eq!(seen(&parts), seen(&whole));
    let ids = |it: &Analysis| it.connections.iter().map(|it| it.record.id).collect::<Vec<_>>();
    assert_eq!(ids(&parts), ids(&whole));
    assert_eq!(parts.inputs.len(), 5);
    assert!(parts.inputs.iter().is_sorted_by_key(|input| input.first_time));
}

#[test]
fn every_prefix_of_a_capture_is_analysed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = generated("mix", 120);
    let path = folder.path().join("prefix.pcap");
    let mut frames = 0;
    for length in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..length]).unwrap();
        let inputs = [path.clone()];
        let small = analyse(&inputs, &options(2, 512, 4_096));
        assert_eq!(told(&small), told(&analyse(&inputs, &options(1, 1 << 30, 1 << 40))));
        if length < 24 {
            assert_eq!((small.unreadable.len(), small.analysis.inputs.len()), (1, 0));
        } else {
            assert!(small.analysis.inputs[0].frames >= frames);
            frames = small.analysis.inputs[0].frames;
        }
    }
    assert!(frames > 100);
}
