//! Many connections are open to one service, or on one host, at the same time.
//!
//! # What it detects
//! Set when the sockets in ESTABLISHED of a listener, or of a host where none of its listeners is
//! concerned alone, exceeded `warning` or `critical` at the same time.
//!
//! # Why it matters
//! Every open connection takes a file descriptor and a slot of the application. Servers with a worker
//! per connection, and pools with a fixed size, stop accepting at a number like these.
//!
//! # Evidence
//! The peak and its time, how long the limit was exceeded, and the number over time.
//!
//! # Thresholds
//!
//! # What to check
//! * The limit of the service: workers, `ulimit -n`, the size of its connection pool.
//! * Idle connections: keep-alive timeouts of the application.
//! * Set both thresholds to what the service is built for: `--set-threshold TCP206.warning=5000`.
//!
//! # False positives
//! * A service that is built for more.
//! * Connections that the capture never saw closing count as open until its end.
//!
//! # References
//! Linux man-pages getrlimit(2), listen(2).

use std::collections::BTreeSet;

use crate::certainty::Certainty;
use crate::connection::State;
use crate::detect::advice::{
    filter_address, filter_endpoint, length, moment, number, series, setting,
};
use crate::detect::rule::{Check, Draft, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity, Subject};
use crate::stamp::FrameId;
use crate::summary::{OneHand, StateSeries};
use crate::tcp::{Side, Within};

const CODE: Code = Code(206);

const WARNING: Threshold = Threshold {
    code: CODE,
    name: "warning",
    default: 600,
    unit: Unit::Count,
    meaning: "more open connections at once than this are a warning",
    source: "chosen here: 3/4 of the next limit",
};

const CRITICAL: Threshold = Threshold {
    code: CODE,
    name: "critical",
    default: 800,
    unit: Unit::Count,
    meaning: "more open connections at once than this are critical",
    source: "chosen here: most of the 1,024 open files that a process gets by default",
};

/// Buckets of the timeline in the evidence.
const BUCKETS: usize = 40;

/// TCP206.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "established_pressure",
    scope: Scope::Listener,
    variants: &["listener", "host"],
    thresholds: &[&WARNING, &CRITICAL],
    source: include_str!("established_pressure.rs"),
    check: Check::Totals(judge),
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let mut found = Vec::new();
    let mut explained = BTreeSet::new();
    let thresholds = whole.context.thresholds;
    let limit = thresholds.count(&WARNING).min(thresholds.count(&CRITICAL));
    for (endpoint, listener) in whole.summary.listeners_with(limit) {
        let frame = listener.totals.earliest.map(|(_, frame)| frame);
        let filter = filter_endpoint(endpoint.at);
        let subject = Within { at: Subject::Listener(endpoint.at), overlay: endpoint.overlay };
        let concurrency = &listener.concurrency;
        if let Some(finding) = pressure(subject, concurrency, frame, &filter, whole) {
            explained.insert(Within { at: endpoint.at.address, overlay: endpoint.overlay });
            found.push(finding);
        }
    }
    let hosts = whole.summary.hosts_if(|_, connections| connections >= limit, &OneHand);
    for (address, host) in hosts {
        if explained.contains(&address) {
            continue;
        }
        let earliest =
            Side::BOTH.iter().filter_map(|side| host.as_role.of(*side).as_ref()?.earliest);
        let frame = earliest.min().map(|(_, frame)| frame);
        let subject = Within { at: Subject::Host(address.at), overlay: address.overlay };
        let filter = filter_address(address.at);
        found.extend(pressure(subject, &host.concurrency, frame, &filter, whole));
    }
    found
}

fn pressure(
    Within { at: subject, overlay }: Within<Subject>,
    concurrency: &StateSeries,
    frame: Option<FrameId>,
    filter: &str,
    whole: &Whole<'_>,
) -> Option<(Spot, Draft)> {
    let open = concurrency.of(State::Established)?;
    let peak = open.peak()?;
    let thresholds = whole.context.thresholds;
    let (warning, critical) = (thresholds.count(&WARNING), thresholds.count(&CRITICAL));
    let (severity, limit) = match peak.count {
        count if count > critical => (Severity::Critical, critical),
        count if count > warning => (Severity::Warning, warning),
        _ => return None,
    };
    let above = open.above(limit + 1)?;
    let until = if above.last > above.first { above.last } else { whole.end() };
    let variant = if matches!(subject, Subject::Host(_)) { "host" } else { "listener" };
    let count = words::counted(peak.count, "connection");
    let draft = Draft {
        severity,
        certainty: Certainty::Observed,
        title: "many connections open at once".to_owned(),
        summary: format!("{count} open at once; the limit set is {}.", words::count(limit)),
        evidence: vec![
            number("peak", peak.count),
            moment("peak_at", peak.at),
            number("limit", limit),
            length("span_ns", until.since(above.first)),
            length("resolution_ns", open.resolution()),
            series("timeline", &open.timeline(whole.start(), whole.end(), BUCKETS)),
        ],
        explanation: format!(
            "{count} were in ESTABLISHED at the same time. Whether that is much depends on the \
             service: each takes a file descriptor and, in many servers, a worker."
        ),
        advice: vec![
            setting(
                "limit of open files and workers of the service",
                "check",
                None,
                "Against the peak; a service at its limit stops accepting, and its accept queue \
                 fills.",
            ),
            setting(
                "idle and keep-alive timeouts of the application",
                "lower",
                None,
                "Where most of the connections are idle; clients then have to connect more often.",
            ),
        ],
        display_filter: format!("{filter} && tcp.flags.syn == 1"),
        caveat: String::new(),
    };
    let spot = Spot {
        variant,
        subject,
        overlay: whole.summary.overlay(overlay),
        first: above.first,
        last: until,
        count: peak.count,
        frames: frame.into_iter().collect(),
    };
    Some((spot, draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionRecord;
    use crate::detect::tests::Run;
    use crate::summary::samples::{graceful, open};

    fn crowd(count: u64) -> Vec<ConnectionRecord> {
        let client = |n: u64| {
            let mut record = open(n, n.cast_signed(), 60_000);
            record.client.address =
                [10, 1, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap()].into();
            record
        };
        (0..count).map(client).collect()
    }

    #[test]
    fn more_than_six_hundred_are_a_warning_and_than_eight_hundred_critical() {
        assert!(Run::of(crowd(600)).none(CODE));
        let severity = |count| Run::of(crowd(count)).only(CODE).severity;
        assert_eq!(
            [severity(601), severity(800), severity(801)],
            [Severity::Warning, Severity::Warning, Severity::Critical]
        );
    }

    #[test]
    fn a_listener_speaks_for_its_host() {
        assert_eq!(Run::of(crowd(601)).only(CODE).variant, "listener");
    }

    #[test]
    fn a_client_with_many_connections_to_many_services_is_a_host() {
        let records = (0..601).map(|n| {
            let mut record = open(n, 10, 60_000);
            record.server.address =
                [10, 2, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap()].into();
            record
        });
        let finding = Run::of(records).only(CODE);
        assert_eq!((finding.variant, finding.subject.to_string().as_str()), ("host", "10.0.0.1"));
    }

    #[test]
    fn a_user_may_set_both() {
        let set = ["TCP206.warning=5000", "TCP206.critical=6000"];
        assert!(Run::set(&set, crowd(900)).none(CODE));
    }

    #[test]
    fn as_many_one_after_the_other_are_quiet() {
        let records = (0..900).map(|n| graceful(n, n.cast_signed() * 20, 90_000));
        assert!(Run::of(records).none(CODE));
    }
}
