//! What a shard keeps for one listener, host or pair: packed while it stands for few connections.
//!
//! A capture has many hosts and few busy ones, and every shard has its own entry for each. Totals
//! and series of one take a kilobyte and more, its few connections packed a hundred bytes each, which
//! the listener, both hosts and the pair share.

use std::sync::{Arc, OnceLock};

use super::brief::Brief;
use super::table::Entry;
use crate::tcp::Side;

/// Totals that connections can be added to.
pub(super) trait Fold: Entry {
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

/// A connection to add, as it is and, once somebody asks for it, packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Parcel {
    pub(super) brief: Brief,
    /// Entries may keep it packed.
    pub(super) may_wait: bool,
    packed: Option<Arc<[u8]>>,
    /// Where it is packed.
    bytes: Vec<u8>,
}

impl Parcel {
    /// One whose connections entries may keep packed.
    pub(super) fn that_may_wait() -> Self {
        Self { may_wait: true, ..Self::default() }
    }

    /// Lets another connection be read into it.
    pub(super) fn open(&mut self) -> &mut Brief {
        self.packed = None;
        &mut self.brief
    }

    fn packed(&mut self) -> Arc<[u8]> {
        let Self { brief, packed, bytes, .. } = self;
        let packed = packed.get_or_insert_with(|| {
            bytes.clear();
            brief.pack(bytes);
            bytes.as_slice().into()
        });
        Arc::clone(packed)
    }
}

/// The totals of one key.
#[derive(Clone, Debug)]
pub(super) struct Place<V> {
    /// None while all connections are packed.
    totals: Option<Box<V>>,
    /// Connections, each packed, one after the other.
    packed: Vec<Arc<[u8]>>,
    /// Of which of them it is the server, from the lowest bit on.
    as_server: u16,
    /// Connections that the totals do not hold: packed ones, or those that were handed on.
    besides: u64,
    /// The totals of the packed connections, once somebody has asked for them.
    read: OnceLock<Box<V>>,
    /// Its series were long once.
    is_long: bool,
}

impl<V> Default for Place<V> {
    fn default() -> Self {
        let (totals, packed, read) = (None, Vec::new(), OnceLock::new());
        Self { totals, packed, as_server: 0, besides: 0, read, is_long: false }
    }
}

impl<V: Fold> Place<V> {
    /// Packed connections that are kept; the totals of fewer take more.
    const MAX_PACKED: usize = u16::BITS as usize;
    /// Amounts in the series of an entry that hands on what it has.
    pub(super) const BUSY: usize = 512;

    /// Adds a connection.
    pub(super) fn add(&mut self, parcel: &mut Parcel, side: Side) {
        if parcel.may_wait && self.totals.is_none() && self.packed.len() < Self::MAX_PACKED {
            self.read.take();
            self.as_server |= u16::from(side == Side::Server) << self.packed.len();
            // Most entries stay with one connection: no room for a second one is made ahead.
            self.packed.reserve_exact(1);
            self.packed.push(parcel.packed());
            self.besides += 1;
        } else {
            self.open().fold(&parcel.brief, side);
        }
    }

    /// The totals, made out of the packed connections if need be.
    pub(super) fn open(&mut self) -> &mut V {
        self.read.take();
        if self.totals.is_none() {
            let mut totals = Box::<V>::default();
            self.unpack_into(&mut totals);
            (self.packed, self.as_server, self.besides) = (Vec::new(), 0, 0);
            self.totals = Some(totals);
        }
        self.totals.get_or_insert_default()
    }

    /// Adds the packed connections to totals.
    fn unpack_into(&self, totals: &mut V) {
        let mut brief = Brief::default();
        for (bytes, place) in self.packed.iter().zip(0..) {
            let is_server = self.as_server >> place & 1 == 1;
            if brief.unpack(&mut &**bytes).is_some() {
                totals.fold(&brief, if is_server { Side::Server } else { Side::Client });
            }
        }
    }

    /// The totals. Of packed connections they are made when they are first asked for: a capture has
    /// many hosts and pairs, and a report and the detectors read the busy ones.
    pub(super) fn value(&self) -> &V {
        self.totals.as_deref().unwrap_or_else(|| {
            self.read.get_or_init(|| {
                let mut totals = Box::<V>::default();
                self.unpack_into(&mut totals);
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
        let packed = self.packed.len();
        let fits = packed + other.packed.len() <= Self::MAX_PACKED;
        match (&mut self.totals, &other.totals) {
            (None, None) if fits => {
                let shift = u32::try_from(packed).unwrap_or(u32::MAX);
                self.as_server |= other.as_server.checked_shl(shift).unwrap_or(0);
                self.packed.reserve_exact(other.packed.len());
                self.packed.extend(other.packed);
                self.besides += other.besides;
            }
            (_, None) => other.unpack_into(self.open()),
            (None, Some(_)) => {
                let own = std::mem::replace(self, other);
                own.unpack_into(self.open());
                (self.besides, self.is_long) = (0, own.is_long);
            }
            (Some(totals), Some(_)) => {
                if let Some(others) = other.totals {
                    totals.merge(*others);
                }
            }
        }
    }

    fn settle(&mut self) {
        if let Some(totals) = &mut self.totals {
            totals.settle();
        }
    }
}
