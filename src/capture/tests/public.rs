//! Public captures with other tools' counts, where they are at hand.
//!
//! The captures belong to other projects and are no part of this one, so the tests skip, and say
//! so, where the folder is missing.

use std::path::PathBuf;

use super::*;

/// The folder with the captures: `shared/captures` next to the project or above it.
fn folder() -> Option<PathBuf> {
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = project.ancestors().map(|above| above.join("shared/captures"));
    let found = found.into_iter().find(|folder| folder.join("INDEX.tsv").is_file());
    if found.is_none() {
        println!("skipped: no folder shared/captures beside the project");
    }
    found
}

/// The whole content of an input, decompressed.
fn content(path: &std::path::Path) -> Vec<u8> {
    match Input::open(path).unwrap() {
        Input::File(source) => {
            let mut bytes = vec![0; usize::try_from(source.len()).unwrap()];
            assert_eq!(source.read_at(0, &mut bytes).unwrap(), bytes.len());
            bytes
        }
        Input::Stream(mut stream) => {
            stream.next_member().unwrap();
            let (mut bytes, mut piece) = (Vec::new(), vec![0; 1 << 20]);
            loop {
                let count = stream.fill(&mut piece);
                bytes.extend(&piece[..count]);
                if count < piece.len() {
                    assert_eq!(stream.damage(), None, "{}", path.display());
                    return bytes;
                }
            }
        }
    }
}

/// Files (by the end of their names) in which the count is not what the index says, and why.
const DIFFERENT: &[(&str, u64)] = &[
    // The index counts the last packet, which is cut; tshark does not.
    ("melsoft_129_clean.pcap", 2041),
    ("FuzzTarget-5643903448645632", 1),
    // Three bytes too many behind frame 18, where others stop; all frames behind them are sound.
    ("10.7.29.101_49898-178.63.41.150_25.pcap", 199),
    // Noise in which the search finds a record before the end.
    ("FuzzTarget-5696447256461312", 4),
    // Version 2.3, whose lengths may be swapped: read so, the record is whole.
    ("FuzzTarget-5766899836387328", 1),
    // No block has a right trailing length; tshark refuses the file.
    ("shb-option-too-long.pcapng", 0),
];

/// Files in which tshark prints times that are none.
const STRANGE_TIMES: &[&str] = &[
    // Fractions of a second and more, printed behind the point as they are.
    "transform-base64-7296/input.pcap",
    "test2.replay_unique_ip",
    "FuzzTarget-4981601846820864",
    "FuzzTarget-5487001111429120",
    "FuzzTarget-5700358767902720",
    "FuzzTarget-6303070823907328",
    // The year 4139, beyond the range of our times.
    "smb_data_print-segv.pcapng",
];

#[test]
fn counts_of_packets_are_those_of_the_index() {
    let Some(folder) = folder() else { return };
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut files = 0;
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (path, format, packets) = (columns[0], columns[5], columns[7]);
        let bytes = content(&folder.join(path));
        let seen = serial(&bytes);
        let count = seen.records.len() as u64 - seen.events;
        let known = DIFFERENT.iter().find(|it| path.ends_with(it.0));
        let expected = known.map_or_else(|| packets.parse().unwrap(), |it| it.1);
        if count != expected {
            wrong
                .push(format!("{path} {format}: {count} instead of {expected}; {:?}", seen.harm()));
        }
        files += 1;
    }
    assert!(files > 1000);
    assert!(wrong.is_empty(), "{} of {files}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Frame numbers and times of TCP frames, as tshark gives them.
#[test]
fn numbers_and_times_of_frames_are_those_of_tshark() {
    let Some(folder) = folder() else { return };
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut frames = 0_u64;
    for path in index.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        let told = folder
            .join("tshark")
            .join(format!("{}.frames.tsv.gz", path.trim_start_matches("files/")));
        let strange = STRANGE_TIMES.iter().any(|end| path.ends_with(end));
        if strange || !told.is_file() {
            continue;
        }
        let seen = serial(&content(&folder.join(path)));
        let told = String::from_utf8(content(&told)).unwrap();
        let mut differs = 0;
        for line in told.lines().skip(1) {
            let mut columns = line.split('\t');
            let number: usize = columns.next().unwrap().parse().unwrap();
            let time = columns.next().unwrap();
            let Some(record) = number.checked_sub(1).and_then(|at| seen.records.get(at)) else {
                differs += 1;
                continue;
            };
            let ours = record.time.map_or(String::new(), |nanos| {
                format!(
                    "{}.{:09}",
                    nanos.div_euclid(1_000_000_000),
                    nanos.rem_euclid(1_000_000_000)
                )
            });
            if ours != time {
                if differs == 0 {
                    wrong.push(format!("{path} frame {number}: {ours} instead of {time}"));
                }
                differs += 1;
            }
            frames += 1;
        }
    }
    assert!(frames > 100_000, "{frames}");
    assert!(wrong.is_empty(), "{} files:\n{}", wrong.len(), wrong.join("\n"));
}
