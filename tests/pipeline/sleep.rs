//! Connections that sleep while they are silent are told of as if they had stayed awake.

use std::fs;

use tcpautopsy::flow::Limits;
use tcpautopsy::pipeline::Options;
use tcpautopsy::settings::Settings;

use super::captures::{all, analyse, generated, options, records, scenarios, told};
use crate::kernel_truth::run::recorded_captures;
use crate::reference;

#[test]
fn a_nap_after_every_segment_leaves_no_trace() {
    let settings = Settings::default();
    let made = all().into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    let written = scenarios().into_iter().map(|(path, bytes)| (path.display().to_string(), bytes));
    let of_kernel: Vec<_> = recorded_captures().collect();
    assert!(of_kernel.len() > 200, "the kernel's runs were not found");
    for (name, bytes) in made.chain(written).chain(of_kernel) {
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
        if minute == 0 {
            whole.extend(&capture[..24]);
        }
        for record in records(&capture) {
            let seconds = u32::from_le_bytes(record[..4].try_into().unwrap()) + 60 * minute;
            whole.extend(seconds.to_le_bytes());
            whole.extend(&record[4..]);
        }
    }
    whole
}

#[test]
fn how_many_sleep_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    fs::write(&path, long()).unwrap();
    let with = |awake, closed_awake| {
        let limits = Limits { awake, closed_awake, ..Limits::default() };
        told(&analyse(
            std::slice::from_ref(&path),
            &Options { limits, ..options(2, 9_000, 99_000) },
        ))
    };
    let all_awake = with(usize::MAX, usize::MAX);
    assert!(all_awake.len() > 1_000_000, "there is something to tell");
    assert!(with(0, 0) == all_awake);
    assert!(with(usize::MAX, 0) == all_awake, "the closed ones sleep");
}
