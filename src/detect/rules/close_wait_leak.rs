//! An endpoint got the peer's FIN and does not close its own side.
//!
//! # What it detects
//! Set when all of these are true:
//! * an endpoint was in CLOSE-WAIT, and sent no FIN and no RST for at least `limit`;
//! * no data flowed in that time.
//!
//! It is called a leak when the number of sockets in CLOSE-WAIT only grows until the capture ends, and
//! has reached `leak_count`.
//!
//! # Why it matters
//! No timer of the kernel ends CLOSE-WAIT: only the application can, with `close`. Each such socket
//! holds a file descriptor, and a server that leaks them stops accepting when they run out.
//!
//! # Evidence
//! Which side forgets to close, how many sockets, the longest time, how many are still there at the
//! end, and the concurrent number over time.
//!
//! # Thresholds
//!
//! # What to check
//! * The application of that side: it has to `close` a socket after `read` returned 0, on every path
//!   through its code, timeouts and errors included.
//! * Pools of idle connections: do they notice that the peer has closed?
//! * `ulimit -n`, only to gain time. No sysctl shortens CLOSE-WAIT; `tcp_keepalive_time` does not apply
//!   while the peer's host answers.
//!
//! # False positives
//! * A peer that closed only its writing side and still waits for a slow answer.
//! * Browsers leave idle connections in CLOSE-WAIT until they need them: harmless on the client's side.
//! * A FIN that the capture lost: later segments usually prove it.
//!
//! # References
//! RFC 9293 3.3.2 and 3.6; Linux man-pages close(2), tcp(7).

use crate::connection::{ConnectionRecord, State};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_from, filter_to, length, loss_caveat, number, series, setting};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::stuck;
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Evidence, Severity, Value};
use crate::stamp::Span;
use crate::summary::Concurrency;
use crate::tcp::{Side, Within};

const CODE: Code = Code(303);

const LIMIT: Threshold = Threshold {
    code: CODE,
    name: "limit",
    default: 60_000_000_000,
    unit: Unit::Duration,
    meaning: "time in CLOSE-WAIT without data that is too long",
    source: "the peer's FIN-WAIT-2 lasts `tcp_fin_timeout`, 60 s, when its application has closed",
};

const LEAK_COUNT: Threshold = Threshold {
    code: CODE,
    name: "leak_count",
    default: 5,
    unit: Unit::Count,
    meaning: "sockets in CLOSE-WAIT at the end that a leak takes at least",
    source: "chosen here: fewer show no trend",
};

/// Moments at which the growth is looked at.
const SAMPLES: usize = 8;
/// Buckets of the timeline in the evidence.
const BUCKETS: usize = 40;

/// TCP303.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "close_wait_leak",
    scope: Scope::Connection,
    variants: &["client", "server"],
    thresholds: &[&LIMIT, &LEAK_COUNT],
    source: include_str!("close_wait_leak.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The variant is the side that does not close, the measure the idle time in ns.
fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    let stays = Side::BOTH.map(|side| stuck::longest(record, side, State::CloseWait));
    let stay = stays.into_iter().flatten().max_by_key(|stay| stay.idle)?;
    (stay.idle >= context.thresholds.span(&LIMIT)).then(|| Hit {
        variant: stay.side.name(),
        point: match stay.side {
            Side::Server => Point::listener(record),
            Side::Client => Point::pair(record),
        },
        first: stay.from,
        last: stay.until,
        frame: stay.frame,
        certainty: stay.certainty,
        measure: stay.idle.nanos(),
        class: 0,
        ongoing: stay.ongoing,
    })
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let (side, point) = group.key?;
    let concurrency = match point {
        Point::Listener(server) => whole.summary.listener(server).map(|l| &l.concurrency),
        Point::Pair(Within { at, overlay }) => {
            let client = Within { at: at.client, overlay };
            whole.summary.host(client).map(|h| &h.concurrency)
        }
    };
    let close_wait = concurrency.and_then(|states| states.of(State::CloseWait));
    let is_leak = close_wait.is_some_and(|sockets| only_grows(sockets, whole));
    let at_end = close_wait.map_or(0, Concurrency::at_end);
    let worst = Span::from_nanos(group.worst_measure());
    let sockets = words::counted(group.count, "socket");
    let mut evidence = vec![
        number("sockets", group.count),
        number("still_in_close_wait", group.ongoing),
        number("clients", group.clients.count()),
        length("longest_ns", worst),
        Evidence { name: "leak", value: Value::Flag(is_leak) },
    ];
    if let Some(sockets) = close_wait {
        evidence.push(number("concurrent_at_end", at_end));
        let timeline = sockets.timeline(whole.start(), whole.end(), BUCKETS);
        evidence.push(series("close_wait_timeline", &timeline));
    }
    let growth = if is_leak {
        format!(" Their number only grows, to {} at the end: a leak.", words::count(at_end))
    } else {
        String::new()
    };
    let filter = match point {
        Point::Listener(server) => filter_to(server.at),
        Point::Pair(pair) => filter_from(pair.at.server),
    };
    Some(Draft {
        severity: severity(side, is_leak, group),
        certainty: group.certainty,
        title: format!("the {side} does not close its connections"),
        summary: summary(side, group, is_leak.then_some(at_end)),
        evidence,
        explanation: format!(
            "The peer closed, the {side}'s kernel acknowledged its FIN, and the application of the \
             {side} did not close {sockets}. No timer ends CLOSE-WAIT; each of them holds a file \
             descriptor.{growth}"
        ),
        advice: vec![
            setting(
                format!("application of the {side}: close(2)").as_str(),
                "fix",
                None,
                "After read(2) returned 0 the socket has to be closed, on error paths as well. No \
                 sysctl shortens CLOSE-WAIT: tcp_fin_timeout is about the other side.",
            ),
            setting(
                "limit of open files (ulimit -n)",
                "raise",
                None,
                "Gains time until the application is mended; a leak fills any limit.",
            ),
        ],
        display_filter: format!("{filter} && tcp.flags.fin == 1"),
        caveat: loss_caveat(group.lossy, group.count, "a FIN may be among them."),
    })
}

/// A leak is told by its number at the end; most of its sockets may be too young to count as stuck.
fn summary(side: &str, group: &Group, leaked: Option<u64>) -> String {
    let sockets = words::counted(group.count, "socket");
    let worst = Span::from_nanos(group.worst_measure());
    let longest = words::longest(worst, group.count, group.ongoing);
    match leaked.filter(|at_end| *at_end >= group.count) {
        Some(at_end) => format!(
            "{} of the {side} in CLOSE-WAIT at the end, and their number only grew; {} of them idle \
             for {longest}.",
            words::counted(at_end, "socket"),
            words::count(group.ongoing),
        ),
        None => format!(
            "{sockets} of the {side} in CLOSE-WAIT for {longest}; {} still there at the end.",
            words::count(group.ongoing),
        ),
    }
}

/// Clients keep idle connections in CLOSE-WAIT until they need them; a server has no such reason.
fn severity(side: &str, is_leak: bool, group: &Group) -> Severity {
    let forgets = side == Side::Server.name() && group.ongoing >= 3;
    if is_leak || forgets { Severity::Warning } else { Severity::Notice }
}

/// Whether the number of sockets never sinks from its first one to the end, and is high there.
fn only_grows(sockets: &Concurrency, whole: &Whole<'_>) -> bool {
    let Some((first, _)) = sockets.points().first().copied() else { return false };
    let samples = sockets.samples(first, whole.end(), SAMPLES);
    let grows = samples.windows(2).all(|pair| matches!(pair, [one, next] if one <= next));
    let (start, end) = (samples.first().copied(), samples.last().copied());
    grows && start < end && sockets.at_end() >= whole.context.thresholds.count(&LEAK_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::summary::samples::{graceful, mark, open, states};

    /// The peer of `side` closes at `from` + 10 ms, and `side` does nothing until `until`.
    fn stuck(id: u64, side: Side, from: i64, until: i64) -> ConnectionRecord {
        let mut record = open(id, from, until);
        record.states.of_mut(side).extend(states(&[(State::CloseWait, from + 10)]));
        let peer = record.states.of_mut(side.peer());
        peer.extend(states(&[(State::FinWait1, from + 10), (State::FinWait2, from + 10)]));
        record
    }

    #[test]
    fn a_minute_in_close_wait_is_found_and_a_moment_less_is_not() {
        assert!(Run::of([stuck(1, Side::Server, 0, 60_009)]).none(CODE));
        let finding = Run::of([stuck(1, Side::Server, 0, 60_010)]).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("server", Severity::Notice));
        assert!(finding.summary.contains("at least 60 s"), "{}", finding.summary);
    }

    #[test]
    fn a_user_may_set_the_limit() {
        let records = || [stuck(1, Side::Server, 0, 30_000)];
        assert!(Run::of(records()).none(CODE));
        assert!(!Run::set(&["TCP303.limit=20s"], records()).none(CODE));
    }

    #[test]
    fn a_number_that_only_grows_is_a_leak() {
        let records = (0..10).map(|n| stuck(n, Side::Server, n.cast_signed() * 10_000, 200_000));
        let finding = Run::of(records).only(CODE);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.explanation.contains("a leak"), "{}", finding.explanation);
        assert!(finding.summary.starts_with("10 sockets of the server in"), "{}", finding.summary);
    }

    #[test]
    fn a_number_that_sinks_again_is_no_leak() {
        let records = (0..10).map(|n: u64| {
            let mut record = stuck(n, Side::Server, n.cast_signed() * 10_000, 400_000);
            let closed = n.cast_signed() * 10_000 + 70_000;
            record.states.server.extend(states(&[(State::LastAck, closed)]));
            record
        });
        let finding = Run::of(records).only(CODE);
        assert_eq!(finding.severity, Severity::Notice);
        assert!(!finding.explanation.contains("leak"), "{}", finding.explanation);
    }

    #[test]
    fn clients_that_keep_idle_connections_are_a_notice_about_the_pair() {
        let finding = Run::of((0..4).map(|n| stuck(n, Side::Client, 0, 90_000))).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("client", Severity::Notice));
        assert!(matches!(finding.subject, crate::finding::Subject::Pair { .. }));
    }

    #[test]
    fn a_slow_answer_after_a_half_close_is_quiet() {
        let mut record = stuck(1, Side::Server, 0, 120_000);
        record.traffic.server.last_data = Some(mark(1, 100_000));
        assert!(Run::of([record]).none(CODE));
    }

    #[test]
    fn a_side_that_was_never_captured_proves_nothing() {
        let mut record = stuck(1, Side::Server, 0, 120_000);
        record.traffic.server.segments = 0;
        assert!(Run::of([record]).none(CODE));
    }

    #[test]
    fn graceful_closes_are_quiet() {
        assert!(Run::of([graceful(1, 0, 90_000)]).none(CODE));
    }
}
