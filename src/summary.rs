//! Totals of a run: the whole capture, each listener, each host, each pair of them.
//!
//! Every shard of the pipeline collects its finished connections on a [`Tray`], and now and then all trays
//! are entered into the books of the run, in which each listener, host and pair has one place. Sums of
//! integers, minima and maxima do not depend on the order of additions; what does (which entries leave a
//! table that outgrows its named bound, and which sources a sketch remembers) is entered in the order of
//! the connections, whenever that is.
//!
//! Knows nothing of segments, of the detectors' limits, or of reports.

mod activity;
mod book;
mod brief;
mod concurrency;
mod distinct;
mod frequent;
mod ground;
mod hands;
mod host;
mod listener;
mod lone;
mod overlays;
mod pair;
mod place;
mod roster;
mod slip;
mod sparse;
mod table;
mod totals;
mod tray;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use activity::{Activity, Attempts};
use book::Book;
pub use concurrency::{Above, Concurrency, Peak, StateSeries};
pub use distinct::Distinct;
pub use frequent::{Frequent, Often};
pub use ground::{Ground, Lacking};
pub use hands::{Hands, OneHand};
pub use host::Host;
pub use listener::Listener;
use lone::Sum;
use overlays::Overlays;
pub use pair::{Pair, PairKey};
use roster::{Room, Roster};
use slip::Key as _;
pub use slip::Order;
pub(crate) use slip::is_due;
pub(crate) use table::{Entry, Merge, Table};
pub use totals::{Durations, StateCounts, Totals};
pub use tray::Tray;
use tray::{Lists, Parts};

use crate::connection::{ConnectionRecord, HandshakeOutcome};
use crate::tcp::{Endpoint, Overlay, OverlayId, Within};

/// Everything that is added up over connections.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The whole capture.
    pub totals: Totals,
    /// What the limits of memory cost.
    pub shed: Shed,
    listeners: Book<Within<Endpoint>, Listener>,
    hosts: Book<Within<IpAddr>, Host>,
    pairs: Book<Within<PairKey>, Pair>,
    /// The networks that the keys name.
    overlays: Overlays,
    /// Entries of each book that can be read, the heaviest ones.
    limit: usize,
    /// The connection that is being added alone.
    tray: Tray,
}

impl Default for Summary {
    fn default() -> Self {
        Self::of_run(Self::MAX_LISTENERS)
    }
}

/// What the limits of memory cost: connections whose record ends before they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Attempts to connect that had not come through when they were let go. They count in all
    /// totals; what came later looks like a connection of its own.
    pub handshakes: u64,
    /// Other connections.
    pub connections: u64,
}

impl Shed {
    /// Counts a connection that was let go early.
    pub fn count(&mut self, record: &ConnectionRecord) {
        match record.handshake.outcome {
            HandshakeOutcome::HalfOpen
            | HandshakeOutcome::Unanswered
            | HandshakeOutcome::Backscatter => self.handshakes += 1,
            HandshakeOutcome::Complete
            | HandshakeOutcome::FastOpen
            | HandshakeOutcome::Simultaneous
            | HandshakeOutcome::Refused
            | HandshakeOutcome::Aborted
            | HandshakeOutcome::Midstream => self.connections += 1,
        }
    }

    const fn add(&mut self, other: Self) {
        self.handshakes += other.handshakes;
        self.connections += other.connections;
    }

    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.handshakes + self.connections
    }
}

/// What a table had to let go to keep its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Entries that left; one that came back and left again counts twice.
    pub entries: u64,
    /// Connections that those entries stood for.
    pub connections: u64,
}

/// A part of a book, to be written in by one hand.
enum Part<'a> {
    Listeners(&'a mut Roster<Within<Endpoint>, Listener>, Vec<Sum>),
    Hosts(&'a mut Roster<Within<IpAddr>, Host>),
    Pairs(&'a mut Roster<Within<PairKey>, Pair>),
}

impl Summary {
    /// Listeners, hosts and pairs that can be read at the end, by default.
    pub const MAX_LISTENERS: usize = 16_384;

    /// How many times more entries are kept until the end: one that is light now may grow. Between two
    /// clearances a part of a book may hold twice as many.
    const MORE: usize = 2;

    /// Bytes that one listener, one host and one pair take, about, with what the allocator needs for
    /// them: measured on an archive of many captures, where all books are full and most series are long.
    const ENTRIES: u64 = 8_000;

    /// Amounts in series for each entry that is kept, of all those of its part together.
    const AMOUNTS: usize = 128;

    /// How much less that is where memory is limited.
    const TIGHTER: usize = 4;

    /// The summary of a run, of which `limit` entries of each book can be read.
    #[must_use]
    pub fn of_run(limit: usize) -> Self {
        Self {
            totals: Totals::default(),
            shed: Shed::default(),
            listeners: Book::default(),
            hosts: Book::default(),
            pairs: Book::default(),
            overlays: Overlays::default(),
            limit,
            tray: Tray::default(),
        }
    }

    /// How many entries of each book can be read if all of it may take `memory` bytes; not more than by
    /// default.
    #[must_use]
    pub fn limit_within(memory: u64) -> usize {
        let each = 2 * Self::MORE as u64 * Self::ENTRIES;
        usize::try_from(memory / each).unwrap_or(usize::MAX).clamp(256, Self::MAX_LISTENERS)
    }

    /// Adds one finished connection.
    pub fn add(&mut self, record: &ConnectionRecord) {
        let mut tray = std::mem::take(&mut self.tray);
        tray.add(Order::default(), record);
        self.enter(&mut [&mut tray], None, &OneHand);
        self.tray = tray;
    }

    /// Enters what the shards have finished, in its order: what stands before `mark`, since nothing
    /// earlier can come any more, or everything that is left.
    pub fn enter(&mut self, trays: &mut [&mut Tray], mark: Option<Order>, hands: &impl Hands) {
        let parts = self.listeners.parts.len();
        let mut sums: Vec<Vec<Sum>> = Vec::new();
        sums.resize_with(parts, Vec::new);
        for tray in trays.iter_mut() {
            if mark.is_none() {
                tray.close();
            }
            self.totals.merge(&std::mem::take(&mut tray.totals));
            self.shed.add(std::mem::take(&mut tray.shed));
            self.overlays.learn(&tray.overlays);
            for sum in tray.lone.take_due(mark) {
                if let Some(part) = sums.get_mut(sum.key.part()) {
                    part.push(sum);
                }
            }
        }
        let room = self.room();
        hands.each(self.parts(sums), |(index, part)| {
            let due = |list: fn(&Lists) -> &Parts| {
                let lists = trays.iter().map(|tray| (tray, list(&tray.lists).get(index)));
                let due =
                    lists.flat_map(|(tray, list)| tray.due(list.map_or(&[], |list| list), mark));
                let mut due: Vec<_> = due.collect();
                // Of what stands at the same place, a tray has the order.
                due.sort_by_key(|((at, cause), _, _)| {
                    u128::from(at.nanos().cast_unsigned() ^ 1 << 63) << 64 | u128::from(*cause)
                });
                due
            };
            match part {
                Part::Listeners(roster, mut sums) => {
                    sums.sort_by_key(|sum| sum.order);
                    roster.add_with_sums(&due(|lists| &lists.listeners), sums, room);
                }
                Part::Hosts(roster) => roster.add_all(&due(|lists| &lists.hosts), room),
                Part::Pairs(roster) => roster.add_all(&due(|lists| &lists.pairs), room),
            }
        });
        // Perf: by all threads; one alone took 45 ms of 650 at 16 threads with small connections.
        hands.each(trays.iter_mut().collect(), |tray| tray.forget(mark));
        self.forget_overlays();
    }

    /// All parts of all books by their numbers, those of listeners with what shards added up for them.
    fn parts(&mut self, sums: Vec<Vec<Sum>>) -> Vec<(usize, Part<'_>)> {
        let Self { listeners, hosts, pairs, .. } = self;
        let listeners = listeners.parts.iter_mut().zip(sums);
        let listeners = listeners.map(|(roster, sums)| Part::Listeners(roster, sums)).enumerate();
        let hosts = hosts.parts.iter_mut().map(Part::Hosts).enumerate();
        let pairs = pairs.parts.iter_mut().map(Part::Pairs).enumerate();
        listeners.chain(hosts).chain(pairs).collect()
    }

    /// How much each part of a book may hold.
    fn room(&self) -> Room {
        let entries = (Self::MORE * self.limit / self.listeners.parts.len()).max(1);
        let tighter = if self.limit >= Self::MAX_LISTENERS { 1 } else { Self::TIGHTER };
        Room { entries, amounts: entries * Self::AMOUNTS / tighter }
    }

    /// Puts everything in order, once all is added: reading is cheap then.
    pub fn settle(&mut self, hands: &impl Hands) {
        let Self { listeners, hosts, pairs, limit, .. } = self;
        listeners.settle(*limit, hands);
        hosts.settle(*limit, hands);
        pairs.settle(*limit, hands);
    }

    /// Every listener, by address, port and network.
    #[must_use]
    pub fn listeners(&self) -> Vec<(Within<Endpoint>, &Listener)> {
        self.listeners.sorted(self.limit, |_, _| true, &OneHand)
    }

    /// The listeners with at least so many connections, by address, port and network.
    #[must_use]
    pub fn listeners_with(&self, connections: u64) -> Vec<(Within<Endpoint>, &Listener)> {
        self.listeners.sorted(self.limit, |_, count| count >= connections, &OneHand)
    }

    /// How many listeners there are.
    #[must_use]
    pub fn listeners_kept(&self) -> usize {
        self.listeners.len(self.limit)
    }

    /// The listener at `endpoint`.
    #[must_use]
    pub fn listener(&self, endpoint: Within<Endpoint>) -> Option<&Listener> {
        self.listeners.value(&endpoint)
    }

    /// The `limit` listeners with the most connections, by address, port and network.
    #[must_use]
    pub fn busiest_listeners(
        &self,
        limit: usize,
        hands: &impl Hands,
    ) -> Vec<(Within<Endpoint>, &Listener)> {
        self.listeners.sorted(limit.min(self.limit), |_, _| true, hands)
    }

    /// The `limit` hosts with the most connections, by address and network.
    #[must_use]
    pub fn busiest_hosts(&self, limit: usize, hands: &impl Hands) -> Vec<(Within<IpAddr>, &Host)> {
        self.hosts.sorted(limit.min(self.limit), |_, _| true, hands)
    }

    /// Every host, by address and network.
    #[must_use]
    pub fn hosts(&self) -> Vec<(Within<IpAddr>, &Host)> {
        self.hosts_if(|_, _| true, &OneHand)
    }

    /// The hosts that `wanted` says, by their keys and numbers of connections. Those of few
    /// connections are cheap as long as nobody wants them; `hands` read those that somebody does.
    #[must_use]
    pub fn hosts_if(
        &self,
        wanted: impl Fn(&Within<IpAddr>, u64) -> bool,
        hands: &impl Hands,
    ) -> Vec<(Within<IpAddr>, &Host)> {
        self.hosts.sorted(self.limit, wanted, hands)
    }

    /// How many hosts there are.
    #[must_use]
    pub fn hosts_kept(&self) -> usize {
        self.hosts.len(self.limit)
    }

    /// The host with `address`.
    #[must_use]
    pub fn host(&self, address: Within<IpAddr>) -> Option<&Host> {
        self.hosts.value(&address)
    }

    /// Every pair of a client's address and a listener, in that order, and by network.
    #[must_use]
    pub fn pairs(&self) -> Vec<(Within<PairKey>, &Pair)> {
        self.pairs_if(|_, _| true)
    }

    /// The pairs that `wanted` says, by their keys and numbers of connections.
    #[must_use]
    pub fn pairs_if(
        &self,
        wanted: impl Fn(&Within<PairKey>, u64) -> bool,
    ) -> Vec<(Within<PairKey>, &Pair)> {
        self.pairs.sorted(self.limit, wanted, &OneHand)
    }

    /// The network that is named in a key.
    #[must_use]
    pub fn overlay(&self, id: OverlayId) -> Overlay {
        self.overlays.of(id)
    }

    /// Forgets networks that no key names any more, once there are more than keys have named.
    fn forget_overlays(&mut self) {
        if self.overlays.len() > 8 * Self::MORE * self.limit {
            let Self { listeners, hosts, pairs, overlays, .. } = self;
            let named = listeners.keys().map(|key| key.overlay);
            let named = named.chain(hosts.keys().map(|key| key.overlay));
            overlays.keep(named.chain(pairs.keys().map(|key| key.overlay)));
        }
    }

    /// Listeners that the bound let go.
    #[must_use]
    pub fn listeners_evicted(&self) -> Evicted {
        self.listeners.evicted(self.limit)
    }

    /// Hosts that the bound let go.
    #[must_use]
    pub fn hosts_evicted(&self) -> Evicted {
        self.hosts.evicted(self.limit)
    }

    /// Pairs that the bound let go.
    #[must_use]
    pub fn pairs_evicted(&self) -> Evicted {
        self.pairs.evicted(self.limit)
    }
}
