//! A side that had closed, and could not send its FIN yet, when the peer's came: its acknowledgment
//! tells.
//!
//! Linux acknowledges a FIN at once in FIN-WAIT-1 (`tcp_fin`). Where nobody has closed yet it leaves that
//! to the delayed acknowledgment, or to what the application does next. What the FIN waits for shows
//! before, where so much is in flight that it has to; or when it comes, at once behind the acknowledgment
//! that makes room for it: the window is of one segment after a SYN or SYN-ACK was lost
//! (`tcp_init_transfer`), or anything else.

use super::endpoint::Reason;
use super::stream::Stream;
use super::{Cause, Connection, Entry, Event, Mark, State, UNHINDERED};
use crate::certainty::Certainty;
use crate::settings::Settings;
use crate::stamp::Span;
use crate::tcp::{Segment, Side};

/// What the kernel sends by itself comes as soon as this; no application wakes up and acts so quickly.
const AT_ONCE: Span = Span::from_micros(100);

/// More than this is acknowledged at once in any state (`__tcp_ack_snd_check`): the least that Linux takes
/// for a full segment (`tcp_initialize_rcv_mss`), where the window is not tiny.
const LESS_THAN_A_SEGMENT: i64 = 500;

/// What an acknowledgment makes room for leaves in the same call as that is taken.
const IN_ONE_CALL: Span = Span::from_micros(20);

impl Connection {
    /// `segment` of `from` shows that it had closed before the peer's FIN came: it acknowledges that at once,
    /// or did so, and now sends its own when there is room. Its FIN waits, if so much is in flight that it
    /// would have to; or went out before the capture began, if nothing was heard of it since. Told only of
    /// hosts that are known to be Linux.
    pub(super) fn note_held_fin(
        &mut self,
        from: Side,
        segment: &Segment,
        acknowledged: i64,
        settings: &Settings,
    ) {
        let waited = self.fin_waited_for_room(from, segment);
        let at_once = || self.fin_acknowledged_at_once(from, segment, acknowledged);
        let Some(received) = waited.or_else(at_once) else { return };
        if !settings.of(self.addresses.of(from).address).is_linux() {
            return;
        }
        // Before any data came, a delayed acknowledgment waits for the next tick only (`ato` is 0).
        let has_read = self.sides.of(from.peer()).stream.traffic.first_data.is_some();
        let me = self.sides.of_mut(from);
        let reason = Reason {
            certainty: Certainty::Inferred,
            ..Reason::of(&received).corrected(Some(segment.frame))
        };
        let Stream { end, acknowledged, window_edge, .. } = me.stream;
        // What the FIN's own segment acknowledged was in flight when it came.
        let was_in_flight = Some(me.stream.advanced.frame) == received.frame;
        let has_no_room = end > acknowledged || was_in_flight || window_edge <= end;
        let waits = end - acknowledged > UNHINDERED || (has_no_room && has_read);
        if waited.is_some() || waits {
            me.revert(State::LastAck);
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
    /// had part in that. What had been `acknowledged` before tells how much that acknowledges.
    fn fin_acknowledged_at_once(
        &self,
        from: Side,
        segment: &Segment,
        acknowledged: i64,
    ) -> Option<Entry> {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        if me.state != State::CloseWait || me.fin.is_some() {
            return None;
        }
        let received = me.last_entry().copied()?;
        let is_pure = segment.payload_len == 0 && !segment.flags.fin() && segment.flags.ack();
        let within = match peer.stream.fin? - acknowledged {
            0 => AT_ONCE,
            1..=LESS_THAN_A_SEGMENT => IN_ONE_CALL,
            _ => return None,
        };
        let is_told = is_pure
            && Some(self.last.frame) == received.frame
            && segment.time.since(received.at) <= within
            && self.first_fin_of(&received, from.peer()).is_some();
        is_told.then_some(received)
    }

    /// The entry by which `from` received the peer's FIN, which it acknowledged at once, if `segment` is its
    /// own FIN and leaves behind the acknowledgment that made room for it, with what else had waited.
    fn fin_waited_for_room(&self, from: Side, segment: &Segment) -> Option<Entry> {
        if !segment.flags.fin() {
            return None;
        }
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let [.., received, sent] = me.entries() else { return None };
        let answer = peer.acks_of_fin.first_if_alone()?;
        let room = answer.time.max(me.stream.advanced.time);
        let was_idle = |data: Mark| data.time <= received.at || data.time >= room;
        let is_told = (received.state, sent.state) == (State::CloseWait, State::LastAck)
            && sent.frame == Some(segment.frame)
            && me.stream.advanced.time >= received.at
            && answer.time.since(received.at) <= AT_ONCE
            && segment.time.since(room) <= IN_ONE_CALL
            && me.stream.traffic.last_data.is_none_or(was_idle)
            && self.brought_only_the_fin(received, from.peer());
        is_told.then_some(*received)
    }

    /// The FIN of `peer` by which `received` was entered, if that is the first and only one.
    fn first_fin_of(&self, received: &Entry, peer: Side) -> Option<Mark> {
        let peer = self.sides.of(peer);
        let is_it = |fin: &Mark| received.frame == Some(fin.frame);
        peer.fin
            .filter(is_it)
            .filter(|_| received.cause == Cause::ReceivedFin && peer.fin_repeats == 0)
    }

    /// Whether that brought no data and was not behind any that had not come.
    fn brought_only_the_fin(&self, received: &Entry, peer: Side) -> bool {
        let data = self.sides.of(peer).stream.traffic.last_data;
        self.first_fin_of(received, peer)
            .is_some_and(|fin| data.is_none_or(|data| data.frame != fin.frame))
    }
}
