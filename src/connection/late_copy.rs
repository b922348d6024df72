//! A late copy of a SYN, which reaches the listener when the connection has closed there: it makes
//! another half-open one, of which the client knows nothing.
//!
//! Its SYN-ACK has a number of its own. A client that is closed answers with a RST, which ends it; one
//! in TIME-WAIT answers with what it had acknowledged last, which does not.

use crate::compact::compact;

use super::{CROSSING_SLACK, Cause, Connection, CookieSign, Event, Mark, Reason, State};
use crate::stamp::Time;
use crate::tcp::{Segment, Seq, Side};

/// The half-open connection that a copy made.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateCopy {
    isn: Seq,
    /// Its latest SYN-ACK, and how many there were before.
    pub(super) last: Time,
    pub(super) repeated: u32,
}

compact!(struct LateCopy { isn, last, repeated });

impl Connection {
    /// A SYN-ACK that acknowledges the client's SYN: whether it answers a late copy of that.
    pub(super) fn answers_late_copy(&mut self, from: Side, segment: &Segment) -> bool {
        let crossing = self.answer_time(Side::Server) + CROSSING_SLACK;
        let (client, server) = self.sides.pair_mut(Side::Client);
        if from == Side::Client || server.stream.isn() == Some(segment.seq) {
            return false;
        }
        if let Some(copy) = self.opening.late_copy.as_mut().filter(|it| it.isn == segment.seq) {
            copy.last = segment.time;
            copy.repeated = copy.repeated.saturating_add(1);
            server.stream.count(segment);
            return true;
        }
        if server.state != State::Closed || !client.was_in(State::Established) {
            return false;
        }
        server.stream.count(segment);
        // A cookie makes no socket.
        if self.opening.cookie() != Some(CookieSign::Settings) {
            let syn = self.opening.syns.client.last().map(|syn| syn.mark);
            let reason = match syn.filter(|syn| segment.time.since(syn.time) <= crossing) {
                Some(syn) => Reason::observed(syn, Cause::ReceivedSyn),
                None => Reason::inferred(Mark::of(segment), Cause::SentSynAck),
            };
            server.apply(Event::ReceiveSyn, reason);
            self.opening.late_copy =
                Some(Box::new(LateCopy { isn: segment.seq, last: segment.time, repeated: 0 }));
        }
        true
    }

    /// Whether `side` is in SYN-RECEIVED because of a late copy, and the connection's own segments
    /// mean nothing to it.
    pub(super) fn is_of_late_copy(&self, side: Side) -> bool {
        side == Side::Server
            && self.opening.late_copy.is_some()
            && self.sides.server.state == State::SynReceived
    }
}
