//! Which transmission arrived: of a FIN that was sent more than once, and of the acknowledgment of a
//! FIN that rode on something that was lost.
//!
//! What passes the tap may be lost behind it, come late, or be overtaken. The receiver's next
//! acknowledgment tells: by the timestamp that it echoes, by SACK, and by the time that it took.

use super::acks_of_fin::AckOfFin;
use super::attempts::Attempt;
use super::closing::newer;
use super::crossed_fins::Order;
use super::endpoint::Endpoint;
use super::numbers::Sender;
use super::path::BESIDE;
use super::unseen::Answer;
use super::{CROSSING_SLACK, Cause, Connection, Event, Mark, Reason, State};
use crate::certainty::Certainty;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Extras, Segment, Side};

/// A FIN that is not acknowledged is sent again after about this time: the timer of a path of 100 ms.
const FIRST_TIMEOUT: Span = Span::from_millis(300);

/// By then what came before a FIN has been acknowledged (Linux `TCP_DELACK_MIN`): a later copy of the FIN is
/// echoed if it comes first.
const DELAYED_ACK: Span = Span::from_millis(45);

/// An answer that comes so much later than usual was to something that had been held up.
const HELD_UP: Span = Span::from_millis(15);

impl Connection {
    /// `from` acknowledges the peer's FIN in `segment`, and had acknowledged what lies before
    /// `before`: it has received that FIN, unless it said so earlier.
    pub(super) fn on_fin_received(
        &mut self,
        from: Side,
        segment: &Segment,
        extras: &Extras,
        before: i64,
    ) {
        let path = self.answer_time(from);
        let me = self.sides.of(from);
        let (sent, told) = (me.clock.sent(segment), me.stream.sender(segment));
        // Where it is told how many were answered, only what is on its way is in doubt.
        let share = if told.is_some() { 8 } else { 2 };
        let soonest = match sent {
            Some(sent) => sent + CROSSING_SLACK - path,
            None => segment.time - Span::from_nanos(path.nanos() / share),
        };
        // In FIN-WAIT a FIN is answered at once.
        let held_until = sent.map(|sent| sent - path - HELD_UP);
        let (me, peer) = self.sides.pair_mut(from);
        if peer.reports_fin_twice(before, segment, extras) {
            me.had_first_fin(peer, segment);
        }
        let Some(fin) = peer.stream.fin.filter(|fin| before <= *fin) else { return };
        let twice = peer.reports_fin_twice(before, segment, extras);
        let is_all = before == fin && me.stream.offset(segment.seq) <= me.stream.end + 1;
        let (sender, is_fin) = (told.filter(|_| path > BESIDE), segment.flags.fin());
        let of_rest = told == Some(Sender::Rest);
        let answer = Answer { sender, of_rest, soonest, is_all, twice, path, is_fin };
        let arrival = me.fin_that_arrived(segment, fin, before, answer);
        me.receive_fin(segment, arrival, held_until, answer);
    }

    /// `from`, in FIN-WAIT-2, still asks for the segment that had carried the acknowledgment of its
    /// FIN: that one did not arrive. A later one may have.
    pub(super) fn doubt_ack_of_fin(&mut self, from: Side, segment: &Segment, acknowledged: i64) {
        let crossing = self.answer_time(from) + CROSSING_SLACK;
        let me = self.sides.of_mut(from);
        let lost = me.last_entry().copied().filter(|entry| {
            entry.cause == Cause::ReceivedAckOfFin
                && acknowledged == me.ack_of_fin_rides_on
                && segment.time.since(entry.at) > crossing
        });
        let Some(entry) = lost else { return };
        me.revert(State::FinWait2);
        match me.acks_of_fin.next(entry.frame, |_| true) {
            Some(ack) => {
                let reason = Reason::observed(ack, Cause::ReceivedAckOfFin);
                me.apply(Event::ReceiveAckOfFin, reason.corrected(Some(segment.frame)));
                me.ack_of_fin_rides_on = i64::MIN;
            }
            None => me.correction = Some(segment.frame),
        }
    }
}

impl Endpoint {
    /// The transmission of the peer's FIN that `segment` acknowledges. The echo tells of those before
    /// which this side owed no acknowledgment: else it is of what came earlier (RFC 7323 4.3), and
    /// the latest counts that can have come by then.
    fn fin_that_arrived(
        &self,
        segment: &Segment,
        fin: i64,
        before: i64,
        answer: Answer,
    ) -> Option<Attempt> {
        let told_of = |attempt: &Attempt| attempt.start(fin) <= before;
        let echo = segment.timestamps().map(|stamps| stamps.echo);
        if let Some(found) = echo.filter(|_| answer.of_rest).and_then(|it| self.fin_before_rest(it))
        {
            return Some(found);
        }
        // It would have been echoed.
        let unheard = |it: &Attempt| {
            let both = it.timestamp.zip(echo);
            told_of(it) && both.is_some_and(|(value, echo)| newer(value, echo))
        };
        let echoed = self
            .fin_arrivals
            .all()
            .find(|it| told_of(it) && echo.is_some() && it.timestamp == echo)
            .copied();
        if !answer.twice && echo.is_some() && self.fin_arrivals.all().all(told_of) {
            return echoed.or_else(|| self.fin_arrivals.answered_by(echo));
        }
        let first = self
            .fin_arrivals
            .first_alone_for(DELAYED_ACK)
            .filter(|it| !answer.twice && it.cause == Cause::ReceivedFin && it.timestamp == echo);
        if let Some(first) = first.filter(|_| echo.is_some()) {
            return Some(first);
        }
        // What comes twice is echoed again.
        echoed
            .filter(|_| !answer.twice)
            .or_else(|| self.fin_by_number(answer))
            .or_else(|| self.fin_arrivals.first().filter(|_| answer.twice))
            .or_else(|| self.fin_that_stopped_ours())
            .or_else(|| {
                let possible = |it: &&Attempt| it.mark.time <= answer.soonest && !unheard(it);
                self.fin_arrivals.all().rfind(possible).copied()
            })
            .or_else(|| self.fin_arrivals.all().find(|it| !unheard(it)).copied())
            .or_else(|| self.fin_arrivals.first())
    }

    /// The FIN that left of this side what answers now, with `echo`. It echoes the one that it takes in
    /// FIN-WAIT-2, and in TIME-WAIT what the socket would have: the latest FIN is newer, so another had
    /// come before.
    fn fin_before_rest(&self, echo: u32) -> Option<Attempt> {
        let is_newer = |it: &Attempt| it.timestamp.is_some_and(|value| newer(value, echo));
        let arrivals = &self.fin_arrivals;
        let answered = arrivals.last().filter(|last| arrivals.repeated() > 0 && is_newer(last));
        let known = || arrivals.all().rfind(|it| !is_newer(it)).copied();
        answered.and_then(|_| known().or_else(|| arrivals.first()))
    }

    /// A FIN of the peer that also acknowledges the own one, which nothing had acknowledged before, and after
    /// which that was not sent again although its timer was due before the peer's next FIN.
    fn fin_that_stopped_ours(&self) -> Option<Attempt> {
        if self.was_acknowledged_alone() {
            return None;
        }
        let ours = self.latest_fin()?.time;
        let due = if self.fin_repeats > 0 { self.fin_gap + self.fin_gap } else { FIRST_TIMEOUT };
        let late = self.fin_arrivals.last()?.mark.time.since(ours) > due;
        self.fin_arrivals
            .all()
            .find(|it| late && it.acknowledges_fin && it.mark.time >= ours)
            .copied()
    }

    /// It has received the peer's FIN with `arrival`, as its acknowledgment in `segment` proves.
    /// It was on its way for longer than usual where it came before `held_until`: what was sent
    /// after it overtook it.
    fn receive_fin(
        &mut self,
        segment: &Segment,
        arrival: Option<Attempt>,
        held_until: Option<Time>,
        answer: Answer,
    ) {
        let reason = self.reason_of_fin(segment, arrival);
        // It answered before the RST came that was on its way to it behind that FIN.
        let reset = self
            .last_entry()
            .copied()
            .filter(|end| end.cause == Cause::ReceivedRst && end.frame > reason.frame);
        if reset.is_some() {
            self.revert(State::Closed);
        }
        let with_it = arrival.filter(|it| it.acknowledges_fin).map(|it| it.mark);
        // The FIN came with, or after, an acknowledgment of the own one, of which it was not sure
        // whether it would be taken: at the latest with the FIN it was.
        let pending = self.pending_ack_of_fin.filter(|ack| Some(ack.frame) <= reason.frame);
        if let Some(ack) = pending.or(with_it).filter(|_| self.state == State::FinWait1) {
            let taken = Reason::inferred(ack, Cause::ReceivedAckOfFin);
            self.apply(Event::ReceiveAckOfFin, taken.corrected(self.last_fin.map(|fin| fin.frame)));
        }
        let acknowledged = self
            .last_entry()
            .copied()
            .filter(|it| it.cause == Cause::ReceivedAckOfFin && it.state == State::FinWait2);
        let order =
            acknowledged.map_or(Order::Told, |entry| self.order_of_fins(segment, &entry, answer));
        match (acknowledged, with_it, order) {
            // It was thought to have come later, or with a FIN that did not arrive.
            (Some(entry), Some(ack), _)
                if entry.frame > reason.frame
                    || (self.rode_on_lost_fin(entry.frame, ack)
                        && !self.fin_arrivals.is_only_fin(entry.frame)) =>
            {
                let is_between = |it: &AckOfFin| {
                    it.mark.frame < ack.frame && !self.fin_arrivals.has(it.mark.frame)
                };
                let between = self.acks_of_fin.next(entry.frame, is_between);
                self.revert(State::FinWait2);
                let taken = Reason::observed(between.unwrap_or(ack), Cause::ReceivedAckOfFin);
                self.apply(Event::ReceiveAckOfFin, taken.corrected(Some(segment.frame)));
                self.apply(Event::ReceiveFin, reason);
            }
            (Some(entry), Some(ack), _)
                if entry.frame == reason.frame
                    && self.fin_arrivals.last() == arrival
                    && held_until.is_some_and(|it| ack.time < it) =>
            {
                let until = held_until.unwrap_or(ack.time) + HELD_UP + CROSSING_SLACK;
                if let Some(first) = self.acks_of_fin.next(entry.frame, |it| it.mark.time <= until)
                {
                    self.revert(State::FinWait2);
                    let taken = Reason::inferred(first, Cause::ReceivedAckOfFin);
                    self.apply(Event::ReceiveAckOfFin, taken.corrected(Some(segment.frame)));
                }
                self.apply(Event::ReceiveFin, reason);
            }
            (Some(entry), _, Order::Open) => self.receive_fin_and_ack(&entry, reason),
            (Some(entry), _, Order::Crossed(first)) => {
                self.revert(State::FinWait2);
                let received = Reason::inferred(first.mark, first.cause);
                self.apply(Event::ReceiveFin, received.corrected(Some(segment.frame)));
                self.apply(Event::ReceiveAckOfFin, Reason::of(&entry));
            }
            // An orphan that is in FIN-WAIT-2 when the FIN comes, is no socket any more.
            (Some(entry), None, _)
                if answer.is_of_rest()
                    && entry.frame > reason.frame
                    && self.fin_arrivals.repeated() == 0 =>
            {
                let late = Reason { certainty: Certainty::Inferred, ..reason };
                self.apply(Event::ReceiveFin, late.corrected(Some(segment.frame)));
            }
            // The acknowledgment of the own FIN came later than the peer's FIN: the FINs had crossed.
            (Some(entry), ..) if entry.frame > reason.frame => {
                self.revert(State::FinWait2);
                self.apply(Event::ReceiveFin, reason);
                self.apply(Event::ReceiveAckOfFin, Reason::of(&entry));
            }
            _ => {
                self.apply(Event::ReceiveFin, reason);
            }
        }
        if let Some(end) = reset {
            self.apply(Event::ReceiveRst, Reason::of(&end).corrected(Some(segment.frame)));
        }
    }

    fn reason_of_fin(&self, segment: &Segment, arrival: Option<Attempt>) -> Reason {
        let Some(arrival) = arrival else {
            return Reason::inferred(Mark::of(segment), Cause::SentAckOfFin);
        };
        let later: Option<FrameId> = self
            .fin_arrivals
            .last()
            .map(|last| last.mark.frame)
            .filter(|frame| self.fin_arrivals.repeated() > 0 && *frame != arrival.mark.frame);
        let earlier = self.fin_arrivals.first().is_some_and(|first| first != arrival);
        let corrected_by = if earlier { Some(arrival.mark.frame) } else { later };
        Reason::observed(arrival.mark, arrival.cause).corrected(corrected_by)
    }

    /// `segment` reports that the FIN of `peer` came twice, of which two passed the tap: both had come.
    fn had_first_fin(&mut self, peer: &Self, segment: &Segment) {
        let (Some(first), true) = (peer.fin, peer.fin_repeats == 1) else { return };
        let again = peer.last_fin.map(|last| last.frame);
        let entries = self.entries_mut();
        let Some(index) = entries.iter().position(|entry| {
            entry.state == State::CloseWait
                && entry.cause == Cause::ReceivedFin
                && entry.frame == again
        }) else {
            return;
        };
        let before = index.checked_sub(1).and_then(|index| entries.get(index)).map(|it| it.at);
        if let Some(entry) = entries.get_mut(index) {
            entry.at = before.map_or(first.time, |before| before.max(first.time));
            entry.frame = Some(first.frame);
            entry.corrected_by = Some(segment.frame);
        }
    }

    /// Whether the acknowledgment in `frame` came with an earlier FIN than the one in `arrived`,
    /// which is the first that arrived.
    fn rode_on_lost_fin(&self, frame: Option<FrameId>, arrived: Mark) -> bool {
        frame.is_some_and(|frame| frame < arrived.frame && self.fin_arrivals.has(frame))
    }
}
