//! A client's SYN meets silence, or an ICMP error from somebody on the way.
//!
//! # What it detects
//! Set when all of these are true:
//! * the SYN was captured, and no SYN-ACK, no RST and no data from the other side;
//! * the client sent it again at least `min_retries` times, or an ICMP error quoted it.
//!
//! The variants:
//! * the plain one: silence;
//! * `icmp_error`: a router or firewall said why (host unreachable, administratively prohibited, ...).
//!
//! # Why it matters
//! The application waits until the client gives up: 127 s with Linux' default of six retries, 131 s
//! with linear timeouts. Silence, unlike a RST, is what firewalls, dead hosts and full listener
//! queues look like. An ICMP error ends the attempt at once on Linux, with `No route to host` or
//! `Connection refused`.
//!
//! # Evidence
//! The number of attempts and of clients, the longest wait, whether the listener answered anybody,
//! the first ICMP error and who sent it, and, where clients were seen to give up, the
//! `tcp_syn_retries` that the distances imply: 1, 3, 7, 15 s after the first SYN in the classic
//! schedule; 1, 2, 3, 4, 5, 7, 11 s with `tcp_syn_linear_timeouts` = 4.
//!
//! # Thresholds
//!
//! # What to check
//! * Is the host up, is the route there, does a firewall drop instead of rejecting?
//! * With an ICMP error: the router or firewall that sent it. `host unreachable` from the last router
//!   means that nobody answers ARP there; `administratively prohibited` is a firewall rule.
//! * A listener that answers others drops SYNs when its accept queue is full, or its SYN queue while
//!   `net.ipv4.tcp_syncookies` is 0: see TCP104 and TCP101.
//! * `net.ipv4.tcp_syn_retries` on the client: 2 gives up after 7 s. Not on lossy links. An
//!   application's own connect timeout is the finer tool.
//!
//! # False positives
//! * A capture that lacks the server's direction: then data or acknowledgments of the client follow,
//!   and the connection is not counted here. If the client never got further, the two cannot be told
//!   apart.
//!
//! # References
//! RFC 9293 3.8.3 and 3.9.2.2; RFC 5461; RFC 6298 2; Linux networking/ip-sysctl (`tcp_syn_retries`,
//! `tcp_syn_linear_timeouts`).

use crate::connection::{ConnectionRecord, HandshakeOutcome};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_to, length, now, number, setting, text};
use crate::detect::retries::{self, Schedule};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};
use crate::stamp::Span;
use crate::tcp::{IcmpError, IcmpMeaning};

const CODE: Code = Code(103);

const MIN_RETRIES: Threshold = Threshold {
    code: CODE,
    name: "min_retries",
    default: 1,
    unit: Unit::Count,
    meaning: "how often the client has to repeat its SYN",
    source: "a single SYN may be a probe, or cut off by the capture's end",
};

const WARNING_RETRIES: Threshold = Threshold {
    code: CODE,
    name: "warning_retries",
    default: 3,
    unit: Unit::Count,
    meaning: "from this many repetitions of one SYN on it is a warning",
    source: "the third repetition comes 7 s after the first SYN: a user has noticed",
};

/// Somebody said why.
const ICMP_ERROR: &str = "icmp_error";

/// TCP103.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "syn_unanswered",
    scope: Scope::Connection,
    variants: &["", ICMP_ERROR],
    thresholds: &[&MIN_RETRIES, &WARNING_RETRIES],
    source: include_str!("syn_unanswered.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The measure is the time from the first SYN to the last one, the class what [`encode`] makes of
/// the schedule.
fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    let handshake = &record.handshake;
    let syn = handshake.syn.filter(|_| handshake.outcome == HandshakeOutcome::Unanswered)?;
    let retries = u64::from(handshake.syn_retransmissions);
    let told = handshake.icmp_error;
    if told.is_none() && retries < context.thresholds.count(&MIN_RETRIES) {
        return None;
    }
    let gave_up = retries::gave_up(syn.time, &handshake.syn_gaps, record.known_until);
    Some(Hit {
        variant: if told.is_some() { ICMP_ERROR } else { "" },
        point: Point::listener(record),
        first: syn.time,
        last: told.map_or(record.last_time, |error| error.time.max(record.last_time)),
        frame: told.map_or(syn.frame, |error| error.frame),
        certainty: record.role_certainty,
        measure: i64::from(handshake.syn_retransmissions),
        class: if gave_up && handshake.syn_gaps.len() as u64 == retries {
            encode(&handshake.syn_gaps)
        } else {
            Group::MAX_TALLIES
        },
        ongoing: !gave_up,
    })
}

/// `tcp_syn_retries` of a sender that gave up, below 15; 15 more with linear timeouts. Others are
/// not told apart.
fn encode(gaps: &[Span]) -> u32 {
    match Schedule::of(gaps) {
        Some(schedule) if schedule.linear == 0 && schedule.retries() < 15 => schedule.retries(),
        Some(schedule) if schedule.retries() < 15 => 15 + schedule.retries(),
        _ => Group::MAX_TALLIES,
    }
}

/// `tcp_syn_retries`, and whether the first timeouts were linear.
const fn decode(class: u32) -> Option<(u32, bool)> {
    match class {
        0..15 => Some((class, false)),
        15..30 => Some((class - 15, true)),
        _ => None,
    }
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    if let Some(error) = group.icmp().filter(|_| group.key.is_some_and(|key| key.0 == ICMP_ERROR)) {
        return describe_told(group, whole, &error);
    }
    let point = group.key?.1;
    let server = point.server();
    let answered = whole.summary.listener(point.service()).map_or(0, |listener| listener.answered);
    let worst = u64::try_from(group.worst_measure()).unwrap_or(0);
    let severity = if worst >= whole.context.thresholds.count(&WARNING_RETRIES) {
        Severity::Warning
    } else {
        Severity::Notice
    };
    let (count, clients) = (group.count, group.clients.count());
    let inferred = inferred(group);
    let mut evidence = vec![
        number("unanswered", count),
        number("clients", clients),
        number("most_syn_retransmissions", worst),
        number("still_trying_at_the_end", group.ongoing),
        number("answered_by_this_listener", answered),
        length("span_ns", group.last.since(group.first)),
    ];
    let mut schedule = String::new();
    if let Some((retries, linear)) = inferred {
        evidence.push(number("inferred_tcp_syn_retries", retries.into()));
        let how =
            if linear { " and linear timeouts first, as in recent Linux and BSD" } else { "" };
        schedule = format!(" Given up as with tcp_syn_retries = {retries}{how} (inferred).");
    }
    let why = if answered > 0 {
        "The listener answered others, so the host is up: its queues were full, or something on the \
         way drops the SYNs of these clients."
    } else {
        "It answered nobody in this capture: the host is down, the address is wrong, or a firewall \
         drops the SYNs without a word."
    };
    let attempts = words::counted(count, "attempt");
    Some(Draft {
        severity,
        certainty: group.certainty,
        title: "SYNs go unanswered".to_owned(),
        summary: format!(
            "{attempts} by {} without any answer; up to {}.{schedule}",
            words::counted(clients, "client"),
            words::counted(worst, "SYN retransmission"),
        ),
        evidence,
        explanation: format!(
            "{attempts} to connect met silence, not even a RST. {why} The application waits until \
             the client gives up."
        ),
        advice: advice(group, whole, answered, inferred),
        display_filter: format!(
            "{} && tcp.flags.syn == 1 && tcp.flags.ack == 0",
            filter_to(server)
        ),
        caveat: if whole.summary.totals.segments.server == 0 {
            "No segment of any server is in this capture; it may have recorded one direction only."
                .to_owned()
        } else {
            String::new()
        },
    })
}

/// An ICMP error answered.
fn describe_told(group: &Group, whole: &Whole<'_>, error: &IcmpError) -> Option<Draft> {
    let point = group.key?.1;
    let server = point.server();
    let answered = whole.summary.listener(point.service()).map_or(0, |listener| listener.answered);
    let (count, clients) = (group.count, group.clients.count());
    let attempts = words::counted(count, "attempt");
    let by = words::counted(clients, "client");
    let meaning = match error.meaning() {
        IcmpMeaning::AdminProhibited | IcmpMeaning::PortUnreachable => {
            "A firewall on the way, or on the host, rejects these SYNs by rule."
        }
        IcmpMeaning::TimeExceeded => "The packets ran out of hops: most likely a routing loop.",
        IcmpMeaning::NetUnreachable => "A router has no route to the network.",
        IcmpMeaning::HostUnreachable => {
            "The last router gets no answer from the host's link: it is down, or the address is \
             wrong."
        }
        IcmpMeaning::ProtocolUnreachable
        | IcmpMeaning::PacketTooBig
        | IcmpMeaning::SourceRouteFailed
        | IcmpMeaning::BeyondScope
        | IcmpMeaning::ReassemblyTimeExceeded
        | IcmpMeaning::ParameterProblem
        | IcmpMeaning::SourceQuench
        | IcmpMeaning::Redirect
        | IcmpMeaning::Unknown => "The packets could not be delivered.",
    };
    Some(Draft {
        severity: Severity::Warning,
        certainty: group.certainty,
        title: "an ICMP error answers the SYN".to_owned(),
        summary: format!("{attempts} by {by}: ICMP {error}."),
        evidence: vec![
            number("unanswered", count),
            number("clients", clients),
            text("icmp_error", error.meaning().name()),
            number("icmp_type", error.kind.into()),
            number("icmp_code", error.code.into()),
            text("reporter", error.reporter.to_string()),
            number("answered_by_this_listener", answered),
            length("span_ns", group.last.since(group.first)),
        ],
        explanation: format!(
            "{attempts} to connect were answered with ICMP {error}. {meaning} Linux ends the attempt \
             at once; other systems may go on trying until they give up."
        ),
        advice: vec![setting(
            "the router or firewall that sent the error",
            "check",
            None,
            format!(
                "{} sent it: look at its routes, its neighbour table and its rules.",
                error.reporter
            ),
        )],
        display_filter: format!("{} || (icmp || icmpv6)", filter_to(server)),
        caveat: String::new(),
    })
}

fn advice(
    group: &Group,
    whole: &Whole<'_>,
    answered: u64,
    inferred: Option<(u32, bool)>,
) -> Vec<crate::finding::Advice> {
    let settings = whole.context.settings;
    let server = group.key.map(|(_, point)| settings.of(point.server().address));
    let mut advice = Vec::new();
    if answered > 0 {
        let somaxconn = server.and_then(|host| Some(now(host, Some(host.somaxconn?))));
        advice.push(setting(
            "listen(2) backlog and net.core.somaxconn",
            "check",
            None,
            format!(
                "{}A full accept queue drops SYNs; `ss -ltn` shows Recv-Q at Send-Q. Raise both \
                 together, after making the application accept faster.",
                somaxconn.unwrap_or_default()
            ),
        ));
    } else {
        advice.push(setting(
            "host, route and firewall",
            "check",
            None,
            "A firewall that rejects instead of dropping lets clients fail at once.",
        ));
    }
    let seen = inferred
        .map_or_else(String::new, |(retries, _)| format!("Inferred from the wire: {retries}. "));
    advice.push(setting(
        "net.ipv4.tcp_syn_retries",
        "lower",
        Some("2".to_owned()),
        format!(
            "{seen}On the client: 2 gives up after 7 s, 6 after 127 s (131 s with linear timeouts). \
             Not on lossy links; a connect timeout in the application is the finer tool."
        ),
    ));
    advice
}

/// The schedule of most clients that were seen to give up.
fn inferred(group: &Group) -> Option<(u32, bool)> {
    let known = group.classes().iter().filter(|(class, _)| decode(*class).is_some());
    known.max_by_key(|(class, count)| (*count, *class)).and_then(|(class, _)| decode(*class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::finding::Value;
    use crate::summary::samples::{graceful, open, unanswered};

    fn value(finding: &crate::finding::Finding, name: &str) -> Option<Value> {
        finding.evidence.iter().find(|evidence| evidence.name == name).map(|e| e.value.clone())
    }

    #[test]
    fn silence_is_found_with_the_inferred_setting() {
        let gaps = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
        let finding = Run::of([unanswered(1, 0, &gaps, 200_000)]).only(CODE);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(value(&finding, "inferred_tcp_syn_retries"), Some(Value::Integer(6)));
    }

    #[test]
    fn linear_timeouts_are_recognised() {
        let gaps = [1_000, 1_000, 1_000, 1_000, 1_000, 2_000, 4_000];
        let finding = Run::of([unanswered(1, 0, &gaps, 200_000)]).only(CODE);
        assert_eq!(value(&finding, "inferred_tcp_syn_retries"), Some(Value::Integer(3)));
        assert!(finding.summary.contains("linear"), "{}", finding.summary);
    }

    #[test]
    fn nothing_is_inferred_while_the_client_may_still_try() {
        let finding = Run::of([unanswered(1, 0, &[1_000, 2_000], 6_000)]).only(CODE);
        assert_eq!(value(&finding, "inferred_tcp_syn_retries"), None);
        assert_eq!(value(&finding, "still_trying_at_the_end"), Some(Value::Integer(1)));
    }

    #[test]
    fn a_single_syn_is_quiet_and_one_repetition_is_not() {
        assert!(Run::of([unanswered(1, 0, &[], 200_000)]).none(CODE));
        assert_eq!(
            Run::of([unanswered(1, 0, &[1_000], 2_000)]).only(CODE).severity,
            Severity::Notice
        );
    }

    #[test]
    fn answered_attempts_are_quiet() {
        assert!(Run::of([open(1, 0, 9_000), graceful(2, 0, 90_000)]).none(CODE));
    }

    #[test]
    fn a_listener_that_answers_others_points_to_its_queues() {
        let records = [open(1, 0, 9_000), unanswered(2, 0, &[1_000, 2_000], 9_000)];
        let finding = Run::of(records).only(CODE);
        assert!(finding.advice[0].setting.contains("somaxconn"), "{:?}", finding.advice);
        assert_eq!(finding.caveat, "");
    }
}
