//! Segments with wrong TCP checksums.
//!
//! # What it detects
//! Set when TCP checksums of a file are wrong. All segments that were captured whole are verified at the
//! beginning of a file, and one in 64 behind its first 256 KiB; from the 17th file of a run on, behind
//! its first 16 KiB, and from the 513th on behind its first 512 bytes. The variants:
//! * `offload`: nearly all wrong ones hold what a host leaves to its network card, that is, the sum of the
//!   pseudo-header or zero: the capture was taken on a sending host, before the card finished them;
//! * `real`: at least `min_real` others are wrong.
//!
//! # Why it matters
//! Offload is harmless, and says that the tap is on a host: segments may be larger than the wire's, and
//! times are those before the card. Really wrong checksums are dropped by the receiver, so that what they
//! carried has to be sent again: a broken cable, card, memory or middlebox.
//!
//! # Evidence
//! Verified segments, wrong ones, and those that offload explains.
//!
//! # Thresholds
//!
//! # What to check
//! * `ethtool -k DEVICE | grep checksum` on the capturing host; `ethtool -K DEVICE tx off` for one capture
//!   shows whether it was offload.
//! * For `real`: `nstat -az TcpInCsumErrors` on the receiver, `ethtool -S` on both ends for errors of the
//!   link.
//!
//! # False positives
//! * A program that rewrote addresses in the file (anonymised it) without mending the checksums.
//!
//! # References
//! RFC 9293 3.1; RFC 1071; Linux networking/checksum-offloads.

use crate::certainty::Certainty;
use crate::detect::advice::{number, setting};
use crate::detect::rule::{Check, Draft, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity, Subject};
use crate::input::Input;
use crate::stamp::FrameId;
use crate::tcp::Overlay;

const CODE: Code = Code(906);

const OFFLOAD: &str = "offload";
const REAL: &str = "real";

const MIN_REAL: Threshold = Threshold {
    code: CODE,
    name: "min_real",
    default: 1,
    unit: Unit::Count,
    meaning: "wrong checksums that offload does not explain",
    source: "one packet in 10^4 to 10^5 is wrong on real paths (Stone and Partridge, SIGCOMM 2000)",
};

/// TCP906.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "bad_checksums",
    scope: Scope::Capture,
    variants: &[OFFLOAD, REAL],
    thresholds: &[&MIN_REAL],
    source: include_str!("bad_checksums.rs"),
    // A sending host makes them; the finding says so itself.
    check: Check::Capture { judge, reach: |_| None },
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let inputs = whole.inputs.iter().zip(0..);
    inputs.filter_map(|(input, index)| judge_input(input, index, whole)).collect()
}

fn judge_input(input: &Input, index: u32, whole: &Whole<'_>) -> Option<(Spot, Draft)> {
    let checksums = input.quality.checksums;
    let real = checksums.wrong.count - checksums.unfinished;
    let is_real = real > 0 && real >= whole.context.thresholds.count(&MIN_REAL);
    let variant = match (is_real, checksums.unfinished) {
        (true, _) => REAL,
        (false, 0) => return None,
        (false, _) => OFFLOAD,
    };
    let spot = Spot {
        variant,
        subject: Subject::Capture(input.path.clone()),
        overlay: Overlay::default(),
        first: input.first_time.unwrap_or_else(|| whole.start()),
        last: input.last_time.unwrap_or_else(|| whole.end()),
        count: if is_real { real } else { checksums.unfinished },
        frames: vec![FrameId::new(index, checksums.wrong.first_frame)],
    };
    let of = words::counted(checksums.verified, "verified segment");
    let draft = Draft {
        severity: if is_real { Severity::Notice } else { Severity::Info },
        certainty: Certainty::Observed,
        title: if is_real { "TCP checksums are wrong" } else { "checksums are left to the card" }
            .to_owned(),
        summary: format!(
            "{} of {of} wrong, {} of them as offload leaves them.",
            words::count(checksums.wrong.count),
            words::count(checksums.unfinished),
        ),
        evidence: vec![
            number("verified", checksums.verified),
            number("wrong", checksums.wrong.count),
            number("unfinished", checksums.unfinished),
        ],
        explanation: if is_real {
            "The receiver drops segments with wrong checksums, so that what they carried is sent \
             again. Something between the sender and the tap damages packets, or the file was \
             rewritten."
        } else {
            "The capture was taken on a sending host, before its network card finished the checksums. \
             Nothing is wrong; segments may be larger than those on the wire."
        }
        .to_owned(),
        advice: vec![if is_real {
            setting(
                "cable, card, switch or middlebox before the tap",
                "check",
                None,
                "`nstat -az TcpInCsumErrors` on the receiver and `ethtool -S` on both ends count what \
                 is damaged; a file that was anonymised shows the same.",
            )
        } else {
            setting(
                "ethtool -K DEVICE tx off",
                "check",
                None,
                "Only for one capture that has to show checksums as they are sent; it costs CPU time.",
            )
        }],
        display_filter: words::filter_with("tcp.checksum.status == \"Bad\"", &spot.frames),
        caveat: if checksums.verified < input.tcp_segments {
            "Not every checksum was verified: those of cut segments cannot be, and behind the \
             beginning of a file only a sample is."
                .to_owned()
        } else {
            String::new()
        },
    };
    Some((spot, draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::input::{Checksums, Quality, Sighting};

    fn wrong(count: u64, unfinished: u64) -> Input {
        let wrong = Sighting { count, first_frame: 2 };
        let checksums = Checksums { verified: 100, wrong, unfinished };
        Input { quality: Quality { checksums, ..Quality::default() }, ..Input::default() }
    }

    #[test]
    fn what_offload_leaves_is_told_from_what_is_really_wrong() {
        assert!(Run::inputs(&[wrong(0, 0)]).none(CODE));
        let told = |input| {
            let finding = Run::inputs(&[input]).only(CODE);
            (finding.variant, finding.severity, finding.count)
        };
        assert_eq!(told(wrong(40, 40)), (OFFLOAD, Severity::Info, 40));
        assert_eq!(told(wrong(40, 39)), (REAL, Severity::Notice, 1));
    }
}
