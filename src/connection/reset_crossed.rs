//! What a RST tells of what was on its way when it was sent: of the peer's FIN, and of the acknowledgment
//! of its sender's own.

use super::path::NEAR;
use super::reset::AT_LEISURE;
use super::{CROSSING_SLACK, Cause, Connection, Event, Reason, State};
use crate::certainty::Certainty;
use crate::stamp::Span;
use crate::tcp::{Segment, Side};

/// An answer is no quicker by more than this than the quickest one before.
const NO_TIME: Span = Span::from_micros(500);

impl Connection {
    /// A RST with ACK comes from a socket that still knew the connection: what it acknowledges, it
    /// had received.
    pub(super) fn reset_acknowledges(&mut self, from: Side, segment: &Segment) {
        let path = self.answer_time(from);
        let (me, peer) = self.sides.pair_mut(from);
        if !me.is_known() || !peer.stream.is_started() || peer.stream.fin_acknowledged() {
            return;
        }
        let covers = peer.stream.fin.is_some_and(|fin| peer.stream.offset(segment.ack) > fin);
        let arrivals = &me.fin_arrivals;
        let possible = || arrivals.all().rfind(|it| it.mark.time + path <= segment.time + NO_TIME);
        let arrival = match segment.timestamps() {
            Some(stamps) => arrivals.answered_by(Some(stamps.echo)),
            None => possible().copied().or_else(|| arrivals.first()),
        };
        if let (true, Some(arrival)) = (covers, arrival) {
            me.apply(Event::ReceiveFin, Reason::observed(arrival.mark, arrival.cause));
        }
    }

    /// A RST that counts from behind the FIN is accepted only by a side that has received the FIN. One
    /// that counts from the FIN itself is accepted as well (Linux `tcp_reset_check`), and the FIN
    /// came before it, if nothing shows that it was lost.
    pub(super) fn reset_follows_fin(&mut self, from: Side, segment: &Segment) {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        // What waits on the way is sent again before it can have come.
        let arrivals = &peer.fin_arrivals;
        let arrival = if peer.unaware { arrivals.first() } else { arrivals.last() };
        let (Some(fin), Some(arrival)) = (me.stream.fin, arrival) else { return };
        let beyond = me.stream.offset(segment.seq) - fin;
        let mark = arrival.mark;
        // At the tap what came would have been acknowledged by now.
        let due = if peer.fin.is_some() { NEAR } else { AT_LEISURE };
        let is_overdue = self.is_near(from.peer()) && segment.time.since(mark.time) > due;
        if is_overdue || self.has_challenged(from.peer()) {
            return;
        }
        let reason = if beyond > 0 {
            Reason::observed(mark, arrival.cause)
        } else if beyond == 0 && self.may_have_come(from.peer(), mark.time) {
            Reason::inferred(mark, arrival.cause)
        } else {
            return;
        };
        self.sides.of_mut(from.peer()).apply(Event::ReceiveFin, reason);
    }

    /// A RST without ACK that answers the one acknowledgment of its sender's FIN, and nothing else: the
    /// socket had been gone before that came.
    pub(super) fn had_died_before_ack(&mut self, from: Side, rst: &Segment) {
        let path = self.answer_time(from);
        let is_beside = self.is_beside(from);
        let (me, peer) = self.sides.pair_mut(from);
        let Some(taken) = me.last_entry().copied() else { return };
        let answered = peer.stream.traffic.last_segment.map(|last| last.frame);
        let only = me.acks_of_fin.first().map(|ack| ack.frame);
        // On a longer way the network may have doubled what it answers.
        let is_sure = path < NEAR || me.state == State::TimeWait;
        let may_die = match me.state {
            State::Closed | State::TimeWait => true,
            // Where data met an orphan, or at the tap a FIN behind missing data, that died of it.
            State::FinWait2 => {
                let fin = peer.latest_fin().map(|fin| fin.frame);
                let met_fin = is_beside && fin == taken.frame;
                me.fin_repeats > 0 && me.ack_of_fin_rides_on == i64::MIN && !met_fin
            }
            _ => false,
        };
        if may_die
            && !rst.flags.ack()
            && taken.cause == Cause::ReceivedAckOfFin
            && rst.time.since(taken.at) <= path + path + CROSSING_SLACK
            && [answered, only] == [taken.frame, taken.frame]
            && me.stream.fin.is_some_and(|fin| me.stream.offset(rst.seq) == fin + 1)
        {
            if is_sure {
                me.revert(taken.state);
            } else if let Some(last) = me.entries_mut().last_mut() {
                last.certainty = last.certainty.min(Certainty::Inferred);
            }
        }
    }

    /// A RST without ACK that answers the one acknowledgment of its sender's FIN, after the peer's own RST: that
    /// one had overtaken it.
    pub(super) fn had_been_reset_before_ack(&mut self, from: Side, rst: &Segment) {
        let me = self.sides.of_mut(from);
        let [.., taken, end] = *me.entries() else { return };
        let only = me.acks_of_fin.first().filter(|_| me.acks_of_fin.before_the_last().is_none());
        if !rst.flags.ack()
            && (taken.state, end.cause) == (State::FinWait2, Cause::ReceivedRst)
            && only.is_some_and(|ack| Some(ack.frame) == taken.frame)
            && me.stream.fin.is_some_and(|fin| me.stream.offset(rst.seq) == fin + 1)
        {
            me.revert(State::Closed);
            me.revert(State::FinWait2);
            me.apply(Event::ReceiveRst, Reason::of(&end).corrected(Some(rst.frame)));
        }
    }

    /// A RST without ACK of a side that the peer's RST has ended answers the peer's FIN: that RST had overtaken
    /// it, and it was never in CLOSE-WAIT.
    pub(super) fn had_been_reset_before_fin(&mut self, from: Side, rst: &Segment) {
        let is_beside = self.is_beside(from);
        let (me, peer) = self.sides.pair_mut(from);
        let [.., received, end] = *me.entries() else { return };
        let is_last_word = peer.latest_fin().map(|fin| fin.frame) == received.frame;
        // Or it answers what was said later: beside the tap that comes in the order that shows.
        let is_silent = peer.stream.last_time().is_none_or(|last| last <= end.at);
        if !rst.flags.ack()
            && is_last_word
            && (is_silent || !is_beside)
            && !peer.stream.fin_acknowledged()
            && (received.state, end.cause) == (State::CloseWait, Cause::ReceivedRst)
            && received.cause == Cause::ReceivedFin
            && me.stream.offset(rst.seq) == me.stream.acknowledged
        {
            me.revert(State::Closed);
            me.revert(State::CloseWait);
            me.apply(Event::ReceiveRst, Reason::of(&end).corrected(Some(rst.frame)));
        }
    }

    /// A RST without ACK that answers the latest of several acknowledgments of its sender's FIN, while none
    /// of them is known to have come: one had, before that one, and closed it. In FIN-WAIT-1 it led to
    /// FIN-WAIT-2, where data resets an orphan, unless a timer was due that may have ended it.
    pub(super) fn had_closed_before_ack(&mut self, from: Side, rst: &Segment) {
        let me = self.sides.of_mut(from);
        let is_alive =
            me.latest_fin().is_some_and(|fin| rst.time < fin.time + me.fin_gap + me.fin_gap);
        let may_close = match me.state {
            State::LastAck => true,
            State::FinWait1 => is_alive,
            _ => false,
        };
        let answers_ack = may_close
            && !rst.flags.ack()
            && me.stream.fin.is_some_and(|fin| me.stream.offset(rst.seq) == fin + 1);
        if let Some(before) = me.acks_of_fin.before_the_last().filter(|_| answers_ack) {
            let taken = Reason::inferred(before, Cause::ReceivedAckOfFin);
            me.apply(Event::ReceiveAckOfFin, taken.corrected(Some(rst.frame)));
        }
    }

    /// A RST without ACK repeats the number that what it answers had acknowledged. In FIN-WAIT-2 a
    /// side answers nothing that does not acknowledge its FIN: what did so came later.
    pub(super) fn doubt_ack_before(&mut self, from: Side, rst: &Segment) {
        // What passes the tap beside it comes in that order.
        if self.is_beside(from) {
            return;
        }
        let path = self.answer_time(from);
        let crossing = path + path + CROSSING_SLACK;
        // What the handshake took may have been a repetition's wait.
        let peer = &self.sides.of(from.peer()).stream;
        let unread = peer.unacknowledged().map(|rest| rest.first_sent);
        let sending = peer.sending.as_ref();
        // On a way with queues it takes longer than at best.
        let usual =
            sending.and_then(|sending| sending.rtt.smoothed()).map_or(path, |rtt| rtt.max(path));
        let path = sending.and_then(|sending| sending.rtt.min()).map_or(path, |rtt| rtt.min(path));
        let soonest =
            if path > CROSSING_SLACK { Span::from_nanos(path.nanos() / 4 * 3) } else { Span::ZERO };
        let me = self.sides.of_mut(from);
        let is_older = me.stream.fin.is_some_and(|fin| me.stream.offset(rst.seq) <= fin);
        let since = me.last_entry().filter(|last| last.state == State::FinWait2);
        let since = since.map(|last| rst.time.since(last.at));
        let crossed = since.is_some_and(|since| since <= crossing);
        // What comes sooner than an answer can was sent before, if it does not say what it answers.
        let answers = !is_older && !rst.flags.ack();
        let too_soon = !answers && since.is_some_and(|since| since < soonest);
        // Data that does not acknowledge the FIN ends an orphan in FIN-WAIT-1 as well, and lay before what does.
        // If the number does not say so, either that data was lost or the RST that answered it.
        let met_data = unread.is_some_and(|data| {
            let may_cross = me.fin.is_some_and(|fin| fin.time.since(data.time) < usual);
            let is_before = me.acks_of_fin.first().is_some_and(|ack| data.frame < ack.frame);
            (is_older || may_cross) && is_before
        });
        if too_soon || ((met_data || (is_older && crossed)) && !rst.flags.ack()) {
            me.revert(State::FinWait2);
        }
    }

    /// A RST with ACK comes from a socket that an application had, so it had been open. A FIN, or the
    /// acknowledgment of its own, that passed the tap on its way there so shortly before that no answer can
    /// have come back by now, it had not received yet.
    pub(super) fn doubt_what_crossed(&mut self, from: Side, rst: &Segment) {
        let Some(path) = self.path(from).filter(|_| rst.flags.ack()) else { return };
        let (me, peer) = self.sides.pair_mut(from);
        let has_fin = peer.stream.fin.is_some_and(|fin| peer.stream.offset(rst.ack) > fin);
        while let Some(last) = me.last_entry().copied() {
            let may_cross = match last.cause {
                Cause::ReceivedFin => !has_fin,
                Cause::ReceivedAckOfFin => last.state != State::Closed,
                _ => false,
            };
            if !may_cross || rst.time.since(last.at) + NO_TIME >= path {
                break;
            }
            me.revert(last.state);
        }
    }
}
