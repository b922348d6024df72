//! The connection object: an element of `connections[]`, an NDJSON line, a row of a table.
//!
//! Fields are only ever added within a major version of the schema. Knows nothing of the file it is
//! written to.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::community_id::community_id;
use super::value::{Frame, Moment, Peer, PerSide, Stamp, nanos};
use crate::analysis::JudgedConnection;
use crate::certainty::Certainty;
use crate::connection::{
    Close, ConnectionRecord, Entry, Handshake, OfferedOptions, Reset, State, TimeWaitSide, Traffic,
};
use crate::stamp::Span;
use crate::tcp::{Side, TunnelLayer};

/// One TCP connection: how it was opened, lived and closed, as both endpoints saw it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub(super) struct ConnectionDoc {
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
    handshake: HandshakeDoc,
    /// How it was closed.
    close: CloseDoc,
    /// The RFC 9293 states of both endpoints over time; the last one is the state at the end.
    states: PerSide<Vec<StateDoc>>,
    /// State entries that were left out because a timeline was full.
    states_dropped: u32,
    /// What each endpoint sent.
    traffic: PerSide<TrafficDoc>,
    /// What each endpoint offered in its SYN or SYN-ACK.
    options: PerSide<OptionsDoc>,
    /// Codes of the detectors that fired on this connection.
    findings: Vec<String>,
}

impl From<&JudgedConnection> for ConnectionDoc {
    fn from(judged: &JudgedConnection) -> Self {
        let JudgedConnection { record, findings } = judged;
        let ConnectionRecord { handshake, close, states, traffic, options, .. } = record;
        Self {
            id: record.id,
            community_id: community_id(record.client, record.server),
            client: record.client.into(),
            server: record.server.into(),
            role_certainty: record.role_certainty,
            tunnel: record.tunnel.iter().map(Tunnel::from).collect(),
            first_time: Stamp(record.first_time),
            last_time: Stamp(record.last_time),
            first_frame: record.first_frame.into(),
            last_frame: record.last_frame.into(),
            known_until: Stamp(record.known_until),
            handshake: handshake.into(),
            close: close.into(),
            states: PerSide::of(states, |entries| entries.iter().map(StateDoc::from).collect()),
            states_dropped: record.states_dropped,
            traffic: PerSide::of(traffic, TrafficDoc::from),
            options: PerSide::of(options, OptionsDoc::from),
            findings: findings.iter().map(ToString::to_string).collect(),
        }
    }
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

/// How a connection was opened.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Handshake")]
struct HandshakeDoc {
    /// `complete`, `half_open`, `unanswered`, `refused`, `aborted`, `fast_open`, `simultaneous`,
    /// `midstream` or `backscatter`.
    outcome: &'static str,
    /// First SYN.
    syn: Option<Moment>,
    /// First SYN-ACK.
    syn_ack: Option<Moment>,
    /// The client's first acknowledgment of the SYN-ACK.
    ack: Option<Moment>,
    /// The RST that refused or aborted the attempt.
    rst: Option<Moment>,
    /// SYNs after the first one.
    syn_retransmissions: u32,
    /// SYN-ACKs after the first one.
    syn_ack_retransmissions: u32,
    /// SYN-ACKs sent after the client's acknowledgment had passed the tap.
    syn_acks_after_ack: u32,
    /// Times from each SYN to the next.
    syn_gaps_ns: Vec<i64>,
    /// Times from each SYN-ACK to the next.
    syn_ack_gaps_ns: Vec<i64>,
    /// From the SYN to the SYN-ACK that answers it: from the tap to the server and back.
    server_rtt_ns: Option<i64>,
    /// From the SYN-ACK to the acknowledgment that answers it: from the tap to the client and back.
    client_rtt_ns: Option<i64>,
    /// From the first SYN to the first acknowledgment of the SYN-ACK.
    duration_ns: Option<i64>,
    /// The ICMP error that quoted the SYN.
    icmp_error: Option<IcmpError>,
    /// Payload that the SYN carried.
    syn_payload_bytes: u32,
}

/// An ICMP error by its numbers.
#[derive(Debug, Serialize, JsonSchema)]
struct IcmpError {
    /// ICMP or ICMPv6 type.
    #[serde(rename = "type")]
    kind: u8,
    /// Code of that type.
    code: u8,
}

impl From<&Handshake> for HandshakeDoc {
    fn from(handshake: &Handshake) -> Self {
        let all = |gaps: &[Span]| gaps.iter().copied().map(nanos).collect();
        Self {
            outcome: handshake.outcome.name(),
            syn: handshake.syn.map(Moment::from),
            syn_ack: handshake.syn_ack.map(Moment::from),
            ack: handshake.ack.map(Moment::from),
            rst: handshake.rst.map(Moment::from),
            syn_retransmissions: handshake.syn_retransmissions,
            syn_ack_retransmissions: handshake.syn_ack_retransmissions,
            syn_acks_after_ack: handshake.syn_acks_after_ack,
            syn_gaps_ns: all(&handshake.syn_gaps),
            syn_ack_gaps_ns: all(&handshake.syn_ack_gaps),
            server_rtt_ns: handshake.server_rtt.map(nanos),
            client_rtt_ns: handshake.client_rtt.map(nanos),
            duration_ns: handshake.duration.map(nanos),
            icmp_error: handshake.icmp_error.map(|(kind, code)| IcmpError { kind, code }),
            syn_payload_bytes: handshake.syn_payload,
        }
    }
}

/// How a connection was closed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Close")]
struct CloseDoc {
    /// `open`, `graceful`, `simultaneous`, `half_closed`, `fin_unacknowledged`, `reset` or
    /// `timed_out`.
    outcome: &'static str,
    /// Who sent the first FIN: `client` or `server`.
    first_closer: Option<&'static str>,
    /// Who sent the RST that ended the connection: `client` or `server`.
    reset_by: Option<&'static str>,
    /// What kind of RST it was, such as `refused`, `abort` or `unread_data`.
    reset_kind: Option<&'static str>,
    /// Who went through TIME-WAIT: `client`, `server` or `both`.
    time_wait: Option<&'static str>,
    /// How often late segments restarted the TIME-WAIT timer.
    time_wait_restarts: u32,
    /// First FIN of each side.
    fin: PerSide<Option<Moment>>,
    /// FINs after the first one.
    fin_retransmissions: PerSide<u32>,
    /// When the acknowledgment of each side's FIN passed the tap.
    fin_acknowledged: PerSide<Option<Moment>>,
    /// The RST that ended the connection, with what is needed to judge it.
    reset: Option<ResetDoc>,
    /// RSTs of each side, the ignored ones as well.
    resets: PerSide<u32>,
    /// The SYN of a new connection that took the port pair.
    reused_by: Option<Moment>,
}

impl From<&Close> for CloseDoc {
    fn from(close: &Close) -> Self {
        let moment = |mark: &Option<_>| mark.map(Moment::from);
        Self {
            outcome: close.outcome.name(),
            first_closer: close.first_closer.map(Side::name),
            reset_by: close.reset.map(|reset| reset.by.name()),
            reset_kind: close.reset.map(|reset| reset.kind.name()),
            time_wait: close.time_wait.map(|side| match side {
                TimeWaitSide::Client => "client",
                TimeWaitSide::Server => "server",
                TimeWaitSide::Both => "both",
            }),
            time_wait_restarts: close.time_wait_restarts,
            fin: PerSide::of(&close.fin, moment),
            fin_retransmissions: PerSide::of(&close.fin_retransmissions, |count| *count),
            fin_acknowledged: PerSide::of(&close.fin_acknowledged, moment),
            reset: close.reset.map(ResetDoc::from),
            resets: PerSide::of(&close.resets, |count| *count),
            reused_by: close.reused_by.map(Moment::from),
        }
    }
}

/// A RST that ended a connection.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reset")]
struct ResetDoc {
    /// Capture time.
    time: Stamp,
    /// The frame.
    frame: Frame,
    /// The states of both sides just before it.
    states: PerSide<Option<&'static str>>,
    /// Sequence number on the wire.
    seq: u32,
    /// The sequence number relative to what the receiver expected: 0 is exact.
    seq_offset: i64,
    /// Whether it carried ACK.
    has_ack: bool,
    /// Payload bytes of the peer that its sender had not acknowledged.
    unacknowledged_from_peer_bytes: u64,
    /// Silence on the connection before it.
    idle_ns: i64,
}

impl From<Reset> for ResetDoc {
    fn from(reset: Reset) -> Self {
        Self {
            time: Stamp(reset.mark.time),
            frame: reset.mark.frame.into(),
            states: PerSide::of(&reset.states, |state| state.map(State::name)),
            seq: reset.seq.0,
            seq_offset: reset.seq_offset,
            has_ack: reset.has_ack,
            unacknowledged_from_peer_bytes: reset.unacknowledged_from_peer,
            idle_ns: nanos(reset.idle),
        }
    }
}

/// One state of one endpoint, from `at` until the next entry.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StateEntry")]
struct StateDoc {
    /// The state as RFC 9293 prints it, such as `SYN-RECEIVED`.
    state: &'static str,
    /// When it was entered.
    at: Stamp,
    /// The frame that caused it; null for a timer.
    frame: Option<Frame>,
    /// Why it was entered, in words.
    cause: String,
    /// How sure this is.
    certainty: Certainty,
    /// The later frame that corrected the entry.
    corrected_by: Option<Frame>,
}

impl From<&Entry> for StateDoc {
    fn from(entry: &Entry) -> Self {
        Self {
            state: entry.state.name(),
            at: Stamp(entry.at),
            frame: entry.frame.map(Frame::from),
            cause: entry.to_string(),
            certainty: entry.certainty,
            corrected_by: entry.corrected_by.map(Frame::from),
        }
    }
}

/// What one endpoint sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Traffic")]
struct TrafficDoc {
    /// Segments captured.
    segments: u64,
    /// Segments with payload.
    data_segments: u64,
    /// Bytes of IP packets.
    ip_bytes: u64,
    /// Payload bytes, repeated ones counted each time.
    payload_bytes: u64,
    /// Payload bytes of the stream that were seen at least once.
    unique_bytes: u64,
    /// Payload bytes of the stream that the peer acknowledged.
    acknowledged_bytes: u64,
    /// Payload that was sent again.
    retransmitted: Retransmitted,
    /// Payload bytes that were proved to exist and that no captured segment carried.
    missing_bytes: u64,
    /// Ranges of the stream that did not fit the bound of what is remembered.
    ranges_dropped: u32,
    /// First payload.
    first_data: Option<Moment>,
    /// Last segment with new payload.
    last_data: Option<Moment>,
    /// The last segment of any kind.
    last_segment: Option<Moment>,
    /// Payload sent and never acknowledged.
    unacknowledged: Option<UnacknowledgedDoc>,
    /// Largest number of bytes in flight, as the tap saw it.
    max_in_flight_bytes: u64,
    /// Segments that advertised a window of zero.
    zero_windows: u64,
    /// Segments with a wrong TCP checksum, of those that could be verified.
    bad_checksums: u64,
}

/// Payload that was sent again.
#[derive(Debug, Serialize, JsonSchema)]
struct Retransmitted {
    /// Segments that carried payload seen before.
    segments: u64,
    /// Payload bytes seen before.
    bytes: u64,
}

/// Payload that was sent and never acknowledged.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Unacknowledged")]
struct UnacknowledgedDoc {
    /// How many bytes.
    bytes: u64,
    /// The first transmission of the first of them.
    first_sent: Moment,
    /// The last transmission of any of them.
    last_sent: Moment,
    /// How often bytes among them were sent again.
    retransmissions: u32,
}

impl From<&Traffic> for TrafficDoc {
    fn from(traffic: &Traffic) -> Self {
        Self {
            segments: traffic.segments,
            data_segments: traffic.data_segments,
            ip_bytes: traffic.ip_bytes,
            payload_bytes: traffic.payload_bytes,
            unique_bytes: traffic.unique_bytes,
            acknowledged_bytes: traffic.acknowledged_bytes,
            retransmitted: Retransmitted {
                segments: traffic.retransmitted_segments,
                bytes: traffic.retransmitted_bytes,
            },
            missing_bytes: traffic.missing_bytes,
            ranges_dropped: traffic.ranges_dropped,
            first_data: traffic.first_data.map(Moment::from),
            last_data: traffic.last_data.map(Moment::from),
            last_segment: traffic.last_segment.map(Moment::from),
            unacknowledged: traffic.unacknowledged.map(|unacknowledged| UnacknowledgedDoc {
                bytes: unacknowledged.bytes,
                first_sent: unacknowledged.first_sent.into(),
                last_sent: unacknowledged.last_sent.into(),
                retransmissions: unacknowledged.retransmissions,
            }),
            max_in_flight_bytes: traffic.max_in_flight,
            zero_windows: traffic.zero_windows,
            bad_checksums: traffic.bad_checksums,
        }
    }
}

/// What one endpoint offered in its SYN or SYN-ACK; nulls where none was captured.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Options")]
struct OptionsDoc {
    /// Whether a SYN or SYN-ACK of this endpoint was captured: without one the rest is unknown.
    seen: bool,
    /// Maximum segment size in bytes.
    mss: Option<u16>,
    /// Window scale shift.
    window_scale: Option<u8>,
    /// SACK permitted.
    sack_permitted: Option<bool>,
    /// Timestamps.
    timestamps: Option<bool>,
    /// Fast Open: length of the cookie, 0 for a request.
    fast_open: Option<u8>,
    /// MPTCP subtype.
    mptcp: Option<u8>,
    /// ECN was requested or granted.
    ecn: Option<bool>,
}

impl From<&OfferedOptions> for OptionsDoc {
    fn from(options: &OfferedOptions) -> Self {
        let known = |set: bool| options.seen.then_some(set);
        Self {
            seen: options.seen,
            mss: options.mss,
            window_scale: options.window_scale,
            sack_permitted: known(options.sack_permitted),
            timestamps: known(options.timestamps),
            fast_open: options.fast_open,
            mptcp: options.mptcp,
            ecn: known(options.ecn),
        }
    }
}

/// Connections as an array, each turned into its object only when it is written.
#[derive(Debug)]
pub(super) struct ConnectionDocs<'a>(pub(super) Vec<&'a JudgedConnection>);

impl Serialize for ConnectionDocs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|judged| ConnectionDoc::from(*judged)))
    }
}
