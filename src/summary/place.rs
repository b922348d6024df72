//! What a shard keeps for one listener, host or pair: packed while it stands for few connections.
//!
//! A capture has many hosts and few busy ones, and every shard has its own entry for each. Totals
//! and series of one take a kilobyte and more, its few connections packed a hundred bytes each.

use std::sync::OnceLock;

use super::brief::{Brief, Packing};
use super::table::Entry;
use crate::tcp::Side;

/// Totals that connections can be added to.
pub(super) trait Fold: Entry {
    /// How much of a connection they need.
    const PACKING: Packing = Packing::Whole;

    /// Adds a connection; `side` is the side that the totals are about.
    fn fold(&mut self, brief: &Brief, side: Side);

    /// How many amounts its series hold.
    fn extent(&self) -> usize;

    /// Widens the ticks of its series until none has more than `most`.
    fn coarsen(&mut self, most: usize);

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
    pub(super) packed: Option<Packed>,
}

/// The same connection, packed for each kind of totals.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    whole: Vec<u8>,
    of_pair: Vec<u8>,
}

impl Packed {
    fn of(&self, packing: Packing) -> &[u8] {
        match packing {
            Packing::Whole => &self.whole,
            Packing::OfPair => &self.of_pair,
        }
    }
}

impl Parcel {
    /// Packs what was read into it.
    pub(super) fn close(&mut self) {
        if let Some(Packed { whole, of_pair }) = &mut self.packed {
            for (packing, bytes) in [(Packing::Whole, whole), (Packing::OfPair, of_pair)] {
                bytes.clear();
                self.brief.pack(packing, bytes);
            }
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
    /// Its series were long once.
    is_long: bool,
}

impl<V> Default for Place<V> {
    fn default() -> Self {
        Self { totals: None, packed: Vec::new(), besides: 0, read: OnceLock::new(), is_long: false }
    }
}

impl<V: Fold> Place<V> {
    /// Bytes of packed connections that are kept; totals take as much.
    const MAX_PACKED: usize = 1_024;
    /// Amounts in the series of an entry that hands on what it has.
    pub(super) const BUSY: usize = 512;

    /// Adds a connection.
    pub(super) fn add(&mut self, parcel: &Parcel, side: Side) {
        match (&mut self.totals, &parcel.packed) {
            (None, Some(packed)) if self.packed.len() < Self::MAX_PACKED => {
                self.read.take();
                let packed = packed.of(V::PACKING);
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
        let Self { totals, packed, besides, read, .. } = self;
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

    /// How many amounts its series hold.
    pub(super) fn extent(&self) -> usize {
        self.totals.as_ref().map_or(0, |totals| totals.extent())
    }

    /// Widens the ticks of its series until none has more than `most`.
    pub(super) fn coarsen(&mut self, most: usize) {
        if let Some(totals) = &mut self.totals {
            totals.coarsen(most);
        }
    }

    /// Whether its series are long.
    pub(super) fn is_long(&self) -> bool {
        self.extent() >= Self::BUSY
    }

    /// Remembers that its series are long; whether that is new.
    pub(super) const fn mark_long(&mut self) -> bool {
        !std::mem::replace(&mut self.is_long, true)
    }

    /// Whether its series were long once.
    pub(super) const fn is_marked_long(&self) -> bool {
        self.is_long
    }

    /// Whether all its connections are packed, or were handed on before.
    pub(super) const fn hands_on_anew(&self) -> bool {
        self.totals.is_none() || self.besides == 0
    }

    /// Takes out what a busy entry has gathered.
    pub(super) fn hand_on(&mut self, has_room: bool) -> Option<Self> {
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
        if brief.unpack(V::PACKING, &mut bytes).is_none() {
            return;
        }
        totals.fold(&brief, side);
    }
}
