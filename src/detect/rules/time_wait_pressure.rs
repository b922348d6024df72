//! Sockets in TIME-WAIT come near a limit: the host's, or a client's ephemeral ports.
//!
//! # What it detects
//! Set when one of these is true:
//! * `host`: the sockets of a host that were in TIME-WAIT at the same time reached `bucket_share` of
//!   `tcp_max_tw_buckets` (of `assumed_buckets` while the host's setting is unknown);
//! * `pair`: the ports that one client address held towards one service at the same time, those in
//!   TIME-WAIT included, reached `port_share` of its ephemeral ports;
//! * `pair`: the rate of new connections would use up all ephemeral ports within one TIME-WAIT, and at
//!   least `min_forecast` are held: the capture ends before they run out.
//!
//! # Why it matters
//! Beyond `tcp_max_tw_buckets` Linux destroys TIME-WAIT sockets at once, and old segments may disturb
//! new connections. A client without free ports fails to connect: `connect` returns EADDRNOTAVAIL.
//! 28,232 ports and 60 s allow 470 new connections a second to one address and port.
//!
//! # Evidence
//! The peak and its time, the limit and where it is known from, the rate of new connections, and the
//! forecast.
//!
//! # Thresholds
//!
//! # What to check
//! * Reuse connections: keep-alive and pools end the need for ports. This is the cure.
//! * `net.ipv4.ip_local_port_range` on the client: 1024 to 65535 more than doubles the ports. Mind the
//!   ports of its own services.
//! * `net.ipv4.tcp_tw_reuse` = 1 on the client: outgoing connections only, needs timestamps on both
//!   sides, takes over sockets at least 1 s old.
//! * `net.ipv4.tcp_max_tw_buckets`: raise it; memory is about 250 bytes each.
//! * `net.ipv4.tcp_fin_timeout` does not change TIME-WAIT; `tcp_tw_recycle` broke clients behind NAT and
//!   is gone since Linux 4.12.
//!
//! # False positives
//! * Several hosts behind one address (NAT) share its ports, but not a host's limit.
//!
//! # References
//! RFC 9293 3.6.1; RFC 6056 3.2; Linux networking/ip-sysctl (`tcp_max_tw_buckets`,
//! `ip_local_port_range`, `tcp_tw_reuse`).

use std::net::IpAddr;

use crate::certainty::Certainty;
use crate::connection::State;
use crate::detect::advice::{
    filter_address, filter_to, length, moment, now, number, series, setting, text,
};
use crate::detect::rule::{Check, Draft, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Advice, Code, Evidence, Severity, Subject};
use crate::settings::HostSettings;
use crate::stamp::Span;
use crate::summary::{Concurrency, Host, OneHand, Pair, PairKey, Peak};
use crate::tcp::{Side, Within};

const CODE: Code = Code(307);

const BUCKET_SHARE: Threshold = Threshold {
    code: CODE,
    name: "bucket_share",
    default: 80,
    unit: Unit::Percent,
    meaning: "share of tcp_max_tw_buckets that is a finding",
    source: "chosen here: time is left to act",
};

const ASSUMED_BUCKETS: Threshold = Threshold {
    code: CODE,
    name: "assumed_buckets",
    default: 65_536,
    unit: Unit::Count,
    meaning: "tcp_max_tw_buckets of a host whose settings are unknown",
    source: "Linux takes half of the entries of its connection table: 65,536 with about 16 GB",
};

const PORT_SHARE: Threshold = Threshold {
    code: CODE,
    name: "port_share",
    default: 70,
    unit: Unit::Percent,
    meaning: "share of the ephemeral ports that is a notice; a warning from 85 %, critical from 98 % on",
    source: "RFC 6056 3.2: choosing a free port takes longer as the range fills",
};

const MIN_FORECAST: Threshold = Threshold {
    code: CODE,
    name: "min_forecast",
    default: 1_000,
    unit: Unit::Count,
    meaning: "ports that must be held before exhaustion is forecast",
    source: "chosen here: a shorter burst shows no trend",
};

/// Buckets of the timeline in the evidence.
const BUCKETS: usize = 40;

/// TCP307.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "time_wait_pressure",
    scope: Scope::Host,
    variants: &["host", "pair"],
    thresholds: &[&BUCKET_SHARE, &ASSUMED_BUCKETS, &PORT_SHARE, &MIN_FORECAST],
    source: include_str!("time_wait_pressure.rs"),
    check: Check::Totals(judge),
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    // Nobody has more sockets in a state, or ports, than connections.
    let may_be_many = |key: &Within<IpAddr>, connections| {
        let (limit, _) = bucket_limit(key.at, whole);
        is_many(connections, limit, whole)
    };
    let hosts = whole.summary.hosts_if(may_be_many, &OneHand);
    let hosts = hosts.into_iter().filter_map(|(address, host)| judge_host(address, host, whole));
    let thresholds = whole.context.thresholds;
    let (share, forecast) = (thresholds.count(&PORT_SHARE), thresholds.count(&MIN_FORECAST));
    let pairs = whole.summary.pairs_if(|key, connections| {
        let ports = ephemeral_ports(whole.context.settings.of(key.at.client));
        connections * 100 / ports >= share || connections >= forecast
    });
    let pairs = pairs.into_iter().filter_map(|(key, pair)| judge_pair(key, pair, whole));
    hosts.chain(pairs).collect()
}

fn judge_host(key: Within<IpAddr>, host: &Host, whole: &Whole<'_>) -> Option<(Spot, Draft)> {
    let address = key.at;
    let sockets = host.concurrency.of(State::TimeWait)?;
    let peak = sockets.peak()?;
    let settings = whole.context.settings.of(address);
    let (limit, known) = bucket_limit(address, whole);
    let share = whole.context.thresholds.count(&BUCKET_SHARE);
    if !is_many(peak.count, limit, whole) {
        return None;
    }
    let severity = match known {
        Some(_) if peak.count >= limit => Severity::Critical,
        Some(_) => Severity::Warning,
        None => Severity::Notice,
    };
    let assumed = if known.is_some() { "" } else { " (assumed)" };
    let frames = Side::BOTH.iter().filter_map(|side| host.as_role.of(*side).as_ref()?.earliest);
    let spot = Spot {
        variant: "host",
        subject: Subject::Host(address),
        overlay: whole.summary.overlay(key.overlay),
        first: sockets.above(limit * share / 100).map_or(peak.at, |above| above.first),
        last: sockets.above(limit * share / 100).map_or(peak.at, |above| above.last),
        count: peak.count,
        frames: frames.min().map(|(_, frame)| frame).into_iter().collect(),
    };
    let limit_text = words::count(limit);
    let draft = Draft {
        severity,
        certainty: Certainty::Inferred,
        title: "TIME-WAIT sockets near the host's limit".to_owned(),
        summary: format!(
            "{} in TIME-WAIT at once, of {limit_text}{assumed} that tcp_max_tw_buckets allows.",
            words::counted(peak.count, "socket"),
        ),
        evidence: evidence(sockets, peak, limit, known.is_some(), whole),
        explanation: format!(
            "The host closed first in so many connections that {} of its sockets were in TIME-WAIT \
             at the same time. Beyond tcp_max_tw_buckets Linux destroys them at once.",
            words::count(peak.count)
        ),
        advice: vec![
            setting(
                "net.ipv4.tcp_max_tw_buckets",
                "raise",
                None,
                format!(
                    "{}About 250 bytes of kernel memory each. Nothing shortens TIME-WAIT: \
                     tcp_fin_timeout is about FIN-WAIT-2 of orphans.",
                    now(settings, known)
                ),
            ),
            reuse_connections(),
        ],
        display_filter: format!(
            "{} && (tcp.flags.syn == 1 || tcp.flags.fin == 1)",
            filter_address(address)
        ),
        caveat: if known.is_some() {
            String::new()
        } else {
            "The host's tcp_max_tw_buckets is unknown; hand in its settings with --sysctl."
                .to_owned()
        },
    };
    Some((spot, draft))
}

/// How many sockets of the host may be in TIME-WAIT: as assumed, or as its settings say.
fn bucket_limit(address: IpAddr, whole: &Whole<'_>) -> (u64, Option<u32>) {
    let known = whole.context.settings.of(address).max_tw_buckets;
    let assumed = || whole.context.thresholds.count(&ASSUMED_BUCKETS);
    (known.map_or_else(assumed, u64::from), known)
}

/// Whether so many sockets in TIME-WAIT, of as many as `limit` says, are a finding.
fn is_many(count: u64, limit: u64, whole: &Whole<'_>) -> bool {
    count * 100 >= limit * whole.context.thresholds.count(&BUCKET_SHARE)
}

fn ephemeral_ports(host: &HostSettings) -> u64 {
    let (low, high) = host.local_port_range;
    u64::from(high.saturating_sub(low)) + 1
}

/// When the ephemeral ports of a pair run out, if nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Forecast {
    /// New connections a second, in thousandths.
    rate_milli: u64,
    /// From the end of the capture on.
    runs_out_in: Option<Span>,
}

fn judge_pair(
    Within { at: key, overlay }: Within<PairKey>,
    pair: &Pair,
    whole: &Whole<'_>,
) -> Option<(Spot, Draft)> {
    let peak = pair.ports_held.peak()?;
    let thresholds = whole.context.thresholds;
    let client = whole.context.settings.of(key.client);
    let ports = ephemeral_ports(client);
    let forecast = forecast(pair, ports, client, whole);
    let warns = peak.count >= thresholds.count(&MIN_FORECAST) && forecast.runs_out_in.is_some();
    let percent = peak.count * 100 / ports;
    if percent < thresholds.count(&PORT_SHARE) && !warns {
        return None;
    }
    let severity = match percent {
        98.. => Severity::Critical,
        85.. => Severity::Warning,
        _ if warns => Severity::Warning,
        _ => Severity::Notice,
    };
    let points = pair.ports_held.points();
    let spot = Spot {
        variant: "pair",
        subject: Subject::Pair { client: key.client, server: key.server },
        overlay: whole.summary.overlay(overlay),
        first: points.first().map_or(peak.at, |(at, _)| *at),
        last: points.last().map_or(peak.at, |(at, _)| *at).min(whole.end()),
        count: peak.count,
        frames: pair.earliest.map(|(_, frame)| frame).into_iter().collect(),
    };
    let time_wait = pair.time_wait.client.peak().map_or(0, |peak| peak.count);
    let runs_out = match forecast.runs_out_in {
        _ if peak.count >= ports => "; none was left".to_owned(),
        Some(span) => {
            format!("; at this rate they run out {} after the capture's end", words::span(span))
        }
        None => String::new(),
    };
    let rate = words::count(forecast.rate_milli / 1_000);
    let mut evidence = evidence(&pair.ports_held, peak, ports, client.from_host, whole);
    evidence.push(number("time_wait_of_client", time_wait));
    evidence.push(number("connections", pair.connections));
    evidence.push(number("connections_per_second", forecast.rate_milli / 1_000));
    evidence.extend(forecast.runs_out_in.map(|span| length("runs_out_in_ns", span)));
    let draft = Draft {
        severity,
        certainty: Certainty::Inferred,
        title: "ephemeral ports run short".to_owned(),
        summary: format!(
            "{} of {} ephemeral ports held at once, {} of them in TIME-WAIT; {rate} new connections \
             a second{runs_out}.",
            words::count(peak.count),
            words::count(ports),
            words::count(time_wait),
        ),
        evidence,
        explanation: format!(
            "While a connection to {} exists, in TIME-WAIT too, its local port cannot be used for \
             another one to the same address and port. When all {} are taken, connect(2) fails with \
             EADDRNOTAVAIL.",
            key.server,
            words::count(ports)
        ),
        advice: pair_advice(client),
        display_filter: format!(
            "{} && {} && tcp.flags.syn == 1",
            filter_address(key.client),
            filter_to(key.server)
        ),
        caveat: String::new(),
    };
    Some((spot, draft))
}

/// Each new connection holds its port for the rest of the capture's mean and one TIME-WAIT; ports run
/// out when more than all of them are opened in that time. Looks at the pair's own span of activity.
fn forecast(pair: &Pair, ports: u64, client: &HostSettings, whole: &Whole<'_>) -> Forecast {
    let points = pair.ports_held.points();
    let Some((first, _)) = points.first().copied() else {
        return Forecast { rate_milli: 0, runs_out_in: None };
    };
    let millis = u64::try_from(whole.end().since(first).nanos() / 1_000_000).unwrap_or(0).max(1);
    let rate_milli = pair.connections.saturating_mul(1_000_000) / millis;
    let time_wait = u64::try_from(client.time_wait.nanos() / 1_000_000_000).unwrap_or(0);
    let time_waits = pair.time_wait.client.peak().map_or(0, |peak| peak.count);
    let held = pair.ports_held.at_end();
    // Once the capture is longer than a TIME-WAIT, what is held no longer grows with the rate.
    let still_fills = millis < time_wait * 1_000;
    let steady = rate_milli.saturating_mul(time_wait) / 1_000;
    let closes_first = time_waits * 2 >= pair.connections;
    let runs_out = still_fills && closes_first && steady >= ports && (1..ports).contains(&held);
    let nanos = (ports.saturating_sub(held)).saturating_mul(1_000_000_000_000) / rate_milli.max(1);
    let runs_out_in = Span::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
    Forecast { rate_milli, runs_out_in: runs_out.then_some(runs_out_in) }
}

fn evidence(
    sockets: &Concurrency,
    peak: Peak,
    limit: u64,
    is_known: bool,
    whole: &Whole<'_>,
) -> Vec<Evidence> {
    vec![
        number("peak", peak.count),
        moment("peak_at", peak.at),
        number("limit", limit),
        text("limit_from", if is_known { "settings" } else { "assumed" }),
        length("resolution_ns", sockets.resolution()),
        series("timeline", &sockets.timeline(whole.start(), whole.end(), BUCKETS)),
    ]
}

fn reuse_connections() -> Advice {
    setting(
        "connection reuse (keep-alive, pools)",
        "enable",
        None,
        "Fewer connections need fewer ports and leave less TIME-WAIT; the only real cure.",
    )
}

fn pair_advice(client: &HostSettings) -> Vec<Advice> {
    let (low, high) = client.local_port_range;
    vec![
        reuse_connections(),
        setting(
            "net.ipv4.ip_local_port_range",
            "raise",
            Some("1024 65535".to_owned()),
            format!(
                "{}On the client; reserve the ports of its own services with \
                 net.ipv4.ip_local_reserved_ports. A second address on either side helps as well.",
                now(client, Some(format!("{low} {high}")))
            ),
        ),
        setting(
            "net.ipv4.tcp_tw_reuse",
            "set",
            Some("1".to_owned()),
            format!(
                "{}On the client: outgoing connections only, needs TCP timestamps on both sides. \
                 Never look for tcp_tw_recycle, which is gone; tcp_fin_timeout does not help.",
                now(client, client.tw_reuse)
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionRecord;
    use crate::detect::tests::Run;
    use crate::settings::Settings;
    use crate::summary::samples::graceful;

    /// `count` connections of one pair, all closed by the client within 30 s of each other, in a
    /// capture that ends at `until`.
    fn burst(count: u64, until: i64) -> Vec<ConnectionRecord> {
        (0..count).map(|n| graceful(n, (n * 30_000 / count).cast_signed(), until)).collect()
    }

    fn ports(count: u16) -> Settings {
        let mut settings = Settings::default();
        settings.default.local_port_range = (32_768, 32_768 + count - 1);
        settings.default.from_host = true;
        settings
    }

    #[test]
    fn seventy_percent_of_the_ports_are_a_notice_and_one_less_is_none() {
        let run = |count| Run::with(ports(200), burst(count, 300_000));
        assert!(run(139).none(CODE));
        let finding = run(140).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("pair", Severity::Notice));
        assert!(finding.advice[1].side_effects.contains("Now 32768 32967"), "{:?}", finding.advice);
    }

    #[test]
    fn a_nearly_full_range_is_critical() {
        let severity = |count| Run::with(ports(200), burst(count, 300_000)).only(CODE).severity;
        assert_eq!(
            [severity(169), severity(170), severity(196)],
            [Severity::Notice, Severity::Warning, Severity::Critical]
        );
    }

    #[test]
    fn a_rate_that_uses_up_all_ports_is_forecast() {
        let run = Run::with(ports(4_000), burst(2_000 - 1, 30_000));
        assert!(run.none(CODE));
        let finding = Run::with(ports(4_000 - 10), burst(1_995, 30_000)).only(CODE);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.summary.contains("run out 30 s after"), "{}", finding.summary);
    }

    #[test]
    fn where_no_port_was_left_nothing_is_forecast() {
        let finding = Run::with(ports(2_000), burst(2_000, 30_000)).only(CODE);
        assert!(finding.summary.ends_with("a second; none was left."), "{}", finding.summary);
        assert!(!finding.evidence.iter().any(|evidence| evidence.name == "runs_out_in_ns"));
    }

    #[test]
    fn the_hosts_limit_counts_where_it_is_known() {
        let mut settings = Settings::default();
        settings.default.max_tw_buckets = Some(100);
        let run = |count| Run::with(settings.clone(), burst(count, 300_000));
        assert!(run(79).none(CODE));
        assert_eq!(run(80).only(CODE).severity, Severity::Warning);
        assert_eq!(run(100).only(CODE).severity, Severity::Critical);
    }

    #[test]
    fn the_same_connections_spread_over_time_are_quiet() {
        let records = (0..100).map(|n| graceful(n, n.cast_signed() * 70_000, 9_000_000));
        assert!(Run::with(ports(100), records).none(CODE));
    }
}
