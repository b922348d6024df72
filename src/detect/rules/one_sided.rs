//! Only one direction of connections was captured.
//!
//! # What it detects
//! Set when the share of conversations of which one side was never captured reaches `min_share`. A
//! conversation is a connection in which somebody sent more than SYNs, SYN-ACKs and RSTs: an unanswered
//! SYN alone does not count.
//!
//! # Why it matters
//! Half of the evidence is missing: the other side's states are concluded from what it was told, and
//! "never answered" cannot be told from "never captured". Findings about the connections concerned are
//! less certain, and say so.
//!
//! # Evidence
//! Conversations, and those with one side only.
//!
//! # Thresholds
//!
//! # What to check
//! * A mirror port that copies only received or only sent packets: mirror both.
//! * Asymmetric routing: capture at the second path as well, and give both files to one run.
//! * A capture filter with `src` or `dst` where `host` was meant.
//!
//! # False positives
//! * A server that answers through another path on purpose (direct server return): the tap is right, and
//!   the half that it sees is all there is at that place.
//!
//! * Directions in different tunnels are joined where numbers agree and only one other half fits
//!   (`other_tunnel`). Where several would, or nothing tells, they stay apart, each of them one-sided.
//!
//! # References
//! RFC 2663 and RFC 3234 for paths that differ by direction; pcap-filter(7).

use crate::certainty::Certainty;
use crate::detect::advice::{number, setting, share};
use crate::detect::rule::{Check, Draft, Reach, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};

const CODE: Code = Code(902);

const MIN_SHARE: Threshold = Threshold {
    code: CODE,
    name: "min_share",
    default: 10,
    unit: Unit::Percent,
    meaning: "share of conversations with one side only",
    source: "chosen here: a few connections at the edges of a capture are always cut",
};

/// TCP902.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "one_sided",
    scope: Scope::Capture,
    variants: &[""],
    thresholds: &[&MIN_SHARE],
    source: include_str!("one_sided.rs"),
    check: Check::Capture { judge, reach: |_| Some(Reach::Touched) },
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let ground = &whole.summary.totals.ground;
    let (affected, of) = (ground.one_sided.connections, ground.conversations);
    let limit = whole.context.thresholds.count(&MIN_SHARE);
    if affected == 0 || affected.saturating_mul(100) < of.saturating_mul(limit) {
        return Vec::new();
    }
    let permille = words::thousandths(affected, of);
    let frames = ground.one_sided.first.map(|(_, frame)| frame).into_iter().collect();
    let draft = Draft {
        severity: Severity::Warning,
        certainty: Certainty::Observed,
        title: "only one direction was captured".to_owned(),
        summary: format!(
            "{} of {} show one side only ({}).",
            words::count(affected),
            words::counted(of, "conversation"),
            words::share(affected, of),
        ),
        evidence: vec![
            number("one_sided", affected),
            number("conversations", of),
            share("one_sided_share", permille),
        ],
        explanation: "One side of these connections is missing, though the other one conversed with \
                      it. What the missing side did is concluded from what it was told; silence of it \
                      proves nothing."
            .to_owned(),
        advice: vec![setting(
            "mirror port, capture filter, routing",
            "check",
            None,
            "Mirror both directions; capture on both paths where routing is asymmetric, and give all \
             files to one run.",
        )],
        display_filter: "tcp".to_owned(),
        caveat: String::new(),
    };
    vec![(whole.spot("", affected, frames), draft)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionRecord;
    use crate::detect::tests::Run;
    use crate::summary::samples::{graceful, unanswered};

    fn talk(id: u64, one_sided: bool) -> ConnectionRecord {
        let mut record = graceful(id, 0, 90_000);
        record.traffic.client.segments = 9;
        record.traffic.server.segments = if one_sided { 0 } else { 9 };
        record
    }

    #[test]
    fn a_tenth_of_the_conversations_is_found_and_less_is_not() {
        let run = |other| Run::of((0..=other).map(|id| talk(id, id == 0)));
        assert_eq!(run(9).only(CODE).count, 1);
        assert!(run(10).none(CODE));
    }

    #[test]
    fn a_syn_without_an_answer_is_no_conversation() {
        let mut record = unanswered(1, 0, &[1_000], 9_000);
        record.traffic.client.segments = 2;
        record.traffic.server.segments = 0;
        assert!(Run::of([record]).none(CODE));
    }
}
