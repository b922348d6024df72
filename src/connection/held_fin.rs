//! A side that had closed, and could not send its FIN yet, when the peer's came: its acknowledgment
//! tells.
//!
//! Linux acknowledges a FIN at once in FIN-WAIT-1 (`tcp_fin`). Where nobody has closed yet it leaves that
//! to the delayed acknowledgment, or to what the application does next.

use super::endpoint::Reason;
use super::{Cause, Connection, Event, State, UNHINDERED};
use crate::certainty::Certainty;
use crate::settings::Settings;
use crate::stamp::Span;
use crate::tcp::{Segment, Side};

/// What the kernel sends by itself comes as soon as this; no application wakes up and acts so quickly.
const AT_ONCE: Span = Span::from_micros(100);

impl Connection {
    /// `segment` of `from` acknowledges a FIN of the peer at once, while so much is in flight that an own
    /// FIN would have to wait: there is one. Told only of hosts that are known to be Linux.
    pub(super) fn note_held_fin(&mut self, from: Side, segment: &Segment, settings: &Settings) {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        if me.state != State::CloseWait || me.fin.is_some() {
            return;
        }
        let Some(received) = me.last_entry().copied() else { return };
        let came_alone = peer.fin_repeats == 0
            && peer.fin.is_some_and(|fin| {
                received.frame == Some(fin.frame)
                    && peer.stream.traffic.last_data.is_none_or(|data| data.frame != fin.frame)
            });
        let is_pure = segment.payload_len == 0 && !segment.flags.fin() && segment.flags.ack();
        let waits = me.stream.end - me.stream.acknowledged > UNHINDERED;
        if came_alone
            && is_pure
            && waits
            && Some(self.last.frame) == received.frame
            && received.cause == Cause::ReceivedFin
            && segment.time.since(received.at) <= AT_ONCE
            && settings.of(self.addresses.of(from).address).syncookies.is_some()
        {
            let me = self.sides.of_mut(from);
            me.revert(State::CloseWait);
            let reason = Reason {
                certainty: Certainty::Inferred,
                ..Reason::of(&received).corrected(Some(segment.frame))
            };
            me.apply(Event::SendFin, Reason { cause: Cause::HeldFin, ..reason });
            me.apply(Event::ReceiveFin, reason);
        }
    }
}
