//! The tap delivered frames twice.
//!
//! # What it detects
//! Set when at least `min_count` segments came again with the same IP identification, numbers and
//! checksum within microseconds, or when their bytes came again cut in another way: a large segment on
//! one interface and its pieces on another one, as segmentation and receive offload make them.
//!
//! # Why it matters
//! A copy by the tap is no retransmission. The connections are read as if each frame had come once, so
//! that no other finding rests on copies; counts of frames, bytes and rates are too high. Where
//! there are many, findings say so.
//!
//! # Evidence
//! Copies, and all segments.
//!
//! # Thresholds
//!
//! # What to check
//! * A mirror port that copies a VLAN, or both ports of a path, copies each packet on its way in and out:
//!   mirror one port, or one direction per port.
//! * `editcap -d` removes the copies; capturing with `-i any` sees a packet on each interface that it
//!   passes.
//!
//! # False positives
//! * A network that duplicates packets itself does it later than a tap, or with another TTL.
//!
//! # References
//! editcap(1), `-d`; RFC 9293 3.10.7.4 for what endpoints do with duplicates.

use crate::certainty::Certainty;
use crate::detect::advice::{number, setting, share};
use crate::detect::rule::{Check, Draft, Reach, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};

const CODE: Code = Code(903);

const MIN_COUNT: Threshold = Threshold {
    code: CODE,
    name: "min_count",
    default: 3,
    unit: Unit::Count,
    meaning: "copies of segments",
    source: "chosen here: a tap that doubles frames doubles many",
};

const WARNING_SHARE: Threshold = Threshold {
    code: CODE,
    name: "warning_share",
    default: 10,
    unit: Unit::Percent,
    meaning: "share of copies among all segments from which on it is a warning",
    source: "chosen here: from there on rates are visibly wrong",
};

const DOUBT_SHARE: Threshold = Threshold {
    code: CODE,
    name: "doubt_share",
    default: 1,
    unit: Unit::Percent,
    meaning: "share of copies among all segments from which on other findings are doubted",
    source: "chosen here: counts and rates are wrong by no more below",
};

/// TCP903.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "duplicate_frames",
    scope: Scope::Capture,
    variants: &[""],
    thresholds: &[&MIN_COUNT, &WARNING_SHARE, &DOUBT_SHARE],
    source: include_str!("duplicate_frames.rs"),
    check: Check::Capture { judge, reach },
};

/// All segments, copies among them.
const fn segments(whole: &Whole<'_>) -> u64 {
    whole.summary.totals.segments.client + whole.summary.totals.segments.server
}

/// Counts and rates in all other findings are wrong where there are many.
fn reach(whole: &Whole<'_>) -> Option<Reach> {
    let percent = whole.context.thresholds.count(&DOUBT_SHARE);
    let copies = whole.summary.totals.ground.copies.saturating_mul(100);
    (copies >= segments(whole).saturating_mul(percent)).then_some(Reach::Everything)
}

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let totals = &whole.summary.totals;
    let copies = totals.ground.copies;
    let thresholds = whole.context.thresholds;
    if copies == 0 || copies < thresholds.count(&MIN_COUNT) {
        return Vec::new();
    }
    let segments = segments(whole);
    let permille = words::thousandths(copies, segments);
    let warned = permille >= thresholds.count(&WARNING_SHARE).saturating_mul(10);
    let frames: Vec<_> = totals.ground.copied.first.map(|(_, frame)| frame).into_iter().collect();
    let draft = Draft {
        severity: if warned { Severity::Warning } else { Severity::Notice },
        certainty: Certainty::Observed,
        title: "the tap delivered frames twice".to_owned(),
        summary: format!(
            "{} of {} are copies ({}).",
            words::count(copies),
            words::counted(segments, "segment"),
            words::share(copies, segments),
        ),
        evidence: vec![
            number("copies", copies),
            number("segments", segments),
            share("share_of_copies", permille),
            number("connections_with_copies", totals.ground.copied.connections),
        ],
        explanation:
            "The same packets were recorded more than once within microseconds. Connections \
                      are read as if each had come once; counts of frames, bytes and rates are too \
                      high."
                .to_owned(),
        advice: vec![setting(
            "mirror port or capture interface",
            "check",
            None,
            "Mirror one port, or one direction per port; capture on one interface instead of `any`. \
             `editcap -d` removes the copies of a file.",
        )],
        display_filter: words::filter_with(
            "tcp.analysis.retransmission || tcp.analysis.duplicate_ack",
            &frames,
        ),
        caveat: String::new(),
    };
    vec![(whole.spot("", copies, frames), draft)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::summary::samples::graceful;

    #[test]
    fn three_copies_are_found_and_two_are_not() {
        let run = |copies| {
            let records = [graceful(1, 0, 90_000)];
            Run::with_summary(records, |summary| {
                summary.totals.ground.copies = copies;
                summary.totals.segments.client = 100;
                summary.totals.segments.server = 0;
            })
        };
        assert!(run(2).none(CODE));
        assert_eq!(run(3).only(CODE).severity, Severity::Notice);
        assert_eq!(run(10).only(CODE).severity, Severity::Warning);
    }
}
