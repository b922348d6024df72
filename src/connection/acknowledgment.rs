//! The acknowledgment in an ordinary segment, and what it changes.

use super::{Connection, Effects, State, UNHINDERED};
use crate::tcp::{Extras, Segment, Side};

impl Connection {
    /// The acknowledgment in a segment from `from`: what it tells of both sides.
    pub(super) fn on_acknowledgment(
        &mut self,
        from: Side,
        segment: &Segment,
        extras: &Extras,
        effects: &mut Effects,
    ) {
        if self.is_out_of_window(from, segment) {
            return;
        }
        let peer = self.sides.of_mut(from.peer());
        let before = peer.stream.acknowledged;
        let Some(offset) = peer.stream.hear(segment, extras, effects) else { return };
        let held = peer.stream.end > peer.stream.acknowledged || segment.window == 0;
        let made_room = peer.stream.acknowledged > before && peer.stream.end - before > UNHINDERED;
        if (peer.held && !held) || made_room {
            peer.released = segment.time;
        }
        peer.held = held;
        if offset < 1 {
            return;
        }
        self.on_ack_of_syn(from, segment);
        if self.sides.of(from).state == State::FinWait2 {
            self.doubt_ack_of_fin(from, segment, offset);
        }
        if self.sides.of(from.peer()).stream.fin.is_some_and(|fin| offset > fin)
            && !self.is_older_than_own_fin(from, segment)
        {
            self.on_fin_acknowledged(from, segment, extras, before);
        }
    }
}
