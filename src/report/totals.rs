//! The objects `summary`, `listeners[]` and `hosts[]`: totals, peaks and timelines.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::value::{Named, OverlayDoc, Peer, PerSide, Stamp, nanos};
use crate::compat::zeek::ConnState;
use crate::connection::{CloseOutcome, HandshakeOutcome, State};
use crate::stamp::Time;
use crate::summary::{
    Concurrency, Distinct, Durations, Host, Listener, Often, Peak, StateCounts, StateSeries,
    Summary, Totals,
};
use crate::tcp::{Endpoint, Sides, Within};

/// Buckets of every timeline in a report.
const BUCKETS: usize = 60;

/// The time that all timelines of a report cover.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    from: Time,
    until: Time,
}

impl Window {
    /// From the first frame to the last moment of which the capture tells.
    pub(super) fn of(summary: &Summary) -> Self {
        let totals = &summary.totals;
        let from = totals.first_time.unwrap_or_default();
        Self { from, until: totals.known_until.unwrap_or(from).max(from) }
    }
}

/// Totals of the whole capture.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Summary")]
pub(super) struct SummaryDoc {
    /// Time of the earliest frame of a connection.
    first_time: Option<Stamp>,
    /// Time of the latest frame of a connection.
    last_time: Option<Stamp>,
    /// The time that every timeline of this report covers.
    timelines: TimelineDoc,
    /// Counts over all connections.
    #[serde(flatten)]
    totals: TotalsDoc,
}

/// The time that every timeline of this report covers.
#[derive(Debug, Serialize, JsonSchema)]
struct TimelineDoc {
    /// Start of the first bucket.
    from: Stamp,
    /// End of the last bucket.
    until: Stamp,
    /// How many equal buckets; each holds the highest value of its time.
    buckets: usize,
}

impl SummaryDoc {
    pub(super) fn of(summary: &Summary, window: Window) -> Self {
        let totals = &summary.totals;
        Self {
            first_time: totals.first_time.map(Stamp),
            last_time: totals.last_time.map(Stamp),
            timelines: TimelineDoc {
                from: Stamp(window.from),
                until: Stamp(window.until),
                buckets: BUCKETS,
            },
            totals: totals.into(),
        }
    }
}

/// Counts over connections.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Totals")]
struct TotalsDoc {
    /// Connections.
    connections: u64,
    /// Connections whose SYN was captured.
    attempts: u64,
    /// Of these, how many became connections.
    completed: u64,
    /// Connections by outcome of the handshake.
    handshake: Named<u64>,
    /// Connections by outcome of the close.
    close: Named<u64>,
    /// Connections by Zeek's `conn_state`.
    zeek: Named<u64>,
    /// Final state of each side; `unknown` where nothing is known of it.
    final_states: PerSide<Named<u64>>,
    /// Attempts whose SYN was sent more than once.
    attempts_retried: u64,
    /// SYNs after the first one.
    syn_retransmissions: u64,
    /// SYN-ACKs after the first one.
    syn_ack_retransmissions: u64,
    /// From the first SYN to the acknowledgment of the SYN-ACK.
    handshake_ns: DurationsDoc,
    /// Segments.
    segments: PerSide<u64>,
    /// Bytes of IP packets.
    ip_bytes: PerSide<u64>,
    /// Payload bytes, repeated ones counted each time.
    payload_bytes: PerSide<u64>,
    /// Payload bytes of the streams that were seen at least once.
    unique_bytes: PerSide<u64>,
    /// Segments with payload seen before.
    retransmitted_segments: PerSide<u64>,
    /// Payload bytes seen before.
    retransmitted_bytes: PerSide<u64>,
    /// Payload bytes that were proved to exist and that no captured segment carried.
    missing_bytes: PerSide<u64>,
    /// Segments that advertised a window of zero.
    zero_windows: PerSide<u64>,
    /// Segments with a wrong TCP checksum.
    bad_checksums: PerSide<u64>,
}

impl From<&Totals> for TotalsDoc {
    fn from(totals: &Totals) -> Self {
        let sides = |counts: &Sides<u64>| PerSide::of(counts, |count| *count);
        let handshake = HandshakeOutcome::ALL.iter();
        let close = CloseOutcome::ALL.iter();
        let zeek = ConnState::ALL.iter();
        Self {
            connections: totals.connections,
            attempts: totals.attempts,
            completed: totals.completed,
            handshake: Named(handshake.map(|of| (of.name(), totals.with_handshake(*of))).collect()),
            close: Named(close.map(|of| (of.name(), totals.with_close(*of))).collect()),
            zeek: Named(zeek.map(|of| (of.name(), totals.with_zeek_state(*of))).collect()),
            final_states: PerSide::of(&totals.final_states, final_states),
            attempts_retried: totals.attempts_retried,
            syn_retransmissions: totals.syn_retransmissions,
            syn_ack_retransmissions: totals.syn_ack_retransmissions,
            handshake_ns: (&totals.handshake).into(),
            segments: sides(&totals.segments),
            ip_bytes: sides(&totals.ip_bytes),
            payload_bytes: sides(&totals.payload_bytes),
            unique_bytes: sides(&totals.unique_bytes),
            retransmitted_segments: sides(&totals.retransmitted_segments),
            retransmitted_bytes: sides(&totals.retransmitted_bytes),
            missing_bytes: sides(&totals.missing_bytes),
            zero_windows: sides(&totals.zero_windows),
            bad_checksums: sides(&totals.bad_checksums),
        }
    }
}

fn final_states(counts: &StateCounts) -> Named<u64> {
    let mut named: Vec<_> =
        State::ALL.iter().map(|state| (state.name(), counts.of(*state))).collect();
    named.push(("unknown", counts.unknown()));
    Named(named)
}

/// Some lengths of time.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Durations")]
struct DurationsDoc {
    /// How many.
    count: u64,
    /// The shortest, in ns.
    min: Option<i64>,
    /// Their mean, in ns.
    mean: Option<i64>,
    /// The longest, in ns.
    max: Option<i64>,
}

impl From<&Durations> for DurationsDoc {
    fn from(durations: &Durations) -> Self {
        Self {
            count: durations.count,
            min: durations.min.map(nanos),
            mean: durations.mean().map(nanos),
            max: durations.max.map(nanos),
        }
    }
}

/// What happened at one service.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Listener")]
pub(super) struct ListenerDoc {
    /// Its address and port.
    #[serde(flatten)]
    endpoint: Peer,
    /// The tunnels that make the network of this address, outermost first.
    tunnel: Vec<OverlayDoc>,
    /// Counts over its connections.
    totals: TotalsDoc,
    /// Connections in which it sent a SYN-ACK.
    answered: u64,
    /// SYN-ACKs sent after the client's acknowledgment had passed the tap.
    syn_acks_after_ack: u64,
    /// Different addresses that sent a SYN.
    sources: DistinctDoc,
    /// Of these, those that sent a single SYN and nothing else.
    lone_syn_sources: DistinctDoc,
    /// The addresses that made the most attempts, at most five, each with one in a hundred of them for
    /// certain. By a sketch of 64 counters (Misra and Gries), whose counts are too low by one in 65 of
    /// all attempts at most.
    top_sources: Vec<SourceDoc>,
    /// Handshakes that were never completed, over time.
    half_open: Option<SeriesDoc>,
    /// Its sockets by state, over time; only states that occurred.
    states: Named<SeriesDoc>,
}

impl ListenerDoc {
    pub(super) fn of(
        (endpoint, listener): (Within<Endpoint>, &Listener),
        summary: &Summary,
        window: Window,
    ) -> Self {
        let half_open = Some(&listener.half_open).filter(|series| !series.is_empty());
        Self {
            endpoint: endpoint.at.into(),
            tunnel: OverlayDoc::all(&summary.overlay(endpoint.overlay)),
            totals: (&*listener.totals).into(),
            answered: listener.answered,
            syn_acks_after_ack: listener.syn_acks_after_ack,
            sources: (&listener.sources()).into(),
            lone_syn_sources: (&listener.lone_syn_sources).into(),
            top_sources: top_sources(listener),
            half_open: half_open.map(|series| SeriesDoc::of(series, window)),
            states: by_state(&listener.concurrency, &Listener::STATES, window),
        }
    }
}

/// An address that made many attempts at a listener.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Source")]
struct SourceDoc {
    /// The address.
    #[schemars(with = "String")]
    address: IpAddr,
    /// It made at least so many attempts.
    attempts_at_least: u64,
    /// It made at most so many attempts.
    attempts_at_most: u64,
}

/// Sources that are listed of one listener at most.
const MAX_SOURCES: usize = 5;

fn top_sources(listener: &Listener) -> Vec<SourceDoc> {
    let most = listener.frequent.most(MAX_SOURCES).into_iter();
    let heavy = most.filter(|often| often.at_least.saturating_mul(100) >= listener.totals.attempts);
    heavy
        .map(|Often { address, at_least, at_most }| SourceDoc {
            address,
            attempts_at_least: at_least,
            attempts_at_most: at_most,
        })
        .collect()
}

/// What one address did.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Host")]
pub(super) struct HostDoc {
    /// The address.
    #[schemars(with = "String")]
    address: IpAddr,
    /// The tunnels that make the network of this address, outermost first.
    tunnel: Vec<OverlayDoc>,
    /// Its connections, in either role.
    connections: u64,
    /// Counts over the connections in which it was the client.
    as_client: Option<TotalsDoc>,
    /// Counts over the connections in which it was the server.
    as_server: Option<TotalsDoc>,
    /// Its sockets by state, over time; only states that occurred.
    states: Named<SeriesDoc>,
}

impl HostDoc {
    pub(super) fn of(
        (address, host): (Within<IpAddr>, &Host),
        summary: &Summary,
        window: Window,
    ) -> Self {
        let role = |totals: &Option<Box<Totals>>| totals.as_deref().map(TotalsDoc::from);
        Self {
            address: address.at,
            tunnel: OverlayDoc::all(&summary.overlay(address.overlay)),
            connections: host.connections(),
            as_client: role(&host.as_role.client),
            as_server: role(&host.as_role.server),
            states: by_state(&host.concurrency, &Host::STATES, window),
        }
    }
}

fn by_state(series: &StateSeries, states: &[State], window: Window) -> Named<SeriesDoc> {
    let named = states.iter().filter_map(|state| {
        let series = series.of(*state).filter(|series| !series.is_empty())?;
        Some((state.name(), SeriesDoc::of(series, window)))
    });
    Named(named.collect())
}

/// How many at the same time.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Concurrency")]
struct SeriesDoc {
    /// The highest value, and when it was first reached.
    peak: Option<PeakDoc>,
    /// How many were left at the end of the capture.
    at_end: u64,
    /// Values are exact at moments this far apart; shorter spikes may be missing.
    resolution_ns: i64,
    /// The highest value in each bucket of `summary.timelines`.
    timeline: Vec<u64>,
}

/// The highest value of a series.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Peak")]
struct PeakDoc {
    /// How many at once.
    count: u64,
    /// When it was first reached.
    at: Stamp,
}

impl SeriesDoc {
    fn of(series: &Concurrency, window: Window) -> Self {
        Self {
            peak: series.peak().map(|Peak { count, at }| PeakDoc { count, at: Stamp(at) }),
            at_end: series.at_end(),
            resolution_ns: nanos(series.resolution()),
            timeline: series.timeline(window.from, window.until, BUCKETS),
        }
    }
}

/// A number of different values.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Distinct")]
struct DistinctDoc {
    /// How many.
    count: u64,
    /// Whether the count is exact rather than estimated.
    exact: bool,
}

impl From<&Distinct> for DistinctDoc {
    fn from(distinct: &Distinct) -> Self {
        Self { count: distinct.count(), exact: distinct.is_exact() }
    }
}
