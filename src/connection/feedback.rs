//! What the receiver reports of one direction: acknowledgments, SACK, windows.
//!
//! An acknowledgment of new bytes takes the short way; duplicates, reports of holes and closed
//! windows fill the memory that the rules of repetition read.

use super::path::Legs;
use super::stream::Stream;
use super::{Effects, Mark, Proof};
use crate::stamp::Span;
use crate::tcp::{Extras, Segment};

impl Stream {
    /// The peer acknowledged up to `segment.ack`. Returns the offset, if it is a plausible one.
    pub(super) fn acknowledge(&mut self, segment: &Segment) -> Option<i64> {
        let offset = self.plausible_offset(segment.ack)?;
        self.take_acknowledgment(offset, segment);
        Some(offset)
    }

    /// Takes an acknowledgment up to `offset`, which is a plausible one.
    fn take_acknowledgment(&mut self, offset: i64, segment: &Segment) {
        self.note_acknowledgment(offset, segment);
        let troubled = self.repair.is_some() || segment.window == 0;
        if offset == self.acknowledged && troubled && !segment.flags.syn() {
            self.note_window(segment);
        }
    }

    /// The same for a direction without trouble, whose peer's window is open.
    #[expect(clippy::inline_always, reason = "measured; see `Connection::observe_expected`")]
    #[inline(always)]
    pub(super) fn note_acknowledgment(&mut self, offset: i64, segment: &Segment) {
        if offset > self.acknowledged {
            self.advance(offset, Mark::of(segment), segment.interface);
        } else if offset == self.acknowledged
            && offset < self.end
            && segment.seq_len() == 0
            && segment.window == self.peer_window
            && segment.interface == self.acknowledged_at
        {
            self.dup_acks = self.dup_acks.saturating_add(1);
        }
        self.last_ack = segment.time;
        if offset == self.acknowledged {
            // One that was overtaken says nothing of the window now.
            self.peer_window = segment.window;
            let shift = if segment.flags.syn() { Some(0) } else { self.peer_shift };
            let edge =
                shift.map_or(i64::MAX, |shift| offset + (i64::from(segment.window) << shift));
            self.window_edge = edge;
        }
    }

    /// An acknowledgment outside the handshake, with its SACK blocks and timestamp. Returns the
    /// offset, if it is a plausible one.
    pub(super) fn hear(
        &mut self,
        segment: &Segment,
        extras: &Extras,
        effects: &mut Effects,
    ) -> Option<i64> {
        let before = self.acknowledged;
        let offset = self.acknowledge(segment)?;
        if self.repair.is_some() || !extras.sack.is_empty() {
            effects.proof = self.hear_in_trouble(before, segment, extras);
        }
        Some(offset)
    }

    /// What an acknowledgment that was to be expected, beyond `before`, shows where the trouble is
    /// over: what arrived, and nothing of repetitions.
    #[inline(never)]
    pub(super) fn hear_mended(&mut self, before: i64, segment: &Segment) {
        if self.repair.is_some() {
            let proof = self.hear_in_trouble(before, segment, &Extras::NONE);
            debug_assert!(proof.is_none(), "about repetitions that are acknowledged");
        }
    }

    /// What an acknowledgment with SACK, or of a direction with trouble, shows of repetitions.
    fn hear_in_trouble(
        &mut self,
        before: i64,
        segment: &Segment,
        extras: &Extras,
    ) -> Option<Proof> {
        let blocks = !extras.sack.is_empty();
        let proof = if blocks { self.take_sack(segment, extras) } else { None };
        let acknowledged = self.acknowledged;
        let reported = extras.sack.as_slice().first().map(|block| self.offset(block.right));
        let delivered = (acknowledged != before).then_some([before, acknowledged - 1]);
        let delivered = delivered.into_iter().flatten().chain(reported.map(|end| end - 1));
        delivered.for_each(|offset| self.note_delivery(offset, segment));
        let Some(repair) = self.repair.as_mut().filter(|_| acknowledged != before) else {
            return proof;
        };
        let echoed = segment.timestamps().filter(|_| proof.is_none());
        let echoed = echoed.and_then(|stamps| repair.on_echo(before, acknowledged, stamps.echo));
        repair.progress(acknowledged, Mark::of(segment));
        proof.or(echoed)
    }

    /// The byte at `offset` has arrived: which transmission brought it, and was it the one that was
    /// sent last among all that arrived (`RACK.xmit_ts`, RFC 8985 6.2, step 2)?
    fn note_delivery(&mut self, offset: i64, segment: &Segment) {
        let Some(sending) = &self.sending else { return };
        let first = sending.flight.at(offset).map(|sent| sent.mark());
        let shortest = sending.rtt.min().unwrap_or(Span::ZERO);
        let repair = self.repair_mut();
        let last = repair.last_with(offset).map(|resent| resent.mark);
        // An answer that came too soon was to an earlier transmission.
        let answered = |sent: &Mark| segment.time.since(sent.time) >= shortest;
        if let Some(sent) = last.filter(answered).or(first)
            && repair.delivered.is_none_or(|latest| latest.time < sent.time)
        {
            repair.delivered = Some(sent);
        }
    }

    /// The round trip as the sender would measure it; zero where nothing is known.
    pub(super) fn round_trip(&self, legs: Legs) -> Span {
        let measured = self.sending.as_ref().and_then(|sending| sending.rtt.smoothed());
        legs.own + measured.unwrap_or(legs.peer)
    }

    /// The retransmission timeout that RFC 6298 gives for the round trips seen, with the floor under
    /// its variation that Linux has; none without a round trip.
    pub(super) fn expected_timeout(&self, legs: Legs) -> Option<Span> {
        let rtt = &self.sending.as_ref()?.rtt;
        Some(legs.own + rtt.smoothed()? + rtt.margin().max(LEAST_VARIATION))
    }

    #[expect(clippy::inline_always, reason = "measured; see `Connection::observe_expected`")]
    #[inline(always)]
    fn advance(&mut self, offset: i64, mark: Mark, interface: u8) {
        (self.acknowledged, self.acknowledged_at) = (offset, interface);
        let fin = self.fin.filter(|fin| *fin < offset);
        self.coverage.skip_to(fin.unwrap_or(offset));
        self.end = self.end.max(offset);
        if self.reference.1 != self.end {
            self.advance_reference();
        }
        self.forget_repetitions();
        if let Some(sending) = &mut self.sending
            && let Some(sent) = sending.flight.acknowledge(offset).map(|sent| sent.mark().time)
            // What waited behind a hole was received earlier than this acknowledgment says.
            && offset > sending.ambiguous_until
            && self.dup_acks == 0
        {
            sending.rtt.add(mark.time.since(sent));
        }
        self.dup_acks = 0;
        self.advanced = mark;
    }

    /// SACK blocks: a report of bytes received twice, and of bytes received behind a hole.
    #[cold]
    fn take_sack(&mut self, segment: &Segment, extras: &Extras) -> Option<Proof> {
        let acknowledged = self.acknowledged;
        let ack = self.offset(segment.ack);
        let blocks = extras.sack.as_slice();
        let ranges = [0, 1, 2, 3].map(|index| {
            blocks.get(index).map(|block| (self.offset(block.left), self.offset(block.right)))
        });
        let end = self.end;
        let twice = |first: (i64, i64)| {
            let within = ranges.get(1).copied().flatten();
            first.1 <= ack || within.is_some_and(|next| next.0 <= first.0 && first.1 <= next.1)
        };
        let duplicate = ranges.first().copied().flatten().filter(|first| twice(*first));
        let repair = self.repair_mut();
        repair.sacked.forget_before(acknowledged);
        let skip = usize::from(duplicate.is_some());
        for (left, right) in ranges.into_iter().skip(skip).flatten() {
            if left >= acknowledged && left < right && right - end <= Self::PLAUSIBLE {
                repair.sacked_bytes += repair.sacked.add(left, right).new;
            }
        }
        duplicate.and_then(|(left, right)| repair.on_duplicate_report(left, right))
    }

    /// Whether the peer reports bytes behind a hole that it had not reported before.
    #[cold]
    pub(super) fn is_told_more(&self, extras: &Extras) -> bool {
        let mut sacked =
            self.repair.as_ref().map(|repair| repair.sacked.clone()).unwrap_or_default();
        sacked.forget_before(self.acknowledged);
        extras.sack.as_slice().iter().any(|block| {
            let (left, right) = (self.offset(block.left), self.offset(block.right));
            left >= self.acknowledged && left < right && sacked.add(left, right).new > 0
        })
    }

    /// The peer's window, once it has closed or filled, or closes now.
    #[cold]
    fn note_window(&mut self, segment: &Segment) {
        let mark = Mark::of(segment);
        let has_room = self.window_edge > self.end;
        let window = &mut self.repair_mut().window;
        if segment.window == 0 {
            window.close(mark);
        } else {
            window.open(mark);
        }
        if has_room {
            window.drain(mark);
        }
    }

    /// This side has used all of its peer's window.
    #[cold]
    pub(super) fn fill_window(&mut self, mark: Mark) {
        self.repair_mut().window.fill(mark);
    }
}

/// Linux computes the timeout as if the round trip varied by at least this much (`TCP_RTO_MIN`).
const LEAST_VARIATION: Span = Span::from_millis(200);
