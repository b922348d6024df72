//! What is known about one connection when it is over, or when the capture is.
//!
//! Plain data: the detectors judge it, the summaries add it up, the reports print it.

use crate::compact::{Compact, Packer, Unpacker, compact};

use super::{Blocked, CookieSign, Entry, State, Traffic};
use crate::certainty::Certainty;
use crate::compat::wireshark::Completeness;
use crate::compat::zeek::Columns;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Endpoint, IcmpError, Overlay, Segment, Seq, Side, Sides, TunnelLayer};

/// Everything the tool says about one connection.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionRecord {
    /// The first frame's position in the run, counted over all inputs: unique, and in the order in
    /// which the connections began.
    pub id: u64,
    /// Sender of the SYN.
    pub client: Endpoint,
    /// The other endpoint.
    pub server: Endpoint,
    /// Observed when the SYN or SYN-ACK was captured, assumed otherwise.
    pub role_certainty: Certainty,
    /// Encapsulation around the connection, outermost first.
    pub tunnel: Vec<TunnelLayer>,
    /// Encapsulation of the direction that was seen second, where that is another one.
    pub other_tunnel: Option<Vec<TunnelLayer>>,
    /// Time of the first frame.
    pub first_time: Time,
    /// Time of the last frame.
    pub last_time: Time,
    /// First frame.
    pub first_frame: FrameId,
    /// Last frame.
    pub last_frame: FrameId,
    /// The capture clock when the record was closed: what came later is not in it.
    pub known_until: Time,
    /// How the connection was opened.
    pub handshake: Handshake,
    /// How it was closed.
    pub close: Close,
    /// The states of both endpoints over time.
    pub states: Sides<Vec<Entry>>,
    /// State entries that did not fit the bound of a timeline.
    pub states_dropped: u32,
    /// What each endpoint sent.
    pub traffic: Sides<Traffic>,
    /// Options that each endpoint offered in its SYN.
    pub options: Sides<OfferedOptions>,
    /// ICMP errors that quoted segments of the connection.
    pub icmp: IcmpErrors,
    /// Wireshark's `tcp.completeness` of the connection's segments.
    pub completeness: Completeness,
    /// What Zeek would have logged of it.
    pub zeek: Columns,
    /// The longest time without any segment.
    pub longest_idle: Option<Idle>,
}

/// A time in which neither side sent anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// The last segment before it.
    pub from: Mark,
    /// The first one after it.
    pub until: Mark,
}

impl Idle {
    /// How long it lasted.
    #[must_use]
    pub const fn length(&self) -> Span {
        self.until.time.since(self.from.time)
    }
}

impl ConnectionRecord {
    /// The state of `side` when the record was closed.
    #[must_use]
    pub fn final_state(&self, side: Side) -> Option<State> {
        self.states.of(side).last().map(|entry| entry.state)
    }

    /// When `side` was in its `index`-th state: from and until, the latter none while it lasted.
    #[must_use]
    pub fn interval(&self, side: Side, index: usize) -> Option<(Time, Option<Time>)> {
        let entries = self.states.of(side);
        let from = entries.get(index)?.at;
        Some((from, entries.get(index + 1).map(|next| next.at)))
    }

    /// How long `side` was in `state` in all; still running states count until the record's end.
    #[must_use]
    pub fn time_in(&self, side: Side, state: State) -> Span {
        let entries = self.states.of(side);
        entries.iter().enumerate().filter(|(_, entry)| entry.state == state).fold(
            Span::ZERO,
            |sum, (index, entry)| {
                let until = entries.get(index + 1).map_or(self.known_until, |next| next.at);
                sum + until.since(entry.at)
            },
        )
    }

    /// The network that the addresses of both endpoints belong to.
    #[must_use]
    pub fn overlay(&self) -> Overlay {
        Overlay::of(&self.tunnel, self.other_tunnel.as_deref())
    }

    /// The endpoint of `side`.
    #[must_use]
    pub const fn endpoint(&self, side: Side) -> Endpoint {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

/// ICMP errors about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IcmpErrors {
    /// How many there were.
    pub count: u32,
    /// The first one.
    pub first: Option<IcmpError>,
    /// The latest one.
    pub last: Option<IcmpError>,
}

compact!(struct IcmpErrors { count, first, last });

/// How a connection was opened (DESIGN 2, `handshake`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The verdict.
    pub outcome: HandshakeOutcome,
    /// First SYN.
    pub syn: Option<Mark>,
    /// First SYN-ACK.
    pub syn_ack: Option<Mark>,
    /// The client's first acknowledgment of the SYN-ACK.
    pub ack: Option<Mark>,
    /// The RST that refused or aborted the attempt.
    pub rst: Option<Mark>,
    /// SYNs after the first one.
    pub syn_retransmissions: u32,
    /// SYN-ACKs after the first one.
    pub syn_ack_retransmissions: u32,
    /// SYN-ACKs sent after the client's acknowledgment had passed the tap.
    pub syn_acks_after_ack: u32,
    /// Times from each SYN to the next, at most [`Handshake::MAX_GAPS`].
    pub syn_gaps: Vec<Span>,
    /// Times from each SYN-ACK to the next, at most [`Handshake::MAX_GAPS`].
    pub syn_ack_gaps: Vec<Span>,
    /// SYN to the SYN-ACK that answers it: from the tap to the server and back.
    pub server_rtt: Option<Span>,
    /// SYN-ACK to the acknowledgment that answers it: from the tap to the client and back.
    pub client_rtt: Option<Span>,
    /// First SYN to the first acknowledgment of the SYN-ACK.
    pub duration: Option<Span>,
    /// The first ICMP error that quoted a SYN or SYN-ACK of the attempt, other than a smaller MTU.
    pub icmp_error: Option<IcmpError>,
    /// The SYN carried payload.
    pub syn_payload: u32,
    /// A TIME-WAIT of the connection before turned the SYN away, though its time was over.
    pub blocked: Option<Blocked>,
    /// The SYN-ACK was a SYN cookie, as far as that shows, and what told.
    pub cookie: Option<CookieSign>,
}

impl Handshake {
    /// How many gaps are kept: the longest Linux schedule has fewer.
    pub const MAX_GAPS: usize = 16;
}

/// A segment worth citing: when and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Capture time.
    pub time: Time,
    /// The frame.
    pub frame: FrameId,
}

impl Compact for Mark {
    const TELLS_EMPTY: bool = true;

    fn empty() -> Self {
        Self::default()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    #[inline]
    fn pack(&self, to: &mut Packer<'_>) {
        let Self { time, frame } = *self;
        time.pack_with(frame, to);
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let (time, frame) = Time::unpack_with_frame(from);
        Self { time, frame }
    }
}

impl Mark {
    /// The mark of `segment`.
    #[must_use]
    pub const fn of(segment: &Segment) -> Self {
        Self { time: segment.time, frame: segment.frame }
    }
}

/// How the attempt to connect ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandshakeOutcome {
    /// SYN, SYN-ACK, ACK.
    Complete,
    /// The SYN-ACK was never acknowledged.
    HalfOpen,
    /// SYNs only.
    Unanswered,
    /// A RST answered the SYN.
    Refused,
    /// The client sent a RST after the SYN-ACK.
    Aborted,
    /// Data in the SYN was acknowledged by the SYN-ACK (RFC 7413).
    FastOpen,
    /// Both sides sent a SYN (RFC 9293 3.5).
    Simultaneous,
    /// The capture began after the handshake.
    #[default]
    Midstream,
    /// A SYN-ACK or RST with no SYN before it, and nothing after it.
    Backscatter,
}

impl HandshakeOutcome {
    /// Every outcome, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::Complete,
        Self::FastOpen,
        Self::Simultaneous,
        Self::HalfOpen,
        Self::Unanswered,
        Self::Refused,
        Self::Aborted,
        Self::Midstream,
        Self::Backscatter,
    ];

    /// The outcome's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::HalfOpen => "half_open",
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::FastOpen => "fast_open",
            Self::Simultaneous => "simultaneous",
            Self::Midstream => "midstream",
            Self::Backscatter => "backscatter",
        }
    }
}

/// How a connection was closed (DESIGN 2, `close`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// The verdict.
    pub outcome: CloseOutcome,
    /// Who sent the first FIN.
    pub first_closer: Option<Side>,
    /// First FIN of each side.
    pub fin: Sides<Option<Mark>>,
    /// FINs after the first one, per side.
    pub fin_retransmissions: Sides<u32>,
    /// When the acknowledgment of each side's FIN passed the tap.
    pub fin_acknowledged: Sides<Option<Mark>>,
    /// The RST that ended the connection.
    pub reset: Option<Reset>,
    /// RSTs of each side, the ignored ones as well.
    pub resets: Sides<u32>,
    /// Which side went through TIME-WAIT; both after a simultaneous close.
    pub time_wait: Option<TimeWaitSide>,
    /// How often late segments restarted the TIME-WAIT timer.
    pub time_wait_restarts: u32,
    /// A new connection took the port pair: its SYN.
    pub reused_by: Option<Mark>,
}

/// Which side was in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeWaitSide {
    /// The client closed first.
    Client,
    /// The server closed first.
    Server,
    /// Both, after a simultaneous close.
    Both,
}

/// How the connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseOutcome {
    /// Neither FIN nor RST was seen.
    #[default]
    Open,
    /// Both FINs, both acknowledged, one after the other.
    Graceful,
    /// Both FINs, both acknowledged, crossing each other.
    Simultaneous,
    /// One FIN, acknowledged.
    HalfClosed,
    /// A FIN that was never acknowledged.
    FinUnacknowledged,
    /// A RST.
    Reset,
    /// Retransmissions or keep-alives died without an answer.
    TimedOut,
}

impl CloseOutcome {
    /// Every outcome, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Graceful,
        Self::Simultaneous,
        Self::Reset,
        Self::HalfClosed,
        Self::FinUnacknowledged,
        Self::TimedOut,
        Self::Open,
    ];

    /// The outcome's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Graceful => "graceful",
            Self::Simultaneous => "simultaneous",
            Self::HalfClosed => "half_closed",
            Self::FinUnacknowledged => "fin_unacknowledged",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The RST that ended a connection, with what is needed to judge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Who sent it.
    pub by: Side,
    /// When and where.
    pub mark: Mark,
    /// The states of both sides just before it.
    pub states: Sides<Option<State>>,
    /// What kind of reset it was.
    pub kind: ResetKind,
    /// Its sequence number relative to what the receiver expected: 0 is exact.
    pub seq_offset: i64,
    /// Whether it carried ACK.
    pub has_ack: bool,
    /// Payload of its sender's peer that the sender had acknowledged or been sent before it.
    pub unacknowledged_from_peer: u64,
    /// Silence on the connection before it.
    pub idle: Span,
    /// Sequence number on the wire.
    pub seq: Seq,
}

compact!(struct Reset {
    by, mark, states, kind, seq_offset, has_ack, unacknowledged_from_peer, idle, seq
});

/// Why a RST was sent, as far as the wire tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResetKind {
    /// In answer to a SYN.
    Refused,
    /// The client gave up the handshake.
    HandshakeAborted,
    /// The server dropped a handshake that was complete (overflow, closed listener).
    HandshakeRejected,
    /// Closed while received data was unread, or could not be delivered.
    UnreadData,
    /// An abortive close: RST with nothing outstanding (`SO_LINGER` 0, `close` with no FIN).
    Abort,
    /// After its own FIN: data came to a socket that nobody reads any more.
    AfterFin,
    /// After the peer's FIN: the passive side gave up instead of closing.
    AfterPeerFin,
    /// Into TIME-WAIT.
    ToTimeWait,
    /// From an orphaned FIN-WAIT-2 that got data.
    OrphanFinWait2,
    /// From where a FIN-WAIT-2 had been: nothing was left of it when the peer's FIN came.
    FinWait2Gone,
    /// After a long silence: a middlebox or balancer forgot the connection.
    Idle,
    /// None of these fits.
    Unknown,
}

compact!(
    enum ResetKind {
        Refused,
        HandshakeAborted,
        HandshakeRejected,
        UnreadData,
        Abort,
        AfterFin,
        AfterPeerFin,
        ToTimeWait,
        OrphanFinWait2,
        FinWait2Gone,
        Idle,
        Unknown,
    }
);

impl ResetKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Refused,
        Self::HandshakeAborted,
        Self::HandshakeRejected,
        Self::UnreadData,
        Self::Abort,
        Self::AfterFin,
        Self::AfterPeerFin,
        Self::ToTimeWait,
        Self::OrphanFinWait2,
        Self::FinWait2Gone,
        Self::Idle,
        Self::Unknown,
    ];

    /// The kind's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::HandshakeAborted => "handshake_aborted",
            Self::HandshakeRejected => "handshake_rejected",
            Self::UnreadData => "unread_data",
            Self::Abort => "abort",
            Self::AfterFin => "after_fin",
            Self::AfterPeerFin => "after_peer_fin",
            Self::ToTimeWait => "to_time_wait",
            Self::OrphanFinWait2 => "orphan_fin_wait_2",
            Self::FinWait2Gone => "fin_wait_2_gone",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }
}

/// The options in an endpoint's SYN or SYN-ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferedOptions {
    /// Whether a SYN of this endpoint was captured at all; without one the rest is unknown.
    pub seen: bool,
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: bool,
    /// Fast Open: length of the cookie, 0 for a request.
    pub fast_open: Option<u8>,
    /// MPTCP subtype.
    pub mptcp: Option<u8>,
    /// ECN was requested (ECE and CWR) or granted (ECE).
    pub ecn: bool,
}

compact!(struct OfferedOptions {
    seen, mss, window_scale, sack_permitted, timestamps, fast_open, mptcp, ecn
});
