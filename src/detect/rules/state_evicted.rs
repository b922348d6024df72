//! A limit of memory made the analysis let go of connections early.
//!
//! # What it detects
//! Set when at least one connection was closed in the analysis because there was no room for it, though
//! more of its segments could still have come.
//!
//! # Why it matters
//! What such a connection did later counts as another one that began in the middle. Counts of connections
//! are too high, and their ends are unknown. All findings are less certain, and say so.
//!
//! # Evidence
//! How many connections were let go, of how many.
//!
//! # Thresholds
//!
//! # What to check
//! * `--max-memory`, where the machine has more; or analyse parts of the capture.
//! * A flood of SYNs fills the table of half-open handshakes: TCP101 counts them all the same, since those
//!   that leave are counted in the totals.
//!
//! # False positives
//! None known.
//!
//! # References
//! The limits are named in the report's `settings` and in the project's DESIGN, section 4.

use crate::certainty::Certainty;
use crate::detect::advice::{number, setting};
use crate::detect::rule::{Check, Draft, Reach, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};

const CODE: Code = Code(908);

const MIN_COUNT: Threshold = Threshold {
    code: CODE,
    name: "min_count",
    default: 1,
    unit: Unit::Count,
    meaning: "connections that were let go early",
    source: "the first one already makes a count of connections wrong",
};

const WARNING_SHARE: Threshold = Threshold {
    code: CODE,
    name: "warning_share",
    default: 1,
    unit: Unit::Percent,
    meaning: "share of all connections from which on it is a warning",
    source: "chosen here: below it totals hold within the width of their line",
};

/// TCP908.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "state_evicted",
    scope: Scope::Capture,
    variants: &[""],
    thresholds: &[&MIN_COUNT, &WARNING_SHARE],
    source: include_str!("state_evicted.rs"),
    check: Check::Capture { judge, reach: |_| Some(Reach::Everything) },
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let totals = &whole.summary.totals;
    let evicted = whole.summary.shed.total();
    let thresholds = whole.context.thresholds;
    if evicted == 0 || evicted < thresholds.count(&MIN_COUNT) {
        return Vec::new();
    }
    let limit = totals.connections.saturating_mul(thresholds.count(&WARNING_SHARE));
    let warned = evicted.saturating_mul(100) >= limit;
    let of = words::counted(totals.connections, "connection");
    let draft = Draft {
        severity: if warned { Severity::Warning } else { Severity::Notice },
        certainty: Certainty::Observed,
        title: "connections were let go to save memory".to_owned(),
        summary: format!("{} of {of} let go early.", words::count(evicted)),
        evidence: vec![number("evicted", evicted), number("connections", totals.connections)],
        explanation:
            "There was no room for more connections. What those that were let go did later \
                      counts as other connections that began in the middle, and how they ended is \
                      unknown."
                .to_owned(),
        advice: vec![setting(
            "--max-memory",
            "raise",
            None,
            "Where the machine has more; otherwise analyse the capture in parts.",
        )],
        display_filter: "tcp".to_owned(),
        caveat: String::new(),
    };
    vec![(whole.spot("", evicted, Vec::new()), draft)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::summary::samples::graceful;

    #[test]
    fn the_share_of_what_was_let_go_makes_it_a_warning() {
        let run = |evicted| {
            let records = (0..200).map(|id| graceful(id, 0, 90_000));
            Run::with_summary(records, |summary| summary.shed.connections = evicted)
        };
        assert!(run(0).none(CODE));
        assert_eq!(run(1).only(CODE).severity, Severity::Notice);
        assert_eq!(run(2).only(CODE).severity, Severity::Warning);
    }
}
