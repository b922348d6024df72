//! Whatever bytes there are, the program ends by itself, with a report and exit code 0 or 2.

use std::io::Write as _;

use tcpautopsy::testkit::{Format, Shape, generate};

use super::Desk;

fn capture(format: Format) -> Vec<u8> {
    let shape = Shape { format, ..Shape::named("mix").unwrap() };
    let mut bytes = Vec::new();
    generate(shape, 60, 3, &mut bytes).unwrap();
    bytes
}

fn formats() -> Vec<(&'static str, Vec<u8>)> {
    let plain = capture(Format::Pcap);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    vec![
        ("ng", capture(Format::Pcapng)),
        ("gz", gzip.finish().unwrap()),
        ("zst", zstd::encode_all(plain.as_slice(), 1).unwrap()),
        ("pcap", plain),
    ]
}

/// Runs the program on the bytes; it must tell what it found.
fn survives(desk: &Desk, name: &str, bytes: &[u8], what: &str) {
    desk.write(name, bytes);
    let (code, out, errors) = desk.run(&["analyze", "--json", name]);
    assert!(matches!(code, Some(0 | 2)), "{name}, {what}: {code:?} {errors}");
    assert!(!errors.contains("panicked"), "{name}, {what}: {errors}");
    assert!(code == Some(2) || out.starts_with('{'), "{name}, {what}: {out}");
}

#[test]
fn a_file_cut_at_any_byte_gives_a_report() {
    let desk = Desk::new();
    for (name, bytes) in formats() {
        for length in (0..bytes.len()).step_by(bytes.len() / 40) {
            survives(&desk, name, &bytes[..length], &format!("cut at {length}"));
        }
    }
}

#[test]
fn bytes_that_flip_anywhere_give_a_report() {
    let desk = Desk::new();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for (name, bytes) in formats() {
        for run in 0..40 {
            let mut bytes = bytes.clone();
            for _ in 0..=random(8) {
                // Headers lie in front: half of the places are there.
                let within = if random(2) == 0 { bytes.len() } else { 200 };
                let at = random(within);
                bytes[at] ^= u8::try_from(1 + random(255)).unwrap();
            }
            survives(&desk, name, &bytes, &format!("run {run}"));
        }
    }
}
