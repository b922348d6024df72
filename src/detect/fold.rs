//! Keeps a report readable when one trouble shows at very many places, as after a port scan: the worst
//! places are told one by one, the rest as one finding.

use std::cmp::Reverse;

use super::advice::{number, text};
use super::words;
use crate::finding::{Finding, Severity, Subject};
use crate::summary::Evicted;
use crate::tcp::Overlay;

/// The subject of what is told together; fixed, so that its fingerprint is the same in every run.
const OTHERS: &str = "other subjects";

/// Folds the findings of one rule, and what its groups' bound let go, variant by variant.
pub(super) fn fold(findings: &[Finding], evicted: Evicted, limit: usize) -> Vec<Finding> {
    let mut variants: Vec<&'static str> = findings.iter().map(|finding| finding.variant).collect();
    variants.sort_unstable();
    variants.dedup();
    let mut folded = Vec::new();
    let mut evicted = Some(evicted).filter(|evicted| evicted.connections > 0);
    for variant in variants {
        let mut of_variant: Vec<_> =
            findings.iter().filter(|finding| finding.variant == variant).cloned().collect();
        of_variant.sort_by(|one, other| rank(one).cmp(&rank(other)));
        let rest = of_variant.split_off(of_variant.len().min(limit));
        folded.extend(of_variant);
        folded.extend(together(rest, &mut evicted));
    }
    folded
}

/// Whether the finding stands for several subjects.
pub(super) fn is_folded(finding: &Finding) -> bool {
    matches!(&finding.subject, Subject::Capture(name) if name == OTHERS)
}

fn rank(finding: &Finding) -> (Reverse<Severity>, Reverse<u64>, (&Subject, &Overlay)) {
    let subject = (&finding.subject, &finding.overlay);
    (Reverse(finding.severity), Reverse(finding.count), subject)
}

/// One finding for many; the first of them lends its words.
fn together(mut rest: Vec<Finding>, evicted: &mut Option<Evicted>) -> Option<Finding> {
    let subjects = rest.len() as u64;
    let others: Vec<_> = rest.drain(1.min(rest.len())..).collect();
    let mut finding = rest.pop()?;
    for other in others {
        finding.first_time = finding.first_time.min(other.first_time);
        finding.last_time = finding.last_time.max(other.last_time);
        finding.certainty = finding.certainty.min(other.certainty);
        finding.count += other.count;
        finding.frames.extend(other.frames);
        finding.connections.extend(other.connections);
    }
    let beyond = evicted.take().unwrap_or_default();
    finding.count += beyond.connections;
    finding.connections.sort_unstable();
    finding.connections.truncate(Finding::MAX_CONNECTIONS);
    finding.frames.sort_unstable();
    finding.frames.dedup();
    finding.frames.truncate(Finding::MAX_FRAMES);
    finding.evidence = vec![
        number("subjects", subjects),
        number("beyond_the_bound_of_groups", beyond.connections),
        text("largest_subject", finding.place()),
    ];
    let more = if beyond.connections > 0 { "more than " } else { "" };
    finding.summary = format!(
        "the same at {more}{}: {}.",
        words::counted(subjects, "other place"),
        words::counted(finding.count, "connection")
    );
    finding.subject = Subject::Capture(OTHERS.to_owned());
    finding.overlay = Overlay::default();
    "tcp".clone_into(&mut finding.display_filter);
    Some(finding)
}
