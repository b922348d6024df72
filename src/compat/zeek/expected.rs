//! The segments that nearly all are: the next bytes of an open connection, and acknowledgments of
//! them.
//!
//! Perf: 143 instructions a segment instead of 393 (callgrind over a loop that makes and observes two
//! segments of 1,460 bytes and an ACK in turn). What this does, [`Tracker::observe`] does as well; a test compares the two.

use super::EndpointState;
use super::endpoint::{Endpoint, once};
use super::tracker::{Tracker, is_clean};
use crate::tcp::{Flags, Marks, Segment};

/// Segments that have one of these are looked at closely.
const ODD_FLAGS: Flags = Flags(Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0);

/// So are those with one of these.
const ODD_MARKS: u8 = Marks::CUT_HEADER.0 | Marks::BAD_CHECKSUM.0 | Marks::GUESSED_LENGTH.0;

impl Tracker {
    /// Whether nothing but data and acknowledgments was seen since both sides opened: to be asked
    /// after every segment that was looked at closely.
    pub(super) fn is_calm(&self) -> bool {
        let is_open = |endpoint: &Endpoint| {
            let opened =
                matches!(endpoint.state, EndpointState::Established | EndpointState::Partial);
            opened && endpoint.seen && !endpoint.finished && !endpoint.closed
        };
        let (one, other) = self.both();
        is_open(one) && is_open(other)
    }

    /// Takes the segment if it is what was to be expected; says whether it was.
    #[expect(clippy::inline_always, reason = "measured; see `Connection::observe_expected`")]
    #[inline(always)]
    pub(super) fn observe_expected(&mut self, forward: bool, segment: &Segment) -> bool {
        let flags = segment.flags;
        let is_odd = flags.intersects(ODD_FLAGS) || segment.marks.0 & ODD_MARKS != 0;
        if is_odd || !flags.ack() || segment.window == 0 {
            return false;
        }
        let is_partial = self.is_partial;
        let (me, peer) = self.pair_mut(forward);
        let length = segment.payload_len;
        let letter = if length > 0 { once::DATA } else { once::ACK };
        let is_entered = me.entered & letter != 0;
        let Some(end) = segment.seq.0.checked_add(length) else { return false };
        let Some(advance) = segment.ack.0.checked_sub(peer.acked.seq.0) else { return false };
        // The acknowledgment is no further than 2^31 ahead.
        let acknowledged = peer.acknowledged().wrapping_add(u64::from(advance));
        let lost = acknowledged.saturating_sub(peer.delivery.next());
        let is_expected = segment.seq == me.last.seq
            && advance.cast_signed() >= 0
            && (lost == 0 || !is_partial && peer.delivery.waits_for_nothing());
        // Where the snaplen cut it, payload is not delivered.
        let delivers = length > 0 && !segment.marks.contains(Marks::CUT_PAYLOAD);
        if !is_expected || (delivers && !me.deliver_expected(length)) {
            return false;
        }
        me.last.seq.0 = end;
        me.counts.packets += 1;
        me.counts.ip_bytes += u64::from(segment.header_len) + u64::from(length);
        peer.acked.seq = segment.ack;
        peer.delivery.acknowledge_delivered(acknowledged);
        self.last = segment.time;
        if !is_entered {
            // Perf: a copy, see `Connection::observe_expected`.
            let segment = *segment;
            self.note_plain(forward, &segment);
        }
        if lost > 0 {
            self.note_lost(!forward, lost);
        }
        true
    }

    /// So many acknowledged bytes of the endpoint that sends in this direction were not delivered.
    #[inline(never)]
    fn note_lost(&mut self, forward: bool, length: u64) {
        let (me, peer) = self.pair_mut(forward);
        me.delivery.skip_lost(length);
        if !(is_clean(me) && is_clean(peer)) {
            return;
        }
        let is_entered = me.gaps.count();
        self.missed_bytes = self.missed_bytes.wrapping_add(length);
        if is_entered {
            self.enter(forward, b'G');
        }
    }
}

impl Endpoint {
    /// Takes the next `length` bytes if everything before them was delivered.
    #[inline]
    fn deliver_expected(&mut self, length: u32) -> bool {
        let start = self.last.full().wrapping_sub(u64::from(self.start.0));
        let acknowledged = self.acknowledged();
        let is_unacknowledged = acknowledged <= 1;
        acknowledged <= start && self.delivery.push_expected(start, length, is_unacknowledged)
    }
}
