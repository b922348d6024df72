//! Mergeable totals of a run: the whole capture, each listener, each host, each pair of them.
//!
//! Every shard of the pipeline fills one [`Summary`] from its finished connections, and the
//! summaries are merged at the end. Everything in it is made of integer sums, minima and maxima, so
//! that the order of additions and merges leaves no trace. Only when a table outgrows its named
//! bound do the lightest entries leave it, counted; which ones depends on the order within a shard,
//! and that the pipeline fixes.
//!
//! Knows nothing of segments, of the detectors' limits, or of reports.

mod activity;
mod brief;
mod concurrency;
mod distinct;
mod frequent;
mod gather;
mod ground;
mod hands;
mod host;
mod listener;
mod lone;
mod overlays;
mod pair;
mod place;
mod roster;
mod sparse;
mod table;
mod totals;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use activity::{Activity, Attempts};
pub use concurrency::{Above, Concurrency, Peak, StateSeries};
pub use distinct::Distinct;
pub use frequent::{Frequent, Often};
pub use ground::{Ground, Lacking};
pub use hands::{Hands, OneHand};
pub use host::Host;
pub use listener::Listener;
use lone::{LoneSum, Waiting};
use overlays::Overlays;
pub use pair::{Pair, PairKey};
use place::Parcel;
use roster::Roster;
pub(crate) use table::{Entry, Table};
pub use totals::{Durations, StateCounts, Totals};

use crate::connection::{ConnectionRecord, HandshakeOutcome, LoneSyn};
use crate::tcp::{Endpoint, Overlay, OverlayId, Side, TunnelLayer, Within};

/// Everything that is added up over connections.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The whole capture.
    pub totals: Totals,
    /// What the limits of memory cost.
    pub shed: Shed,
    listeners: Roster<Within<Endpoint>, Listener>,
    hosts: Roster<Within<IpAddr>, Host>,
    pairs: Roster<Within<PairKey>, Pair>,
    /// The networks that the keys name.
    overlays: Overlays,
    /// Entries of each table that are kept while connections are added, and once all is merged.
    bound: usize,
    limit: usize,
    /// The connection that is being added.
    parcel: Parcel,
    waiting: Waiting,
}

/// One that can be read at any time.
impl Default for Summary {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            shed: Shed::default(),
            listeners: Roster::default(),
            hosts: Roster::default(),
            pairs: Roster::default(),
            overlays: Overlays::default(),
            bound: Self::MAX_PER_SHARD,
            limit: Self::MAX_LISTENERS,
            parcel: Parcel::default(),
            waiting: Waiting::default(),
        }
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

impl Summary {
    /// Listeners, hosts and pairs kept in one shard by default; between two clearances it may hold
    /// twice as many of each.
    pub const MAX_PER_SHARD: usize = 1_024;
    /// Listeners, hosts and pairs kept of the whole run by default.
    pub const MAX_LISTENERS: usize = Self::WHOLE * Self::MAX_PER_SHARD;

    /// How many times more entries of the whole run are kept than of a shard.
    const WHOLE: usize = 16;

    /// Bytes that one listener, one host and one pair of a shard take, about, with their share of
    /// those of the whole run and with what the allocator needs for them: measured on an archive of
    /// many captures, where all tables are full and most series are long.
    const ENTRIES: u64 = 8_000;

    /// The summary of a shard, which keeps `bound` entries of each table. What it found can be read
    /// once it is merged into another one, and that is settled.
    #[must_use]
    pub fn of_shard(bound: usize) -> Self {
        Self { bound, parcel: Parcel::that_may_wait(), ..Self::default() }
    }

    /// The summary of a run whose shards keep `bound` entries of each table.
    #[must_use]
    pub fn of_run(bound: usize) -> Self {
        Self { limit: Self::WHOLE * bound, ..Self::default() }
    }

    /// How many entries each table of a shard may keep if the summaries of `shards` shards may take
    /// `memory` bytes in all; not more than by default.
    #[must_use]
    pub fn bound_within(memory: u64, shards: usize) -> usize {
        let both = 2 * Self::ENTRIES * shards as u64;
        usize::try_from(memory / both).unwrap_or(usize::MAX).clamp(16, Self::MAX_PER_SHARD)
    }

    /// Adds one finished connection.
    pub fn add(&mut self, record: &ConnectionRecord) {
        self.add_waiting();
        let overlay = self.overlay_of(&record.tunnel, record.other_tunnel.as_deref());
        let Self { parcel, bound, .. } = self;
        parcel.open().read(record);
        self.totals.add(&parcel.brief);
        if parcel.brief.is_of_service() {
            let key = Within { at: record.server, overlay };
            self.listeners.add(key, parcel, Side::Server, *bound);
        }
        for side in Side::BOTH {
            if parcel.brief.is_alive(side) {
                let key = Within { at: record.endpoint(side).address, overlay };
                self.hosts.add(key, parcel, side, *bound);
            }
        }
        if Pair::counts(&parcel.brief) {
            let key = PairKey { client: record.client.address, server: record.server };
            self.pairs.add(Within { at: key, overlay }, parcel, Side::Client, *bound);
        }
    }

    /// Adds a SYN in `tunnel` that nothing followed, as [`Summary::add`] adds its record.
    pub fn add_lone_syn(&mut self, lone: &LoneSyn, tunnel: &[TunnelLayer]) {
        let key = Within { at: lone.server, overlay: self.overlay_of(tunnel, None) };
        if !self.waiting.has_room(key) {
            self.add_waiting();
        }
        self.waiting.push(key, lone);
    }

    /// Adds the lone SYNs that wait.
    fn add_waiting(&mut self) {
        let Self { parcel, bound, totals, listeners, waiting, .. } = self;
        let Some(key) = waiting.key() else { return };
        let sum = LoneSum::of(&waiting.syns);
        totals.add_lone_syns(&sum);
        listeners.change(key, *bound, |place| {
            if let Some(listener) = place.totals_mut() {
                listener.add_lone_syns(&waiting.syns, &sum);
            } else {
                for lone in &waiting.syns {
                    parcel.open().read_lone(lone);
                    place.add(parcel, Side::Server);
                }
            }
            parcel.may_wait
        });
        waiting.clear();
    }

    /// Takes over what the busy entries of a shard have gathered.
    pub fn take_over(&mut self, shard: &mut Self) {
        let Self { listeners, hosts, pairs, overlays, .. } = shard;
        let named = listeners.handed_on().map(|key| key.overlay);
        let named = named.chain(hosts.handed_on().map(|key| key.overlay));
        let named = named.chain(pairs.handed_on().map(|key| key.overlay));
        self.overlays.learn(named, overlays);
        self.listeners.take_over(&mut shard.listeners, self.limit);
        self.hosts.take_over(&mut shard.hosts, self.limit);
        self.pairs.take_over(&mut shard.pairs, self.limit);
        self.forget_overlays(8 * self.limit);
    }

    /// Adds what another shard found.
    pub fn merge(&mut self, other: Self) {
        self.merge_all(vec![other], &OneHand);
    }

    /// Adds what all `shards` found, in their order, and puts it in order.
    pub fn merge_all(&mut self, shards: Vec<Self>, hands: &impl Hands) {
        let (mut listeners, mut hosts, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        self.add_waiting();
        for mut shard in shards {
            shard.add_waiting();
            self.totals.merge(&shard.totals);
            self.shed.handshakes += shard.shed.handshakes;
            self.shed.connections += shard.shed.connections;
            self.overlays.learn_all(&shard.overlays);
            listeners.push(shard.listeners);
            hosts.push(shard.hosts);
            pairs.push(shard.pairs);
        }
        self.listeners.merge_all(listeners, self.limit, hands);
        self.hosts.merge_all(hosts, self.limit, hands);
        self.pairs.merge_all(pairs, self.limit, hands);
        self.forget_overlays(8 * self.limit);
    }

    /// Puts everything in order, once all is merged: reading is cheap then.
    pub fn settle(&mut self) {
        self.add_waiting();
        self.listeners.table.settle();
        self.hosts.table.settle();
        self.pairs.table.settle();
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

    fn overlay_of(&mut self, tunnel: &[TunnelLayer], other: Option<&[TunnelLayer]>) -> OverlayId {
        let id = self.overlays.name(tunnel, other);
        self.forget_overlays(8 * self.bound);
        id
    }

    /// Three tables with two times their bound each, and what they handed on, name fewer than
    /// `limit` networks; what is above that nothing names.
    fn forget_overlays(&mut self, limit: usize) {
        if self.overlays.len() > limit {
            self.add_waiting();
            let Self { listeners, hosts, pairs, overlays, .. } = self;
            let named = listeners.keys().map(|key| key.overlay);
            let named = named.chain(hosts.keys().map(|key| key.overlay));
            overlays.keep(named.chain(pairs.keys().map(|key| key.overlay)));
        }
    }

    /// Listeners that the bound let go.
    #[must_use]
    pub fn listeners_evicted(&self) -> Evicted {
        self.listeners.table.evicted(self.limit)
    }

    /// Hosts that the bound let go.
    #[must_use]
    pub fn hosts_evicted(&self) -> Evicted {
        self.hosts.table.evicted(self.limit)
    }

    /// Pairs that the bound let go.
    #[must_use]
    pub fn pairs_evicted(&self) -> Evicted {
        self.pairs.table.evicted(self.limit)
    }
}
