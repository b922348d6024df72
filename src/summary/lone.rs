//! Lone SYNs, of which a flood leaves millions: what they add to the totals is one sum.
//!
//! Those to one listener that follow one another wait and are added up together. Where many do, they are
//! added up in their shard, so that the listener's part of the book is not what a flood waits for: the
//! shard hands over what it gathered now and then, and keeps the sketches of sources, which soon take in
//! little. When it does follows from what came to the shard alone.

use super::place::Fold as _;
use super::slip::{Order, is_due};
use super::totals::earliest;
use super::{Listener, Within};
use crate::connection::{LoneSyn, State};
use crate::stamp::{FrameId, Time};
use crate::tcp::Endpoint;

type Key = Within<Endpoint>;

/// The lone SYNs of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Lone {
    pub(super) waiting: Waiting,
    /// Listeners that get many.
    flooded: Vec<(Key, Box<Listener>)>,
    /// What goes to the books, in its order.
    handed: Vec<Sum>,
}

/// What many lone SYNs add to the totals of their listener.
#[derive(Clone, Debug)]
pub(super) struct Sum {
    pub(super) order: Order,
    pub(super) key: Key,
    pub(super) totals: Box<Listener>,
}

impl Lone {
    /// So many in a row make a listener one that gets many.
    const MANY: usize = 8;
    /// Listeners that are known to get many, at most: 18 KB each.
    const MOST: usize = 16;
    /// Amounts in the series of a listener that hands on what it has.
    const LONG: usize = 512;

    /// Adds lone SYNs, before something that stands at `order`, if they are many or their listener gets
    /// many; says so.
    pub(super) fn add(&mut self, order: Order, key: Key, syns: &[LoneSyn], sum: &LoneSum) -> bool {
        if self.flooded.iter().all(|(known, _)| *known != key) {
            if syns.len() < Self::MANY {
                return false;
            }
            if self.flooded.len() >= Self::MOST {
                self.hand_over_all(order);
            }
            self.flooded.push((key, Box::default()));
        }
        let totals = self.flooded.iter_mut().find(|(known, _)| *known == key);
        let Some((_, totals)) = totals else { return false };
        totals.add_lone_syns(syns, sum);
        if totals.extent() >= Self::LONG {
            let totals = Box::new(totals.hand_over());
            self.handed.push(Sum { order, key, totals });
        }
        true
    }

    /// Hands over all that was added up.
    pub(super) fn hand_over_all(&mut self, order: Order) {
        let sums = self.flooded.drain(..).map(|(key, totals)| Sum { order, key, totals });
        self.handed.extend(sums);
    }

    /// Takes out what was handed over and stands before `mark`, or all of it.
    pub(super) fn take_due(&mut self, mark: Option<Order>) -> impl Iterator<Item = Sum> {
        let later = self.handed.iter().position(|sum| !is_due(sum.order, mark));
        let due = later.unwrap_or(self.handed.len());
        self.handed.drain(..due)
    }

    /// The listeners that something waits for.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        let handed = self.handed.iter().map(|sum| sum.key);
        self.flooded.iter().map(|(key, _)| *key).chain(handed).chain(self.waiting.key)
    }
}

/// Lone SYNs to one listener that wait to be added up together.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// Their listener.
    key: Option<Key>,
    syns: Vec<LoneSyn>,
}

impl Waiting {
    /// How many are added up at once.
    const MANY: usize = 32;

    /// Whether one more to this listener may wait with the others.
    pub(super) fn has_room(&self, key: Key) -> bool {
        self.key == Some(key) && self.syns.len() < Self::MANY
    }

    /// Lets one more wait. Those to another listener must have been taken.
    pub(super) fn push(&mut self, key: Key, lone: &LoneSyn) {
        self.key = Some(key);
        self.syns.push(*lone);
    }

    /// Takes those that wait, and their listener.
    pub(super) fn take(&mut self) -> Option<(Key, Vec<LoneSyn>)> {
        Some((self.key.take()?, std::mem::take(&mut self.syns)))
    }

    /// Takes back the room of those that were taken.
    pub(super) fn give_back(&mut self, mut syns: Vec<LoneSyn>) {
        syns.clear();
        self.syns = syns;
    }
}

/// What some lone SYNs add to totals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoneSum {
    pub(super) count: u64,
    /// Those whose client gave up.
    pub(super) given_up: u64,
    pub(super) ip_bytes: u64,
    pub(super) earliest: Option<(u64, FrameId)>,
    pub(super) first_time: Option<Time>,
    pub(super) last_time: Option<Time>,
    pub(super) known_until: Option<Time>,
}

impl LoneSum {
    pub(super) fn of(syns: &[LoneSyn]) -> Self {
        syns.iter().fold(Self::default(), |sum, lone| Self {
            count: sum.count + 1,
            given_up: sum.given_up + u64::from(lone.client_state == State::Closed),
            ip_bytes: sum.ip_bytes + lone.ip_bytes,
            earliest: earliest(sum.earliest, Some((lone.id, lone.mark.frame))),
            first_time: earliest(sum.first_time, Some(lone.mark.time)),
            last_time: sum.last_time.max(Some(lone.mark.time)),
            known_until: sum.known_until.max(Some(lone.known_until)),
        })
    }
}
