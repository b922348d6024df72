//! What is kept for one listener, host or pair: packed while it stands for few connections.
//!
//! A capture has many hosts and few busy ones. Totals and series of one take a kilobyte and more, its few
//! connections packed a hundred bytes each, which the listener, both hosts and the pair share.

use std::sync::{Arc, OnceLock};

use super::brief::Brief;
use super::slip::Slip;
use super::table::Entry;
use crate::near;
use crate::tcp::Side;

/// Totals that connections can be added to.
pub(super) trait Fold: Entry {
    /// Adds a connection; `side` is the side that the totals are about.
    fn fold(&mut self, brief: &Brief, side: Side);

    /// How many amounts its series hold.
    fn extent(&self) -> usize;

    /// Asks the memory for what adding a connection touches.
    fn prefetch(&self, step: Step);

    /// Widens the ticks of its series until none has more than `most`.
    fn coarsen(&mut self, most: usize);
}

/// What is asked of the memory at the same time: what one step asks for tells where the next one's lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Totals.
    Totals,
    /// What they point to, series among it.
    Series,
    /// The ends of series, where they are written.
    Ends,
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
    /// The totals of the packed connections, once somebody has asked for them.
    read: OnceLock<Box<V>>,
}

impl<V> Default for Place<V> {
    fn default() -> Self {
        Self { totals: None, packed: Vec::new(), as_server: 0, read: OnceLock::new() }
    }
}

impl<V: Fold> Place<V> {
    /// Packed connections that are kept; the totals of fewer take more.
    const MAX_PACKED: usize = u16::BITS as usize;

    /// Adds a connection. What packs it may use `desk`.
    pub(super) fn add(&mut self, slip: &Slip, side: Side, desk: &mut Vec<u8>) {
        if self.totals.is_none() && self.packed.len() < Self::MAX_PACKED {
            self.read.take();
            self.as_server |= u16::from(side == Side::Server) << self.packed.len();
            // Most entries stay with one connection: no room for a second one is made ahead.
            self.packed.reserve_exact(1);
            self.packed.push(slip.packed(desk));
        } else {
            self.open().fold(&slip.brief, side);
        }
    }

    /// Asks the memory for what adding a connection touches; the place itself is there.
    pub(super) fn prefetch(&self, step: Step) {
        match &self.totals {
            Some(totals) => totals.prefetch(step),
            None => near::element(&self.packed, self.packed.len()),
        }
    }

    /// The totals, made out of the packed connections if need be.
    pub(super) fn open(&mut self) -> &mut V {
        self.read.take();
        if self.totals.is_none() {
            let mut totals = Box::<V>::default();
            self.unpack_into(&mut totals);
            (self.packed, self.as_server) = (Vec::new(), 0);
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
}

impl<V: Fold> Entry for Place<V> {
    fn weight(&self) -> u64 {
        self.totals.as_ref().map_or(self.packed.len() as u64, |totals| totals.weight())
    }

    fn settle(&mut self) {
        if let Some(totals) = &mut self.totals {
            totals.settle();
        }
    }
}
