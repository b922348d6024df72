//! The snaplen cuts into TCP headers.
//!
//! # What it detects
//! Set when the captured bytes of at least `min_count` TCP segments of a file end inside the TCP header.
//!
//! # Why it matters
//! Options stand at the end of the header: without them window scale, SACK and timestamps are unknown,
//! windows are read too small and round trips less well. A segment with less than 16 bytes of its header
//! is not used at all. All findings are less certain, and say so.
//!
//! # Evidence
//! Segments with a cut header, and those of which too little was left.
//!
//! # Thresholds
//!
//! # What to check
//! * `tcpdump -s 96` holds Ethernet, IPv4 and the longest TCP header that is common; 128 is enough for
//!   IPv6, a VLAN tag and most tunnels; 0 takes everything.
//!
//! # False positives
//! None known: what is missing is missing.
//!
//! # References
//! RFC 9293 3.1 and 3.2; tcpdump(8), `--snapshot-length`.

use crate::certainty::Certainty;
use crate::detect::advice::{number, setting};
use crate::detect::rule::{Check, Draft, Reach, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity, Subject};
use crate::input::Input;
use crate::stamp::FrameId;
use crate::tcp::Overlay;

const CODE: Code = Code(905);

/// Why frames are skipped of which less than the numbers of a segment is left.
const TOO_LITTLE: &str = "cut_tcp_header";

const MIN_COUNT: Threshold = Threshold {
    code: CODE,
    name: "min_count",
    default: 1,
    unit: Unit::Count,
    meaning: "segments of a file with a cut header",
    source: "a snaplen that cuts one header of a kind cuts all of them",
};

/// TCP905.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "cut_headers",
    scope: Scope::Capture,
    variants: &[""],
    thresholds: &[&MIN_COUNT],
    source: include_str!("cut_headers.rs"),
    check: Check::Capture { judge, reach: |_| Some(Reach::Everything) },
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let inputs = whole.inputs.iter().zip(0..);
    inputs.filter_map(|(input, index)| judge_input(input, index, whole)).collect()
}

fn judge_input(input: &Input, index: u32, whole: &Whole<'_>) -> Option<(Spot, Draft)> {
    let cut = input.quality.cut_headers;
    let skipped = input.skipped.iter().find(|(reason, _)| *reason == TOO_LITTLE);
    let lost = skipped.map_or(0, |(_, count)| *count);
    let count = cut.count + lost;
    if count < whole.context.thresholds.count(&MIN_COUNT) {
        return None;
    }
    let spot = Spot {
        variant: "",
        subject: Subject::Capture(input.path.clone()),
        overlay: Overlay::default(),
        first: input.first_time.unwrap_or_else(|| whole.start()),
        last: input.last_time.unwrap_or_else(|| whole.end()),
        count,
        frames: Some(cut.first_frame)
            .filter(|frame| *frame > 0)
            .map(|frame| FrameId::new(index, frame))
            .into_iter()
            .collect(),
    };
    let draft = Draft {
        severity: Severity::Warning,
        certainty: Certainty::Observed,
        title: "the snaplen cuts into TCP headers".to_owned(),
        summary: format!(
            "{} with a cut header, {} of them not usable.",
            words::counted(count, "segment"),
            words::count(lost)
        ),
        evidence: vec![
            number("cut_headers", count),
            number("not_usable", lost),
            number("tcp_segments", input.tcp_segments),
        ],
        explanation: "Options stand at the end of the header and are missing: window scale, SACK and \
                      timestamps are unknown, so windows are read too small and round trips less well."
            .to_owned(),
        advice: vec![setting(
            "snapshot length (tcpdump -s)",
            "raise",
            Some("128".to_owned()),
            "Holds the headers of IPv6, a VLAN tag and TCP with options; payload stays out, which \
             also protects what users sent.",
        )],
        display_filter: "frame.cap_len < frame.len && tcp".to_owned(),
        caveat: String::new(),
    };
    Some((spot, draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::input::{Quality, Sighting};

    fn cut(count: u64, lost: u64) -> Input {
        let cut_headers = Sighting { count, first_frame: count };
        Input {
            quality: Quality { cut_headers, ..Quality::default() },
            skipped: vec![(TOO_LITTLE, lost), ("udp", 5)],
            ..Input::default()
        }
    }

    #[test]
    fn cut_and_lost_headers_are_counted_together() {
        assert!(Run::inputs(&[cut(0, 0)]).none(CODE));
        let finding = Run::inputs(&[cut(3, 2)]).only(CODE);
        assert_eq!((finding.count, finding.frames), (5, vec![FrameId::new(0, 3)]));
        assert_eq!(finding.summary, "5 segments with a cut header, 2 of them not usable.");
    }
}
