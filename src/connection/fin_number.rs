//! The number of a side's FIN, where not all FINs in its name can be its own: somebody else's, or old
//! copies from another life of the port pair.

use super::closing::newer;
use super::endpoint::{Endpoint, Reason};
use super::stream::Stream;
use super::{Connection, Entry, Event, State};
use crate::tcp::{Segment, Side};

impl Stream {
    /// Takes the FIN at `offset`; says whether the one that is known came again. Nothing lies behind a
    /// FIN, so of two that nobody has acknowledged the first number counts. One whose number was
    /// acknowledged as something else is dropped by its receiver (RFC 9293 3.10.7.4, first).
    pub(super) fn take_fin(&mut self, offset: i64) -> bool {
        match self.fin {
            Some(known) if offset < known && known >= self.acknowledged => {
                self.fin = Some(offset);
                false
            }
            Some(known) => known >= self.acknowledged && known == offset,
            None => {
                self.fin = (!self.was_data(offset)).then_some(offset);
                false
            }
        }
    }

    /// Whether the number at `offset` was sent as data, and acknowledged.
    fn was_data(&self, offset: i64) -> bool {
        let sent = i64::try_from(self.traffic.unique_bytes).unwrap_or(i64::MAX);
        self.syn_seen && offset < self.acknowledged && offset <= sent
    }
}

impl Endpoint {
    /// Takes back what its first FIN did, which was not its own, where not much came of it yet.
    fn disowns_first_fin(&mut self) -> bool {
        let first = self.fin.filter(|_| self.fin_repeats == 0).map(|mark| mark.frame);
        let is_first = |entry: &Entry| {
            matches!(entry.state, State::FinWait1 | State::LastAck) && entry.frame == first
        };
        let received = match self.entries() {
            [.., last] if is_first(last) => None,
            [.., sent, last] if is_first(sent) && last.state == State::Closing => Some(*last),
            _ => return false,
        };
        self.fin = None;
        if let Some(entry) = received {
            self.revert(entry.state);
            self.revert(State::FinWait1);
            self.apply(Event::ReceiveFin, Reason::of(&entry));
        } else {
            self.revert(self.state);
        }
        true
    }
}

impl Connection {
    /// Whether `segment` of `from` has a FIN that is to be looked at. `before` is the number of the FIN
    /// that was known until now; one that turns out not to have been its own is forgotten.
    pub(super) fn is_own_fin(
        &mut self,
        from: Side,
        segment: &Segment,
        before: Option<i64>,
    ) -> bool {
        let (me, peer) = self.sides.pair_mut(from);
        let Some(fin) = me.stream.fin.filter(|_| segment.flags.fin()) else { return false };
        if before.is_some_and(|before| before != fin) && me.disowns_first_fin() {
            peer.fin_arrivals.clear();
        }
        true
    }

    /// Whether what `segment` of `from` acknowledges is dropped: its peer has received the FIN of
    /// `from`, and the timestamp is older than that (RFC 7323 5.3).
    pub(super) fn is_older_than_own_fin(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let both = me.fin_stamps.zip(segment.timestamps());
        matches!(peer.state, State::Closing | State::LastAck)
            && both.is_some_and(|(fin, now)| newer(fin.value, now.value))
    }
}
