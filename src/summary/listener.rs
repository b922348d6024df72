//! What happened at one service: an address and port that connections are made to.

use super::{Activity, Attempts, Concurrency, Distinct, Entry, StateSeries, Totals};
use crate::connection::{ConnectionRecord, HandshakeOutcome, LoneSyn, State};
use crate::tcp::Side;

/// Totals of one listener, and the states of its sockets over time.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// Its connections.
    pub totals: Box<Totals>,
    /// Connections in which the server sent a SYN-ACK.
    pub answered: u64,
    /// SYN-ACKs sent after the client's acknowledgment had passed the tap.
    pub syn_acks_after_ack: u64,
    /// Different addresses that sent a SYN.
    pub sources: Distinct,
    /// Of these, those whose every trace in a connection is a single SYN.
    pub lone_syn_sources: Distinct,
    /// Connections in which the client sent a single SYN and nothing else.
    pub lone_syns: u64,
    /// Sockets of the server by state; SYN-RECEIVED, ESTABLISHED, CLOSE-WAIT, FIN-WAIT-2 and
    /// TIME-WAIT are kept.
    pub concurrency: StateSeries,
    /// Those of the sockets in SYN-RECEIVED whose handshake was never completed.
    pub half_open: Concurrency,
    /// Attempts over time.
    pub activity: Activity,
}

impl Listener {
    /// States whose concurrency is kept.
    pub const STATES: [State; 5] = [
        State::SynReceived,
        State::Established,
        State::CloseWait,
        State::FinWait2,
        State::TimeWait,
    ];

    /// Adds one finished connection to this listener.
    pub fn add(&mut self, record: &ConnectionRecord) {
        self.totals.add(record);
        self.answered += u64::from(record.handshake.syn_ack.is_some());
        self.syn_acks_after_ack += u64::from(record.handshake.syn_acks_after_ack);
        if let (Some(syn), Some(attempts)) = (record.handshake.syn, Attempts::of(record)) {
            self.activity.add(syn.time, attempts);
            self.sources.add(record.client.address);
            if record.traffic.client.segments == 1 {
                self.lone_syns += 1;
                self.lone_syn_sources.add(record.client.address);
            }
        }
        add_intervals(&mut self.concurrency, record, Side::Server, &Self::STATES);
        if record.handshake.outcome == HandshakeOutcome::HalfOpen {
            add_intervals_to(&mut self.half_open, record, Side::Server, State::SynReceived);
        }
    }
}

impl Listener {
    /// Adds a SYN that nothing followed, as [`Listener::add`] adds its record.
    pub fn add_lone_syn(&mut self, lone: &LoneSyn) {
        self.totals.add_lone_syn(lone);
        self.activity.add(lone.mark.time, Attempts { attempts: 1, ..Attempts::default() });
        let hash = Distinct::hash(lone.client.address);
        self.sources.add_hash(hash);
        self.lone_syns += 1;
        self.lone_syn_sources.add_hash(hash);
    }
}

impl Entry for Listener {
    fn weight(&self) -> u64 {
        self.totals.connections
    }

    fn merge(&mut self, other: Self) {
        self.totals.merge(&other.totals);
        self.answered += other.answered;
        self.syn_acks_after_ack += other.syn_acks_after_ack;
        self.lone_syns += other.lone_syns;
        self.sources.merge(&other.sources);
        self.lone_syn_sources.merge(&other.lone_syn_sources);
        self.concurrency.merge(&other.concurrency);
        self.half_open.merge(&other.half_open);
        self.activity.merge(&other.activity);
    }

    fn settle(&mut self) {
        self.concurrency.settle();
        self.half_open.settle();
        self.activity.settle();
    }
}

/// Adds the intervals that `side` spent in `states`.
pub(super) fn add_intervals(
    series: &mut StateSeries,
    record: &ConnectionRecord,
    side: Side,
    states: &[State],
) {
    for (index, entry) in record.states.of(side).iter().enumerate() {
        if states.contains(&entry.state)
            && (entry.state != State::Established || is_shown_open(record))
            && let Some((from, until)) = record.interval(side, index)
        {
            series.of_mut(entry.state).add_interval(from, until, record.known_until);
        }
    }
}

/// Whether the capture shows that the connection was open: its SYN or SYN-ACK, or segments of both
/// sides. Lone segments out of nowhere, as of a scan with ACKs, show nothing.
fn is_shown_open(record: &ConnectionRecord) -> bool {
    let segments = |side| record.traffic.of(side).segments;
    record.handshake.syn.is_some()
        || record.handshake.syn_ack.is_some()
        || (segments(Side::Client) > 0 && segments(Side::Server) > 0)
}

/// Adds the intervals that `side` spent in `state`.
pub(super) fn add_intervals_to(
    series: &mut Concurrency,
    record: &ConnectionRecord,
    side: Side,
    state: State,
) {
    for (index, _) in record.states.of(side).iter().enumerate().filter(|(_, e)| e.state == state) {
        if let Some((from, until)) = record.interval(side, index) {
            series.add_interval(from, until, record.known_until);
        }
    }
}
