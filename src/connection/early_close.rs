//! Who closes, or seems to, before its opening is over.
//!
//! A server that took data with the SYN may, and who opened itself, where two SYNs crossed (RFC 9293
//! 3.10.4). What a listener has not accepted, nobody can close.

use super::closing::newer;
use super::path::ANY_PATH;
use super::{CROSSING_SLACK, Cause, Connection, SYN_TIMER, State};
use crate::tcp::{Segment, Side};

impl Connection {
    /// A server that took data with the SYN may close or reset before the acknowledgment of its SYN-ACK
    /// comes; what it echoes tells that it had not come.
    pub(super) fn take_back_early_open(&mut self, from: Side, segment: &Segment) {
        let may_be_early = self.opening.may_be_early(&self.sides.client.stream);
        let known = self.opening.last_ack_number.filter(|_| may_be_early);
        let Some((_, value)) = known.filter(|(_, value)| *value > 0) else { return };
        let is_older = segment.timestamps().is_some_and(|stamps| newer(value, stamps.echo));
        let me = self.sides.of_mut(from);
        if from == Side::Server && is_older && me.revert(State::Established).is_none() {
            me.entries_mut().retain(|entry| entry.cause != Cause::ReceivedAckOfSyn);
        }
    }

    /// The first FIN of a side of a simultaneous open, so soon after what was to open it has passed that
    /// this cannot have come: it closed in SYN-RECEIVED.
    pub(super) fn take_back_crossed_open(&mut self, from: Side, segment: &Segment) {
        let path = self.path(from).unwrap_or(ANY_PATH);
        let me = self.sides.of_mut(from);
        let both_opened = me.was_in(State::SynSent) && me.was_in(State::SynReceived);
        let opened = me.last_entry().filter(|last| last.state == State::Established);
        let crossed =
            opened.is_some_and(|last| segment.time.since(last.at) + CROSSING_SLACK < path);
        if both_opened && crossed && me.stream.traffic.data_segments == 0 {
            me.revert(State::Established);
        }
    }

    /// A client whose timer repeats its SYN had not heard the RST that refused the one before.
    pub(super) fn outlives_refusal(&mut self, from: Side, syn: &Segment) {
        let crossing = self.path(from).unwrap_or(ANY_PATH) + CROSSING_SLACK;
        let syns = self.opening.syns.of(from);
        let by_timer = syns.last().is_some_and(|it| syn.time.since(it.mark.time) > SYN_TIMER);
        let sent = u64::from(syns.segments());
        let me = self.sides.of_mut(from);
        let is_silent = me.stream.traffic.segments == sent && me.was_in(State::SynSent);
        let ended = me
            .last_entry()
            .filter(|last| last.cause == Cause::ReceivedRst && syn.time.since(last.at) > crossing);
        if by_timer && is_silent && ended.is_some() {
            me.revert(State::Closed);
            self.reset = None;
        }
    }
}
