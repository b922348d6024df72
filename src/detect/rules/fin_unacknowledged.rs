//! A FIN is repeated or never acknowledged.
//!
//! # What it detects
//! Set when all of these are true:
//! * an endpoint sent a FIN, and the other side was captured;
//! * the FIN was never acknowledged for at least `min_wait`, or was repeated `min_retries` times before
//!   it was;
//! * no RST ended the connection.
//!
//! # Why it matters
//! The endpoint stays in FIN-WAIT-1, CLOSING or LAST-ACK. Linux repeats the FIN of an orphan up to
//! eight times (`tcp_orphan_retries` = 0 acts as 8), and such orphans count against `tcp_max_orphans`.
//! The peer is gone, or a firewall on the way has forgotten the connection.
//!
//! # Evidence
//! Which side, in which state it hangs, how long, and how often the FIN was repeated.
//!
//! # Thresholds
//!
//! # What to check
//! * A middlebox whose timeout for closing connections is shorter than the connection's pauses.
//! * Peers that lose power or network: mobile clients do.
//! * `net.ipv4.tcp_orphan_retries` and `net.ipv4.tcp_max_orphans` where LAST-ACK or FIN-WAIT-1 pile up.
//!   Lower retries cut off slow but living peers.
//!
//! # False positives
//! * The capture lost the last acknowledgment: common, since nothing follows it.
//! * A peer with a closed window delays the FIN behind its data.
//!
//! # References
//! RFC 9293 3.6 and 3.10.7.4; Linux networking/ip-sysctl (`tcp_orphan_retries`, `tcp_max_orphans`).

use crate::connection::{ConnectionRecord, State};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_endpoint, length, loss_caveat, number, setting};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};
use crate::stamp::Span;
use crate::tcp::Side;

const CODE: Code = Code(305);

const MIN_WAIT: Threshold = Threshold {
    code: CODE,
    name: "min_wait",
    default: 3_000_000_000,
    unit: Unit::Duration,
    meaning: "how long a FIN has to wait for its acknowledgment",
    source: "an RTO begins at 1 s (RFC 6298 2) and doubles: two repetitions have failed",
};

const MIN_RETRIES: Threshold = Threshold {
    code: CODE,
    name: "min_retries",
    default: 3,
    unit: Unit::Count,
    meaning: "repetitions of a FIN that are too many, though it was acknowledged at last",
    source: "Linux `tcp_retries1`: after three the network layer is told to look for another path",
};

const MIN_LATE: Threshold = Threshold {
    code: CODE,
    name: "min_late",
    default: 1_000_000_000,
    unit: Unit::Duration,
    meaning: "how late the acknowledgment of such a FIN has to be",
    source: "three repetitions by timer take 1.4 s at least (Linux `TCP_RTO_MIN`, 200 ms, doubling)",
};

/// The FIN was acknowledged after many repetitions.
const LATE: &str = "late";

/// TCP305.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "fin_unacknowledged",
    scope: Scope::Connection,
    variants: &["FIN-WAIT-1", "CLOSING", "LAST-ACK", LATE],
    thresholds: &[&MIN_WAIT, &MIN_RETRIES, &MIN_LATE],
    source: include_str!("fin_unacknowledged.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The variant is the state that hangs, the measure its time in ns, the class the repetitions.
fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    if record.close.reset.is_some() {
        return None;
    }
    let hits = Side::BOTH.into_iter().filter_map(|side| hanging(record, side, context));
    hits.max_by_key(|hit| hit.measure)
}

fn hanging(record: &ConnectionRecord, side: Side, context: &Context<'_>) -> Option<Hit> {
    let fin = (*record.close.fin.of(side))?;
    if record.traffic.of(side.peer()).segments == 0 {
        return None;
    }
    let acknowledged = *record.close.fin_acknowledged.of(side);
    let retries = *record.close.fin_retransmissions.of(side);
    let until = acknowledged.map_or(record.known_until, |mark| mark.time);
    let wait = until.since(fin.time);
    let (variant, is_hit) = match acknowledged {
        Some(_) => {
            let many = u64::from(retries) >= context.thresholds.count(&MIN_RETRIES);
            (LATE, many && wait >= context.thresholds.span(&MIN_LATE))
        }
        None => (hanging_state(record, side), wait >= context.thresholds.span(&MIN_WAIT)),
    };
    is_hit.then(|| Hit {
        variant,
        point: Point::listener(record),
        first: fin.time,
        last: until,
        frame: fin.frame,
        certainty: record.role_certainty,
        measure: wait.nanos(),
        class: retries,
        ongoing: acknowledged.is_none(),
    })
}

/// The state in which `side` waits for the acknowledgment of its FIN.
fn hanging_state(record: &ConnectionRecord, side: Side) -> &'static str {
    let waits = |state: &State| matches!(state, State::Closing | State::LastAck);
    let states = record.states.of(side).iter().rev().map(|entry| entry.state);
    states.into_iter().find(waits).unwrap_or(State::FinWait1).name()
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let (variant, point) = group.key?;
    let server = point.server();
    let worst = Span::from_nanos(group.worst_measure());
    let most = group.classes().last().map_or(0, |(class, _)| u64::from(*class));
    let connections = words::counted(group.count, "connection");
    let late = variant == LATE;
    let (title, summary) = if late {
        (
            "FINs are acknowledged late".to_owned(),
            format!(
                "{connections}: FIN repeated up to {} before it was acknowledged, after up to {}.",
                words::counted(most, "time"),
                words::span(worst)
            ),
        )
    } else {
        (
            format!("FINs are never acknowledged ({variant})"),
            format!(
                "{connections} stuck in {variant} for {}; FIN {}.",
                words::longest(worst, group.count, group.ongoing),
                words::repeated(most)
            ),
        )
    };
    let open =
        whole.summary.listener(point.service()).map_or(0, |listener| listener.totals.connections);
    Some(Draft {
        severity: if most == 0 { Severity::Info } else { Severity::Notice },
        certainty: group.certainty,
        title,
        summary,
        evidence: vec![
            number("connections", group.count),
            number("connections_of_listener", open),
            length("longest_wait_ns", worst),
            number("most_fin_retransmissions", most),
        ],
        explanation: if most == 0 {
            format!(
                "In {connections} a FIN is neither acknowledged nor repeated, though its sender \
                 would repeat it within seconds: the sender vanished, or the capture lacks what \
                 followed."
            )
        } else {
            format!(
                "In {connections} one side closed and repeated its FIN. The peer is gone, or \
                 something on the way forgot the connection. Without its application such a socket \
                 is an orphan; Linux gives up after eight repetitions."
            )
        },
        advice: vec![
            setting(
                "middleboxes on the path",
                "check",
                None,
                "Their timeout for closing or idle connections against the pauses of these.",
            ),
            setting(
                "net.ipv4.tcp_orphan_retries",
                "lower",
                None,
                "0 acts as 8. Only where orphans pile up towards net.ipv4.tcp_max_orphans; a low \
                 value cuts off slow but living peers.",
            ),
        ],
        display_filter: format!("{} && tcp.flags.fin == 1", filter_endpoint(server)),
        caveat: loss_caveat(group.lossy, group.count, "the acknowledgment may be among them."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{CloseOutcome, Mark, ResetKind};
    use crate::detect::tests::Run;
    use crate::summary::samples::{graceful, reset, states};

    /// The client's FIN at 10 ms, never acknowledged.
    fn unacknowledged(until: i64) -> ConnectionRecord {
        let mut record = graceful(1, 0, until);
        record.close.outcome = CloseOutcome::FinUnacknowledged;
        record.close.fin.server = None;
        record.close.fin_acknowledged = crate::tcp::Sides::default();
        record.close.fin_retransmissions.client = 2;
        record.states.client.truncate(2);
        record.states.client.extend(states(&[(State::FinWait1, 10)]));
        record
    }

    #[test]
    fn three_seconds_without_acknowledgment_are_found_and_less_is_not() {
        assert!(Run::of([unacknowledged(3_009)]).none(CODE));
        let finding = Run::of([unacknowledged(3_010)]).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("FIN-WAIT-1", Severity::Notice));
        assert!(finding.summary.contains("repeated up to 2 times"), "{}", finding.summary);
    }

    #[test]
    fn the_passive_side_hangs_in_last_ack() {
        let mut record = graceful(1, 0, 9_000);
        record.close.fin_acknowledged.server = None;
        record.states.server.pop();
        assert_eq!(Run::of([record]).only(CODE).variant, "LAST-ACK");
    }

    #[test]
    fn three_repetitions_are_late_and_two_are_ordinary_loss() {
        let late = |retries, after| {
            let mut record = graceful(1, 0, 90_000);
            let fin = record.close.fin.client.unwrap();
            record.close.fin_retransmissions.client = retries;
            record.close.fin_acknowledged.client =
                Some(Mark { time: fin.time + Span::from_millis(after), ..fin });
            Run::of([record]).all(CODE).pop().map(|finding| finding.variant)
        };
        assert_eq!([late(2, 1_400), late(3, 1_400)], [None, Some(LATE)]);
        assert_eq!([late(3, 999), late(3, 1_000)], [None, Some(LATE)], "copies are no timeouts");
    }

    #[test]
    fn a_rst_or_a_missing_direction_is_another_matter() {
        let record = reset(unacknowledged(9_000), Side::Server, ResetKind::Unknown, 5_000);
        assert!(Run::of([record]).none(CODE));
        let mut record = unacknowledged(9_000);
        record.traffic.server.segments = 0;
        assert!(Run::of([record]).none(CODE));
    }

    #[test]
    fn graceful_closes_are_quiet() {
        assert!(Run::of([graceful(1, 0, 90_000)]).none(CODE));
    }
}
