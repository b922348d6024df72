//! Connections that sleep while they are silent are told of as if they had stayed awake.

use std::fs;
use std::path::Path;

use tcpautopsy::flow::Limits;
use tcpautopsy::pipeline::Options;
use tcpautopsy::settings::Settings;

use super::captures::{all, analyse, generated, options, scenarios, told};
use crate::reference;

/// The captures of the kernel's runs.
fn of_the_kernel() -> Vec<(String, Vec<u8>)> {
    let mut captures = Vec::new();
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kernel");
    for run in fs::read_dir(runs).unwrap() {
        for file in fs::read_dir(run.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "pcap") {
                captures.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    assert!(captures.len() > 200, "the kernel's runs were not found");
    captures
}

#[test]
fn a_nap_after_every_segment_leaves_no_trace() {
    let settings = Settings::default();
    let made = all().into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    let written = scenarios().into_iter().map(|(path, bytes)| (path.display().to_string(), bytes));
    for (name, bytes) in made.chain(written).chain(of_the_kernel()) {
        let awake = reference::records(&bytes, &settings);
        let after_naps = reference::records_after_naps(&bytes, &settings);
        assert!(awake == after_naps, "{name}");
    }
}

/// A capture of small connections, a minute later and of other bytes each time.
fn long() -> Vec<u8> {
    let mut whole = Vec::new();
    for minute in 0..4_u32 {
        let capture = generated("many_small", 3_000);
        let mut rest = &capture[24..];
        if minute == 0 {
            whole.extend(&capture[..24]);
        }
        while let Some((header, after)) = rest.split_first_chunk::<16>() {
            let seconds = u32::from_le_bytes(header[..4].try_into().unwrap()) + 60 * minute;
            let len = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
            whole.extend(seconds.to_le_bytes());
            whole.extend(&header[4..]);
            whole.extend(&after[..len]);
            rest = &after[len..];
        }
    }
    whole
}

#[test]
fn how_many_sleep_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    fs::write(&path, long()).unwrap();
    let with = |awake| {
        let limits = Limits { awake, ..Limits::default() };
        told(&analyse(
            std::slice::from_ref(&path),
            &Options { limits, ..options(2, 9_000, 99_000) },
        ))
    };
    let all_awake = with(usize::MAX);
    assert!(all_awake.len() > 1_000_000, "there is something to tell");
    assert!(with(0) == all_awake);
}
