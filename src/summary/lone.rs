//! Lone SYNs to one listener that wait to be added up together: a flood leaves millions in a row, and
//! what they add to the totals is one sum.

use super::Within;
use super::totals::earliest;
use crate::connection::{LoneSyn, State};
use crate::stamp::{FrameId, Time};
use crate::tcp::Endpoint;

/// The lone SYNs that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// Their listener.
    key: Option<Within<Endpoint>>,
    pub(super) syns: Vec<LoneSyn>,
}

impl Waiting {
    /// How many are added up at once.
    const MANY: usize = 32;

    /// Whether one more to this listener may wait with the others.
    pub(super) fn has_room(&self, key: Within<Endpoint>) -> bool {
        self.key == Some(key) && self.syns.len() < Self::MANY
    }

    /// Lets one more wait. Those to another listener must have been added.
    pub(super) fn push(&mut self, key: Within<Endpoint>, lone: &LoneSyn) {
        self.key = Some(key);
        self.syns.push(*lone);
    }

    /// The listener of those that wait.
    pub(super) const fn key(&self) -> Option<Within<Endpoint>> {
        self.key
    }

    /// Forgets them, and keeps their room.
    pub(super) fn clear(&mut self) {
        self.key = None;
        self.syns.clear();
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
