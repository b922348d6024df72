//! What the totals want to know of a finished connection, and nothing else of it.
//!
//! A record is an order of magnitude larger. Everything that totals, listeners, hosts and pairs add
//! up comes from here, so that what was packed away for later adds up to the same.

pub(super) mod packed;

use super::Attempts;
use super::activity::is_complete;
use crate::compat::zeek::ConnState;
use crate::connection::{
    CloseOutcome, ConnectionRecord, HandshakeOutcome, LoneSyn, RepeatCause, State,
};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Endpoint, Side, Sides};

/// A finished connection, in brief. Meant to be filled again and again: it keeps its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Brief {
    pub(super) id: u64,
    pub(super) client: Endpoint,
    pub(super) first_frame: FrameId,
    pub(super) first_time: Time,
    pub(super) last_time: Time,
    pub(super) known_until: Time,
    /// When the first SYN passed the tap.
    pub(super) syn: Option<Time>,
    pub(super) has_syn_ack: bool,
    pub(super) outcome: HandshakeOutcome,
    pub(super) close: CloseOutcome,
    pub(super) zeek: ConnState,
    pub(super) handshake: Option<Span>,
    pub(super) syn_retransmissions: u32,
    pub(super) syn_ack_retransmissions: u32,
    pub(super) syn_acks_after_ack: u32,
    pub(super) states_dropped: u32,
    /// Segments that the tap delivered more than once, every time after the first.
    pub(super) copies: u64,
    /// The first of them.
    pub(super) first_copy: Option<FrameId>,
    /// Whether each side sent more than opens or refuses a connection.
    pub(super) converses: Sides<bool>,
    pub(super) sent: Sides<Sent>,
    pub(super) states: Sides<Vec<Stay>>,
}

/// As long as a server waits by default (Linux `tcp_synack_retries` = 5).
const COOKIE_WAITS: Span = Span::from_secs(63);

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) segments: u64,
    pub(super) ip_bytes: u64,
    pub(super) payload_bytes: u64,
    pub(super) unique_bytes: u64,
    pub(super) retransmitted_segments: u64,
    pub(super) retransmitted_bytes: u64,
    pub(super) missing_bytes: u64,
    pub(super) zero_windows: u64,
    pub(super) bad_checksums: u64,
}

/// A state, and when it was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) state: State,
    pub(super) from: Time,
}

/// Whether there is a socket of a connection in that state.
pub(super) const fn exists(state: State) -> bool {
    !matches!(state, State::Closed | State::Listen)
}

impl Default for Brief {
    fn default() -> Self {
        Self {
            id: 0,
            client: Endpoint { address: [0, 0, 0, 0].into(), port: 0 },
            first_frame: FrameId::default(),
            first_time: Time::default(),
            last_time: Time::default(),
            known_until: Time::default(),
            syn: None,
            has_syn_ack: false,
            outcome: HandshakeOutcome::Midstream,
            close: CloseOutcome::Open,
            zeek: ConnState::Oth,
            handshake: None,
            syn_retransmissions: 0,
            syn_ack_retransmissions: 0,
            syn_acks_after_ack: 0,
            states_dropped: 0,
            copies: 0,
            first_copy: None,
            converses: Sides::default(),
            sent: Sides::default(),
            states: Sides::default(),
        }
    }
}

impl Brief {
    /// Becomes that of `record`.
    pub(super) fn read(&mut self, record: &ConnectionRecord) {
        let handshake = &record.handshake;
        self.id = record.id;
        self.client = record.client;
        self.first_frame = record.first_frame;
        self.first_time = record.first_time;
        self.last_time = record.last_time;
        self.known_until = record.known_until;
        self.syn = handshake.syn.map(|mark| mark.time);
        self.has_syn_ack = handshake.syn_ack.is_some();
        self.outcome = handshake.outcome;
        self.close = record.close.outcome;
        self.zeek = record.zeek.conn_state;
        self.handshake = handshake.duration;
        self.syn_retransmissions = handshake.syn_retransmissions;
        self.syn_ack_retransmissions = handshake.syn_ack_retransmissions;
        self.syn_acks_after_ack = handshake.syn_acks_after_ack;
        self.states_dropped = record.states_dropped;
        self.copies = 0;
        self.first_copy = None;
        for side in Side::BOTH {
            let traffic = record.traffic.of(side);
            self.copies += u64::from(traffic.repeats.of(RepeatCause::CaptureDuplicate));
            self.first_copy = self.first_copy.into_iter().chain(traffic.first_copy).min();
            *self.converses.of_mut(side) = converses(record, side);
            *self.sent.of_mut(side) = Sent {
                segments: traffic.segments,
                ip_bytes: traffic.ip_bytes,
                payload_bytes: traffic.payload_bytes,
                unique_bytes: traffic.unique_bytes,
                retransmitted_segments: traffic.retransmitted_segments,
                retransmitted_bytes: traffic.retransmitted_bytes,
                missing_bytes: traffic.missing_bytes,
                zero_windows: traffic.zero_windows,
                bad_checksums: traffic.bad_checksums,
            };
            let stays = record.states.of(side).iter();
            let states = self.states.of_mut(side);
            states.clear();
            states.extend(stays.map(|entry| Stay { state: entry.state, from: entry.at }));
        }
    }

    /// Becomes that of the record that a SYN which nothing followed would have.
    pub(super) fn read_lone(&mut self, lone: &LoneSyn) {
        let mut states = std::mem::take(&mut self.states);
        states.client.clear();
        states.server.clear();
        states.client.push(Stay { state: State::SynSent, from: lone.mark.time });
        if lone.client_state != State::SynSent {
            states.client.push(Stay { state: lone.client_state, from: lone.known_until });
        }
        *self = Self {
            id: lone.id,
            client: lone.client,
            first_frame: lone.mark.frame,
            first_time: lone.mark.time,
            last_time: lone.mark.time,
            known_until: lone.known_until,
            syn: Some(lone.mark.time),
            outcome: HandshakeOutcome::Unanswered,
            close: CloseOutcome::Open,
            zeek: ConnState::S0,
            sent: Sides {
                client: Sent { segments: 1, ip_bytes: lone.ip_bytes, ..Sent::default() },
                server: Sent::default(),
            },
            states,
            ..Self::default()
        };
    }

    /// The SYN that `record`, of which this is in brief, may have been alone; whether that is all of it
    /// is told by [`Brief::read_lone`].
    pub(super) fn as_lone_syn(&self, record: &ConnectionRecord) -> Option<LoneSyn> {
        let Sides { client, server } = &self.sent;
        let is_alone = client.segments == 1 && server.segments == 0;
        let mark = record.handshake.syn.filter(|_| is_alone)?;
        Some(LoneSyn {
            id: self.id,
            client: self.client,
            server: record.server,
            mark,
            ip_bytes: client.ip_bytes,
            known_until: self.known_until,
            client_state: self.states.client.last()?.state,
            gives_up: self.known_until,
            is_over: false,
        })
    }

    /// What the connection adds to the attempts over time; none where its SYN was not captured.
    pub(super) fn attempts(&self) -> Option<Attempts> {
        self.syn?;
        let completed = is_complete(self.outcome);
        let duration = self.handshake.filter(|_| completed);
        let nanos = duration.map_or(0, |span| u64::try_from(span.nanos()).unwrap_or(0));
        Some(Attempts {
            attempts: 1,
            completed: u64::from(completed),
            insisted_in_vain: u64::from(!completed && self.syn_retransmissions > 0),
            half_open: u64::from(self.outcome == HandshakeOutcome::HalfOpen),
            timed: u64::from(duration.is_some()),
            handshake_ns: nanos,
            longest_ns: nanos,
        })
    }

    /// The stays of `side` in one of `states`: state, from and until, the latter none while it
    /// lasted.
    pub(super) fn stays(
        &self,
        side: Side,
        states: &[State],
    ) -> impl Iterator<Item = (State, Time, Option<Time>)> {
        let all = self.states.of(side);
        all.iter()
            .enumerate()
            .filter(|(_, stay)| states.contains(&stay.state))
            .map(|(index, stay)| (stay.state, stay.from, all.get(index + 1).map(|next| next.from)))
    }

    /// From when until when a handshake that was never completed waited: the server in SYN-RECEIVED,
    /// or, where it answered with a SYN cookie and kept nothing, nobody.
    pub(super) fn waits_in_vain(&self) -> impl Iterator<Item = (Time, Option<Time>)> {
        let held = self.stays(Side::Server, &[State::SynReceived]);
        let held = held.map(|(_, from, until)| (from, until));
        let is_cookie = self.has_syn_ack && self.states.server.is_empty();
        let baked = self.syn.filter(|_| is_cookie).map(|from| {
            let until = from + COOKIE_WAITS;
            (from, Some(until).filter(|until| *until <= self.known_until))
        });
        held.chain(baked)
    }

    /// Whether the capture shows that the connection was open: its SYN or SYN-ACK, or segments of
    /// both sides. Lone segments out of nowhere, as of a scan with ACKs, show nothing.
    pub(super) const fn is_shown_open(&self) -> bool {
        let Sides { client, server } = &self.sent;
        self.syn.is_some() || self.has_syn_ack || (client.segments > 0 && server.segments > 0)
    }

    /// A listener is what answered, or was asked by a SYN. Backscatter proves no service: the answer
    /// may come from a closed port.
    pub(super) fn is_of_service(&self) -> bool {
        self.syn.is_some()
            || self.has_syn_ack
            || (self.outcome == HandshakeOutcome::Midstream && self.sent.server.segments > 0)
    }

    /// A side counts as a host unless it may be forged or absent: a server that never spoke, or a
    /// client whose only segment is a SYN that was not refused.
    ///
    /// Without this rule a SYN flood would fill the table with addresses that nobody owns.
    pub(super) const fn is_alive(&self, side: Side) -> bool {
        let sent = self.sent.of(side).segments;
        match side {
            Side::Server => sent > 0,
            Side::Client => {
                sent > 1
                    || (sent == 1
                        && !matches!(
                            self.outcome,
                            HandshakeOutcome::HalfOpen | HandshakeOutcome::Unanswered
                        ))
            }
        }
    }
}

/// Whether `side` sent more than opens or refuses a connection.
fn converses(record: &ConnectionRecord, side: Side) -> bool {
    let handshake = &record.handshake;
    let opening = match side {
        Side::Client => {
            u64::from(handshake.syn.is_some()) + u64::from(handshake.syn_retransmissions)
        }
        Side::Server => {
            u64::from(handshake.syn_ack.is_some()) + u64::from(handshake.syn_ack_retransmissions)
        }
    };
    record.traffic.of(side).segments > opening + u64::from(*record.close.resets.of(side))
}
