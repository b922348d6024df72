//! One client address and one service: the unit in which ephemeral ports run out.
//!
//! A client may have only one socket for a local port, a remote address and a remote port. While
//! that socket exists, in TIME-WAIT too, the port is taken.

use std::net::IpAddr;

use super::activity::is_complete;
use super::brief::{Brief, exists};
use super::place::{Fold, Step};
use super::totals::earliest;
use super::{Concurrency, Entry};
use crate::connection::{HandshakeOutcome, State};
use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, Side, Sides};

/// Names a pair; orders by client, then by server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairKey {
    /// Where the connections come from.
    pub client: IpAddr,
    /// Where they go.
    pub server: Endpoint,
}

/// Totals of one pair.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// Connections that were open at some time.
    pub connections: u64,
    /// Lowest and highest port of the client.
    pub ports: Option<(u16, u16)>,
    /// Local ports that sockets of the client held, in whatever state.
    pub ports_held: Concurrency,
    /// Sockets in TIME-WAIT on each side.
    pub time_wait: Sides<Concurrency>,
    /// The earliest of its connections: id and first frame.
    pub earliest: Option<(u64, FrameId)>,
}

impl Pair {
    /// Whether a connection belongs into a pair: attempts that never came through leave no
    /// TIME-WAIT, and a flood of them would fill the table.
    pub(super) fn counts(brief: &Brief) -> bool {
        Side::BOTH.iter().all(|side| brief.sent.of(*side).segments > 0)
            && (is_complete(brief.outcome) || brief.outcome == HandshakeOutcome::Midstream)
    }
}

impl Fold for Pair {
    fn fold(&mut self, brief: &Brief, _: Side) {
        let port = brief.client.port;
        self.connections += 1;
        self.earliest = earliest(self.earliest, Some((brief.id, brief.first_frame)));
        let (lowest, highest) = self.ports.unwrap_or((port, port));
        self.ports = Some((lowest.min(port), highest.max(port)));
        if let Some((from, until)) = held(brief) {
            self.ports_held.add_interval(from, until, brief.known_until);
        }
        for side in Side::BOTH {
            for (_, from, until) in brief.stays(side, &[State::TimeWait]) {
                self.time_wait.of_mut(side).add_interval(from, until, brief.known_until);
            }
        }
    }

    fn extent(&self) -> usize {
        let Sides { client, server } = &self.time_wait;
        self.ports_held.extent() + client.extent() + server.extent()
    }

    fn prefetch(&self, step: Step) {
        let Sides { client, server } = &self.time_wait;
        for series in [&self.ports_held, client, server] {
            match step {
                Step::Totals => series.prefetch(),
                Step::Series => {}
                Step::Ends => series.prefetch_end(),
            }
        }
    }

    fn coarsen(&mut self, most: usize) {
        self.ports_held.coarsen(most);
        self.time_wait.client.coarsen(most);
        self.time_wait.server.coarsen(most);
    }
}

impl Entry for Pair {
    fn weight(&self) -> u64 {
        self.connections
    }

    fn settle(&mut self) {
        self.ports_held.settle();
        self.time_wait.client.settle();
        self.time_wait.server.settle();
    }
}

/// From when until when the client's socket existed.
fn held(brief: &Brief) -> Option<(Time, Option<Time>)> {
    let states = &brief.states.client;
    let first = states.iter().find(|stay| exists(stay.state))?;
    let last = states.last().filter(|stay| !exists(stay.state));
    Some((first.from, last.map(|stay| stay.from)))
}
