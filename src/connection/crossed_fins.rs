//! FINs that crossed, one of which came again, over a way without timestamps: did the first one arrive,
//! before the acknowledgment of the other side's, or a later one, behind it?
//!
//! The receiver answers each FIN that comes. So where each one that passed the tap was answered, the first
//! one came as well. Where fewer answers are seen, the rest of them was lost, or the FINs were: the IP
//! identifications tell, or what the receiver said when it should have had the first one.

use super::attempts::Attempt;
use super::endpoint::Endpoint;
use super::numbers::Sender;
use super::path::NEAR;
use super::unseen::Answer;
use super::{Cause, Entry, Event, Reason, State};
use crate::certainty::Certainty;
use crate::tcp::Segment;

/// In which order the peer's FIN and the acknowledgment of the own one came.
pub(super) enum Order {
    /// As the FIN says that is taken to have arrived.
    Told,
    /// The peer's first FIN came first.
    Crossed(Attempt),
    /// One or the other.
    Open,
}

impl Endpoint {
    /// In which order `segment`, which acknowledges the peer's FIN, says that it came, if the first one had
    /// crossed the own FIN, and another passed behind `acknowledged`.
    pub(super) fn order_of_fins(
        &self,
        segment: &Segment,
        acknowledged: &Entry,
        answer: Answer,
    ) -> Order {
        let arrivals = &self.fin_arrivals;
        let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else {
            return Order::Told;
        };
        let is_behind = |it: &Attempt| Some(it.mark.frame) > acknowledged.frame;
        let crossed = !first.acknowledges_fin && !is_behind(&first) && is_behind(&last);
        if !crossed || segment.timestamps().is_some() || answer.path < NEAR {
            return Order::Told;
        }
        match answer.sender {
            // It had answered before.
            Some(Sender::Socket { unseen: 1.. }) => Order::Crossed(first),
            // Unless all of them are answered, as will show.
            Some(Sender::Socket { unseen: 0 }) => Order::Told,
            // It would have said that it had the first one.
            Some(Sender::Rest) if self.spoke_without(&first, answer) => Order::Told,
            _ => Order::Open,
        }
    }

    /// Whether it said something that did not acknowledge `fin` when that should have come.
    fn spoke_without(&self, fin: &Attempt, answer: Answer) -> bool {
        self.stream.last_time().is_some_and(|last| last.since(fin.mark.time) > answer.path)
    }

    /// At the end: `peer` answers each FIN that comes, and has answered all that this side sent, the first
    /// one as well, which had crossed its own.
    pub(super) fn settle_crossed_fins(&mut self, peer: &Self) {
        let Some(first) = self.fin_arrivals.first() else { return };
        let crossed = first.timestamp.is_none() && !first.acknowledges_fin;
        if !crossed || peer.fin_repeats == 0 || peer.acks_of_fin.alone() <= peer.fin_repeats {
            return;
        }
        let end = self.last_entry().copied().filter(|end| end.state == State::Closed);
        let kept = self.entries().len() - usize::from(end.is_some());
        let acknowledged = match *self.entries().get(..kept).unwrap_or_default() {
            [.., acknowledged, came]
                if acknowledged.state == State::FinWait2 && came.cause == Cause::ReceivedFin =>
            {
                Reason::of(&acknowledged)
            }
            [.., came] if came.cause == Cause::ReceivedFinAndAck => {
                let Some(ack) = self.acks_of_fin.first() else { return };
                Reason::observed(ack, Cause::ReceivedAckOfFin)
            }
            _ => return,
        };
        if acknowledged.frame < Some(first.mark.frame) {
            return;
        }
        for state in [State::Closed, State::TimeWait, State::FinWait2] {
            self.revert(state);
        }
        let last = peer.latest_fin().map(|fin| fin.frame);
        let received = Reason::inferred(first.mark, first.cause).corrected(last);
        self.apply(Event::ReceiveFin, received);
        self.apply(Event::ReceiveAckOfFin, acknowledged);
        if let Some(end) = end {
            self.enter(State::Closed, Reason::of(&end));
        }
    }

    /// The peer's FIN and the acknowledgment of the own one have come, in an order that nothing tells.
    pub(super) fn receive_fin_and_ack(&mut self, acknowledged: &Entry, received: Reason) {
        self.revert(State::FinWait2);
        let (at, certainty) = (received.at.max(acknowledged.at), Certainty::Inferred);
        let cause = Cause::ReceivedFinAndAck;
        self.enter(State::TimeWait, Reason { at, cause, certainty, ..received });
    }
}
