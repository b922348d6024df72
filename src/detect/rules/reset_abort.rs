//! A RST ends a connection, and how.
//!
//! # What it detects
//! Set when an acceptable RST ended a connection. Kinds are told apart:
//! * `refused`: it answered the SYN; TCP105 says more;
//! * `handshake_rejected`: the server answered the completed handshake with a RST;
//! * `unread_data`: the sender closed while received data was unread, or could not take it any more: some
//!   is not acknowledged, or a server answers a request with a RST;
//! * `abort`: nothing was outstanding, and no FIN was sent: `SO_LINGER` 0, or a killed process;
//! * `after_fin`: after its own FIN, when data came to a socket that nobody reads any more;
//! * `after_peer_fin`: the passive side gave up instead of closing;
//! * `to_time_wait`: into a TIME-WAIT;
//! * `orphan_fin_wait_2`: from an orphaned socket in FIN-WAIT-2 that got data;
//! * `fin_wait_2_gone`: nothing was left of FIN-WAIT-2 when the peer's FIN came: no place among those in
//!   TIME-WAIT, or `tcp_fin_timeout` had run out;
//! * `idle`: after a long silence, as from a middlebox or balancer that forgot the connection;
//! * `unknown`: none of these fits, or the sender threw away what it had itself just sent.
//!
//! A RST that answers a SYN-ACK is TCP110.
//!
//! # Why it matters
//! A RST throws away what is on its way in either direction. Browsers and balancers use it to close
//! idle connections, and that is harmless; where data is outstanding, or every other connection ends
//! so, a client sees "connection reset by peer".
//!
//! # Evidence
//! How many connections, their share of the listener's connections, which side sent the RST, the
//! longest silence before it, and the most data it threw away.
//!
//! # Thresholds
//!
//! # What to check
//! * The application of the side that sends it: does it read all data before it closes, does it set
//!   `SO_LINGER` to 0, does it crash or restart?
//! * `net.ipv4.tcp_abort_on_overflow` = 1 turns a full accept queue into `handshake_rejected`.
//! * For `fin_wait_2_gone`: `net.ipv4.tcp_max_tw_buckets`, if `TcpExtTCPTimeWaitOverflow` counts.
//! * For `idle`: the idle timeout of balancers and firewalls, against `net.ipv4.tcp_keepalive_time`
//!   (7200 s by default, only on sockets with `SO_KEEPALIVE`).
//!
//! # False positives
//! * Forged RSTs: see TCP302.
//! * Capture loss hides a FIN before the RST; the kind may then be wrong.
//!
//! # References
//! RFC 9293 3.5.2 and 3.10.7.4; RFC 5961 3; RFC 2525 2.17.

mod gone;

use crate::connection::{CloseOutcome, ConnectionRecord, ResetKind};
use crate::detect::accumulate::Group;
use crate::detect::advice::{
    filter_endpoint, length, loss_caveat, now, number, setting, share, text,
};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Advice, Code, Severity};
use crate::settings::HostSettings;
use crate::stamp::Span;
use crate::tcp::Side;

const CODE: Code = Code(301);

const WARNING_SHARE: Threshold = Threshold {
    code: CODE,
    name: "warning_share",
    default: 20,
    unit: Unit::Percent,
    meaning: "share of the listener's connections from which harmful kinds are a warning",
    source: "chosen here: one connection in five is felt by users",
};

const WARNING_COUNT: Threshold = Threshold {
    code: CODE,
    name: "warning_count",
    default: 10,
    unit: Unit::Count,
    meaning: "resets of one harmful kind that a warning takes at least",
    source: "chosen here: fewer are single events",
};

const NOTICE_BYTES: Threshold = Threshold {
    code: CODE,
    name: "notice_bytes",
    default: 100,
    unit: Unit::Count,
    meaning: "bytes that a client that has finished may throw away without it being a notice",
    source: "the alert with which TLS says goodbye fills at most 93 bytes (RFC 5246 6.2.3, 7.2.1)",
};

/// Higher classes belong to RSTs of the server.
const BY_SERVER: u32 = 1;

const VARIANTS: [&str; 11] = [
    ResetKind::Refused.name(),
    ResetKind::HandshakeRejected.name(),
    ResetKind::UnreadData.name(),
    ResetKind::Abort.name(),
    ResetKind::AfterFin.name(),
    ResetKind::AfterPeerFin.name(),
    ResetKind::ToTimeWait.name(),
    ResetKind::OrphanFinWait2.name(),
    ResetKind::FinWait2Gone.name(),
    ResetKind::Idle.name(),
    ResetKind::Unknown.name(),
];

/// TCP301.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "reset_abort",
    scope: Scope::Connection,
    variants: &VARIANTS,
    thresholds: &[&WARNING_SHARE, &WARNING_COUNT, &NOTICE_BYTES],
    source: include_str!("reset_abort.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The measure is the silence before the RST for the kind `idle`, and bytes thrown away for all
/// others; the class is the side that sent it.
fn judge(record: &ConnectionRecord, context: &Context<'_>) -> Option<Hit> {
    let reset = record.close.reset?;
    // Once both FINs are acknowledged a RST ends nothing, except a TIME-WAIT.
    let late = record.close.outcome != CloseOutcome::Reset && reset.kind != ResetKind::ToTimeWait;
    if late || reset.kind == ResetKind::HandshakeAborted {
        return None;
    }
    if reset.kind == ResetKind::FinWait2Gone {
        return Some(gone::hit(record, &reset, context));
    }
    let bytes = i64::try_from(reset.unacknowledged_from_peer).unwrap_or(i64::MAX);
    Some(Hit {
        variant: reset.kind.name(),
        point: Point::listener(record),
        first: reset.mark.time,
        last: reset.mark.time,
        frame: reset.mark.frame,
        certainty: record.role_certainty,
        measure: if reset.kind == ResetKind::Idle { reset.idle.nanos() } else { bytes },
        class: if reset.by == Side::Server { BY_SERVER } else { 0 },
        ongoing: false,
    })
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let (variant, point) = group.key?;
    let kind = ResetKind::ALL.into_iter().find(|kind| kind.name() == variant)?;
    if kind == ResetKind::FinWait2Gone {
        return gone::describe(group, whole);
    }
    let server = point.server();
    let listener = whole.summary.listener(point.service());
    let connections = listener.map_or(group.count, |listener| listener.totals.connections);
    let permille = (group.count * 1_000).checked_div(connections).unwrap_or(1_000).min(1_000);
    let by_server = group.of_class(BY_SERVER);
    let who = match (by_server, group.count - by_server) {
        (_, 0) => "the server",
        (0, _) => "the client",
        _ => "either side",
    };
    let worst = group.worst_measure();
    let measure = if kind == ResetKind::Idle {
        length("longest_silence_ns", Span::from_nanos(worst))
    } else {
        number("most_bytes_thrown_away", worst.unsigned_abs())
    };
    let resets = words::counted(group.count, "connection");
    let filter = filter_endpoint(server);
    Some(Draft {
        severity: severity(kind, (group, by_server), permille, whole),
        certainty: group.certainty,
        title: format!("connections end with RST: {}", gist(kind)),
        summary: format!(
            "{resets} reset by {who} ({} of this listener's){}.",
            words::permille(permille),
            thrown_away(kind, worst),
        ),
        evidence: vec![
            number("resets", group.count),
            share("share_of_connections", permille),
            number("by_server", by_server),
            number("by_client", group.count - by_server),
            number("clients", group.clients.count()),
            measure,
            text("kind", variant),
        ],
        explanation: format!("{who} sent a RST in {resets}. {}", meaning(kind)),
        advice: advice(kind, whole.context.settings.of(server.address)),
        display_filter: format!("{filter} && tcp.flags.reset == 1"),
        caveat: loss_caveat(group.lossy, group.count, "a FIN before the RST may be among them."),
    })
    .map(|mut draft| {
        capitalise(&mut draft.explanation);
        draft
    })
}

fn thrown_away(kind: ResetKind, worst: i64) -> String {
    match kind {
        ResetKind::Idle => {
            format!(", up to {} of silence before", words::span(Span::from_nanos(worst)))
        }
        _ if worst > 0 => {
            format!(", up to {} thrown away", words::counted(worst.unsigned_abs(), "byte"))
        }
        _ => String::new(),
    }
}

fn severity(
    kind: ResetKind,
    (group, by_server): (&Group, u64),
    permille: u64,
    whole: &Whole<'_>,
) -> Severity {
    let thresholds = whole.context.thresholds;
    let is_many = is_many(group, whole);
    // Few bytes at the end: the TLS alert that says goodbye meets a client that is gone already.
    let is_goodbye = match kind {
        ResetKind::UnreadData => by_server == 0,
        ResetKind::OrphanFinWait2 => true,
        _ => false,
    } && group.worst_measure() <= thresholds.of(&NOTICE_BYTES);
    let is_frequent = is_many && permille >= thresholds.count(&WARNING_SHARE) * 10;
    match kind {
        ResetKind::HandshakeRejected
        | ResetKind::UnreadData
        | ResetKind::Idle
        | ResetKind::OrphanFinWait2
        | ResetKind::Unknown
            if is_frequent =>
        {
            Severity::Warning
        }
        ResetKind::Refused
        | ResetKind::Abort
        | ResetKind::AfterFin
        | ResetKind::AfterPeerFin
        | ResetKind::ToTimeWait => Severity::Info,
        ResetKind::UnreadData | ResetKind::OrphanFinWait2 if is_goodbye && !is_many => {
            Severity::Info
        }
        ResetKind::Unknown if !is_many => Severity::Info,
        _ => Severity::Notice,
    }
}

fn is_many(group: &Group, whole: &Whole<'_>) -> bool {
    group.count >= whole.context.thresholds.count(&WARNING_COUNT)
}

const fn gist(kind: ResetKind) -> &'static str {
    match kind {
        ResetKind::HandshakeRejected => "rejected after the handshake",
        ResetKind::UnreadData => "closed with data unread",
        ResetKind::Abort => "aborted with nothing outstanding",
        ResetKind::AfterFin => "data came after the close",
        ResetKind::AfterPeerFin => "given up after the peer's FIN",
        ResetKind::ToTimeWait => "sent into TIME-WAIT",
        ResetKind::OrphanFinWait2 => "data came to an orphan in FIN-WAIT-2",
        ResetKind::Idle => "after a long silence",
        ResetKind::Refused => "refused",
        ResetKind::FinWait2Gone | ResetKind::HandshakeAborted | ResetKind::Unknown => {
            "no known pattern"
        }
    }
}

const fn meaning(kind: ResetKind) -> &'static str {
    match kind {
        ResetKind::HandshakeRejected => {
            "The handshake was complete, and the answer was a RST: an accept queue that overflows \
             with tcp_abort_on_overflow = 1, a listener that closed, or a proxy without a backend."
        }
        ResetKind::UnreadData => {
            "It closed its socket while data of the other side was unread or still coming, so the \
             kernel answers with RST instead of FIN, and that data is lost to the application."
        }
        ResetKind::Abort => {
            "Nothing was outstanding. Browsers, balancers and proxies close connections that they need no \
             more this way (SO_LINGER with 0), and no TIME-WAIT remains; a process that was killed, or an \
             answer that was acknowledged and never read, would look the same."
        }
        ResetKind::AfterFin => {
            "It had closed with a FIN, and the other side went on sending: data to a socket that \
             nobody reads any more is answered with RST. Usually a client that left early."
        }
        ResetKind::AfterPeerFin => {
            "The other side had closed; instead of a FIN of its own it sent a RST. No harm where all \
             data was acknowledged."
        }
        ResetKind::ToTimeWait => {
            "It hit an endpoint in TIME-WAIT and, with tcp_rfc1337 = 0, ended it early (RFC 1337): \
             old segments can then disturb a new connection on the same ports."
        }
        ResetKind::OrphanFinWait2 => {
            "Its application had closed the socket entirely; data that came to the remaining \
             FIN-WAIT-2 was answered with RST, and is lost."
        }
        ResetKind::Idle => {
            "The connection had been silent for long. A middlebox or balancer that forgot it answers \
             so, and the first request after the pause fails."
        }
        ResetKind::Refused => "It answered the SYN: nothing listens there, or a firewall rejects.",
        ResetKind::FinWait2Gone | ResetKind::HandshakeAborted | ResetKind::Unknown => {
            "The wire does not tell why."
        }
    }
}

fn advice(kind: ResetKind, server: &HostSettings) -> Vec<Advice> {
    let application = |what: &str| setting("application that sends the RST", "check", None, what);
    match kind {
        ResetKind::HandshakeRejected => vec![setting(
            "net.ipv4.tcp_abort_on_overflow",
            "disable",
            Some("0".to_owned()),
            format!(
                "{}With 0 a full accept queue lets the client retry instead. Raise the listen(2) \
                 backlog and net.core.somaxconn together, and let the application accept faster.",
                now(server, server.abort_on_overflow.map(u8::from))
            ),
        )],
        ResetKind::Idle => vec![
            setting(
                "idle timeout of balancers and firewalls on the path",
                "check",
                None,
                "It has to be longer than the keep-alive interval of the connections through it.",
            ),
            setting(
                "SO_KEEPALIVE with TCP_KEEPIDLE, or net.ipv4.tcp_keepalive_time",
                "lower",
                Some("below the idle timeout".to_owned()),
                format!(
                    "{}The default of 7200 s is longer than most middleboxes remember. Only sockets \
                     with SO_KEEPALIVE are affected.",
                    now(server, Some(server.keepalive_time.nanos() / 1_000_000_000))
                ),
            ),
        ],
        ResetKind::ToTimeWait => vec![setting(
            "net.ipv4.tcp_rfc1337",
            "enable",
            Some("1".to_owned()),
            format!(
                "{}Then a RST does not end TIME-WAIT. Matters only where ports are reused fast.",
                now(server, Some(u8::from(server.rfc1337)))
            ),
        )],
        ResetKind::UnreadData => vec![application(
            "Read everything that the peer sends before close(2), or shutdown(2) and drain first.",
        )],
        ResetKind::AfterFin | ResetKind::OrphanFinWait2 => vec![application(
            "Close only when the peer has finished: shutdown(2) for writing, read to the end, then \
             close(2).",
        )],
        ResetKind::Abort => vec![application(
            "SO_LINGER with 0 avoids TIME-WAIT at the price of data on its way; needless where the \
             other side closes first.",
        )],
        _ => vec![application("Its logs at that time: a crash, a restart, or a deliberate abort.")],
    }
}

fn capitalise(text: &mut str) {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::summary::samples::{aborted, graceful, open, reset};

    fn ended(id: u64, kind: ResetKind) -> ConnectionRecord {
        reset(open(id, 0, 9_000), Side::Server, kind, 500)
    }

    #[test]
    fn every_kind_is_a_variant_of_its_own() {
        for kind in ResetKind::ALL {
            let run = Run::of([ended(1, kind)]);
            if kind == ResetKind::HandshakeAborted {
                assert!(run.none(CODE), "{kind:?}");
            } else {
                let finding = run.only(CODE);
                assert_eq!(finding.variant, kind.name());
                assert!(finding.severity < Severity::Warning, "a single {kind:?} is no warning");
            }
        }
    }

    #[test]
    fn aborts_without_outstanding_data_are_information_however_many() {
        let run = Run::of((0..50).map(|n| ended(n, ResetKind::Abort)));
        assert_eq!(run.only(CODE).severity, Severity::Info);
    }

    #[test]
    fn one_connection_in_five_with_lost_data_is_a_warning() {
        let severity = |resets: u64, others: u64| {
            let others = (0..others).map(|n| graceful(100 + n, 0, 90_000));
            let resets = (0..resets).map(|n| ended(n, ResetKind::UnreadData));
            Run::of(resets.chain(others)).only(CODE).severity
        };
        assert_eq!([severity(10, 40), severity(10, 41)], [Severity::Warning, Severity::Notice]);
        assert_eq!(severity(9, 0), Severity::Notice);
    }

    #[test]
    fn the_summary_says_who_and_how_much() {
        let mut record = ended(1, ResetKind::UnreadData);
        record.close.reset.as_mut().unwrap().unacknowledged_from_peer = 1_460;
        let finding = Run::of([record]).only(CODE);
        assert!(finding.summary.contains("by the server"), "{}", finding.summary);
        assert!(finding.summary.contains("1,460 bytes"), "{}", finding.summary);
    }

    #[test]
    fn aborted_handshakes_and_graceful_closes_are_quiet() {
        assert!(Run::of([aborted(2, 0, 1), graceful(3, 0, 90_000)]).none(CODE));
    }
}
