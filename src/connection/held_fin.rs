//! A side that had closed, and could not send its FIN yet, when the peer's came: its acknowledgment
//! tells.
//!
//! Linux acknowledges a FIN at once in FIN-WAIT-1 (`tcp_fin`). Where nobody has closed yet it leaves that
//! to the delayed acknowledgment, or to what the application does next.

use super::endpoint::Reason;
use super::{Cause, Connection, Entry, Event, State, UNHINDERED};
use crate::certainty::Certainty;
use crate::settings::Settings;
use crate::stamp::Span;
use crate::tcp::{Segment, Side};

/// What the kernel sends by itself comes as soon as this; no application wakes up and acts so quickly.
const AT_ONCE: Span = Span::from_micros(100);

impl Connection {
    /// `segment` of `from` acknowledges a FIN of the peer at once: it had closed itself. Its FIN waits, if
    /// so much is in flight that it would have to; or went out before the capture began, if nothing was
    /// heard of it since. Told only of hosts that are known to be Linux.
    pub(super) fn note_held_fin(&mut self, from: Side, segment: &Segment, settings: &Settings) {
        let Some(received) = self.fin_acknowledged_at_once(from, segment, settings) else { return };
        let me = self.sides.of_mut(from);
        let reason = Reason {
            certainty: Certainty::Inferred,
            ..Reason::of(&received).corrected(Some(segment.frame))
        };
        if me.stream.end - me.stream.acknowledged > UNHINDERED {
            me.revert(State::CloseWait);
            me.apply(Event::SendFin, Reason { cause: Cause::HeldFin, ..reason });
            me.apply(Event::ReceiveFin, reason);
        } else if me.has_begun_late() && !me.spoke() {
            self.had_sent_fin_before(
                from,
                &received,
                Reason { frame: Some(segment.frame), ..reason },
            );
        }
    }

    /// The entry by which `from` received the FIN that `segment` acknowledges, if no application can have
    /// had part in that.
    fn fin_acknowledged_at_once(
        &self,
        from: Side,
        segment: &Segment,
        settings: &Settings,
    ) -> Option<Entry> {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        if me.state != State::CloseWait || me.fin.is_some() {
            return None;
        }
        let received = me.last_entry().copied()?;
        let came_alone = peer.fin_repeats == 0
            && peer.fin.is_some_and(|fin| {
                received.frame == Some(fin.frame)
                    && peer.stream.traffic.last_data.is_none_or(|data| data.frame != fin.frame)
            });
        let is_pure = segment.payload_len == 0 && !segment.flags.fin() && segment.flags.ack();
        let is_told = came_alone
            && is_pure
            && Some(self.last.frame) == received.frame
            && received.cause == Cause::ReceivedFin
            && segment.time.since(received.at) <= AT_ONCE
            && settings.of(self.addresses.of(from).address).is_linux();
        is_told.then_some(received)
    }
}
