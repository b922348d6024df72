//! A finished connection on its way to the totals of its listener, its hosts and their pair.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use super::brief::Brief;
use super::{Distinct, PairKey};
use crate::near;
use crate::stamp::Time;
use crate::tcp::{Endpoint, OverlayId, Side, Within};

/// Where a connection stands among all that ended: by when it did, and what ended it, as a shard tells.
/// Of those that stand at the same place, all are of one shard, which has their order.
///
/// Shards hand over what they have at moments that depend on threads and chunks. Whatever the order of
/// additions could leave a trace in is added in this one.
pub type Order = (Time, u64);

/// Whether what stands at `order` is to be taken: nothing before `mark` can come any more, nor anything
/// at all where there is none.
#[inline]
pub(crate) fn is_due(order: Order, mark: Option<Order>) -> bool {
    mark.is_none_or(|mark| order < mark)
}

/// A connection, and whom it is about.
#[derive(Clone, Debug)]
pub(super) struct Slip {
    pub(super) order: Order,
    pub(super) brief: Brief,
    pub(super) server: Endpoint,
    pub(super) overlay: OverlayId,
    packed: OnceLock<Arc<[u8]>>,
}

impl Default for Slip {
    fn default() -> Self {
        let brief = Brief::default();
        let server = brief.client;
        let (order, overlay) = (Order::default(), OverlayId::NONE);
        Self { order, brief, server, overlay, packed: OnceLock::new() }
    }
}

impl Slip {
    /// Lets another connection be read into it.
    pub(super) fn open(&mut self) -> &mut Brief {
        self.packed.take();
        &mut self.brief
    }

    /// Asks the memory for it.
    pub(super) fn prefetch(&self) {
        near::value(&self.order);
        near::value(&self.packed);
        near::value(&self.server);
        near::value(&self.brief);
        near::value(&self.brief.sent.client);
        near::value(&self.brief.sent.server);
        near::value(&self.brief.states);
    }

    /// The connection in few bytes, which whoever keeps it shares; packed at `desk` the first time.
    pub(super) fn packed(&self, desk: &mut Vec<u8>) -> Arc<[u8]> {
        let packed = self.packed.get_or_init(|| {
            desk.clear();
            self.brief.pack(desk);
            desk.as_slice().into()
        });
        Arc::clone(packed)
    }
}

/// Names what totals are kept for.
pub(super) trait Key: Copy {
    /// How many parts a book has: so many can be written in at the same time.
    const PARTS: usize = 16;

    /// What `side` of a connection counts for.
    fn of(slip: &Slip, side: Side) -> Self;

    /// A number that is spread evenly over all keys, the same in every run: the bounds of a part show in
    /// what is kept.
    fn spread(&self) -> u64;

    /// The part that it belongs to.
    fn part(&self) -> usize {
        (self.spread() >> 32) as usize % Self::PARTS
    }
}

impl Key for Within<Endpoint> {
    fn of(slip: &Slip, _: Side) -> Self {
        Self { at: slip.server, overlay: slip.overlay }
    }

    fn spread(&self) -> u64 {
        spread_of(self.at)
    }
}

impl Key for Within<IpAddr> {
    fn of(slip: &Slip, side: Side) -> Self {
        let endpoint = match side {
            Side::Client => slip.brief.client,
            Side::Server => slip.server,
        };
        Self { at: endpoint.address, overlay: slip.overlay }
    }

    fn spread(&self) -> u64 {
        Distinct::hash(self.at)
    }
}

impl Key for Within<PairKey> {
    fn of(slip: &Slip, _: Side) -> Self {
        let at = PairKey { client: slip.brief.client.address, server: slip.server };
        Self { at, overlay: slip.overlay }
    }

    fn spread(&self) -> u64 {
        Distinct::hash(self.at.client) ^ spread_of(self.at.server).rotate_left(7)
    }
}

fn spread_of(endpoint: Endpoint) -> u64 {
    let port = u64::from(endpoint.port).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Distinct::hash(endpoint.address) ^ port
}
