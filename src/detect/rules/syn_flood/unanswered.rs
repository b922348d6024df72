//! The pile that nobody answered: lone SYNs without a SYN-ACK in the capture.
//!
//! How many of them a listener would hold half-open at once, had it answered, follows from the times
//! at which they came. Whether it did is not in the capture; the finding says so.

use super::{
    Backlog, FAST, MAX_RETRIES, MIN_UNANSWERED, PATIENCE, WARNING_SHARE, filter, is_pile_up,
    set_cookies,
};
use crate::certainty::Certainty;
use crate::connection::HandshakeOutcome;
use crate::detect::advice::{length, moment, number, series, setting, text};
use crate::detect::rule::{Draft, Spot, Whole};
use crate::detect::words;
use crate::finding::{Advice, Evidence, Severity, Subject, Value};
use crate::settings::HostSettings;
use crate::stamp::{Span, Time};
use crate::summary::{Attempts, Distinct, Listener, Peak};
use crate::tcp::{Endpoint, Overlay, Within};

/// Buckets of the timeline in the evidence.
const BUCKETS: usize = 40;

/// The name of this kind.
pub(super) const VARIANT: &str = "unanswered";

/// Judges every listener.
pub(super) fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let least = whole.context.thresholds.count(&MIN_UNANSWERED);
    let listeners = whole.summary.listeners_with(least).into_iter();
    let found = listeners.filter_map(|(server, listener)| {
        let silence = Silence::of(server, listener, whole)?;
        let overlay = whole.summary.overlay(server.overlay);
        Some((silence.spot((server.at, overlay), listener), silence.draft(server.at, whole)))
    });
    found.collect()
}

/// What is known about SYNs that nothing followed.
struct Silence {
    /// SYNs that were neither repeated nor answered, and all attempts.
    lone: u64,
    attempts: u64,
    answered: u64,
    sources: u64,
    sources_exact: bool,
    /// The most of them within the time for which a half-open handshake is held, and in one second.
    pending: Peak,
    held: Span,
    fastest: u64,
    /// From the first busy moment to the last.
    from: Time,
    until: Time,
    backlog: Backlog,
    /// Something else that the host sent is in the capture.
    is_heard: bool,
    timeline: Vec<u64>,
}

impl Silence {
    fn of(service: Within<Endpoint>, listener: &Listener, whole: &Whole<'_>) -> Option<Self> {
        let context = &whole.context;
        let host = Within { at: service.at.address, overlay: service.overlay };
        let limit = context.thresholds.count(&MIN_UNANSWERED);
        let totals = &listener.totals;
        let lone = lone(listener);
        // Nine of ten: a dead service has clients that repeat their SYN, a busy one answers.
        if lone <= limit || lone * 10 < totals.attempts * 9 {
            return None;
        }
        if is_pile_up(listener, listener.totals.with_handshake(HandshakeOutcome::HalfOpen), context)
        {
            return None;
        }
        let ticks = listener.activity.ticks();
        let settings = context.settings.of(service.at.address);
        let held = held(settings);
        let pending = most_within(&ticks, held);
        let fastest = most_within(&ticks, Span::from_secs(1)).count;
        let sources = listener.lone_syn_sources.count();
        // Real clients come back; forged addresses do not, and nothing else is that fast.
        let is_crowd = sources * 2 >= lone || fastest >= FAST;
        let backlog = Backlog::known(settings, context);
        // Whoever sends a SYN again does so after a second: the last ones had no time to.
        let patient = listener.activity.before(whole.end() - PATIENCE);
        let is_certain = silent(&patient) > limit || lone >= 4 * backlog.size;
        if pending.count <= limit || !is_crowd || !is_certain {
            return None;
        }
        let (from, until) = busy(&ticks, listener.activity.resolution());
        // A tick begins before what is in it.
        let from = totals.first_time.map_or(from, |first| from.max(first));
        Some(Self {
            lone,
            attempts: totals.attempts,
            answered: listener.answered,
            sources,
            sources_exact: listener.lone_syn_sources.is_exact(),
            pending,
            held,
            fastest,
            from,
            until,
            backlog,
            is_heard: whole.summary.host(host).is_some(),
            timeline: timeline(&ticks, whole.start(), whole.end()),
        })
    }

    /// Forged addresses: as many sources as SYNs, nearly.
    const fn is_spoofed(&self) -> bool {
        self.sources * 10 >= self.lone * 9
    }

    fn severity(&self, whole: &Whole<'_>) -> Severity {
        let share = whole.context.thresholds.count(&WARNING_SHARE);
        if self.is_heard && self.pending.count >= self.backlog.size {
            Severity::Critical
        } else if self.pending.count * 100 >= self.backlog.size * share {
            Severity::Warning
        } else {
            Severity::Notice
        }
    }

    fn spot(&self, (server, overlay): (Endpoint, Overlay), listener: &Listener) -> Spot {
        Spot {
            variant: VARIANT,
            subject: Subject::Listener(server),
            overlay,
            first: self.from,
            last: self.until,
            count: self.lone,
            frames: listener.totals.earliest.map(|(_, frame)| frame).into_iter().collect(),
        }
    }

    fn draft(&self, server: Endpoint, whole: &Whole<'_>) -> Draft {
        Draft {
            severity: self.severity(whole),
            certainty: if self.is_heard { Certainty::Inferred } else { Certainty::Assumed },
            title: "a flood of SYNs without an answer".to_owned(),
            summary: self.summary(),
            evidence: self.evidence(),
            explanation: self.explanation(),
            advice: self.advice(whole.context.settings.of(server.address)),
            display_filter: filter(server),
            caveat: self.caveat().to_owned(),
        }
    }

    fn summary(&self) -> String {
        let about = if self.sources_exact { "" } else { "about " };
        let answers = match self.answered {
            0 => "no SYN-ACK in the capture".to_owned(),
            answered => format!("{} answered", words::counted(answered, "attempt")),
        };
        let forged = if self.is_spoofed() { ": spoofed" } else { "" };
        format!(
            "{} in {}, up to {} a second, never repeated; {answers}; {about}{}{forged}; a backlog \
             of {}{} would hold up to {} of them at once.",
            words::counted(self.lone, "SYN"),
            words::span(self.until.since(self.from)),
            words::count(self.fastest),
            words::counted(self.sources, "source"),
            words::count(self.backlog.size),
            self.backlog.known.mark(),
            words::count(self.pending.count.min(self.backlog.size)),
        )
    }

    fn evidence(&self) -> Vec<Evidence> {
        vec![
            number("unanswered", self.lone),
            number("attempts", self.attempts),
            number("answered", self.answered),
            number("most_within_held", self.pending.count),
            moment("most_within_held_at", self.pending.at),
            length("held_ns", self.held),
            number("syns_per_second", self.fastest),
            series("syn_timeline", &self.timeline),
            number("sources_with_one_syn", self.sources),
            number("sources_error_permille", self.sources_error()),
            number("backlog", self.backlog.size),
            text("backlog_from", self.backlog.known.name()),
            Evidence { name: "spoofed", value: Value::Flag(self.is_spoofed()) },
            Evidence { name: "host_heard", value: Value::Flag(self.is_heard) },
        ]
    }

    fn sources_error(&self) -> u64 {
        if self.sources_exact { 0 } else { Distinct::ERROR_PERMILLE.into() }
    }

    fn explanation(&self) -> String {
        let who = if self.is_spoofed() {
            "Nearly every source sent one SYN and nothing else, as forged addresses do: blocking \
             them by address is useless."
        } else {
            "They come from few sources for their number: one attacker, a scanner or a load test \
             that can be told by its addresses."
        };
        format!(
            "{} of {} to this listener are a single SYN that was neither answered nor sent again. \
             A client that means it sends its SYN again after a second. {who}",
            words::count(self.lone),
            words::counted(self.attempts, "attempt"),
        )
    }

    const fn caveat(&self) -> &'static str {
        if self.is_heard {
            "Other segments of the host are in the capture, but no answers to these SYNs: its queue \
             may be full, the service down, or something in front of it drops them. If answers to \
             them take another path, they were not captured."
        } else {
            "Nothing that the host sent is in the capture. Either it answers nothing (its queue is \
             full, it is down, or something in front of it drops the SYNs), or the tap sees one \
             direction only; then how full its queue was is not known."
        }
    }

    fn advice(&self, host: &HostSettings) -> Vec<Advice> {
        let mut advice = Vec::new();
        if !self.is_heard {
            advice.push(setting(
                "the tap",
                "check",
                None,
                "Does it see both directions? Capture on the host itself, or mirror both: only the \
                 answers tell how full the queue was.",
            ));
        }
        advice.push(set_cookies(host));
        advice.push(setting(
            "filter upstream, or limit the rate of SYNs",
            "consider",
            None,
            "Forged sources cannot be blocked by address (RFC 2827); a rate limit also hits real \
             clients.",
        ));
        advice
    }
}

/// SYNs that were neither answered nor sent again, at least so many.
fn lone(listener: &Listener) -> u64 {
    let unanswered = listener.totals.with_handshake(HandshakeOutcome::Unanswered);
    unanswered.saturating_sub(listener.totals.attempts_retried)
}

/// For how long a listener holds a half-open handshake: until its last SYN-ACK has gone unanswered.
fn held(host: &HostSettings) -> Span {
    let retries = u32::from(host.synack_retries).min(MAX_RETRIES);
    Span::from_secs((2_i64 << retries) - 1)
}

/// Attempts of which nothing more is known.
const fn silent(attempts: &Attempts) -> u64 {
    let more = attempts.completed + attempts.insisted_in_vain + attempts.half_open;
    attempts.attempts.saturating_sub(more)
}

/// The most silent attempts within any time of this length, and when that ended.
fn most_within(ticks: &[(Time, Attempts)], length: Span) -> Peak {
    let (mut sum, mut most) = (0, Peak::default());
    let mut oldest = ticks.iter().peekable();
    for (at, attempts) in ticks {
        sum += silent(attempts);
        while let Some((_, gone)) = oldest.next_if(|(from, _)| at.since(*from) >= length) {
            sum -= silent(gone);
        }
        if sum > most.count {
            most = Peak { count: sum, at: *at };
        }
    }
    most
}

/// From the first to the last tick with at least a tenth of what the busiest one has.
fn busy(ticks: &[(Time, Attempts)], resolution: Span) -> (Time, Time) {
    let most = ticks.iter().map(|(_, attempts)| silent(attempts)).max().unwrap_or(0);
    let mut busy = ticks.iter().filter(|(_, attempts)| silent(attempts) * 10 >= most);
    let first = busy.next().map_or(Time::MIN, |(at, _)| *at);
    let last = busy.next_back().map_or(first, |(at, _)| *at);
    (first, last + resolution)
}

/// Silent attempts in equal parts of the capture.
fn timeline(ticks: &[(Time, Attempts)], start: Time, end: Time) -> Vec<u64> {
    let length = i128::from(end.since(start).nanos().max(1));
    let mut parts = vec![0; BUCKETS];
    for (at, attempts) in ticks {
        let part = i128::from(at.since(start).nanos().max(0)) * BUCKETS as i128 / length;
        let part = usize::try_from(part).unwrap_or(0).min(BUCKETS - 1);
        if let Some(sum) = parts.get_mut(part) {
            *sum += silent(attempts);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::CODE;
    use super::*;
    use crate::connection::ConnectionRecord;
    use crate::detect::tests::Run;
    use crate::settings::Settings;
    use crate::summary::samples::{graceful, unanswered};

    /// `count` lone SYNs of `sources` addresses, so many milliseconds apart, seen until 100 s.
    fn lone(count: u64, sources: u64, apart: i64) -> Vec<ConnectionRecord> {
        let syn = |n: u64| {
            let mut record = unanswered(1_000 + n, n.cast_signed() * apart, &[], 100_000);
            let source = u32::try_from(n % sources).unwrap();
            record.client.address = std::net::Ipv4Addr::from(0xc612_0000 + source).into();
            record
        };
        (0..count).map(syn).collect()
    }

    fn found(records: Vec<ConnectionRecord>) -> Option<Severity> {
        let mut found = Run::of(records).all(CODE);
        assert!(found.len() <= 1);
        found.pop().map(|finding| finding.severity)
    }

    #[test]
    fn more_than_a_quarter_of_a_backlog_without_an_answer_is_a_warning() {
        assert_eq!(found(lone(256, 256, 10)), None);
        assert_eq!(found(lone(257, 257, 10)), Some(Severity::Warning));
    }

    #[test]
    fn as_many_over_a_longer_time_are_none() {
        assert_eq!(found(lone(300, 300, 300)), None);
    }

    #[test]
    fn where_the_host_is_heard_a_full_backlog_is_critical() {
        let mut records = lone(2_000, 2_000, 5);
        assert_eq!(found(records.clone()), Some(Severity::Warning));
        records.extend((0..5).map(|n| graceful(n, n.cast_signed(), 100_000)));
        assert_eq!(found(records), Some(Severity::Critical));
    }

    #[test]
    fn clients_of_a_dead_service_send_their_syn_again() {
        let mut records = lone(400, 400, 10);
        for record in records.iter_mut().step_by(8) {
            *record = unanswered(record.id, 0, &[1_000, 2_000], 100_000);
        }
        assert_eq!(found(records), None);
    }

    #[test]
    fn one_slow_source_is_none_and_a_fast_one_is() {
        assert_eq!(found(lone(2_000, 1, 20)), None);
        let finding = Run::of(lone(2_000, 1, 1)).only(CODE);
        assert!(finding.explanation.contains("few sources"), "{}", finding.explanation);
    }

    #[test]
    fn what_had_no_time_to_be_repeated_proves_nothing() {
        let late = |count| {
            let mut records = lone(count, count, 1);
            for record in &mut records {
                record.known_until = crate::summary::samples::at(2_500);
            }
            found(records)
        };
        assert_eq!((late(900), late(4_096)), (None, Some(Severity::Warning)));
    }

    #[test]
    fn a_backlog_that_is_known_counts() {
        let mut settings = Settings::default();
        settings.default.somaxconn = Some(4_096);
        let finding = Run::with(settings, lone(300, 300, 10)).only(CODE);
        assert_eq!(finding.severity, Severity::Notice);
    }
}
