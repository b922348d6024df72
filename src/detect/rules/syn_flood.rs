//! Half-open handshakes pile up at a listener, or SYNs that nothing answers.
//!
//! # What it detects
//! Set when all of these are true:
//! * more than `min_half_open` handshakes that were never completed were half-open at one listener at
//!   the same time;
//! * that many attempts in all ended half-open there.
//!
//! It is a warning from `warning_share` of the backlog on, and critical when the backlog is full and
//! less than half of all attempts come through. The backlog is taken from the host's settings where
//! they were handed in, inferred where the occupancy stands still while further SYNs are dropped, and
//! assumed as `assumed_backlog` otherwise.
//!
//! Kind `unanswered`, where the capture holds hardly any answer of the listener. Set when all of these
//! are true:
//! * more than `min_unanswered` SYNs that were neither answered nor sent again came within the time for
//!   which a listener holds a half-open handshake, 63 s with default settings;
//! * they are nine of ten attempts there;
//! * they come from half as many sources at least, or 1,000 of them in one second;
//! * so many of them were watched for 3 s, in which a client would have sent its SYN again; or they are
//!   four times the backlog.
//!
//! It is a warning from `warning_share` of the backlog on, and critical when they would fill it and
//! other segments of the host are in the capture.
//!
//! # Why it matters
//! Each half-open handshake holds a place in the SYN queue for up to 63 s. When the queue is full and
//! SYN cookies are off, SYNs of real clients are dropped, and they wait 1, 3, 7 s and longer.
//!
//! # Evidence
//! Occupancy over time and its peak, how long it stood at the backlog, the rate of SYNs, the number of
//! sources and how many sent one SYN and nothing else (forged addresses do), what share of the clients
//! that repeated their SYN came through before and during, their handshake times, and whether the
//! listener seems to answer with SYN cookies.
//!
//! # Thresholds
//!
//! # What to check
//! * `net.ipv4.tcp_syncookies` = 1: cookies when the queue overflows. Not 2 outside of tests.
//! * `net.ipv4.tcp_synack_retries`: 2 shortens each half-open handshake from 63 s to 7 s. Not where
//!   clients sit behind lossy links.
//! * The backlog: `listen(2)`, `net.core.somaxconn` and, with cookies off, `net.ipv4.tcp_max_syn_backlog`
//!   together. It buys time; it does not end a flood.
//! * Forged sources cannot be blocked by address: filter upstream (RFC 2827), or limit the rate of SYNs.
//!
//! # False positives
//! * A capture that lacks the clients' acknowledgments, because they travel another way.
//! * A fast scan of one port from many addresses.
//! * Kind `unanswered`: a load test against a service that is down, if its clients give up at once.
//!
//! # References
//! RFC 4987; RFC 9293 3.10.7.4; Linux networking/ip-sysctl (`tcp_syncookies`, `tcp_max_syn_backlog`,
//! `tcp_synack_retries`, `somaxconn`).

mod unanswered;

use super::half_open;
use crate::connection::{ConnectionRecord, HandshakeOutcome, State};
use crate::detect::accumulate::Group;
use crate::detect::advice::{
    filter_endpoint, length, loss_caveat, moment, now, number, series, setting, share, text,
};
use crate::detect::rule::{Check, Context, Draft, Hit, Rule, Scope, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Advice, Code, Evidence, Severity};
use crate::settings::HostSettings;
use crate::stamp::{Span, Time};
use crate::summary::{Above, Attempts, Listener, Peak};
use crate::tcp::Endpoint;

const CODE: Code = Code(101);

const MIN_HALF_OPEN: Threshold = Threshold {
    code: CODE,
    name: "min_half_open",
    default: 15,
    unit: Unit::Count,
    meaning: "more half-open handshakes at once than this are a finding",
    source: "chosen here: far above what vanishing clients leave in 63 s, far below any backlog",
};

const WARNING_SHARE: Threshold = Threshold {
    code: CODE,
    name: "warning_share",
    default: 25,
    unit: Unit::Percent,
    meaning: "share of the backlog that is a warning",
    source: "chosen here; Linux itself shortens SYN-ACK retries from half of the queue on",
};

const ASSUMED_BACKLOG: Threshold = Threshold {
    code: CODE,
    name: "assumed_backlog",
    default: 1_024,
    unit: Unit::Count,
    meaning: "backlog of a listener of which nothing better is known",
    source: "tcp_max_syn_backlog is max(128, ehash entries / 128), 128 to 4,096 in practice",
};

const MIN_UNANSWERED: Threshold = Threshold {
    code: CODE,
    name: "min_unanswered",
    default: 256,
    unit: Unit::Count,
    meaning: "more SYNs without an answer than this, within the time a backlog holds them, are a finding",
    source: "chosen here: a quarter of the assumed backlog; far above what a scan sends to one port",
};

/// Unanswered SYNs in one second that no client sends by itself, whatever their sources.
const FAST: u64 = 1_000;
/// By then a client has sent its SYN again (RFC 6298 2: after 1 s; Linux before 3.1: after 3 s).
const PATIENCE: Span = Span::from_secs(3);
/// SYN-ACK retries beyond which waiting for them is capped: 2 minutes.
const MAX_RETRIES: u32 = 6;
/// Buckets of the timeline in the evidence.
const BUCKETS: usize = 40;
/// An occupancy within this share of its peak, in thousandths, stands at it.
const PLATEAU_PERMILLE: u64 = 950;
/// A plateau shorter than this is a spike.
const MIN_PLATEAU: Span = Span::from_secs(3);
/// Fewer dropped SYNs than this prove no full queue.
const MIN_DROPPED: u64 = 5;
/// A SYN-ACK that is not repeated within this time never will be: the first is due after 1 s.
const REPEAT_DUE: Span = Span::from_millis(2_500);
/// The class of a half-open handshake that was not observed for [`REPEAT_DUE`].
const TOO_SHORT: u32 = 30;

/// TCP101.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "syn_flood",
    scope: Scope::Listener,
    variants: &["", unanswered::VARIANT],
    thresholds: &[&MIN_HALF_OPEN, &MIN_UNANSWERED, &WARNING_SHARE, &ASSUMED_BACKLOG],
    source: include_str!("syn_flood.rs"),
    check: Check::Both { judge, describe, totals: unanswered::judge },
};

/// Every half-open handshake, for frames to show; the verdict is about the pile. The class is the
/// number of SYN-ACK retransmissions.
fn judge(record: &ConnectionRecord, _: &Context<'_>) -> Option<Hit> {
    let mut hit = half_open::waited(record)?;
    let repeats = record.handshake.syn_ack_retransmissions;
    let is_short = repeats == 0 && hit.measure < REPEAT_DUE.nanos();
    hit.class = if is_short { TOO_SHORT } else { repeats.min(TOO_SHORT - 1) };
    Some(hit)
}

/// Whether the half-open handshakes of a listener are many enough to be a matter of their own.
pub(super) fn is_pile_up(listener: &Listener, half_open: u64, context: &Context<'_>) -> bool {
    let limit = context.thresholds.count(&MIN_HALF_OPEN);
    half_open > limit && listener.half_open.peak().is_some_and(|peak| peak.count > limit)
}

fn describe(group: &Group, whole: &Whole<'_>) -> Option<Draft> {
    let point = group.key?.1;
    let server = point.server();
    let listener = whole.summary.listener(point.service())?;
    let pile = PileUp::of(group, listener, whole)?;
    let severity = pile.severity(&whole.context);
    Some(Draft {
        severity,
        certainty: group.certainty,
        title: "half-open handshakes pile up".to_owned(),
        summary: pile.summary(),
        evidence: pile.evidence(listener, whole),
        explanation: pile.explanation(),
        advice: pile.advice(whole.context.settings.of(server.address)),
        display_filter: filter(server),
        caveat: loss_caveat(group.lossy, group.count, "acknowledgments may be among them."),
    })
}

fn filter(server: Endpoint) -> String {
    format!("{} && tcp.flags.syn == 1", filter_endpoint(server))
}

fn set_cookies(host: &HostSettings) -> Advice {
    setting(
        "net.ipv4.tcp_syncookies",
        "set",
        Some("1".to_owned()),
        format!(
            "{}1 answers with cookies when the SYN queue overflows, at the price of TCP \
             options for clients without timestamps. Not 2 outside of tests.",
            now(host, host.syncookies)
        ),
    )
}

/// What is known about a pile of half-open handshakes.
struct PileUp {
    half_open: u64,
    peak: Peak,
    backlog: Backlog,
    /// When the occupancy stood at the backlog.
    full: Option<Above>,
    /// Span of the pile: from its first to its last moment at a quarter of the peak.
    from: Time,
    until: Time,
    before: Attempts,
    during: Attempts,
    sources: u64,
    sources_exact: bool,
    lone_sources: u64,
    dropped: u64,
    cookies: bool,
}

/// How many handshakes the listener can hold half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Backlog {
    size: u64,
    known: Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Settings,
    Inferred,
    Assumed,
}

impl PileUp {
    fn of(group: &Group, listener: &Listener, whole: &Whole<'_>) -> Option<Self> {
        let context = &whole.context;
        if !is_pile_up(listener, group.count, context) {
            return None;
        }
        let peak = listener.half_open.peak()?;
        let limit = context.thresholds.count(&MIN_HALF_OPEN);
        let pile = listener.half_open.above((peak.count / 4).max(limit))?;
        let until = if pile.last > pile.first { pile.last } else { whole.end() };
        let dropped = listener.totals.with_handshake(HandshakeOutcome::Unanswered);
        let plateau = plateau(listener, peak, dropped);
        let host = context.settings.of(group.key?.1.server().address);
        let backlog = Backlog::of(host, peak, plateau, context);
        let full = match backlog.known {
            Known::Inferred => plateau,
            _ => listener.half_open.above(backlog.size * PLATEAU_PERMILLE / 1_000),
        };
        Some(Self {
            half_open: group.count,
            peak,
            backlog,
            full,
            from: pile.first,
            until,
            before: listener.activity.before(pile.first),
            during: listener.activity.during(pile.first, until),
            sources: group.clients.count(),
            sources_exact: group.clients.is_exact(),
            lone_sources: listener.lone_syn_sources.count(),
            dropped,
            cookies: is_cookies(group),
        })
    }

    /// Forged addresses: most sources appear once, with one SYN.
    const fn is_spoofed(&self) -> bool {
        self.sources * 2 >= self.half_open && self.lone_sources * 10 >= self.sources * 9
    }

    /// A completion share among all attempts below one half; the flood's own SYNs count.
    const fn is_collapsed(&self) -> bool {
        self.during.attempts > 0 && self.during.completed * 2 < self.during.attempts
    }

    /// Real clients that came through before and do not any more.
    fn is_harmful(&self) -> bool {
        let during = self.during.completed_permille();
        during.is_some_and(|during| during < self.before.completed_permille().unwrap_or(1_000))
            && during < Some(900)
    }

    fn severity(&self, context: &Context<'_>) -> Severity {
        let share = context.thresholds.count(&WARNING_SHARE);
        // With cookies the queue is not what half-open handshakes on the wire occupy.
        if self.cookies && !self.is_harmful() {
            Severity::Notice.max(self.above(share, Severity::Warning))
        } else if self.full.is_some() && self.is_collapsed() {
            Severity::Critical
        } else {
            self.above(share, Severity::Warning)
        }
    }

    const fn above(&self, percent: u64, severity: Severity) -> Severity {
        if self.peak.count * 100 >= self.backlog.size * percent {
            severity
        } else {
            Severity::Notice
        }
    }

    fn summary(&self) -> String {
        let mut parts = vec![format!(
            "{} half-open at once; {} in {}",
            words::counted(self.peak.count, "handshake"),
            words::counted(self.during.attempts, "SYN"),
            words::span(self.until.since(self.from)),
        )];
        match (self.full, self.backlog.known) {
            (Some(full), known) => parts.push(format!(
                "a backlog of {}{} was full for {}",
                words::count(self.backlog.size),
                known.mark(),
                words::span(full.total),
            )),
            (None, Known::Settings) => {
                parts.push(format!("the backlog holds {}", words::count(self.backlog.size)));
            }
            _ => {}
        }
        parts.push(if self.is_spoofed() {
            format!("{} of a single SYN: spoofed", words::counted(self.lone_sources, "source"))
        } else {
            let about = if self.sources_exact { "" } else { "about " };
            format!("{about}{}", words::counted(self.sources, "source"))
        });
        if let Some(harm) = self.harm() {
            parts.push(harm);
        }
        parts.push(
            if self.cookies { "SYN cookies seem to answer" } else { "no SYN cookies seen" }
                .to_owned(),
        );
        let mut text = parts.join("; ");
        text.push('.');
        text
    }

    /// `real clients: completed 99.8 % before, 41 % during; handshake 0.9 ms -> 3.1 s`.
    fn harm(&self) -> Option<String> {
        let during = words::permille(self.during.completed_permille()?);
        let before = self.before.completed_permille().map(words::permille);
        let before = before.map_or_else(String::new, |before| format!("{before} before, "));
        let times = match (self.before.mean_handshake(), self.during.mean_handshake()) {
            (Some(before), Some(during)) => {
                format!(", handshake {} -> {}", words::span(before), words::span(during))
            }
            _ => String::new(),
        };
        Some(format!("real clients completed {before}{during} during{times}"))
    }

    fn evidence(&self, listener: &Listener, whole: &Whole<'_>) -> Vec<Evidence> {
        let all = listener.concurrency.of(State::SynReceived);
        let (start, end) = (whole.start(), whole.end());
        let timeline = all.map_or_else(Vec::new, |all| all.timeline(start, end, BUCKETS));
        let seconds =
            u64::try_from(self.until.since(self.from).nanos() / 1_000_000_000).unwrap_or(0);
        let mut evidence = vec![
            number("peak_half_open", self.peak.count),
            moment("peak_at", self.peak.at),
            series("half_open_timeline", &timeline),
            number("half_open", self.half_open),
            number("backlog", self.backlog.size),
            text("backlog_from", self.backlog.known.name()),
            length("backlog_full_ns", self.full.map_or(Span::ZERO, |full| full.total)),
            number("syns_during", self.during.attempts),
            number("syns_per_second", self.during.attempts / seconds.max(1)),
            number("syns_dropped", self.dropped),
            number("half_open_sources", self.sources),
            number("sources_with_one_syn", self.lone_sources),
            Evidence { name: "spoofed", value: crate::finding::Value::Flag(self.is_spoofed()) },
            Evidence { name: "syn_cookies", value: crate::finding::Value::Flag(self.cookies) },
        ];
        let shares = [
            ("completed_before", self.before.completed_permille()),
            ("completed_during", self.during.completed_permille()),
        ];
        evidence.extend(shares.into_iter().filter_map(|(name, value)| Some(share(name, value?))));
        let times = [
            ("handshake_before_ns", self.before.mean_handshake()),
            ("handshake_during_ns", self.during.mean_handshake()),
        ];
        evidence.extend(times.into_iter().filter_map(|(name, value)| Some(length(name, value?))));
        evidence
    }

    fn explanation(&self) -> String {
        let who = if self.is_spoofed() {
            "Nearly every source sent one SYN and nothing else, as forged addresses do: blocking \
             them by address is useless."
        } else if self.sources * 4 <= self.half_open {
            "They come from few sources: one attacker or scanner, or clients that the SYN-ACK does \
             not reach."
        } else {
            "The sources behave too differently to call them forged."
        };
        let what = if self.cookies {
            "SYN-ACKs are not repeated, as with SYN cookies: then these handshakes hold no place in \
             the queue, and clients get through, though without window scaling and SACK where they \
             offer no timestamps."
        } else {
            "Each of them holds a place in the SYN queue until the SYN-ACK retransmissions are \
             exhausted; when the queue is full, SYNs of real clients are dropped."
        };
        format!(
            "The listener answered SYNs whose senders never completed the handshake; {} of them \
             waited at the same time. {what} {who}",
            words::count(self.peak.count)
        )
    }

    fn advice(&self, host: &HostSettings) -> Vec<Advice> {
        let retries = host.synack_retries;
        let mut advice = Vec::new();
        if !self.cookies {
            advice.push(set_cookies(host));
        }
        advice.push(setting(
            "net.ipv4.tcp_synack_retries",
            "lower",
            Some("2".to_owned()),
            format!(
                "{}Shortens each half-open handshake from 63 s (5 retransmissions) to 7 s. Not \
                 where clients sit behind lossy links.",
                now(host, Some(retries))
            ),
        ));
        advice.push(setting(
            "listen(2) backlog, net.core.somaxconn and net.ipv4.tcp_max_syn_backlog",
            "raise",
            None,
            format!(
                "{}{}Together, since the smallest decides; tcp_max_syn_backlog limits only while \
                 SYN cookies are off. Buys time, does not end a flood.",
                now(host, host.somaxconn.map(|size| format!("somaxconn {size}"))),
                now(host, host.max_syn_backlog.map(|size| format!("tcp_max_syn_backlog {size}"))),
            ),
        ));
        advice
    }
}

impl Backlog {
    fn of(host: &HostSettings, peak: Peak, plateau: Option<Above>, context: &Context<'_>) -> Self {
        if plateau.is_some() {
            return Self { size: peak.count, known: Known::Inferred };
        }
        Self::known(host, context)
    }

    fn known(host: &HostSettings, context: &Context<'_>) -> Self {
        // With cookies off the kernel keeps a quarter of tcp_max_syn_backlog for known peers.
        let without_cookies = host.max_syn_backlog.filter(|_| host.syncookies == Some(0));
        let sizes = [host.somaxconn, without_cookies.map(|size| size / 4 * 3)];
        match sizes.into_iter().flatten().min() {
            Some(size) => Self { size: size.into(), known: Known::Settings },
            None => {
                Self { size: context.thresholds.count(&ASSUMED_BACKLOG), known: Known::Assumed }
            }
        }
    }
}

impl Known {
    const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Inferred => "inferred",
            Self::Assumed => "assumed",
        }
    }

    const fn mark(self) -> &'static str {
        match self {
            Self::Settings => "",
            Self::Inferred => " (inferred: it stood still while SYNs were dropped)",
            Self::Assumed => " (assumed)",
        }
    }
}

/// When the occupancy stood at its peak while SYNs were dropped: the mark of a full queue. A flood
/// at an even rate stands still as well, but then every SYN is answered.
fn plateau(listener: &Listener, peak: Peak, dropped: u64) -> Option<Above> {
    let series = listener.concurrency.of(State::SynReceived)?;
    let above = series.above((peak.count * PLATEAU_PERMILLE).div_ceil(1_000))?;
    (dropped >= MIN_DROPPED && above.total >= MIN_PLATEAU).then_some(above)
}

/// Whether the SYN-ACKs look like cookies: none of those watched long enough was repeated.
fn is_cookies(group: &Group) -> bool {
    let watched = group.classes().iter().filter(|(class, _)| *class < TOO_SHORT);
    let (silent, all) = watched.fold((0, 0), |(silent, all), (class, count)| {
        (silent + if *class == 0 { *count } else { 0 }, all + count)
    });
    all >= 10 && silent * 10 >= all * 9
}

#[cfg(test)]
#[path = "syn_flood/tests.rs"]
mod tests;
