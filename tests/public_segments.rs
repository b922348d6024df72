//! Frame by frame, what tshark calls TCP in the public captures is a segment here, or is left out for
//! a reason that holds.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use tcpautopsy::capture::{Context, Window};
use tcpautopsy::decode::{self, Decoded, Outcome, Skip};

use crate::compat::captures::{folder, paths};

/// Reasons for which a frame that tshark calls TCP is no segment here. Quotes in ICMP errors, headers
/// that contradict themselves or of which the numbers are cut off, packets that were never complete, and
/// datagrams that describe TCP (sFlow) without being a tunnel.
const REASONS: [Skip; 7] = [
    Skip::Icmp,
    Skip::BadTcpHeaderLength,
    Skip::CutTcpHeader,
    Skip::BadFragment,
    Skip::Udp,
    Skip::OtherTransport,
    Skip::NestedTooDeep,
];

/// Numbers of the frames that tshark calls TCP and that are no quotes.
fn told(path: &Path) -> Option<BTreeSet<u64>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path).ok()?).read_to_string(&mut text).ok()?;
    let frames = text.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        (columns.get(9) == Some(&"0")).then(|| columns[0].parse().unwrap())
    });
    Some(frames.collect())
}

#[test]
fn what_tshark_calls_tcp_is_a_segment_or_left_out_for_a_reason_that_holds() {
    let Some(folder) = folder() else { return };
    let settings = decode::Settings::default();
    let (mut same, mut left_out, mut wrong) = (0_u64, 0_u64, Vec::new());
    for path in paths(&folder) {
        let frames = format!("{}.frames.tsv.gz", path.trim_start_matches("files/"));
        let Some(told) = told(&folder.join("tshark").join(frames)) else { continue };
        let Ok(bytes) = fs::read(folder.join(&path)) else { continue };
        let Ok((mut context, start)) = Context::open(&bytes) else { continue };
        let window = Window { bytes: &bytes, base: 0, at_end: true };
        let (mut out, mut number) = (Decoded::default(), 0);
        context.walk(window, start..bytes.len(), &mut |record| {
            number += 1;
            if !told.contains(&number) {
                return;
            }
            let outcome =
                decode::decode(record.link, record.data, record.wire_len, &settings, &mut out);
            match outcome {
                // Fragments are put together later; tshark names the last one.
                Outcome::Segment | Outcome::Fragment(_) => same += 1,
                Outcome::Quote(_) => left_out += 1,
                Outcome::Skip(skip) if REASONS.contains(&skip) => left_out += 1,
                Outcome::Skip(skip) => wrong.push(format!("{path} frame {number}: {skip:?}")),
            }
        });
    }
    assert!(same > 100_000, "{same}");
    assert!(left_out * 1_000 < same, "{left_out} of {same} frames are left out");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
