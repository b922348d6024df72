//! What one address did, as a client and as a server.

use super::brief::Brief;
use super::listener::add_stays;
use super::place::{Fold, Step};
use super::{Entry, StateSeries, Totals};
use crate::connection::State;
use crate::near;
use crate::tcp::{Side, Sides};

/// Totals of one host by the role it played, and the states of all its sockets over time.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its connections, by the role that it played in them; nothing is stored for a role that it
    /// never played.
    pub as_role: Sides<Option<Box<Totals>>>,
    /// Its sockets by state; SYN-SENT and the states that listeners keep.
    pub concurrency: StateSeries,
}

impl Host {
    /// States whose concurrency is kept.
    pub const STATES: [State; 6] = [
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::CloseWait,
        State::FinWait2,
        State::TimeWait,
    ];

    /// Connections of this host, in either role.
    #[must_use]
    pub fn connections(&self) -> u64 {
        Side::BOTH
            .iter()
            .filter_map(|side| self.as_role.of(*side).as_ref())
            .map(|t| t.connections)
            .sum()
    }
}

impl Fold for Host {
    fn fold(&mut self, brief: &Brief, side: Side) {
        self.as_role.of_mut(side).get_or_insert_default().add(brief);
        add_stays(&mut self.concurrency, brief, side, &Self::STATES);
    }

    fn extent(&self) -> usize {
        self.concurrency.extent()
    }

    fn prefetch(&self, step: Step) {
        match step {
            Step::Totals => near::value(self),
            Step::Series => {
                let Sides { client, server } = &self.as_role;
                client.iter().chain(server).for_each(|totals| totals.prefetch());
                self.concurrency.prefetch();
            }
            Step::Ends => self.concurrency.prefetch_ends(),
        }
    }

    fn coarsen(&mut self, most: usize) {
        self.concurrency.coarsen(most);
    }
}

impl Entry for Host {
    fn weight(&self) -> u64 {
        self.connections()
    }

    fn settle(&mut self) {
        self.concurrency.settle();
    }
}
