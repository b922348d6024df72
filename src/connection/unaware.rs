//! What was sent before its sender had heard even what came before the peer's end.
//!
//! Where much waits on the way, what a side sends arrives long after the peer's FIN or RST passed the tap,
//! though neither was lost: they wait behind acknowledgments for which that side is waiting as well. Its
//! timestamps say so: what they echo (RFC 7323 4.3) is older than those acknowledgments are. Such a segment
//! tells nothing of what came later.

use super::Connection;
use super::closing::newer;
use super::first_fin::BEFORE_TIMERS;
use crate::tcp::{Segment, Side};

/// So many ticks the peer's clock may be off when it is reckoned from another moment.
const OFF: u32 = 2;

impl Connection {
    /// Whether `segment` of `from` left before that had heard what its peer had acknowledged last, before
    /// that sent its FIN, or a RST. What a timer may have sent again tells of the time that has passed.
    fn is_unaware(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let reset = self.reset.as_ref().filter(|reset| reset.by == from.peer() && reset.has_ack);
        let end = reset.map(|reset| reset.mark.time).or_else(|| Some(peer.latest_fin()?.time));
        let (Some(end), Some(stamps)) = (end, peer.fin_stamps) else { return false };
        let acknowledged = me.stream.advanced.time;
        let is_repeated = segment.payload_len > 0 && me.stream.offset(segment.seq) < me.stream.end;
        let waited =
            me.stream.last_time().is_none_or(|last| segment.time.since(last) > BEFORE_TIMERS);
        // Beside the tap nothing waits.
        if acknowledged >= end || (is_repeated && waited) || self.is_near(from) {
            return false;
        }
        let Some(ticks) = peer.clock.ticks_in(end.since(acknowledged)) else { return false };
        let then = stamps.value.wrapping_sub(ticks).wrapping_sub(OFF);
        segment.timestamps().is_some_and(|stamps| newer(then, stamps.echo))
    }

    /// Remembers it of the latest segment of `from`.
    pub(super) fn note_unaware(&mut self, from: Side, segment: &Segment) {
        self.sides.of_mut(from).unaware = self.is_unaware(from, segment);
    }
}
