//! Where a flow's live connection lies: hash tables keyed anew for every run.
//!
//! IPv4 flows outside tunnels are found by a key of 12 bytes that lies with their connection; all
//! others by an index to their tuple and tunnel. No order of a table ever reaches an output.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use super::identity::{Flow, tuple_of};
use super::slab::Slab;
use super::together::Together;
use crate::groups::Groups;
use crate::tcp::{FourTuple, TunnelLayer};

/// A flow's identity for as long as it is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Narrow([u32; 3]),
    Wide(u32),
}

/// Which of a shard's stores holds a flow's connection, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Slot {
    const LIVE: u32 = 1 << 31;
    /// The highest index.
    pub(super) const MOST: u32 = (1 << 24) - 1;

    pub(super) const fn embryo(index: u32) -> Self {
        Self(index & Self::MOST)
    }

    pub(super) const fn live(index: u32) -> Self {
        Self(index & Self::MOST | Self::LIVE)
    }

    pub(super) const fn is_live(self) -> bool {
        self.0 & Self::LIVE != 0
    }

    pub(super) const fn index(self) -> u32 {
        self.0 & Self::MOST
    }
}

/// The slot of a narrow flow, with some bits of its hash where no index has any.
///
/// Perf: the bits spare a look at what the slot points to, which is seldom in the core's cache, where
/// another flow's slot is met: for one in ten of those that a flood brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry(u32);

impl Entry {
    const HASH: u32 = Slot::LIVE - 1 - Slot::MOST;

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "some bits of a hash")]
    const fn new(slot: Slot, hash: u64) -> Self {
        // The table itself takes the lowest bits and the highest.
        Self(slot.0 | (hash >> 16) as u32 & Self::HASH)
    }

    const fn slot(self) -> Slot {
        Slot(self.0 & !Self::HASH)
    }
}

/// Flows to slots. A narrow flow's key lies with what its slot points to, which a look-up touches
/// next anyway, so that the table itself takes 5 to 13 bytes for a flow.
#[derive(Debug)]
pub(super) struct Table {
    hasher: RandomState,
    narrow: Groups<Entry>,
    wide: HashTable<u32>,
    /// Those of the wide flows that are inside tunnels, by their tuple alone.
    in_tunnels: Together,
    flows: Slab<WideFlow>,
}

#[derive(Debug)]
struct WideFlow {
    tuple: FourTuple,
    tunnel: Box<[TunnelLayer]>,
    slot: Slot,
}

impl WideFlow {
    fn is(&self, tuple: FourTuple, tunnel: &[TunnelLayer]) -> bool {
        self.tuple == tuple && *self.tunnel == *tunnel
    }
}

impl Table {
    pub(super) fn new(hasher: RandomState) -> Self {
        let in_tunnels = Together::new(hasher.clone());
        Self {
            hasher,
            narrow: Groups::new(),
            wide: HashTable::new(),
            in_tunnels,
            flows: Slab::new(),
        }
    }

    /// The flow's slot, if it has one; `key_of` tells whose a slot is.
    #[inline]
    pub(super) fn find(
        &self,
        flow: &Flow<'_>,
        key_of: impl Fn(Slot) -> Option<Key>,
    ) -> Option<Slot> {
        match flow {
            Flow::Narrow(key) => self.find_narrow(*key, key_of),
            Flow::Wide(tuple, tunnel) => self.find_wide(*tuple, tunnel),
        }
    }

    /// The same for a narrow flow.
    #[inline]
    pub(super) fn find_narrow(
        &self,
        key: [u32; 3],
        key_of: impl Fn(Slot) -> Option<Key>,
    ) -> Option<Slot> {
        let hash = hash_narrow(&self.hasher, key);
        let same = |entry: &Entry| {
            let slot = entry.slot();
            *entry == Entry::new(slot, hash)
                && matches!(key_of(slot), Some(Key::Narrow(other)) if other == key)
        };
        self.narrow.find(hash, same).map(Entry::slot)
    }

    fn find_wide(&self, tuple: FourTuple, tunnel: &[TunnelLayer]) -> Option<Slot> {
        let hash = hash_wide(&self.hasher, tuple, tunnel);
        let same = |index: &u32| self.flows.get(*index).is_some_and(|flow| flow.is(tuple, tunnel));
        let index = self.wide.find(hash, same)?;
        self.flows.get(*index).map(|flow| flow.slot)
    }

    /// The hash of a narrow flow; where it points is asked of the memory.
    #[inline]
    pub(super) fn prefetch(&self, key: [u32; 3]) -> u64 {
        let hash = hash_narrow(&self.hasher, key);
        self.narrow.prefetch(hash);
        hash
    }

    /// The same, of a flow's key.
    #[inline]
    pub(super) fn prefetch_key(&self, key: Key) {
        if let Key::Narrow(key) = key {
            self.prefetch(key);
        }
    }

    /// The slot that a narrow flow with this hash has, if it is in the table; if it is not, another
    /// one's perhaps.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<Slot> {
        let entry = self.narrow.find(hash, |entry| *entry == Entry::new(entry.slot(), hash))?;
        Some(entry.slot())
    }

    /// The key of a flow that is not in the table; [`Table::bind`] must follow.
    pub(super) fn claim(&mut self, flow: &Flow<'_>) -> Key {
        match *flow {
            Flow::Narrow(key) => Key::Narrow(key),
            Flow::Wide(tuple, tunnel) => {
                let hasher = &self.hasher;
                let hash = hash_wide(hasher, tuple, tunnel);
                let flow = WideFlow { tuple, tunnel: tunnel.into(), slot: Slot(0) };
                let index = self.flows.insert(flow);
                let flows = &self.flows;
                self.wide.insert_unique(hash, index, |index| {
                    flows.get(*index).map_or(0, |it| hash_wide(hasher, it.tuple, &it.tunnel))
                });
                if !tunnel.is_empty() {
                    self.in_tunnels.add(tuple, index);
                }
                Key::Wide(index)
            }
        }
    }

    /// Whether a key is that of this flow.
    #[inline]
    pub(super) fn is_of(&self, key: Key, flow: &Flow<'_>) -> bool {
        match (key, flow) {
            (Key::Narrow(key), Flow::Narrow(flow)) => key == *flow,
            (Key::Wide(index), Flow::Wide(tuple, tunnel)) => {
                self.flows.get(index).is_some_and(|known| known.is(*tuple, tunnel))
            }
            (Key::Narrow(_), Flow::Wide(..)) | (Key::Wide(_), Flow::Narrow(_)) => false,
        }
    }

    /// Some flow is inside a tunnel.
    pub(super) fn has_tunnels(&self) -> bool {
        !self.in_tunnels.is_empty()
    }

    /// The flows with this tuple in any tunnel: slots and tunnels, in the order in which they began.
    pub(super) fn in_tunnels(
        &self,
        tuple: FourTuple,
    ) -> impl Iterator<Item = (Slot, &[TunnelLayer])> {
        let flows = self.in_tunnels.of(tuple).filter_map(|index| self.flows.get(index));
        flows.map(|flow| (flow.slot, &*flow.tunnel))
    }

    /// The next narrow flow makes the table grow.
    pub(super) fn is_full(&self) -> bool {
        self.narrow.room() == 0
    }

    /// Makes room for so many more narrow flows at once.
    pub(super) fn reserve(&mut self, more: usize, key_of: impl Fn(Slot) -> Option<Key>) {
        let hasher = &self.hasher;
        self.narrow.reserve(more, |entry| hash_of(hasher, key_of(entry.slot())));
    }

    /// Gives a claimed key its slot.
    pub(super) fn bind(&mut self, key: Key, slot: Slot, key_of: impl Fn(Slot) -> Option<Key>) {
        match key {
            Key::Narrow(key) => {
                let hasher = &self.hasher;
                let hash = hash_narrow(hasher, key);
                let rehash = |entry: &Entry| hash_of(hasher, key_of(entry.slot()));
                self.narrow.insert(hash, Entry::new(slot, hash), rehash);
            }
            Key::Wide(index) => {
                if let Some(flow) = self.flows.get_mut(index) {
                    flow.slot = slot;
                }
            }
        }
    }

    /// Changes the slot of a flow from `before` to `slot`.
    pub(super) fn rebind(&mut self, key: Key, before: Slot, slot: Slot) {
        match key {
            Key::Narrow(key) => {
                let hash = hash_narrow(&self.hasher, key);
                let before = Entry::new(before, hash);
                if let Some(entry) = self.narrow.find_mut(hash, |other| *other == before) {
                    *entry = Entry::new(slot, hash);
                }
            }
            Key::Wide(index) => {
                if let Some(flow) = self.flows.get_mut(index) {
                    flow.slot = slot;
                }
            }
        }
    }

    /// No narrow flow is looked for any more.
    ///
    /// Perf: each would be taken out by itself otherwise, and where that is has left the core's cache
    /// when shards take turns: half of the time of a flood of 300,000 SYNs.
    pub(super) fn close(&mut self) {
        self.narrow = Groups::new();
    }

    /// Takes a flow out that has this slot.
    pub(super) fn remove(&mut self, key: Key, slot: Slot) {
        match key {
            Key::Narrow(key) => {
                let hash = hash_narrow(&self.hasher, key);
                let entry = Entry::new(slot, hash);
                self.narrow.remove(hash, |other| *other == entry);
            }
            Key::Wide(index) => {
                let Some(flow) = self.flows.remove(index) else { return };
                if !flow.tunnel.is_empty() {
                    self.in_tunnels.remove(flow.tuple, index);
                }
                let hash = hash_wide(&self.hasher, flow.tuple, &flow.tunnel);
                if let Ok(entry) = self.wide.find_entry(hash, |other| *other == index) {
                    entry.remove();
                }
            }
        }
    }

    /// The canonical tuple of a flow in the table.
    pub(super) fn tuple(&self, key: Key) -> Option<FourTuple> {
        match key {
            Key::Narrow(key) => Some(tuple_of(key)),
            Key::Wide(index) => self.flows.get(index).map(|flow| flow.tuple),
        }
    }

    /// The tunnel around a flow in the table.
    pub(super) fn tunnel(&self, key: Key) -> &[TunnelLayer] {
        match key {
            Key::Narrow(_) => &[],
            Key::Wide(index) => self.flows.get(index).map_or(&[], |flow| &flow.tunnel),
        }
    }

    /// The canonical tuple of a flow in the table, and the tunnel around it.
    pub(super) fn flow(&self, key: Key) -> Option<(FourTuple, Vec<TunnelLayer>)> {
        match key {
            Key::Narrow(key) => Some((tuple_of(key), Vec::new())),
            Key::Wide(index) => {
                self.flows.get(index).map(|flow| (flow.tuple, flow.tunnel.to_vec()))
            }
        }
    }
}

/// The hash of a narrow flow that is in the table.
#[inline]
fn hash_of(hasher: &RandomState, key: Option<Key>) -> u64 {
    match key {
        Some(Key::Narrow(key)) => hash_narrow(hasher, key),
        Some(Key::Wide(_)) | None => 0,
    }
}

#[inline]
fn hash_narrow(hasher: &RandomState, [low, high, ports]: [u32; 3]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u64(u64::from(low) << 32 | u64::from(high));
    state.write_u32(ports);
    state.finish()
}

fn hash_wide(hasher: &RandomState, tuple: FourTuple, tunnel: &[TunnelLayer]) -> u64 {
    let mut state = hasher.build_hasher();
    let FourTuple { source, destination } = tuple;
    for endpoint in [source, destination] {
        // An IPv4 address may share its hash with an IPv6 one.
        state.write_u128(match endpoint.address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => address.to_bits(),
        });
    }
    state.write_u32(u32::from(source.port) << 16 | u32::from(destination.port));
    if !tunnel.is_empty() {
        tunnel.hash(&mut state);
    }
    state.finish()
}
