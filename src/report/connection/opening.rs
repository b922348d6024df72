//! How a connection was opened: the objects `handshake` and `options`.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::connection::{Blocked, CookieSign, Handshake, IcmpErrors, Mark, OfferedOptions};
use crate::report::usual::usual;
use crate::report::value::{Moment, Peer, Stamp, nanos};
use crate::stamp::Span;
use crate::tcp;

/// How a connection was opened.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Handshake")]
pub(super) struct HandshakeDoc {
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
    /// The first ICMP error that quoted the SYN or SYN-ACK.
    icmp_error: Option<IcmpError>,
    /// Payload that the SYN carried.
    syn_payload_bytes: u32,
    /// A TIME-WAIT of the connection before turned the SYN away, though its time was over.
    blocked: Option<BlockedDoc>,
    /// The SYN-ACK was a SYN cookie, and what told: `settings`, `options`, `clock`, `silence` or
    /// `queue`.
    syn_cookie: Option<&'static str>,
}

usual!(HandshakeDoc: Handshake);
usual!(IcmpErrorsDoc: IcmpErrors);
usual!(OptionsDoc: OfferedOptions);

/// An attempt that the connection before it on the same port pair turned away.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Blocked")]
struct BlockedDoc {
    /// Who was in TIME-WAIT.
    by: Peer,
    /// When it entered TIME-WAIT.
    entered: Stamp,
    /// When that should have ended.
    expired: Stamp,
    /// Its answer to the SYN: the acknowledgment of the old connection.
    answer: Moment,
}

impl From<Blocked> for BlockedDoc {
    fn from(Blocked { by, answer }: Blocked) -> Self {
        Self {
            by: by.endpoint.into(),
            entered: Stamp(by.entered),
            expired: Stamp(by.expired),
            answer: answer.into(),
        }
    }
}

/// ICMP errors that quoted segments of the connection.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IcmpErrors")]
pub(super) struct IcmpErrorsDoc {
    /// How many.
    count: u32,
    /// The first one.
    first: Option<IcmpError>,
    /// The latest one.
    last: Option<IcmpError>,
}

impl From<&IcmpErrors> for IcmpErrorsDoc {
    fn from(errors: &IcmpErrors) -> Self {
        let of = |error: Option<tcp::IcmpError>| error.as_ref().map(IcmpError::from);
        Self { count: errors.count, first: of(errors.first), last: of(errors.last) }
    }
}

/// An ICMP error.
#[derive(Debug, Serialize, JsonSchema)]
struct IcmpError {
    /// ICMP or `ICMPv6` type.
    #[serde(rename = "type")]
    kind: u8,
    /// Code of that type.
    code: u8,
    /// What they mean: `host unreachable`, `administratively prohibited`, `time exceeded`, ...
    meaning: &'static str,
    /// Who reported it.
    #[schemars(with = "String")]
    reporter: IpAddr,
    /// Bytes that the next hop takes, where the error says so.
    mtu: Option<u32>,
    /// When and where it was seen.
    seen: Moment,
}

impl From<&tcp::IcmpError> for IcmpError {
    fn from(error: &tcp::IcmpError) -> Self {
        Self {
            kind: error.kind,
            code: error.code,
            meaning: error.meaning().name(),
            reporter: error.reporter,
            mtu: error.mtu,
            seen: Moment::from(Mark { time: error.time, frame: error.frame }),
        }
    }
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
            icmp_error: handshake.icmp_error.as_ref().map(IcmpError::from),
            syn_payload_bytes: handshake.syn_payload,
            blocked: handshake.blocked.map(BlockedDoc::from),
            syn_cookie: handshake.cookie.map(CookieSign::name),
        }
    }
}

/// What one endpoint offered in its SYN or SYN-ACK; nulls where none was captured.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Options")]
pub(super) struct OptionsDoc {
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
