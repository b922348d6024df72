//! Sums over the whole capture, and the small counters that listeners and hosts share.

use super::activity::is_complete;
use super::brief::Brief;
use super::ground::Ground;
use super::lone::LoneSum;
use crate::compat::zeek::ConnState;
use crate::connection::{CloseOutcome, HandshakeOutcome, State};
use crate::near;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Side, Sides};

/// Counts of connections by how they were opened, how they were closed, and what they carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections.
    pub connections: u64,
    /// Connections whose SYN was captured.
    pub attempts: u64,
    /// Of these, how many became connections.
    pub completed: u64,
    /// Attempts whose SYN was sent more than once.
    pub attempts_retried: u64,
    /// SYNs after the first one.
    pub syn_retransmissions: u64,
    /// SYN-ACKs after the first one.
    pub syn_ack_retransmissions: u64,
    /// Final state of each side.
    pub final_states: Sides<StateCounts>,
    /// Segments that each side sent.
    pub segments: Sides<u64>,
    /// Bytes of IP packets that each side sent.
    pub ip_bytes: Sides<u64>,
    /// Payload bytes that each side sent, repeated ones counted each time.
    pub payload_bytes: Sides<u64>,
    /// Payload bytes of the streams that were seen at least once.
    pub unique_bytes: Sides<u64>,
    /// Segments with payload seen before.
    pub retransmitted_segments: Sides<u64>,
    /// Payload bytes seen before.
    pub retransmitted_bytes: Sides<u64>,
    /// Payload bytes that were proved to exist and that no captured segment carried.
    pub missing_bytes: Sides<u64>,
    /// Segments that advertised a window of zero.
    pub zero_windows: Sides<u64>,
    /// Segments with a wrong TCP checksum.
    pub bad_checksums: Sides<u64>,
    /// State entries that did not fit the bound of a timeline.
    pub states_dropped: u64,
    /// What the capture may lack of them.
    pub ground: Ground,
    /// Times from the first SYN to the acknowledgment of the SYN-ACK.
    pub handshake: Durations,
    /// The earliest connection: id and first frame.
    pub earliest: Option<(u64, FrameId)>,
    /// Time of the earliest frame.
    pub first_time: Option<Time>,
    /// Time of the latest frame.
    pub last_time: Option<Time>,
    /// The latest moment up to which anything is known.
    pub known_until: Option<Time>,
    by_handshake: [u64; HandshakeOutcome::ALL.len()],
    by_close: [u64; CloseOutcome::ALL.len()],
    by_zeek_state: [u64; ConnState::ALL.len()],
}

impl Totals {
    /// Connections with a handshake of `outcome`.
    #[must_use]
    pub fn with_handshake(&self, outcome: HandshakeOutcome) -> u64 {
        count_of(&self.by_handshake, outcome as usize)
    }

    /// Connections with a close of `outcome`.
    #[must_use]
    pub fn with_close(&self, outcome: CloseOutcome) -> u64 {
        count_of(&self.by_close, outcome as usize)
    }

    /// Connections of which Zeek would say `state`.
    #[must_use]
    pub fn with_zeek_state(&self, state: ConnState) -> u64 {
        count_of(&self.by_zeek_state, state as usize)
    }

    /// Asks the memory for it.
    pub(super) fn prefetch(&self) {
        let Self { segments, payload_bytes, missing_bytes, ground, handshake, .. } = self;
        near::value(&self.connections);
        near::value(&self.final_states.client);
        near::value(&self.final_states.server);
        near::value(segments);
        near::value(payload_bytes);
        near::value(missing_bytes);
        near::value(ground);
        near::value(&ground.copied);
        near::value(handshake);
        near::value(&self.known_until);
        near::value(&self.by_handshake);
        near::value(&self.by_close);
        near::value(&self.by_zeek_state);
    }

    /// Adds one finished connection.
    pub(super) fn add(&mut self, brief: &Brief) {
        self.connections += 1;
        let attempted = brief.syn.is_some();
        let completed = attempted && is_complete(brief.outcome);
        self.attempts += u64::from(attempted);
        self.completed += u64::from(completed);
        self.attempts_retried += u64::from(brief.syn_retransmissions > 0);
        self.syn_retransmissions += u64::from(brief.syn_retransmissions);
        self.syn_ack_retransmissions += u64::from(brief.syn_ack_retransmissions);
        self.states_dropped += u64::from(brief.states_dropped);
        self.ground.add(brief);
        if completed && let Some(duration) = brief.handshake {
            self.handshake.add(duration);
        }
        count(&mut self.by_handshake, brief.outcome as usize);
        count(&mut self.by_close, brief.close as usize);
        count(&mut self.by_zeek_state, brief.zeek as usize);
        for side in Side::BOTH {
            self.add_side(brief, side);
        }
        self.earliest = earliest(self.earliest, Some((brief.id, brief.first_frame)));
        self.first_time = earliest(self.first_time, Some(brief.first_time));
        self.last_time = self.last_time.max(Some(brief.last_time));
        self.known_until = self.known_until.max(Some(brief.known_until));
    }

    /// Adds SYNs that nothing followed, as their records would be added.
    pub(super) fn add_lone_syns(&mut self, sum: &LoneSum) {
        let count = sum.count;
        self.connections += count;
        self.attempts += count;
        add_to(&mut self.by_handshake, HandshakeOutcome::Unanswered as usize, count);
        add_to(&mut self.by_close, CloseOutcome::Open as usize, count);
        add_to(&mut self.by_zeek_state, ConnState::S0 as usize, count);
        let client = &mut self.final_states.client.by_state;
        add_to(client, State::SynSent as usize, count - sum.given_up);
        add_to(client, State::Closed as usize, sum.given_up);
        self.final_states.server.unknown += count;
        self.segments.client += count;
        self.ip_bytes.client += sum.ip_bytes;
        self.earliest = earliest(self.earliest, sum.earliest);
        self.first_time = earliest(self.first_time, sum.first_time);
        self.last_time = self.last_time.max(sum.last_time);
        self.known_until = self.known_until.max(sum.known_until);
    }

    /// Adds what another shard found.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.attempts += other.attempts;
        self.completed += other.completed;
        self.attempts_retried += other.attempts_retried;
        self.syn_retransmissions += other.syn_retransmissions;
        self.syn_ack_retransmissions += other.syn_ack_retransmissions;
        self.states_dropped += other.states_dropped;
        self.ground.merge(&other.ground);
        self.handshake.merge(&other.handshake);
        for side in Side::BOTH {
            self.final_states.of_mut(side).merge(other.final_states.of(side));
        }
        for (own, others) in [
            (&mut self.segments, &other.segments),
            (&mut self.ip_bytes, &other.ip_bytes),
            (&mut self.payload_bytes, &other.payload_bytes),
            (&mut self.unique_bytes, &other.unique_bytes),
            (&mut self.retransmitted_segments, &other.retransmitted_segments),
            (&mut self.retransmitted_bytes, &other.retransmitted_bytes),
            (&mut self.missing_bytes, &other.missing_bytes),
            (&mut self.zero_windows, &other.zero_windows),
            (&mut self.bad_checksums, &other.bad_checksums),
        ] {
            own.client += others.client;
            own.server += others.server;
        }
        add_all(&mut self.by_handshake, &other.by_handshake);
        add_all(&mut self.by_close, &other.by_close);
        add_all(&mut self.by_zeek_state, &other.by_zeek_state);
        self.earliest = earliest(self.earliest, other.earliest);
        self.first_time = earliest(self.first_time, other.first_time);
        self.last_time = self.last_time.max(other.last_time);
        self.known_until = self.known_until.max(other.known_until);
    }

    fn add_side(&mut self, brief: &Brief, side: Side) {
        let sent = brief.sent.of(side);
        self.final_states.of_mut(side).add(brief.states.of(side).last().map(|stay| stay.state));
        for (sum, value) in [
            (&mut self.segments, sent.segments),
            (&mut self.ip_bytes, sent.ip_bytes),
            (&mut self.payload_bytes, sent.payload_bytes),
            (&mut self.unique_bytes, sent.unique_bytes),
            (&mut self.retransmitted_segments, sent.retransmitted_segments),
            (&mut self.retransmitted_bytes, sent.retransmitted_bytes),
            (&mut self.missing_bytes, sent.missing_bytes),
            (&mut self.zero_windows, sent.zero_windows),
            (&mut self.bad_checksums, sent.bad_checksums),
        ] {
            *sum.of_mut(side) += value;
        }
    }
}

/// How many endpoints ended in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    by_state: [u64; State::ALL.len()],
    unknown: u64,
}

impl StateCounts {
    /// Endpoints that ended in `state`.
    #[must_use]
    pub fn of(&self, state: State) -> u64 {
        count_of(&self.by_state, state as usize)
    }

    /// Endpoints of which no state is known, such as the absent side of a one-sided capture.
    #[must_use]
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }

    fn add(&mut self, state: Option<State>) {
        match state {
            Some(state) => count(&mut self.by_state, state as usize),
            None => self.unknown += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        add_all(&mut self.by_state, &other.by_state);
        self.unknown += other.unknown;
    }
}

/// Number, sum and extremes of some lengths of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub total: Span,
    /// The shortest.
    pub min: Option<Span>,
    /// The longest.
    pub max: Option<Span>,
}

impl Durations {
    /// Adds one length of time.
    pub fn add(&mut self, span: Span) {
        self.merge(&Self { count: 1, total: span, min: Some(span), max: Some(span) });
    }

    /// Adds those of another shard.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.total = self.total + other.total;
        self.min = earliest(self.min, other.min);
        self.max = self.max.max(other.max);
    }

    /// Their mean.
    #[must_use]
    pub fn mean(&self) -> Option<Span> {
        let count = i64::try_from(self.count).ok()?;
        Some(Span::from_nanos(self.total.nanos().checked_div(count)?))
    }
}

/// The lesser of two that exist.
pub(super) fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Counts are stored by the discriminants of their enums.
fn count(counts: &mut [u64], index: usize) {
    add_to(counts, index, 1);
}

fn add_to(counts: &mut [u64], index: usize, more: u64) {
    if let Some(count) = counts.get_mut(index) {
        *count += more;
    }
}

fn count_of(counts: &[u64], index: usize) -> u64 {
    counts.get(index).copied().unwrap_or(0)
}

fn add_all(sums: &mut [u64], others: &[u64]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}
