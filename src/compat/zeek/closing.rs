//! When Zeek takes note that an endpoint has closed: once everything before the close is
//! delivered, which may be long after the FIN.

use super::EndpointState;
use super::tracker::{Effects, Tracker};

impl Tracker {
    /// An endpoint closes; put off while payload before the close is outstanding.
    pub(super) fn close(&mut self, forward: bool, effects: &mut Effects) {
        let (me, peer) = self.pair_mut(forward);
        let is_pending = me.is_pending(peer.delivery.holds());
        let is_known = me.closed;
        me.closed |= !is_pending;
        let is_complete = me.state == EndpointState::Reset
            || peer.closed
            || peer.state == EndpointState::Inactive;
        let was_seen = me.before != EndpointState::Inactive;
        self.close_deferred = is_pending;
        if is_pending || is_known {
            return;
        }
        effects.closes |= is_complete;
        effects.half_closes |= !is_complete && was_seen;
    }

    /// Whether everything of a closing endpoint is delivered by now; if so, a close that was put
    /// off takes place.
    pub(super) fn check_end(&mut self, forward: bool, effects: &mut Effects) {
        let (me, peer) = self.pair_mut(forward);
        let closes =
            me.finished || matches!(me.state, EndpointState::Closed | EndpointState::Reset);
        if !closes || me.ended || me.is_pending(peer.delivery.holds()) {
            return;
        }
        me.ended = true;
        if self.close_deferred {
            self.close(forward, effects);
            self.close_deferred = false;
        }
    }
}
