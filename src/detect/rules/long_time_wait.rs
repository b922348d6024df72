//! TIME-WAIT lasts longer than the host's timer alone would make it.
//!
//! # What it detects
//! Set when an endpoint was in TIME-WAIT for more than `slack` longer than the length of TIME-WAIT on
//! its host: 60 s on Linux, 120 s on Windows, 2 x MSL elsewhere (`--profile`). Told apart:
//! * `re_armed`: late segments of the peer restarted its timer;
//! * `tuple_blocked`: its timer had run out, and still a new SYN was answered with the acknowledgment
//!   of the old connection.
//!
//! # Why it matters
//! Every FIN that comes again, and every acceptable acknowledgment, restarts the timer. The port pair
//! stays taken, and the peer that repeats its FIN does not hear the answer. Where the port pair is
//! blocked, the client cannot connect from that port.
//!
//! # Evidence
//! How many, the longest, and how often late segments restarted the timer; for a blocked port pair the
//! attempts that were turned away, and by whom.
//!
//! # Thresholds
//!
//! # What to check
//! * Why the peer repeats: does the last acknowledgment reach it? A firewall that forgets a connection
//!   at the first FIN drops it.
//! * For a blocked port pair: which system the answering host runs (its TIME-WAIT may be 120 s or
//!   240 s), and whether a firewall on the way answers in its place.
//! * No setting shortens TIME-WAIT on Linux; `net.ipv4.tcp_fin_timeout` is about FIN-WAIT-2 of orphans.
//!
//! # False positives
//! * Another operating system than the profile says.
//!
//! # References
//! RFC 9293 3.6.1 and 3.10.7.4 (restart the 2 MSL timeout); RFC 1337.

use crate::certainty::Certainty;
use crate::connection::{Blocked, ConnectionRecord, State};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_endpoint, length, loss_caveat, number, setting};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};
use crate::stamp::Span;
use crate::tcp::{Endpoint, Side};

const CODE: Code = Code(306);

const SLACK: Threshold = Threshold {
    code: CODE,
    name: "slack",
    default: 1_000_000_000,
    unit: Unit::Duration,
    meaning: "time beyond the host's TIME-WAIT that is tolerated",
    source: "Linux' timer wheel is late by up to an eighth of a tick of its level, below 1 s at 60 s",
};

const RE_ARMED: &str = "re_armed";
const BLOCKED: &str = "tuple_blocked";

/// TCP306.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "long_time_wait",
    scope: Scope::Connection,
    variants: &[RE_ARMED, BLOCKED],
    thresholds: &[&SLACK],
    source: include_str!("long_time_wait.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The measure is the time in TIME-WAIT in ns, the class how often it was restarted.
fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    blocked(record, context).or_else(|| re_armed(record, context))
}

/// An attempt that a TIME-WAIT turned away after its time. The class is the side that was in it.
fn blocked(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    let Blocked { by, answer } = record.handshake.blocked?;
    let late = answer.time.since(by.expired) > context.thresholds.span(&SLACK);
    late.then(|| Hit {
        variant: BLOCKED,
        point: Point::listener(record),
        first: by.entered,
        last: answer.time,
        frame: answer.frame,
        certainty: Certainty::Inferred,
        measure: answer.time.since(by.entered).nanos(),
        class: 0,
        ongoing: true,
    })
}

fn re_armed(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    let hits = Side::BOTH.into_iter().filter_map(|side| {
        let entries = record.states.of(side).iter();
        let index = entries.enumerate().rev().find(|(_, e)| e.state == State::TimeWait)?.0;
        let entry = record.states.of(side).get(index)?;
        let (from, until) = record.interval(side, index)?;
        let end = until.unwrap_or(record.known_until);
        let host = context.settings.of(record.endpoint(side).address);
        let limit = host.time_wait + context.thresholds.span(&SLACK);
        (end.since(from) > limit).then(|| Hit {
            variant: RE_ARMED,
            point: Point::listener(record),
            first: from,
            last: end,
            frame: entry.frame.unwrap_or(record.last_frame),
            certainty: entry.certainty,
            measure: end.since(from).nanos(),
            class: record.close.time_wait_restarts,
            ongoing: until.is_none(),
        })
    });
    hits.max_by_key(|hit| hit.measure)
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let (variant, point) = group.key?;
    let server = point.server();
    if variant == BLOCKED {
        return Some(describe_blocked(group, server, whole));
    }
    let worst = Span::from_nanos(group.worst_measure());
    let most = group.classes().last().map_or(0, |(class, _)| u64::from(*class));
    let connections = words::counted(group.count, "connection");
    Some(Draft {
        severity: Severity::Info,
        certainty: group.certainty,
        title: "TIME-WAIT is held longer than its timer".to_owned(),
        summary: format!(
            "{connections} in TIME-WAIT for {}; restarted up to {}.",
            words::longest(worst, group.count, group.ongoing),
            words::counted(most, "time"),
        ),
        evidence: vec![
            number("connections", group.count),
            length("longest_ns", worst),
            number("most_restarts", most),
        ],
        explanation: format!(
            "In {connections} late segments of the peer restarted the timer of TIME-WAIT. A peer \
             that repeats its FIN does not get the last acknowledgment."
        ),
        advice: vec![setting(
            "path from the side in TIME-WAIT to its peer",
            "check",
            None,
            "Does the last acknowledgment arrive? No setting shortens TIME-WAIT on Linux; \
             tcp_fin_timeout does not.",
        )],
        display_filter: format!("{} && tcp.flags.fin == 1", filter_endpoint(server)),
        caveat: loss_caveat(group.lossy, group.count, "the close may have looked different."),
    })
}

fn describe_blocked(group: &Group, server: Endpoint, whole: &Whole<'_>) -> Draft {
    let worst = Span::from_nanos(group.worst_measure());
    let attempts = words::counted(group.count, "attempt");
    let assumed = whole.context.settings.of(server.address).time_wait;
    Draft {
        severity: Severity::Notice,
        certainty: group.certainty,
        title: "a port pair is blocked by an old TIME-WAIT".to_owned(),
        summary: format!(
            "{attempts} answered with the acknowledgment of a connection that had closed {} before; \
             TIME-WAIT was taken to last {}.",
            words::longest(worst, group.count, 0),
            words::span(assumed),
        ),
        evidence: vec![
            number("attempts", group.count),
            number("clients", group.clients.count()),
            length("longest_ns", worst),
            length("assumed_time_wait_ns", assumed),
        ],
        explanation: format!(
            "In {attempts} the new SYN met a socket that still remembered the old connection: its \
             TIME-WAIT lasts longer than the settings say, or something on the way answers for it. \
             The client resets that and has to try again, from another port if it can."
        ),
        advice: vec![setting(
            "system of the answering host, and firewalls before it",
            "check",
            None,
            "Windows keeps TIME-WAIT for 120 s by default, and the connection tracking of a Linux \
             firewall for 120 s (--profile, --sysctl tell the host's). No setting shortens it on \
             Linux; tcp_fin_timeout does not.",
        )],
        display_filter: format!("{} && tcp.flags.fin == 0", filter_endpoint(server)),
        caveat: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::settings::{Profile, Settings};
    use crate::summary::samples::{at, graceful};

    /// TIME-WAIT of the client lasts `millis`.
    fn waiting(millis: i64) -> ConnectionRecord {
        let mut record = graceful(1, 0, 900_000);
        record.close.time_wait_restarts = 2;
        record.states.client.last_mut().unwrap().at = at(12 + millis);
        record
    }

    #[test]
    fn one_second_beyond_the_timer_is_tolerated() {
        assert!(Run::of([waiting(61_000)]).none(CODE));
        let finding = Run::of([waiting(61_001)]).only(CODE);
        assert!(finding.summary.contains("restarted up to 2 times"), "{}", finding.summary);
    }

    #[test]
    fn the_profile_says_how_long_it_is() {
        let windows = Settings::of_profile(Profile::Windows);
        assert!(Run::with(windows.clone(), [waiting(121_000)]).none(CODE));
        assert!(!Run::with(windows, [waiting(121_001)]).none(CODE));
    }

    #[test]
    fn an_ordinary_time_wait_is_quiet() {
        assert!(Run::of([graceful(1, 0, 900_000), graceful(2, 0, 30_000)]).none(CODE));
    }
}
