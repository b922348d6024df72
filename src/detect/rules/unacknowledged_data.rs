//! An endpoint sent data that the other one never acknowledged.
//!
//! # What it detects
//! Set when all of these are true:
//! * payload was sent, and no captured segment of the other side acknowledges all of it;
//! * the sender waited at least `min_wait` until the capture ended, or `min_wait_reset` until a RST
//!   ended the connection;
//! * the other direction was captured.
//!
//! # Why it matters
//! What the application wrote did not arrive, or nobody said so. The sender repeats it for up to
//! 15 min 24 s (Linux, `tcp_retries2` = 15) before the application hears of it. Where it is not
//! repeated at all, the sender has vanished or the capture lacks what followed: that is only a remark.
//!
//! # Evidence
//! Which side sent the data, how many bytes, how often they were repeated, and since when they wait.
//!
//! # Thresholds
//!
//! # What to check
//! * The path: repetitions of full-sized segments only, while small ones pass, point to a path MTU
//!   black hole.
//! * A middlebox that forgot the connection, or a peer that lost power or network.
//! * `TCP_USER_TIMEOUT` on the socket, or `net.ipv4.tcp_retries2` on the sender: 8 gives up after
//!   about 100 s. Not below: RFC 1122 asks for at least 100 s.
//!
//! # False positives
//! * The capture lost the acknowledgment, and nothing came after it.
//! * A receiver with a closed window: see TCP203.
//!
//! # References
//! RFC 9293 3.8.3; RFC 1122 4.2.3.5; RFC 4821; Linux networking/ip-sysctl (`tcp_retries2`).

use crate::connection::ConnectionRecord;
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_from, filter_to, length, loss_caveat, now, number, setting};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};
use crate::stamp::Span;
use crate::tcp::Side;

const CODE: Code = Code(201);

const MIN_WAIT: Threshold = Threshold {
    code: CODE,
    name: "min_wait",
    default: 3_000_000_000,
    unit: Unit::Duration,
    meaning: "how long data has to wait for its acknowledgment",
    source: "an RTO begins at 1 s (RFC 6298 2) and doubles: two repetitions have failed",
};

const MIN_WAIT_RESET: Threshold = Threshold {
    code: CODE,
    name: "min_wait_reset",
    default: 500_000_000,
    unit: Unit::Duration,
    meaning: "the same where a RST ended the wait: data that just crossed it is no finding",
    source: "an acknowledgment may be delayed by 500 ms at most (RFC 1122 4.2.3.2)",
};

const WARNING_RETRIES: Threshold = Threshold {
    code: CODE,
    name: "warning_retries",
    default: 3,
    unit: Unit::Count,
    meaning: "from this many repetitions on it is a warning",
    source: "Linux `tcp_retries1`: after three the network layer is told to look for another path",
};

/// TCP201.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "unacknowledged_data",
    scope: Scope::Connection,
    variants: &["client", "server"],
    thresholds: &[&MIN_WAIT, &MIN_WAIT_RESET, &WARNING_RETRIES],
    source: include_str!("unacknowledged_data.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The variant is the side that sent the data, the measure how long it waited in ns, the class how
/// often it was repeated. The side that waited longer speaks for the connection.
fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    let hits = Side::BOTH.into_iter().filter_map(|side| waiting(record, side, context));
    hits.max_by_key(|hit| hit.measure)
}

fn waiting(record: &ConnectionRecord, side: Side, context: &Context<'_>) -> Option<Hit> {
    let waiting = record.traffic.of(side).unacknowledged?;
    let peer = record.traffic.of(side.peer());
    let is_window_probe = peer.zero_windows > 0 && waiting.bytes <= 1;
    if peer.segments == 0 || is_window_probe {
        return None;
    }
    let reset = record.close.reset.map(|reset| reset.mark.time);
    let until = reset.unwrap_or(record.known_until);
    let wait = until.since(waiting.first_sent.time);
    let limit = if reset.is_some() { &MIN_WAIT_RESET } else { &MIN_WAIT };
    (wait >= context.thresholds.span(limit)).then(|| Hit {
        variant: side.name(),
        point: Point::listener(record),
        first: waiting.first_sent.time,
        last: until,
        frame: waiting.first_sent.frame,
        certainty: record.role_certainty,
        measure: wait.nanos(),
        class: waiting.retransmissions,
        ongoing: reset.is_none(),
    })
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let (variant, point) = group.key?;
    let server = point.server();
    let sender_is_server = variant == Side::Server.name();
    let receiver = if sender_is_server { Side::Client } else { Side::Server };
    let most = group.classes().last().map_or(0, |(class, _)| u64::from(*class));
    let warns = most >= whole.context.thresholds.count(&WARNING_RETRIES);
    let worst = Span::from_nanos(group.worst_measure());
    let repeated = words::repeated(most);
    let connections = words::counted(group.count, "connection");
    let verdict = if most == 0 {
        "The data was never sent again either, as a sender without an acknowledgment would have \
         done within seconds: the sender vanished, or the capture lacks what followed."
            .to_owned()
    } else {
        format!(
            "Either the data did not arrive, or the acknowledgment did not come back; the \
             application hears nothing of it until the {variant} gives up."
        )
    };
    let host = whole.context.settings.of(server.address);
    let current = if sender_is_server { now(host, Some(host.retries2)) } else { String::new() };
    let filter = if sender_is_server { filter_from(server) } else { filter_to(server) };
    Some(Draft {
        severity: match most {
            0 => Severity::Info,
            _ if warns => Severity::Warning,
            _ => Severity::Notice,
        },
        certainty: group.certainty,
        title: format!("data of the {variant} is never acknowledged"),
        summary: format!(
            "{connections} with data of the {variant} unacknowledged for {}; {repeated}.",
            words::longest(worst, group.count, group.ongoing),
        ),
        evidence: vec![
            number("connections", group.count),
            number("clients", group.clients.count()),
            length("longest_wait_ns", worst),
            number("most_retransmissions", most),
        ],
        explanation: format!(
            "In {connections} the {variant} sent data and the {} never acknowledged it. {verdict}",
            receiver.name()
        ),
        advice: vec![
            setting(
                "path between the endpoints",
                "check",
                None,
                "When only full-sized segments are repeated, look for a path MTU black hole \
                 (net.ipv4.tcp_mtu_probing = 1 works around one).",
            ),
            setting(
                "TCP_USER_TIMEOUT, or net.ipv4.tcp_retries2",
                "lower",
                Some("8".to_owned()),
                format!(
                    "{current}On the sender: 15 gives up after 15 min 24 s or more, 8 after about \
                     100 s. Not lower (RFC 1122 asks for 100 s); the socket option is the finer tool."
                ),
            ),
        ],
        display_filter: format!("{filter} && tcp.len > 0"),
        caveat: loss_caveat(group.lossy, group.count, "the acknowledgment may be among them."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{ResetKind, Unacknowledged};
    use crate::detect::tests::Run;
    use crate::summary::samples::{graceful, mark, open, reset};

    fn waiting(until: i64, retransmissions: u32) -> ConnectionRecord {
        let mut record = open(1, 0, until);
        record.traffic.client.unacknowledged = Some(Unacknowledged {
            bytes: 100,
            first_sent: mark(1, 1_000),
            last_sent: mark(1, 2_000),
            retransmissions,
        });
        record
    }

    #[test]
    fn data_without_acknowledgment_is_found_with_its_sender() {
        let finding = Run::of([waiting(9_000, 1)]).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("client", Severity::Notice));
        assert!(finding.summary.contains("at least 8 s"), "{}", finding.summary);
    }

    #[test]
    fn three_seconds_are_needed() {
        assert!(Run::of([waiting(3_999, 1)]).none(CODE));
        assert!(!Run::of([waiting(4_000, 1)]).none(CODE));
    }

    #[test]
    fn three_repetitions_are_a_warning() {
        let severity = |retries| Run::of([waiting(9_000, retries)]).only(CODE).severity;
        assert_eq!([severity(2), severity(3)], [Severity::Notice, Severity::Warning]);
    }

    #[test]
    fn a_rst_at_once_explains_the_silence() {
        let record = reset(waiting(9_000, 0), Side::Server, ResetKind::UnreadData, 1_499);
        assert!(Run::of([record]).none(CODE));
        let record = reset(waiting(9_000, 0), Side::Server, ResetKind::UnreadData, 1_500);
        assert!(!Run::of([record]).none(CODE));
    }

    #[test]
    fn one_direction_alone_proves_nothing() {
        let mut record = waiting(9_000, 3);
        record.traffic.server.segments = 0;
        assert!(Run::of([record]).none(CODE));
    }

    #[test]
    fn a_probe_of_a_closed_window_is_another_matter() {
        let mut record = waiting(9_000, 3);
        record.traffic.server.zero_windows = 2;
        record.traffic.client.unacknowledged.as_mut().unwrap().bytes = 1;
        assert!(Run::of([record]).none(CODE));
    }

    #[test]
    fn acknowledged_data_is_quiet() {
        assert!(Run::of([graceful(1, 0, 90_000), open(2, 0, 90_000)]).none(CODE));
    }
}
