//! What a shard has finished, until it is entered into the books of the run.
//!
//! Whole sums are added up here. A connection waits as a slip for the totals of its listener, its hosts
//! and their pair, listed by the part of the book to which it goes. Lone SYNs, of which a flood brings
//! millions to one listener, are added up here as well, see [`Lone`].

use super::brief::Brief;
use super::lone::{Lone, LoneSum};
use super::overlays::Overlays;
use super::slip::{Key, Order, Slip, is_due};
use super::{Pair, PairKey, Shed, Totals};
use crate::connection::{ConnectionRecord, LoneSyn};
use crate::near;
use crate::stamp::Time;
use crate::tcp::{Endpoint, OverlayId, Side, TunnelLayer, Within};

/// What one shard has finished.
#[derive(Clone, Debug, Default)]
pub struct Tray {
    /// What the limits of memory cost.
    pub shed: Shed,
    pub(super) totals: Totals,
    pub(super) overlays: Overlays,
    pub(super) lone: Lone,
    /// Those that wait, and behind them others whose memory will be used again.
    slips: Vec<Slip>,
    waiting: usize,
    pub(super) lists: Lists,
    /// A connection that is compared with one that waits.
    other: Brief,
}

/// Slips by the part of the book to which they go.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) listeners: Parts,
    pub(super) hosts: Parts,
    pub(super) pairs: Parts,
}

/// One list for each part.
pub(super) type Parts = [Vec<Listed>; <Within<Endpoint> as Key>::PARTS];

/// A slip, by its place, and for whose sake it is listed.
pub(super) type Listed = (u32, Side);

/// So far ahead of one listed connection the next ones are asked for.
const AHEAD: usize = 8;

impl Tray {
    /// Slips that wait before it is better to hand them over.
    const ROOM: usize = 256;
    /// Behind everything that can still come.
    const LAST: Order = (Time::MAX, u64::MAX);

    /// Whether it is better to hand over what waits before there is more of it.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.waiting >= Self::ROOM
    }

    /// How many connections wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a connection that stands at `order`, which never is before that of the one before.
    pub fn add(&mut self, order: Order, record: &ConnectionRecord) {
        let overlay = self.name(&record.tunnel, record.other_tunnel.as_deref());
        let slip = self.free_slip();
        slip.open().read(record);
        (slip.order, slip.server, slip.overlay) = (order, record.server, overlay);
        if let Some(lone) = self.as_lone_syn(record) {
            return self.take_lone_syn(order, overlay, &lone);
        }
        if let Some(slip) = self.slips.get(self.waiting) {
            self.totals.add(&slip.brief);
        }
        self.list();
    }

    /// Adds a SYN in `tunnel` that nothing followed, which stands at `order`, as [`Tray::add`] adds its record.
    pub fn add_lone_syn(&mut self, order: Order, lone: &LoneSyn, tunnel: &[TunnelLayer]) {
        let overlay = self.name(tunnel, None);
        self.take_lone_syn(order, overlay, lone);
    }

    fn take_lone_syn(&mut self, order: Order, overlay: OverlayId, lone: &LoneSyn) {
        let key = Within { at: lone.server, overlay };
        if !self.lone.waiting.has_room(key) {
            self.add_up_lone_syns(order);
        }
        self.lone.waiting.push(key, lone);
    }

    /// Adds up the lone SYNs that wait, since something comes that stands at `order`.
    fn add_up_lone_syns(&mut self, order: Order) {
        let Some((key, syns)) = self.lone.waiting.take() else { return };
        let sum = LoneSum::of(&syns);
        self.totals.add_lone_syns(&sum);
        if !self.lone.add(order, key, &syns, &sum) {
            for lone in &syns {
                let slip = self.free_slip();
                slip.open().read_lone(lone);
                (slip.order, slip.server, slip.overlay) = (order, key.at, key.overlay);
                self.list();
            }
        }
        self.lone.waiting.give_back(syns);
    }

    /// Adds up all that waits to be: nothing more will come.
    pub(super) fn close(&mut self) {
        self.add_up_lone_syns(Self::LAST);
        self.lone.hand_over_all(Self::LAST);
    }

    /// The SYN that nothing followed, if the connection in the free slip is the same as that.
    fn as_lone_syn(&mut self, record: &ConnectionRecord) -> Option<LoneSyn> {
        let Self { slips, waiting, other, .. } = self;
        let slip = slips.get(*waiting)?;
        let lone = slip.brief.as_lone_syn(record)?;
        other.read_lone(&lone);
        (*other == slip.brief).then_some(lone)
    }

    /// The slip behind those that wait.
    fn free_slip(&mut self) -> &mut Slip {
        if self.slips.len() == self.waiting {
            self.slips.push(Slip::default());
        }
        #[expect(clippy::indexing_slicing, reason = "there are more than wait, see above")]
        &mut self.slips[self.waiting]
    }

    /// Lets the free slip wait for all whom it is about.
    fn list(&mut self) {
        let Self { slips, waiting, lists, .. } = self;
        let Some(slip) = slips.get(*waiting) else { return };
        let Ok(place) = u32::try_from(*waiting) else { return };
        let brief = &slip.brief;
        if brief.is_of_service() {
            enter::<Within<Endpoint>>(&mut lists.listeners, slip, (place, Side::Server));
        }
        for side in Side::BOTH {
            if brief.is_alive(side) {
                enter::<Within<std::net::IpAddr>>(&mut lists.hosts, slip, (place, side));
            }
        }
        if Pair::counts(brief) {
            enter::<Within<PairKey>>(&mut lists.pairs, slip, (place, Side::Client));
        }
        *waiting += 1;
    }

    /// What of a list stands before `mark`, or all of it.
    pub(super) fn due<'a>(
        &'a self,
        list: &'a [Listed],
        mark: Option<Order>,
    ) -> impl Iterator<Item = (Order, &'a Slip, Side)> {
        let listed = list.iter().enumerate().filter_map(move |(index, (place, side))| {
            if let Some((next, _)) = list.get(index + AHEAD) {
                self.slips.get(*next as usize).inspect(|slip| near::value(&slip.order));
            }
            let slip = self.slips.get(*place as usize)?;
            Some((slip.order, slip, *side))
        });
        listed.filter(move |(order, _, _)| is_due(*order, mark))
    }

    /// Forgets what stands before `mark`, or all of it.
    pub(super) fn forget(&mut self, mark: Option<Order>) {
        let Self { slips, waiting, lists, .. } = self;
        // Where each slip that stays goes to.
        let mut moved = vec![None; *waiting];
        let mut kept = 0;
        for (place, to) in (0..*waiting).zip(&mut moved) {
            if slips.get(place).is_some_and(|slip| !is_due(slip.order, mark)) {
                if place != kept {
                    slips.swap(place, kept);
                }
                *to = u32::try_from(kept).ok();
                kept += 1;
            }
        }
        *waiting = kept;
        for list in lists.each_mut() {
            if kept == 0 {
                list.clear();
                continue;
            }
            list.retain_mut(|(place, _)| {
                let to = moved.get(*place as usize).copied().flatten();
                *place = to.unwrap_or_default();
                to.is_some()
            });
        }
        if !self.overlays.is_empty() {
            let slips = self.slips.iter().take(kept).map(|slip| slip.overlay);
            self.overlays.keep(slips.chain(self.lone.keys().map(|key| key.overlay)));
        }
    }

    fn name(&mut self, tunnel: &[TunnelLayer], other: Option<&[TunnelLayer]>) -> OverlayId {
        self.overlays.name(tunnel, other)
    }
}

impl Lists {
    fn each_mut(&mut self) -> impl Iterator<Item = &mut Vec<Listed>> {
        let Self { listeners, hosts, pairs } = self;
        listeners.iter_mut().chain(hosts).chain(pairs)
    }
}

fn enter<K: Key>(parts: &mut Parts, slip: &Slip, (place, side): Listed) {
    if let Some(part) = parts.get_mut(K::of(slip, side).part()) {
        part.push((place, side));
    }
}
