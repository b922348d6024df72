//! A server answered a SYN, and the client never completed the handshake.
//!
//! # What it detects
//! Set when all of these are true:
//! * the SYN and the SYN-ACK were captured, and the client acknowledged nothing;
//! * neither side sent a RST;
//! * the server waited for at least `min_age`, and not with a SYN cookie, which holds no place.
//!
//! Where a listener has so many of them at once that TCP101 speaks, TCP102 stays silent about it.
//!
//! # Why it matters
//! Every such handshake holds a place in the listener's SYN queue until the last SYN-ACK
//! retransmission has gone unanswered: 63 s with Linux' default of five retransmissions. One of
//! them means a client that vanished; many from different clients mean that SYN-ACKs do not find
//! their way back, or that the sources are forged.
//!
//! # Evidence
//! The number of handshakes and of clients, the longest wait, the SYN-ACK retransmissions, and the
//! `tcp_synack_retries` that they imply where the server was seen to give up.
//!
//! # Thresholds
//!
//! # What to check
//! * Route and firewall from the server back to the client: does the SYN-ACK arrive?
//! * `net.ipv4.tcp_synack_retries`: 2 shortens a half-open handshake from 63 s to 7 s. Not where
//!   clients sit behind lossy links.
//!
//! # False positives
//! * The capture lost the client's acknowledgment, and the client sent nothing afterwards.
//! * The capture ended: then the finding says "for at least".
//!
//! # References
//! RFC 9293 3.10.7.4; RFC 4987; Linux networking/ip-sysctl (`tcp_synack_retries`).

use super::syn_flood;
use crate::connection::{ConnectionRecord, HandshakeOutcome, State};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_endpoint, length, loss_caveat, now, number, setting};
use crate::detect::retries;
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};
use crate::stamp::Span;
use crate::tcp::Side;

const CODE: Code = Code(102);

const MIN_AGE: Threshold = Threshold {
    code: CODE,
    name: "min_age",
    default: 3_000_000_000,
    unit: Unit::Duration,
    meaning: "how long the server has to wait before the handshake counts as half-open",
    source: "the first SYN-ACK retransmission is due after 1 s (RFC 6298 2), the second after 3 s",
};

/// TCP102.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "half_open",
    scope: Scope::Connection,
    variants: &[""],
    thresholds: &[&MIN_AGE],
    source: include_str!("half_open.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    if record.handshake.cookie.is_some() {
        return None;
    }
    let hit = waited(record)?;
    (hit.measure >= context.thresholds.of(&MIN_AGE)).then_some(hit)
}

/// How long the server waited, whatever the threshold. The class is the number of SYN-ACK
/// retransmissions after which it was seen to give up.
pub(super) fn waited(record: &ConnectionRecord) -> Option<Hit> {
    let handshake = &record.handshake;
    let syn_ack = handshake.syn_ack.filter(|_| handshake.outcome == HandshakeOutcome::HalfOpen)?;
    let entries = &record.states.server;
    let index = entries.iter().position(|entry| entry.state == State::SynReceived);
    let interval = index.and_then(|index| record.interval(Side::Server, index));
    let until = interval.and_then(|(_, until)| until);
    let last = until.unwrap_or(record.known_until).max(syn_ack.time);
    let gave_up = retries::gave_up(syn_ack.time, &handshake.syn_ack_gaps, record.known_until);
    let complete = handshake.syn_ack_gaps.len() == handshake.syn_ack_retransmissions as usize
        && handshake.syn_retransmissions == 0;
    Some(Hit {
        variant: "",
        point: Point::listener(record),
        first: syn_ack.time,
        last,
        frame: syn_ack.frame,
        certainty: record.role_certainty,
        measure: last.since(syn_ack.time).nanos(),
        class: if gave_up && complete {
            handshake.syn_ack_retransmissions
        } else {
            Group::MAX_TALLIES
        },
        ongoing: until.is_none(),
    })
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let point = group.key?.1;
    let server = point.server();
    let listener = whole.summary.listener(point.service())?;
    if syn_flood::is_pile_up(listener, group.count, &whole.context) {
        return None;
    }
    let host = whole.context.settings.of(server.address);
    let waited = Span::from_nanos(group.worst_measure());
    let waited = words::longest(waited, group.count, group.ongoing);
    let (count, clients) = (group.count, group.clients.count());
    let many = words::counted(count, "handshake");
    let inferred = inferred_retries(group);
    let mut evidence = vec![
        number("half_open", count),
        number("clients", clients),
        length("longest_wait_ns", Span::from_nanos(group.worst_measure())),
        number("attempts", listener.totals.attempts),
        number("completed", listener.totals.completed),
    ];
    evidence.extend(inferred.map(|retries| number("inferred_tcp_synack_retries", retries.into())));
    let inferred = inferred.map_or_else(String::new, |retries| {
        format!(" The server gave up after {retries} SYN-ACK retransmissions (inferred).")
    });
    let never = listener.totals.completed == 0;
    let severity = if never && clients >= 3 { Severity::Warning } else { Severity::Notice };
    let others = if never {
        "No client completed a handshake here, so the way back from the server is the first suspect."
    } else {
        "Other clients completed theirs, so the listener works; these clients vanished, are not \
         reached by the SYN-ACK, or never existed."
    };
    Some(Draft {
        severity,
        certainty: group.certainty,
        title: "SYN-ACKs are never acknowledged".to_owned(),
        summary: format!(
            "{many} half-open, from {}; the server waited {waited}.{inferred}",
            words::counted(clients, "client"),
        ),
        evidence,
        explanation: format!(
            "{many} got a SYN-ACK and brought no acknowledgment. Each holds a place in the SYN \
             queue until the server gives up. {others}"
        ),
        advice: vec![
            setting(
                "route and firewall from server to client",
                "check",
                None,
                "Capture at the client as well: if the SYN-ACK does not arrive there, the path \
                 drops it.",
            ),
            setting(
                "net.ipv4.tcp_synack_retries",
                "lower",
                Some("2".to_owned()),
                format!(
                    "{}Shortens a half-open handshake from 63 s (5 retransmissions) to 7 s. Not \
                     where clients sit behind lossy links.",
                    now(host, Some(host.synack_retries)),
                ),
            ),
        ],
        display_filter: format!("{} && tcp.flags.syn == 1", filter_endpoint(server)),
        caveat: loss_caveat(group.lossy, count, "an acknowledgment may be among them."),
    })
}

/// The commonest number of SYN-ACK retransmissions among servers seen to give up.
fn inferred_retries(group: &Group) -> Option<u32> {
    // No repetition at all is no schedule: SYN cookies, or a capture that lacks the rest.
    let known = group.classes().iter().filter(|(class, _)| (1..Group::MAX_TALLIES).contains(class));
    known.max_by_key(|(class, count)| (*count, *class)).map(|(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::finding::Value;
    use crate::summary::samples::{half_open, open};

    const GAPS: [i64; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];

    #[test]
    fn a_client_that_vanished_is_found_with_the_inferred_retries() {
        let finding = Run::of([half_open(1, 0, &GAPS, 100_000)]).only(CODE);
        assert_eq!((finding.severity, finding.count), (Severity::Notice, 1));
        assert!(finding.summary.contains("63 s"), "{}", finding.summary);
        let inferred = finding.evidence.iter().find(|e| e.name == "inferred_tcp_synack_retries");
        assert_eq!(inferred.unwrap().value, Value::Integer(5));
    }

    #[test]
    fn a_capture_that_ends_early_leaves_the_retries_open_and_says_at_least() {
        let finding = Run::of([half_open(1, 0, &GAPS[..3], 9_000)]).only(CODE);
        assert!(finding.summary.contains("at least 9 s"), "{}", finding.summary);
        assert!(!finding.evidence.iter().any(|e| e.name == "inferred_tcp_synack_retries"));
    }

    #[test]
    fn a_handshake_in_progress_when_the_capture_ends_is_none() {
        assert!(Run::of([half_open(1, 0, &[1_000], 2_999)]).none(CODE));
        assert!(!Run::of([half_open(1, 0, &[1_000], 3_000)]).none(CODE));
    }

    #[test]
    fn completed_handshakes_are_quiet() {
        assert!(Run::of([open(1, 0, 90_000)]).none(CODE));
    }

    #[test]
    fn several_clients_and_no_success_is_a_warning() {
        let records = (0..3).map(|n| {
            let mut record = half_open(n, 0, &GAPS, 100_000);
            record.client.address = [10, 0, 1, u8::try_from(n).unwrap()].into();
            record
        });
        assert_eq!(Run::of(records).only(CODE).severity, Severity::Warning);
    }
}
