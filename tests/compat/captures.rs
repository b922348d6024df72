//! The public captures, where they lie beside the project, and a plain reader for them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tcpautopsy::capture::{Context, LinkType, Window};
use tcpautopsy::decode::{Decoded, Outcome, Pushed, Reassembler, Settings, decode};
use tcpautopsy::stamp::FrameId;
use tcpautopsy::tcp::{Extras, FourTuple, Segment};

/// One TCP segment of a capture.
pub(crate) struct Seen {
    pub(crate) tuple: FourTuple,
    pub(crate) segment: Segment,
    pub(crate) extras: Extras,
}

/// The folder of captures, or none (with a message) where it is missing.
pub(crate) fn folder() -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = project.ancestors().map(|above| above.join("shared/captures"));
    let found = found.find(|folder| folder.join("INDEX.tsv").is_file());
    if found.is_none() {
        println!("skipped: no folder shared/captures beside the project");
    }
    found
}

/// The captures' paths in INDEX.tsv, relative to the folder.
pub(crate) fn paths(folder: &Path) -> Vec<String> {
    let index = fs::read_to_string(folder.join("INDEX.tsv")).expect("INDEX.tsv");
    index.lines().skip(1).filter_map(|line| line.split('\t').next()).map(String::from).collect()
}

/// Rows of a table with a header line, as maps from column to value.
pub(crate) fn table(text: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    lines.map(|line| header.iter().copied().zip(line.split('\t')).collect()).collect()
}

/// A file's bytes, unpacked if gzip packed them.
pub(crate) fn bytes(path: &Path) -> Option<Vec<u8>> {
    let packed = fs::read(path).ok()?;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Some(packed);
    }
    let mut unpacked = Vec::new();
    // A cut file still gives what stands before the cut.
    let _ = MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked);
    Some(unpacked)
}

/// The TCP segments of a capture file, in the order of its frames.
pub(crate) fn segments(file: &Path) -> Option<Vec<Seen>> {
    let bytes = bytes(file)?;
    let (mut context, start) = Context::open(&bytes).ok()?;
    let settings = Settings { tunnels: true, verify_checksums: false };
    let mut decoded = Decoded::default();
    let mut reassembler = Reassembler::new();
    let mut seen = Vec::new();
    let mut number = 0;
    let window = Window { bytes: &bytes, base: 0, at_end: true };
    context.walk(window, start..bytes.len(), &mut |record| {
        number += 1;
        if record.link == LinkType::EVENT {
            return;
        }
        let frame = FrameId::new(0, number);
        let mut outcome =
            decode(record.link, record.data, record.wire_len, &settings, &mut decoded);
        if let Outcome::Fragment(fragment) = outcome {
            outcome = match reassembler.push(&fragment, record.time, frame, &settings, &mut decoded)
            {
                Pushed::Complete(outcome) => outcome,
                Pushed::Held => return,
            };
        }
        if outcome == Outcome::Segment {
            seen.push(Seen {
                tuple: decoded.tuple,
                segment: Segment { time: record.time, frame, ..decoded.segment },
                extras: decoded.extras,
            });
        }
    });
    Some(seen)
}
