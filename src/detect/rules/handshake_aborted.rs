//! The client answers the SYN-ACK with a RST.
//!
//! # What it detects
//! Set when the server sent a SYN-ACK, and the client sent a RST instead of completing the handshake.
//!
//! # Why it matters
//! The client's kernel knows nothing of the connection (a half-open scan, a forged source whose owner
//! protests), or its application gave up in the meantime (a connect timeout, a race between two
//! addresses). The service never hears of it.
//!
//! # Evidence
//! How many, from how many clients, and how long after the SYN-ACK the RST came: at once means that
//! no application waited; later means that one stopped waiting.
//!
//! # Thresholds
//!
//! # What to check
//! * Who the client is: a health check of a load balancer or a scanner (TCP106) needs no cure.
//! * Connect timeouts of the application, where the RST comes late.
//!
//! # False positives
//! * A SYN-ACK of an older attempt, delayed, is rightly answered with a RST.
//!
//! # References
//! RFC 9293 3.5.2 and 3.10.7.3; RFC 8305 (racing connection attempts).

use crate::connection::{ConnectionRecord, HandshakeOutcome};
use crate::detect::accumulate::Group;
use crate::detect::advice::{filter_to, length, number, setting};
use crate::detect::rule::{Check, Context, Draft, Hit, Point, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};
use crate::stamp::Span;

const CODE: Code = Code(110);

const NOTICE_COUNT: Threshold = Threshold {
    code: CODE,
    name: "notice_count",
    default: 10,
    unit: Unit::Count,
    meaning: "from this many at one listener on it is a notice, below it is for information",
    source: "chosen here: racing connection attempts (RFC 8305) abort one now and then",
};

/// A RST this long after the SYN-ACK was sent by an application that had waited.
const WAITED: Span = Span::from_millis(200);

/// TCP110.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "handshake_aborted",
    scope: Scope::Connection,
    variants: &[""],
    thresholds: &[&NOTICE_COUNT],
    source: include_str!("handshake_aborted.rs"),
    check: Check::Grouped { judge, describe, marks: true },
};

/// The measure is the time from the SYN-ACK to the RST, the class whether it shows that somebody
/// waited.
fn judge(record: &ConnectionRecord, _: &Context<'_>) -> Option<Hit> {
    let handshake = &record.handshake;
    let rst = handshake.rst.filter(|_| handshake.outcome == HandshakeOutcome::Aborted)?;
    let syn_ack = handshake.syn_ack?;
    let delay = rst.time.since(syn_ack.time);
    Some(Hit {
        variant: "",
        point: Point::listener(record),
        first: record.first_time,
        last: rst.time,
        frame: rst.frame,
        certainty: record.role_certainty,
        measure: delay.nanos(),
        class: u32::from(delay >= WAITED),
        ongoing: false,
    })
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let server = group.key?.1.server();
    let (count, clients) = (group.count, group.clients.count());
    let late = group.of_class(1);
    let many = count >= whole.context.thresholds.count(&NOTICE_COUNT);
    let aborted = words::counted(count, "handshake");
    let how = if late == 0 {
        "The RST came at once: no application of that client waited for the SYN-ACK. Half-open \
         scans, health checks and forged sources look like this."
    } else {
        "Some came late: an application gave up while the SYN-ACK was on its way or delayed."
    };
    Some(Draft {
        severity: if many { Severity::Notice } else { Severity::Info },
        certainty: group.certainty,
        title: "clients abort the handshake".to_owned(),
        summary: format!(
            "{aborted} answered by the client with RST, {} of them late; {}.",
            words::count(late),
            words::counted(clients, "client"),
        ),
        evidence: vec![
            number("aborted", count),
            number("aborted_late", late),
            number("clients", clients),
            length("longest_delay_ns", Span::from_nanos(group.worst_measure())),
        ],
        explanation: format!(
            "In {aborted} the client answered the server's SYN-ACK with a RST. {how}"
        ),
        advice: vec![setting(
            "connect timeout of the client",
            "check",
            None,
            "Only where the RST comes late; scanners and health checks need no cure.",
        )],
        display_filter: format!("{} && tcp.flags.reset == 1", filter_to(server)),
        caveat: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::summary::samples::{aborted, graceful, refused};

    #[test]
    fn a_scan_is_told_from_a_client_that_gave_up() {
        let scan = Run::of([aborted(1, 0, 0)]).only(CODE);
        assert!(scan.explanation.contains("at once"), "{}", scan.explanation);
        let gave_up = Run::of([aborted(1, 0, 5_000)]).only(CODE);
        assert!(gave_up.explanation.contains("gave up"), "{}", gave_up.explanation);
        assert_eq!(scan.severity, Severity::Info);
    }

    #[test]
    fn ten_are_a_notice_and_nine_are_not() {
        let severity = |count| Run::of((0..count).map(|n| aborted(n, 10, 0))).only(CODE).severity;
        assert_eq!([severity(9), severity(10)], [Severity::Info, Severity::Notice]);
    }

    #[test]
    fn refusals_and_successes_are_quiet() {
        assert!(Run::of([refused(1, 0), graceful(2, 0, 90_000)]).none(CODE));
    }
}
