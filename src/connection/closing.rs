//! The four-way close: who has received whose FIN, and when.
//!
//! A FIN counts as received when the receiver's acknowledgment covers it, from the moment at which
//! the segment that completed the stream passed the tap. An acknowledgment of a FIN counts as
//! received when it passes the tap, which is taken back when the FIN is sent again.

use super::endpoint::Endpoint;
use super::path::ANY_PATH;
use super::{CROSSING_SLACK, Cause, Connection, Event, Mark, Reason, SAME_FRAME, State};
use crate::certainty::Certainty;
use crate::stamp::{Span, Time};
use crate::tcp::{Extras, Segment, Side};

/// A FIN that was repeated so often without an answer did not come.
const UNANSWERED: u8 = 2;

/// So many acknowledgments of a FIN in a row are hardly lost by chance.
const MOST_LOST: u32 = 2;

/// A FIN behind data that is lost again and again may be held up for so long.
const LONG_HELD: Span = Span::from_secs(30);

impl Connection {
    /// `from` sent a FIN, for the first time or again.
    /// `data_before` is the last segment with payload before, and `acknowledged` what it had
    /// acknowledged by then.
    pub(super) fn on_fin_sent(
        &mut self,
        from: Side,
        segment: &Segment,
        data_before: Option<Mark>,
        acknowledged: i64,
    ) {
        let mark = Mark::of(segment);
        let Some(first) = self.sides.of(from).fin else {
            return self.on_first_fin(from, segment, data_before, acknowledged);
        };
        // A cookie that comes back late makes another socket.
        let is_other = self.opening.cookie().is_some();
        let (me, peer) = self.sides.pair_mut(from);
        let is_late = !is_other && peer.had_more_acknowledged(segment);
        if mark.time.since(first.time).abs() < SAME_FRAME {
            return;
        }
        if me.is_copy_of_fin(segment) || is_late {
            return self.on_overtaken_fin(from, segment);
        }
        // Another socket, which a late cookie has made, counts from the same number.
        if me.last_entry().is_some_and(|last| last.cause == Cause::ReceivedCookie) {
            me.apply(Event::SendFin, Reason::observed(mark, Cause::SentFin));
        }
        me.fin_stamps = segment.timestamps();
        me.fin_repeats = me.fin_repeats.saturating_add(1);
        me.fin_gap = mark.time.since(me.last_fin.unwrap_or(first).time);
        me.last_fin = Some(mark);
        if me.pending_ack_of_fin.take().is_some() {
            me.acks_of_fin_ignored += 1;
        }
        // The FIN again, and not just crossing its acknowledgment: that one was lost.
        self.doubt_by_fin(from, segment);
    }

    /// A segment of `from` that may have completed its stream up to the FIN, for the peer.
    pub(super) fn note_fin_arrival(&mut self, from: Side, segment: &Segment) {
        let (me, peer) = self.sides.pair_mut(from);
        if !me.stream.is_complete() || me.stream.fin_acknowledged() {
            return;
        }
        // What had been acknowledged before completes nothing.
        if !segment.flags.fin() && me.stream.offset(segment.seq_end()) <= me.stream.acknowledged {
            return;
        }
        let again = peer.fin_arrivals.last();
        if again.is_some_and(|last| segment.time.since(last.mark.time).abs() < SAME_FRAME) {
            return;
        }
        let cause =
            if segment.flags.fin() { Cause::ReceivedFin } else { Cause::ReceivedDataBeforeFin };
        let own = peer.stream.fin.filter(|_| segment.flags.ack());
        let acknowledges_fin = own.is_some_and(|fin| peer.stream.offset(segment.ack) > fin);
        peer.fin_arrivals.push_fin(segment, cause, acknowledges_fin);
    }

    /// `from` sent a segment that acknowledges the peer's FIN.
    pub(super) fn on_fin_acknowledged(
        &mut self,
        from: Side,
        segment: &Segment,
        extras: &Extras,
        before: i64,
    ) {
        let mark = Mark::of(segment);
        self.on_fin_received(from, segment, extras, before);
        let (me, peer) = self.sides.pair_mut(from);
        // What lies wholly before the window or beyond it is dropped, its acknowledgment as well (RFC
        // 9293 3.10.7.4, first).
        if me.stream.offset(segment.seq_end()) < me.stream.acknowledged
            || me.stream.offset(segment.seq) > me.stream.window_edge
        {
            return;
        }
        let in_order = me.stream.offset(segment.seq) <= me.stream.acknowledged;
        peer.acks_of_fin.push(segment, in_order);
        if peer.acks_of_fin_ignored > 1 {
            // It ignored several: the next one proves nothing by itself.
            peer.pending_ack_of_fin.get_or_insert(mark);
            return;
        }
        let correction = peer.correction.take();
        let reason = Reason::observed(mark, Cause::ReceivedAckOfFin).corrected(correction);
        if peer.apply(Event::ReceiveAckOfFin, reason) {
            let rides = segment.payload_len > 0;
            peer.ack_of_fin_rides_on = if rides { me.stream.offset(segment.seq) } else { i64::MIN };
        } else {
            peer.correction = correction;
        }
    }

    /// At the end of what is known: a FIN that passed the tap towards a side of which the capture
    /// shows nothing at all counts as received, though nothing proves it.
    /// And a side that ignored several acknowledgments of its FIN did take the last one, for all
    /// that is known: it has not sent the FIN again since. That is sure once it should have.
    pub(super) fn settle_closing(&mut self, known_until: Time) {
        for side in Side::BOTH {
            let loses = self.is_lossy_beyond_tap(side);
            let loses_more = self.repeats_more_than_fins();
            let is_near = self.is_near(side);
            let (me, peer) = self.sides.pair_mut(side);
            me.settle_unseen_fin();
            me.settle_crossed_fins(peer);
            if loses {
                me.doubt_unconfirmed();
            }
            // Far away it may be heard no more itself: it would send its FIN again if it had got nothing.
            if (is_near || me.fin_repeats > 0) && me.got_nothing_of_fin(peer) {
                me.revert(State::FinWait2);
            }
            // A side that acknowledges nothing of what else was sent to it hears nothing.
            let is_deaf =
                peer.stream.unacknowledged().is_some() || (is_near && peer.unanswered > 0);
            let overdue =
                |ack: &Mark| known_until.since(ack.time) > me.fin_gap + me.fin_gap + me.fin_gap;
            // Where acknowledgments are lost one after the other, the last may be as well.
            // Where so many were, and nothing else is lost, more likely nothing comes through, and its sender
            // gave up.
            let is_cut_off = me.acks_of_fin_ignored > MOST_LOST && !loses_more;
            let is_told = !is_deaf && (!loses || !is_cut_off);
            if let Some(mark) = me.pending_ack_of_fin.filter(|_| is_told) {
                let certainty =
                    if overdue(&mark) { Certainty::Inferred } else { Certainty::Assumed };
                let reason =
                    Reason { certainty, ..Reason::observed(mark, Cause::ReceivedAckOfFin) };
                let correction = me.last_fin.map(|fin| fin.frame);
                me.apply(Event::ReceiveAckOfFin, reason.corrected(correction));
            }
            if me.stream.traffic.segments > 0 {
                continue;
            }
            if let Some(arrival) = me.fin_arrivals.first() {
                let reason = Reason {
                    certainty: Certainty::Assumed,
                    ..Reason::observed(arrival.mark, arrival.cause)
                };
                me.apply(Event::ReceiveFin, reason);
            }
        }
    }

    /// A side that speaks after it was taken for gone is not gone: timers and resets are estimates
    /// of what happened behind the tap.
    pub(super) fn take_back_false_end(&mut self, from: Side, segment: &Segment) {
        let path = self.path(from).unwrap_or(ANY_PATH);
        let crossing = path + path + Span::from_millis(10);
        if self.sides.of(from).state != State::Closed {
            return;
        }
        if segment.flags.ack() && self.sides.of(from).was_reset_while_opening() {
            return self.opens_before_reset(from, segment);
        }
        let is_overtaken = self.was_sent_before_the_end(from, segment)
            || self.sides.of(from).had_sent_more(segment)
            || self.sides.of(from).unaware;
        let outdates = self.had_lost_the_fin(from, segment) || self.challenges_reset(from, segment);
        let me = self.sides.of_mut(from);
        let Some(entry) = me.last_entry().copied() else { return };
        match entry.cause {
            Cause::TimeWaitExpired
            | Cause::FinWait2Expired
            | Cause::HalfOpenExpired
            | Cause::ConnectTimeout
            | Cause::IcmpError(_) => me.take_back_estimate(),
            Cause::ReceivedRst | Cause::SentRst | Cause::ConnectionGone
                if outdates
                    || (segment.flags.ack()
                        && segment.time.since(entry.at) > crossing
                        && !is_overtaken) =>
            {
                // A RST from this side that it did not send, or one that never reached it.
                me.revert(State::Closed);
                self.take_back_fin_of_reset(from, segment);
                if self.sides.client.state != State::Closed
                    && self.sides.server.state != State::Closed
                {
                    self.reset = None;
                }
            }
            _ => {}
        }
    }

    /// Whether `segment` of a side that a RST behind its peer's FIN seems to have ended acknowledges less
    /// than that FIN, long after it passed the tap: the FIN was lost, and so the RST was not accepted.
    fn had_lost_the_fin(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let number = self.reset.as_ref().map(|reset| peer.stream.offset(reset.seq));
        let passed = peer.latest_fin().map(|fin| fin.time);
        let path = self.answer_time(from);
        let is_behind = peer.stream.fin.is_some_and(|fin| {
            number.is_some_and(|number| number > fin) && peer.stream.offset(segment.ack) <= fin
        });
        is_behind
            && segment.flags.ack()
            && !self.was_sent_before_the_end(from, segment)
            && !me.unaware
            && me.last_entry().is_some_and(|last| last.cause == Cause::ReceivedRst)
            && passed
                .is_some_and(|passed| segment.time.since(passed) > path + path + CROSSING_SLACK)
    }

    /// Whether `segment` of a side at the tap that a RST seems to have ended repeats an acknowledgment of less
    /// than the RST counts from, though all of that had passed: a firewall ate it, so the RST was not the
    /// next number and is challenged (RFC 5961 3.2).
    fn challenges_reset(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), &self.sides.of(from.peer()).stream);
        let number = self.reset.as_ref().filter(|it| it.by != from).map(|it| peer.offset(it.seq));
        let passed = peer.coverage.next() + i64::from(peer.is_complete());
        self.is_behind_reset(from, segment.time)
            && segment.flags.ack()
            && segment.seq_len() == 0
            && number.is_some_and(|number| (peer.acknowledged + 1..=passed).contains(&number))
            && peer.offset(segment.ack) == peer.acknowledged
            && segment.window == peer.peer_window
            && me.last_entry().is_some_and(|last| last.cause == Cause::ReceivedRst)
    }

    /// The RST that had not ended `from` seemed to prove that the FIN before it had come. What `from`
    /// acknowledges says that it has not.
    fn take_back_fin_of_reset(&mut self, from: Side, segment: &Segment) {
        let (me, peer) = self.sides.pair_mut(from);
        let is_older = peer.stream.fin.is_some_and(|fin| peer.stream.offset(segment.ack) <= fin);
        if is_older && !peer.stream.fin_acknowledged() {
            me.revert(State::CloseWait);
        }
    }

    /// `from` answered the SYN-ACK before the RST came that followed that.
    fn opens_before_reset(&mut self, from: Side, segment: &Segment) {
        let Some(end) = self.sides.of_mut(from).revert(State::Closed) else { return };
        self.join_opening(from, segment);
        let reason = Reason::of(&end).corrected(Some(segment.frame));
        self.sides.of_mut(from).apply(Event::ReceiveRst, reason);
    }

    /// Whether a segment of `from` was overtaken by a FIN or RST: its sender's clock stood no later
    /// then than when it sent that, or than its peer had seen it when that sent it.
    fn was_sent_before_the_end(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let own = me.fin_stamps.map(|stamps| stamps.value);
        let known = [own, peer.fin_stamps.map(|stamps| stamps.echo)];
        segment
            .timestamps()
            .is_some_and(|now| known.into_iter().flatten().any(|then| !newer(now.value, then)))
    }
}

impl Endpoint {
    /// Whether a FIN is a copy that the network made of one that was sent before: its sender's
    /// clock has not gone on (RFC 7323 5.4), or it echoes less than before.
    fn is_copy_of_fin(&self, segment: &Segment) -> bool {
        match (self.fin_stamps, segment.timestamps()) {
            (Some(before), Some(now)) => {
                !newer(now.value, before.value) || newer(before.echo, now.echo)
            }
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Whether `segment` was sent before something of it that the tap has seen: a socket acknowledges with the
    /// next number that it has, and one below that asks for a sign of life.
    fn had_sent_more(&self, segment: &Segment) -> bool {
        let is_bare = segment.payload_len == 0 && !segment.flags.fin();
        self.stream.has_overtaken(segment)
            || (is_bare && self.stream.offset(segment.seq) + 1 < self.stream.end)
    }

    /// Whether a RST ended it in SYN-SENT, for all that is known.
    fn was_reset_while_opening(&self) -> bool {
        matches!(
            self.entries(),
            [.., opening, end]
                if opening.state == State::SynSent && end.cause == Cause::ReceivedRst
        )
    }

    /// It is far away, over a path that loses segments: whether what it got last came, an acknowledgment
    /// or a RST, nothing confirms, and when it had room for its FIN, no tap here can know.
    fn doubt_unconfirmed(&mut self) {
        let held = self.stream.fin.is_some_and(|fin| fin > 1);
        let data = self.stream.traffic.last_data.map(|mark| mark.time);
        let count = self.entries().len();
        let last_word = self.stream.last_time();
        for (index, entry) in self.entries_mut().iter_mut().enumerate() {
            let doubtful = match entry.cause {
                Cause::SentFin => held && data.is_none_or(|data| entry.at.since(data) < LONG_HELD),
                Cause::ReceivedAckOfSyn => index + 1 == count && last_word <= Some(entry.at),
                Cause::ReceivedAckOfFin | Cause::ReceivedRst => index + 1 == count,
                _ => false,
            };
            if doubtful && entry.certainty == Certainty::Observed {
                entry.certainty = Certainty::Inferred;
            }
        }
    }

    /// Whether the one acknowledgment of its FIN came with a FIN of `peer` that was repeated again and
    /// again without an answer: of a segment that did not come, nothing came.
    fn got_nothing_of_fin(&self, peer: &Self) -> bool {
        let taken = self.last_entry().filter(|last| last.cause == Cause::ReceivedAckOfFin);
        taken.is_some_and(|taken| taken.frame == peer.fin.map(|fin| fin.frame))
            && self.state == State::FinWait2
            && !peer.stream.fin_acknowledged()
            && peer.unanswered >= UNANSWERED
    }

    /// Takes back a CLOSED that only a timer stands for, or an ICMP error that the endpoint has
    /// ignored or that never reached it.
    pub(super) fn take_back_estimate(&mut self) {
        let Some(entry) = self.last_entry().filter(|_| self.state == State::Closed) else { return };
        if matches!(entry.cause, Cause::IcmpError(_)) {
            self.outlived_icmp = self.outlived_icmp.saturating_add(1);
        } else if entry.frame.is_none() {
            self.outlived_timer = true;
        } else {
            return;
        }
        self.revert(State::Closed);
    }
}

/// Whether timestamp `one` is newer than `other` (RFC 7323 4.1: modulo 2^32).
pub(super) const fn newer(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

/// Whether `time` is set, that is, whether a timer runs.
pub(super) fn runs(time: Time) -> bool {
    time != Time::MAX
}
