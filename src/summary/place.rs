//! What a shard keeps for one listener, host or pair: packed while it stands for few connections.
//!
//! A capture has many hosts and few busy ones, and every shard has its own entry for each. Totals
//! and series of one take a kilobyte and more, its few connections packed a hundred bytes each. A
//! busy entry hands what it has gathered on to the whole run now and then, so that 64 shards do not
//! hold 64 long series. None of this changes what adds up.

use std::hash::Hash;
use std::sync::OnceLock;

use super::brief::Brief;
use super::table::{Entry, Table};
use crate::tcp::Side;

/// Totals that connections can be added to.
pub(super) trait Fold: Entry {
    /// Adds a connection; `side` is the side that the totals are about.
    fn fold(&mut self, brief: &Brief, side: Side);

    /// How many amounts its series hold.
    fn extent(&self) -> usize;

    /// Takes out what it has gathered, but for what has to stay in its shard, or may while there is
    /// room.
    fn hand_over(&mut self, _has_room: bool) -> Self {
        std::mem::take(self)
    }
}

/// A connection to add, as it is and packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Parcel {
    pub(super) brief: Brief,
    /// None where everything is to be unpacked at once.
    pub(super) packed: Option<Vec<u8>>,
}

impl Parcel {
    /// Packs what was read into it.
    pub(super) fn close(&mut self) {
        if let Some(packed) = &mut self.packed {
            packed.clear();
            self.brief.pack(packed);
        }
    }
}

/// The totals of one key.
#[derive(Clone, Debug)]
pub(super) struct Place<V> {
    /// None while all connections are packed.
    totals: Option<Box<V>>,
    /// Connections one after the other, each behind its side.
    packed: Vec<u8>,
    /// Connections that the totals do not hold: packed ones, or those that were handed on.
    besides: u64,
    /// The totals of the packed connections, once somebody has asked for them.
    read: OnceLock<Box<V>>,
}

impl<V> Default for Place<V> {
    fn default() -> Self {
        Self { totals: None, packed: Vec::new(), besides: 0, read: OnceLock::new() }
    }
}

impl<V: Fold> Place<V> {
    /// Bytes of packed connections that are kept; totals take as much.
    const MAX_PACKED: usize = 1_024;
    /// Amounts in the series of an entry that hands on what it has.
    const BUSY: usize = 512;

    /// Adds a connection.
    pub(super) fn add(&mut self, parcel: &Parcel, side: Side) {
        match (&mut self.totals, &parcel.packed) {
            (None, Some(packed)) if self.packed.len() < Self::MAX_PACKED => {
                self.read.take();
                // Most entries stay with one connection: no room for a second one is made ahead.
                self.packed.reserve_exact(packed.len() + 1);
                self.packed.push(u8::from(side == Side::Server));
                self.packed.extend(packed);
                self.besides += 1;
            }
            _ => self.open().fold(&parcel.brief, side),
        }
    }

    /// The totals, made out of the packed connections if need be.
    pub(super) fn open(&mut self) -> &mut V {
        let Self { totals, packed, besides, read } = self;
        read.take();
        totals.get_or_insert_with(|| {
            *besides = 0;
            let mut totals = Box::<V>::default();
            unpack_into(&mut *totals, &std::mem::take(packed));
            totals
        })
    }

    /// The totals. Of packed connections they are made when they are first asked for: a capture has
    /// many hosts and pairs, and a report and the detectors read the busy ones.
    pub(super) fn value(&self) -> &V {
        self.totals.as_deref().unwrap_or_else(|| {
            self.read.get_or_init(|| {
                let mut totals = Box::<V>::default();
                unpack_into(&mut *totals, &self.packed);
                totals.settle();
                totals
            })
        })
    }

    pub(super) fn totals_mut(&mut self) -> Option<&mut V> {
        self.totals.as_deref_mut()
    }

    /// Takes out what a busy entry has gathered.
    fn hand_on(&mut self, has_room: bool) -> Option<Self> {
        let totals = self.totals.as_deref_mut().filter(|it| it.extent() >= Self::BUSY)?;
        self.besides += totals.weight();
        let totals = Some(Box::new(totals.hand_over(has_room)));
        Some(Self { totals, ..Self::default() })
    }
}

impl<V: Fold> Entry for Place<V> {
    fn weight(&self) -> u64 {
        self.besides + self.totals.as_ref().map_or(0, |totals| totals.weight())
    }

    fn held(&self) -> u64 {
        self.totals.as_ref().map_or(self.besides, |totals| totals.weight())
    }

    fn merge(&mut self, other: Self) {
        self.read.take();
        match (&mut self.totals, other.totals) {
            (None, None) if self.packed.len() + other.packed.len() <= Self::MAX_PACKED => {
                self.packed.reserve_exact(other.packed.len());
                self.packed.extend(other.packed);
                self.besides += other.besides;
            }
            (_, None) => unpack_into(self.open(), &other.packed),
            (None, Some(mut totals)) => {
                unpack_into(&mut *totals, &std::mem::take(&mut self.packed));
                (self.totals, self.besides) = (Some(totals), 0);
            }
            (Some(totals), Some(others)) => totals.merge(*others),
        }
    }

    fn settle(&mut self) {
        if let Some(totals) = &mut self.totals {
            totals.settle();
        }
    }
}

fn unpack_into<V: Fold>(totals: &mut V, mut bytes: &[u8]) {
    let mut brief = Brief::default();
    while let Some((side, rest)) = bytes.split_first() {
        bytes = rest;
        let side = if *side == 0 { Side::Client } else { Side::Server };
        if brief.unpack(&mut bytes).is_none() {
            return;
        }
        totals.fold(&brief, side);
    }
}

/// A table of such places, and what its busy entries handed on.
#[derive(Clone, Debug)]
pub(super) struct Roster<K, V> {
    pub(super) table: Table<K, Place<V>>,
    handed_on: Vec<(K, Place<V>)>,
    /// Entries that handed something on.
    busy: usize,
}

/// One entry in so many of a shard may hand on what it has: of all shards together, as many as the
/// whole run keeps, so that what is handed on never drives anything out.
const BUSY_SHARE: usize = 4;

/// While no more entries of a shard than this hand something on, they keep what may stay: 18 KB each.
const BUSIEST: usize = 16;

impl<K, V> Default for Roster<K, V> {
    fn default() -> Self {
        Self { table: Table::default(), handed_on: Vec::new(), busy: 0 }
    }
}

impl<K: Copy + Ord + Hash, V: Fold> Roster<K, V> {
    /// Adds a connection to the entry of `key`; the table keeps `bound` entries.
    pub(super) fn add(&mut self, key: K, parcel: &Parcel, side: Side, bound: usize) {
        self.change(key, bound, |place| {
            place.add(parcel, side);
            parcel.packed.is_some()
        });
    }

    /// Changes the entry of `key`, which hands on what it has if that is much and `add` says so.
    pub(super) fn change(&mut self, key: K, bound: usize, add: impl FnOnce(&mut Place<V>) -> bool) {
        let Self { table, handed_on, busy } = self;
        let place = table.entry(key, bound);
        if !add(place) {
            return;
        }
        let is_new = place.totals.is_none() || place.besides == 0;
        if is_new && *busy >= bound / BUSY_SHARE {
            return;
        }
        if let Some(part) = place.hand_on(*busy < BUSIEST) {
            *busy += usize::from(is_new);
            handed_on.push((key, part));
        }
    }

    /// Takes over what was handed on in a shard; the table keeps `limit` entries.
    pub(super) fn take_over(&mut self, shard: &mut Self, limit: usize) {
        for (key, part) in shard.handed_on.drain(..) {
            self.table.entry(key, limit).merge(part);
        }
    }

    /// Adds what other shards found, in their order, and puts all of it in order.
    pub(super) fn merge_all(&mut self, others: Vec<Self>, limit: usize) {
        for other in others {
            self.merge(other, limit);
        }
        self.table.settle();
    }

    /// Adds what another shard found.
    pub(super) fn merge(&mut self, mut other: Self, limit: usize) {
        self.take_over(&mut other, limit);
        self.table.merge(other.table, limit);
    }

    /// The keys of all entries and of what they handed on.
    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.table.keys().chain(self.handed_on())
    }

    /// The keys of entries that handed something on.
    pub(super) fn handed_on(&self) -> impl Iterator<Item = K> {
        self.handed_on.iter().map(|(key, _)| *key)
    }

    /// The totals of `key`.
    pub(super) fn value(&self, key: &K) -> Option<&V> {
        self.table.value(key).map(Place::value)
    }

    /// Of the heaviest `limit` entries those that `wanted` says, by key and number of connections;
    /// ordered by key.
    pub(super) fn sorted(&self, limit: usize, wanted: impl Fn(&K, u64) -> bool) -> Vec<(K, &V)> {
        let sorted = self.table.sorted(limit).into_iter();
        let wanted = sorted.filter(|(key, place)| wanted(key, place.weight()));
        wanted.map(|(key, place)| (key, place.value())).collect()
    }

    /// How many entries there are, but no more than `limit`.
    pub(super) fn len(&self, limit: usize) -> usize {
        self.table.len().min(limit)
    }
}
