//! An endpoint closed, its FIN was acknowledged, and the peer's FIN does not come.
//!
//! # What it detects
//! Set when an endpoint was in FIN-WAIT-2, and no data flowed, for at least `limit`, or for
//! `tcp_fin_timeout` of that host where that is shorter.
//!
//! # Why it matters
//! The peer's application forgets to close (TCP303 names it, where its side is known), or the peer is
//! gone. If the application that closed first still holds the socket, nothing ends FIN-WAIT-2 but
//! keep-alives; if it has let go of it (an orphan), Linux ends it after `tcp_fin_timeout`, and answers
//! data that comes later with RST.
//!
//! # Evidence
//! Which side waits, how many sockets, the longest time, and whether they were orphans, where the wire
//! shows it: a RST in answer to data does, a FIN accepted after the limit disproves it.
//!
//! # Thresholds
//!
//! # What to check
//! * The application of the other side: it has to `close` after `read` returned 0.
//! * `shutdown` without a later `close` on this side, or without a timeout.
//! * `net.ipv4.tcp_fin_timeout` ends orphans in FIN-WAIT-2 only. It does not change TIME-WAIT.
//!
//! # False positives
//! * A download over a half-closed connection that pauses.
//! * A FIN of the peer that the capture lost.
//!
//! # References
//! RFC 9293 3.3.2 and 3.6; RFC 1122 4.2.2.13; Linux networking/ip-sysctl (`tcp_fin_timeout`,
//! `tcp_max_orphans`).

use crate::connection::{Cause, ConnectionRecord, ResetKind, State};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_endpoint, length, loss_caveat, now, number, setting};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::stuck::{self, Stay};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};
use crate::stamp::Span;
use crate::tcp::Side;

const CODE: Code = Code(304);

const LIMIT: Threshold = Threshold {
    code: CODE,
    name: "limit",
    default: 60_000_000_000,
    unit: Unit::Duration,
    meaning: "time in FIN-WAIT-2 without data that is too long",
    source: "Linux `tcp_fin_timeout`, 60 s",
};

const UNKNOWN: u32 = 0;
const ORPHAN: u32 = 1;
const HELD: u32 = 2;

/// TCP304.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "fin_wait_2_stuck",
    scope: Scope::Connection,
    variants: &["client", "server"],
    thresholds: &[&LIMIT],
    source: include_str!("fin_wait_2_stuck.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The variant is the side that waits, the measure its idle time in ns, the class whether it was an
/// orphan.
fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    let stays = Side::BOTH.map(|side| stuck::longest(record, side, State::FinWait2));
    let stay = stays.into_iter().flatten().max_by_key(|stay| stay.idle)?;
    let host = context.settings.of(record.endpoint(stay.side).address);
    let limit = context.thresholds.span(&LIMIT).min(host.fin_timeout);
    (stay.idle >= limit).then(|| Hit {
        variant: stay.side.name(),
        // Who is to blame is the side that does not close: one service, or one client of it.
        point: match stay.side {
            Side::Client => Point::listener(record),
            Side::Server => Point::pair(record),
        },
        first: stay.from,
        last: stay.until,
        frame: record.close.fin.of(stay.side).map_or(stay.frame, |fin| fin.frame),
        certainty: stay.certainty,
        measure: stay.idle.nanos(),
        class: ownership(record, stay, host.fin_timeout),
        ongoing: stay.ongoing,
    })
}

/// Whether the application still held the socket, as far as the wire shows.
fn ownership(record: &ConnectionRecord, stay: Stay, timeout: Span) -> u32 {
    let reset =
        record.close.reset.is_some_and(|reset| reset.by == stay.side && is_of_orphan(reset.kind));
    let closed_late = stay.left_by == Some(Cause::ReceivedFin) && stay.idle > timeout;
    match (reset, closed_late) {
        (true, _) => ORPHAN,
        (false, true) => HELD,
        (false, false) => UNKNOWN,
    }
}

/// The application held the socket no more, or the kernel would not have answered with a RST.
const fn is_of_orphan(kind: ResetKind) -> bool {
    matches!(kind, ResetKind::OrphanFinWait2 | ResetKind::FinWait2Gone)
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let (side, point) = group.key?;
    // The host that waits: the clients of a listener are many, and may differ.
    let host = match point {
        Point::Listener(_) => &whole.context.settings.default,
        Point::Pair(pair) => whole.context.settings.of(pair.at.server.address),
    };
    let (orphans, held) = (group.of_class(ORPHAN), group.of_class(HELD));
    let worst = Span::from_nanos(group.worst_measure());
    let sockets = words::counted(group.count, "socket");
    let owner = if orphans > 0 {
        "The RSTs that answered what came later show orphans: the application had let go of the socket."
    } else if held > 0 {
        "FINs were accepted long after the limit of orphans, so the application still held the \
         sockets; then no timer of the kernel ends the wait."
    } else {
        "The wire does not show whether the application still held the sockets; if not, Linux ended \
         them after tcp_fin_timeout."
    };
    let timeout = host.fin_timeout.nanos() / 1_000_000_000;
    Some(Draft {
        severity: Severity::Notice,
        certainty: group.certainty,
        title: format!("the {side} waits in FIN-WAIT-2 for a FIN that does not come"),
        summary: format!(
            "{sockets} of the {side} in FIN-WAIT-2 for {}; {} still there at the end.",
            words::longest(worst, group.count, group.ongoing),
            words::count(group.ongoing),
        ),
        evidence: vec![
            number("sockets", group.count),
            number("still_in_fin_wait_2", group.ongoing),
            number("orphans", orphans),
            number("held_by_application", held),
            length("longest_ns", worst),
        ],
        explanation: format!(
            "The {side} closed {sockets} first, its FIN was acknowledged, and the other side did not \
             close. {owner}"
        ),
        advice: vec![
            setting(
                "application of the other side: close(2)",
                "fix",
                None,
                "It has to close after read(2) returned 0; TCP303 shows where it does not.",
            ),
            setting(
                "net.ipv4.tcp_fin_timeout",
                "check",
                Some(timeout.to_string()),
                format!(
                    "{}Ends orphaned sockets in FIN-WAIT-2 only. It does not shorten TIME-WAIT, and \
                     does nothing while the application holds the socket.",
                    now(host, Some(timeout))
                ),
            ),
        ],
        display_filter: format!("{} && tcp.flags.fin == 1", filter_endpoint(point.server())),
        caveat: loss_caveat(group.lossy, group.count, "the missing FIN may be among them."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::settings::Settings;
    use crate::summary::samples::{entry, graceful, mark, open, reset, states};

    fn stuck(until: i64) -> ConnectionRecord {
        let mut record = open(1, 0, until);
        let client = [(State::FinWait1, 10), (State::FinWait2, 10)];
        record.states.client.extend(states(&client));
        record.states.server.extend(states(&[(State::CloseWait, 10)]));
        record
    }

    #[test]
    fn a_minute_is_found_and_a_moment_less_is_not() {
        assert!(Run::of([stuck(60_009)]).none(CODE));
        let finding = Run::of([stuck(60_010)]).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("client", Severity::Notice));
    }

    #[test]
    fn a_shorter_fin_timeout_of_the_host_is_the_limit() {
        let mut settings = Settings::default();
        settings.default.fin_timeout = Span::from_secs(20);
        assert!(!Run::with(settings, [stuck(20_010)]).none(CODE));
    }

    #[test]
    fn a_rst_shows_an_orphan_and_a_late_fin_an_owner() {
        let number = |record: ConnectionRecord, name: &str| {
            let finding = Run::of([record]).only(CODE);
            finding.evidence.iter().find(|e| e.name == name).map(|e| e.value.clone())
        };
        let one = Some(crate::finding::Value::Integer(1));
        let orphan = reset(stuck(90_000), Side::Client, ResetKind::OrphanFinWait2, 70_000);
        assert_eq!(number(orphan, "orphans"), one);
        let mut held = stuck(90_000);
        held.states.client.push(entry(State::TimeWait, 80_000, Cause::ReceivedFin));
        assert_eq!(number(held, "held_by_application"), one);
    }

    #[test]
    fn a_download_after_the_half_close_is_quiet() {
        let mut record = stuck(90_000);
        record.traffic.server.last_data = Some(mark(1, 80_000));
        assert!(Run::of([record]).none(CODE));
    }

    #[test]
    fn graceful_closes_are_quiet() {
        assert!(Run::of([graceful(1, 0, 90_000)]).none(CODE));
    }
}
