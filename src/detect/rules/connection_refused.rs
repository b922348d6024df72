//! A RST answers the SYN.
//!
//! # What it detects
//! Set when a SYN was answered by a RST that acknowledges it, before any SYN-ACK.
//!
//! # Why it matters
//! Nothing listens on that port, or a firewall rejects with a RST. Unlike silence, the client knows
//! at once. Many refusals of a port that also accepted connections mean that the service was down
//! for a time.
//!
//! # Evidence
//! Refusals and clients, the span of time, and how many connections the same listener accepted.
//!
//! # Thresholds
//!
//! # What to check
//! * `ss -ltn` on the server: does anything listen on that address and port?
//! * The address that the service is bound to: `127.0.0.1` refuses what comes from outside.
//! * `iptables`/`nft` rules with `reject with tcp-reset`.
//!
//! # False positives
//! * A port scan refuses by design; see TCP106.
//! * Clients that try a second address family, or an optional port, live well with a refusal.
//!
//! # References
//! RFC 9293 3.5.2 and 3.10.7.1.

use crate::connection::{ConnectionRecord, HandshakeOutcome};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_from, length, number, setting};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};

const CODE: Code = Code(105);

const WARNING_COUNT: Threshold = Threshold {
    code: CODE,
    name: "warning_count",
    default: 10,
    unit: Unit::Count,
    meaning: "from this many refusals by one listener on it is a warning",
    source: "chosen here: clients that give up after a few attempts stay below it",
};

/// TCP105.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "connection_refused",
    scope: Scope::Connection,
    variants: &[""],
    thresholds: &[&WARNING_COUNT],
    source: include_str!("connection_refused.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

fn judge(record: &ConnectionRecord, _: &Context<'_>) -> Option<Hit> {
    let handshake = &record.handshake;
    let rst = handshake.rst.filter(|_| handshake.outcome == HandshakeOutcome::Refused)?;
    Some(Hit {
        variant: "",
        point: Point::listener(record),
        first: record.first_time,
        last: rst.time,
        frame: rst.frame,
        certainty: record.role_certainty,
        measure: rst.time.since(record.first_time).nanos(),
        class: 0,
        ongoing: false,
    })
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let point = group.key?.1;
    let server = point.server();
    let accepted =
        whole.summary.listener(point.service()).map_or(0, |listener| listener.totals.completed);
    let many = group.count >= whole.context.thresholds.count(&WARNING_COUNT);
    let (count, clients) = (group.count, group.clients.count());
    let refusals = words::counted(count, "attempt");
    let (also, meaning) = if accepted > 0 {
        (
            format!("; {} accepted", words::counted(accepted, "connection")),
            "The same listener also accepted connections, so the service was down for a time, or \
             something on the way rejects some clients.",
        )
    } else {
        (
            String::new(),
            "It accepted nobody in this capture: nothing listens there, it listens on another \
             address, or a firewall rejects with a RST.",
        )
    };
    Some(Draft {
        severity: if many { Severity::Warning } else { Severity::Notice },
        certainty: group.certainty,
        title: "connections are refused".to_owned(),
        summary: format!(
            "{refusals} by {} answered with RST{also}.",
            words::counted(clients, "client")
        ),
        evidence: vec![
            number("refused", count),
            number("clients", clients),
            number("accepted", accepted),
            length("span_ns", group.last.since(group.first)),
        ],
        explanation: format!("A RST answered {refusals} to connect. {meaning}"),
        advice: vec![
            setting(
                "listening service",
                "check",
                None,
                "`ss -ltn` on the server shows what listens, and on which address.",
            ),
            setting(
                "firewall rules that reject with a TCP reset",
                "check",
                None,
                "They look like a closed port; TTL and IP ID of the RST tell them apart.",
            ),
        ],
        display_filter: format!("{} && tcp.flags.reset == 1", filter_from(server)),
        caveat: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::summary::samples::{graceful, open, refused, unanswered};

    #[test]
    fn a_rst_that_answers_the_syn_is_found() {
        let finding = Run::of([refused(1, 0)]).only(CODE);
        assert_eq!((finding.severity, finding.count), (Severity::Notice, 1));
        assert!(finding.explanation.contains("nothing listens"), "{}", finding.explanation);
    }

    #[test]
    fn ten_refusals_are_a_warning_and_nine_are_not() {
        let severity = |count| Run::of((0..count).map(|n| refused(n, 10))).only(CODE).severity;
        assert_eq!([severity(9), severity(10)], [Severity::Notice, Severity::Warning]);
    }

    #[test]
    fn a_listener_that_also_accepts_was_down_for_a_time() {
        let finding = Run::of([refused(1, 0), open(2, 500, 900)]).only(CODE);
        assert!(finding.explanation.contains("down for a time"), "{}", finding.explanation);
    }

    #[test]
    fn silence_and_success_are_no_refusal() {
        assert!(Run::of([unanswered(1, 0, &[1_000], 9_000), graceful(2, 0, 90_000)]).none(CODE));
    }
}
