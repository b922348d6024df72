//! What happened at one service: an address and port that connections are made to.

use std::net::IpAddr;

use super::brief::Brief;
use super::lone::LoneSum;
use super::place::{Fold, Step};
use super::{Activity, Attempts, Concurrency, Distinct, Entry, Frequent, StateSeries, Totals};
use crate::connection::{HandshakeOutcome, LoneSyn, State};
use crate::near;
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
    /// Different addresses of which a single SYN is all that there is of a connection.
    pub lone_syn_sources: Distinct,
    /// Those that sent more than that in another one. Perf: whole runs, flood: each source is counted
    /// once.
    other_sources: Distinct,
    /// The addresses that sent the most first SYNs.
    pub frequent: Frequent,
    /// Connections in which the client sent a single SYN and nothing else.
    pub lone_syns: u64,
    /// Sockets of the server by state; SYN-RECEIVED, ESTABLISHED, CLOSE-WAIT, FIN-WAIT-2 and
    /// TIME-WAIT are kept.
    pub concurrency: StateSeries,
    /// Those of the sockets in SYN-RECEIVED whose handshake was never completed; and what was answered
    /// with a SYN cookie instead, for as long as a socket would have waited.
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

    /// Adds SYNs that nothing followed, as their records would be added; `sum` is their sum.
    pub(super) fn add_lone_syns(&mut self, syns: &[LoneSyn], sum: &LoneSum) {
        self.totals.add_lone_syns(sum);
        for lone in syns {
            self.activity.add(lone.mark.time, Attempts { attempts: 1, ..Attempts::default() });
            self.note_source(lone.client.address, true);
        }
    }

    /// Takes out what was added, but for the sketches of sources: the more they hold, the less they take
    /// in, and which sources are the most frequent depends on the order, which a shard has.
    pub(super) fn hand_over(&mut self) -> Self {
        let rest = Self {
            frequent: std::mem::take(&mut self.frequent),
            lone_syn_sources: std::mem::take(&mut self.lone_syn_sources),
            other_sources: std::mem::take(&mut self.other_sources),
            ..Self::default()
        };
        std::mem::replace(self, rest)
    }

    /// Adds what was added up elsewhere.
    pub(super) fn merge(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        self.answered += other.answered;
        self.syn_acks_after_ack += other.syn_acks_after_ack;
        self.lone_syns += other.lone_syns;
        self.lone_syn_sources.merge(&other.lone_syn_sources);
        self.other_sources.merge(&other.other_sources);
        self.frequent.merge(&other.frequent);
        self.concurrency.merge(&other.concurrency);
        self.half_open.merge(&other.half_open);
        self.activity.merge(&other.activity);
    }

    /// Different addresses that sent a SYN.
    #[must_use]
    pub fn sources(&self) -> Distinct {
        let mut all = self.lone_syn_sources.clone();
        all.merge(&self.other_sources);
        all
    }

    /// Counts who sent a SYN, and whether that was all that it sent.
    fn note_source(&mut self, client: IpAddr, is_lone: bool) {
        let hash = Distinct::hash(client);
        self.frequent.add(client, hash);
        if is_lone {
            self.lone_syns += 1;
            self.lone_syn_sources.add_hash(hash);
        } else {
            self.other_sources.add_hash(hash);
        }
    }
}

impl Fold for Listener {
    fn fold(&mut self, brief: &Brief, _: Side) {
        self.totals.add(brief);
        self.answered += u64::from(brief.has_syn_ack);
        self.syn_acks_after_ack += u64::from(brief.syn_acks_after_ack);
        if let (Some(syn), Some(attempts)) = (brief.syn, brief.attempts()) {
            self.activity.add(syn, attempts);
            self.note_source(brief.client.address, brief.sent.client.segments == 1);
        }
        add_stays(&mut self.concurrency, brief, Side::Server, &Self::STATES);
        if brief.outcome == HandshakeOutcome::HalfOpen {
            for (from, until) in brief.waits_in_vain() {
                self.half_open.add_interval(from, until, brief.known_until);
            }
        }
    }

    fn extent(&self) -> usize {
        // An amount of attempts is as large as four others.
        self.concurrency.extent() + self.half_open.extent() + 4 * self.activity.extent()
    }

    fn prefetch(&self, step: Step) {
        match step {
            Step::Totals => {
                near::value(&self.totals);
                near::value(&self.lone_syn_sources);
                near::value(&self.other_sources);
                near::value(&self.frequent);
                near::value(&self.concurrency);
                near::value(&self.activity);
            }
            Step::Series => {
                self.totals.prefetch();
                self.concurrency.prefetch();
            }
            Step::Ends => {
                self.concurrency.prefetch_ends();
                self.activity.prefetch_end();
            }
        }
    }

    fn coarsen(&mut self, most: usize) {
        self.concurrency.coarsen(most);
        self.half_open.coarsen(most);
        self.activity.coarsen(most);
    }
}

impl Entry for Listener {
    fn weight(&self) -> u64 {
        self.totals.connections
    }

    fn settle(&mut self) {
        self.concurrency.settle();
        self.half_open.settle();
        self.activity.settle();
    }
}

/// Adds the stays of `side` in `states`.
pub(super) fn add_stays(series: &mut StateSeries, brief: &Brief, side: Side, states: &[State]) {
    let is_open = brief.is_shown_open();
    for (state, from, until) in brief.stays(side, states) {
        if state != State::Established || is_open {
            series.of_mut(state).add_interval(from, until, brief.known_until);
        }
    }
}
