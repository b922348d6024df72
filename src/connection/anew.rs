//! A half-open connection that its server has forgotten, and makes anew when the SYN comes again.
//!
//! It had run out, or was taken from it (`ss -K`, a listener that was closed and opened again). The
//! second one has another number.

use super::attempts::Attempts;
use super::opening::Opening;
use super::{Cause, Connection, Event, Reason, State};
use crate::tcp::Side;

impl Connection {
    /// Whether a SYN-ACK of a server with another number answers a SYN that came again: it knew nothing
    /// of the first one any more.
    pub(super) fn is_asked_anew(&self, from: Side) -> bool {
        let Opening { syns, syn_acks, .. } = &self.opening;
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let last = |attempts: &Attempts| attempts.last().map(|last| last.mark.time);
        from == Side::Server
            && matches!(me.state, State::SynReceived | State::Closed)
            && peer.state == State::SynSent
            && last(&syns.client) > last(&syn_acks.server)
            && self.opening.cookie().is_none()
    }

    /// The half-open connection of `from` was gone before the SYN came again.
    pub(super) fn ask_anew(&mut self, from: Side) {
        if let Some(syn) = self.opening.syns.of(from.peer()).last() {
            let reason = Reason::inferred(syn.mark, Cause::ConnectionGone);
            self.sides.of_mut(from).apply(Event::TimerExpires, reason);
        }
        (self.opening.syn_ack_timeouts, self.opening.syn_acks_provoked) = (0, 0);
    }
}
