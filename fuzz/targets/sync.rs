//! Guessed record boundaries: reading in parallel chunks of any size gives, byte for byte, the report
//! of one serial walk.
#![no_main]

use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tcpautopsy::detect::{Detectors, Selection, Thresholds};
use tcpautopsy::pipeline::{Discard, Keep, Options, run};
use tcpautopsy::report::{Connections, write_json};
use tcpautopsy::settings::Settings;

fn report(path: &PathBuf, chunk_size: u64, wave_size: u64) -> Vec<u8> {
    let settings = Settings::default();
    let detectors = Detectors::new(settings.clone(), Thresholds::default(), &Selection::default());
    let mut options = Options::new(settings, detectors);
    options.threads = 1;
    options.chunk_size = chunk_size;
    options.wave_size = wave_size;
    options.keep = Keep::All;
    let outcome = run(std::slice::from_ref(path), &options, &mut Discard, &|_| {})
        .expect("nothing is written that could fail");
    let mut bytes = Vec::new();
    write_json(&outcome.analysis, Connections::All, &outcome.threads, &mut bytes)
        .expect("memory takes it");
    for input in &outcome.unreadable {
        bytes.extend(format!("{} {} {}", input.path, input.offset, input.reason).bytes());
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((size, file)) = data.split_first() else { return };
    let path = std::env::temp_dir().join(format!("tcpautopsy-fuzz-sync-{}", std::process::id()));
    fs::write(&path, file).expect("a temporary file");
    let whole = report(&path, 64 << 20, 64 << 20);
    let chunk = u64::from(*size).max(1) * 3;
    assert_eq!(whole, report(&path, chunk, chunk * 5), "chunks of {chunk} bytes");
});
