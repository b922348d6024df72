//! The connection object: an element of `connections[]`, an NDJSON line, a row of a table.
//!
//! Fields are only ever added within a major version of the schema. Knows nothing of the file it is
//! written to.

mod closing;
mod opening;
mod repair;
mod traffic;
mod zeek;

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use self::closing::CloseDoc;
use self::opening::{HandshakeDoc, IcmpErrorsDoc, OptionsDoc};
use self::traffic::TrafficDoc;
use self::zeek::ZeekDoc;
use super::community_id::community_id;
use super::usual::Part;
use super::value::{Frame, Moment, Peer, PerSide, Stamp, nanos};
use crate::analysis::JudgedConnection;
use crate::certainty::Certainty;
use crate::connection::{
    Close, ConnectionRecord, Entry, Handshake, IcmpErrors, Idle, OfferedOptions, Traffic,
};
use crate::tcp::TunnelLayer;

/// One TCP connection: how it was opened, lived and closed, as both endpoints saw it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub(super) struct ConnectionDoc<'a> {
    /// Unique within the report; ascends in the order in which the connections began.
    id: u64,
    /// Community ID v1 (seed 0) of the addresses and ports.
    community_id: String,
    /// Sender of the first SYN.
    client: Peer,
    /// Its peer.
    server: Peer,
    /// Whether the roles were seen, or assumed for want of a SYN.
    role_certainty: Certainty,
    /// Encapsulation around the connection, outermost first.
    tunnel: Vec<Tunnel>,
    /// Encapsulation of the direction that was seen second, where that is another one: an empty list
    /// if it travels in no tunnel.
    other_tunnel: Option<Vec<Tunnel>>,
    /// Time of the first frame.
    first_time: Stamp,
    /// Time of the last frame.
    last_time: Stamp,
    /// First frame.
    first_frame: Frame,
    /// Last frame.
    last_frame: Frame,
    /// The capture clock up to which the connection was followed.
    known_until: Stamp,
    /// How it was opened.
    handshake: Part<'a, HandshakeDoc, Handshake>,
    /// How it was closed.
    close: Part<'a, CloseDoc, Close>,
    /// The RFC 9293 states of both endpoints over time; the last one is the state at the end.
    #[schemars(with = "PerSide<Vec<StateDoc<'static>>>")]
    states: PerSide<Timeline<'a>>,
    /// State entries that were left out because a timeline was full.
    states_dropped: u32,
    /// What each endpoint sent.
    traffic: PerSide<Part<'a, TrafficDoc<'static>, Traffic>>,
    /// The longest time in which neither side sent anything.
    longest_idle: Option<IdleDoc>,
    /// What each endpoint offered in its SYN or SYN-ACK.
    options: PerSide<Part<'a, OptionsDoc, OfferedOptions>>,
    /// ICMP errors that quoted segments of the connection.
    icmp_errors: Part<'a, IcmpErrorsDoc, IcmpErrors>,
    /// What Wireshark says of it.
    wireshark: WiresharkDoc,
    /// What Zeek would have logged of it.
    zeek: ZeekDoc<'a>,
    /// Codes of the detectors that fired on this connection.
    findings: Vec<String>,
}

impl<'a> From<&'a JudgedConnection> for ConnectionDoc<'a> {
    fn from(judged: &'a JudgedConnection) -> Self {
        let JudgedConnection { record, findings } = judged;
        let ConnectionRecord { handshake, close, states, traffic, options, .. } = record;
        Self {
            id: record.id,
            community_id: community_id(record.client, record.server),
            client: record.client.into(),
            server: record.server.into(),
            role_certainty: record.role_certainty,
            tunnel: record.tunnel.iter().map(Tunnel::from).collect(),
            other_tunnel: record
                .other_tunnel
                .as_ref()
                .map(|tunnel| tunnel.iter().map(Tunnel::from).collect()),
            first_time: Stamp(record.first_time),
            last_time: Stamp(record.last_time),
            first_frame: record.first_frame.into(),
            last_frame: record.last_frame.into(),
            known_until: Stamp(record.known_until),
            handshake: handshake.into(),
            close: close.into(),
            states: PerSide::of(states, |entries| Timeline(entries)),
            states_dropped: record.states_dropped,
            traffic: PerSide::of(traffic, Part::from),
            longest_idle: record.longest_idle.map(IdleDoc::from),
            options: PerSide::of(options, Part::from),
            icmp_errors: (&record.icmp).into(),
            wireshark: WiresharkDoc { completeness: record.completeness.bits() },
            zeek: record.into(),
            findings: findings.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What Wireshark says of a connection.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Wireshark")]
struct WiresharkDoc {
    /// `tcp.completeness`: the sum of 1 SYN, 2 SYN-ACK, 4 ACK, 8 data, 16 FIN, 32 RST.
    completeness: u8,
}

/// One layer of encapsulation.
#[derive(Debug, Serialize, JsonSchema)]
struct Tunnel {
    /// The protocol, such as `vxlan`, `gre` or `ipip`.
    kind: &'static str,
    /// The lower of the two outer addresses.
    #[schemars(with = "String")]
    low: IpAddr,
    /// The higher of the two outer addresses.
    #[schemars(with = "String")]
    high: IpAddr,
    /// VNI, key, TEID or session, where the protocol has one that both directions share.
    id: Option<u64>,
}

impl From<&TunnelLayer> for Tunnel {
    fn from(layer: &TunnelLayer) -> Self {
        Self { kind: layer.kind, low: layer.low, high: layer.high, id: layer.id }
    }
}

/// The states of one endpoint over time.
#[derive(Debug)]
struct Timeline<'a>(&'a [Entry]);

impl Serialize for Timeline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(StateDoc::from))
    }
}

/// One state of one endpoint, from `at` until the next entry.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StateEntry")]
struct StateDoc<'a> {
    /// The state as RFC 9293 prints it, such as `SYN-RECEIVED`.
    state: &'static str,
    /// When it was entered.
    at: Stamp,
    /// The frame that caused it; null for a timer.
    frame: Option<Frame>,
    /// Why it was entered, in words.
    #[schemars(with = "String")]
    cause: Why<'a>,
    /// How sure this is.
    certainty: Certainty,
    /// The later frame that corrected the entry.
    corrected_by: Option<Frame>,
}

impl<'a> From<&'a Entry> for StateDoc<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            state: entry.state.name(),
            at: Stamp(entry.at),
            frame: entry.frame.map(Frame::from),
            cause: Why(entry),
            certainty: entry.certainty,
            corrected_by: entry.corrected_by.map(Frame::from),
        }
    }
}

/// The cause of an entry, in words.
#[derive(Debug)]
struct Why<'a>(&'a Entry);

impl Serialize for Why<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.corrected_by {
            None => serializer.serialize_str(self.0.cause.text()),
            Some(_) => serializer.collect_str(self.0),
        }
    }
}

/// A time in which neither side sent anything.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Idle")]
struct IdleDoc {
    /// The last segment before it.
    from: Moment,
    /// The first one after it.
    until: Moment,
    /// How long it lasted.
    duration_ns: i64,
}

impl From<Idle> for IdleDoc {
    fn from(idle: Idle) -> Self {
        let duration_ns = nanos(idle.length());
        Self { from: idle.from.into(), until: idle.until.into(), duration_ns }
    }
}

/// A connection that is turned into its object only when it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a>(pub(super) &'a JudgedConnection);

impl Serialize for Judged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ConnectionDoc::from(self.0).serialize(serializer)
    }
}
