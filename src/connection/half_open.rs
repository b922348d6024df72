//! What a half-open connection does without being open: it turns away what lies outside its window, and
//! may close.

use super::{Connection, State};
use crate::tcp::{Segment, Side};

/// The window of a SYN-ACK is not scaled, and no larger than this.
const WINDOW: i64 = 65_535;

impl Connection {
    /// Whether `segment` of `from` lies outside the window of a peer in SYN-RECEIVED: that answers with an
    /// acknowledgment, and takes none (RFC 9293 3.10.7.4, first; Linux `tcp_check_req`).
    pub(super) fn is_out_of_window(&self, from: Side, segment: &Segment) -> bool {
        if self.sides.of(from.peer()).state != State::SynReceived {
            return false;
        }
        let stream = &self.sides.of(from).stream;
        let (start, end) = (stream.offset(segment.seq), stream.offset(segment.seq_end()));
        stream.syn_seen && start != 1 && !(end > 1 && start < 1 + WINDOW)
    }

    /// Whether `segment` of `from`, which is in SYN-RECEIVED, says nothing of an acknowledgment of its SYN
    /// that the capture does not show either.
    pub(super) fn goes_on_half_open(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let unheard = self.opening.last_ack.is_none() && me.stream.acknowledged < 1;
        let is_first = me.stream.syn_seen && me.stream.offset(segment.seq) == 1;
        if !unheard || !is_first || segment.payload_len > 0 {
            return false;
        }
        if segment.flags.fin() {
            // CLOSE before the peer's SYN-ACK came, which the capture would show.
            return me.was_in(State::SynSent);
        }
        // It repeats what its SYN-ACK said: something that it could not take has come.
        peer.stream.syn_seen
            && peer.stream.offset(segment.ack) == 1
            && peer.stream.traffic.segments > 0
    }
}
