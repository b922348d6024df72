//! `tcp.analysis.*` frame by frame, and `tcp.completeness` stream by stream, against tshark 4.0.17.

use std::collections::BTreeMap;
use std::path::Path;

use super::captures::{bytes, folder, paths, segments, table};
use tcpautopsy::compat::wireshark::{AnalysisFlags, Analyzer};
use tcpautopsy::tcp::Orientation;

/// What tshark said of one capture.
struct Answers {
    /// By frame number: stream and flags.
    frames: BTreeMap<u64, (String, String)>,
    /// By stream number.
    completeness: BTreeMap<String, u8>,
    quoted: usize,
}

#[derive(Default)]
struct Score {
    frames: usize,
    equal: usize,
    unseen: usize,
    streams: usize,
    complete: usize,
    classes: BTreeMap<String, (usize, String)>,
}

fn answers(folder: &Path, path: &str) -> Option<Answers> {
    let base = path.strip_prefix("files/")?;
    let packed = bytes(&folder.join(format!("tshark/{base}.frames.tsv.gz")))?;
    let text = String::from_utf8(packed).ok()?;
    let mut frames = BTreeMap::new();
    let mut quoted = 0;
    for row in table(&text) {
        if row["in_icmp_error"] != "0" {
            quoted += 1;
            continue;
        }
        let flags = row.get("analysis").copied().unwrap_or_default();
        frames.insert(
            row["frame.number"].parse().unwrap(),
            (row["tcp.stream"].to_string(), flags.to_string()),
        );
    }
    let streams = bytes(&folder.join(format!("tshark/{base}.streams.tsv")))?;
    let streams = String::from_utf8(streams).ok()?;
    let completeness = table(&streams)
        .iter()
        .filter_map(|row| Some((row["tcp.stream"].to_string(), row["completeness"].parse().ok()?)))
        .collect();
    Some(Answers { frames, completeness, quoted })
}

fn compare(folder: &Path, path: &str, score: &mut Score) {
    let Some(answers) = answers(folder, path) else { return };
    let Some(segments) = segments(&folder.join(path)) else { return };
    let mut analyzers = BTreeMap::new();
    let mut completeness = BTreeMap::new();
    let mut seen = 0;
    for one in &segments {
        let (tuple, orientation) = one.tuple.canonical();
        let key = (tuple.source, tuple.destination);
        let analyzer: &mut Analyzer = analyzers.entry(key).or_default();
        let forward = orientation == Orientation::Forward;
        let ours = analyzer.observe(forward, &one.segment, &one.extras);
        let number = one.segment.frame.number();
        let Some((stream, theirs)) = answers.frames.get(&number) else { continue };
        seen += 1;
        completeness.insert(stream.clone(), analyzer.completeness().bits());
        score.frames += 1;
        if AnalysisFlags::parse(theirs) == Some(ours) {
            score.equal += 1;
        } else {
            let class = format!("frame: tshark [{theirs}], here [{ours}]");
            let (count, _) =
                score.classes.entry(class).or_insert_with(|| (0, format!("{path} {number}")));
            *count += 1;
        }
    }
    score.unseen += answers.frames.len() - seen;
    if answers.frames.len() != seen {
        let class = "frame: not decoded here".to_string();
        let (count, _) = score.classes.entry(class).or_insert_with(|| (0, path.to_string()));
        *count += answers.frames.len() - seen;
    }
    for (stream, ours) in completeness {
        let Some(theirs) = answers.completeness.get(&stream) else { continue };
        score.streams += 1;
        if *theirs == ours {
            score.complete += 1;
        } else {
            let class = format!("completeness: tshark {theirs}, here {ours}");
            let (count, _) =
                score.classes.entry(class).or_insert_with(|| (0, format!("{path} {stream}")));
            *count += 1;
        }
    }
    let _ = answers.quoted;
}

#[test]
fn analysis_flags_and_completeness_are_those_of_tshark() {
    let Some(folder) = folder() else { return };
    let mut score = Score::default();
    for path in paths(&folder) {
        compare(&folder, &path, &mut score);
    }
    println!("frames {} equal {}; not decoded {}", score.frames, score.equal, score.unseen);
    println!("streams {} equal {}", score.streams, score.complete);
    let mut classes: Vec<_> = score.classes.iter().collect();
    classes.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (class, (count, example)) in classes {
        println!("{count:6} {class}   {example}");
    }
    assert!(score.frames > 60_000, "too few frames: {}", score.frames);
    assert!(score.equal * 1000 >= score.frames * 999, "{} of {}", score.equal, score.frames);
    assert!(
        score.complete * 1000 >= score.streams * 990,
        "{} of {}",
        score.complete,
        score.streams
    );
}
