//! A server that ignores the acknowledgment of its SYN-ACK: a full accept queue, a firewall behind the
//! tap, `TCP_DEFER_ACCEPT`. Which of the client's segments did it take in the end?
//!
//! It repeats its SYN-ACK when that is due, and answers no data. When it goes on, one of the segments
//! since the last that it ignored has opened it: the first one, for all that is known. Where several were
//! ignored, that is a full queue, and a place may have become free later.

use crate::compact::compact;

use super::closing::newer;
use super::{Cause, Connection, Event, Mark, Reason, State};
use crate::stamp::{Span, Time};
use crate::tcp::{Segment, Side};

/// So many segments in a row are not all lost.
const NOT_LOST: u64 = 2;

/// The client's attempts to complete a handshake that the server ignored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    /// Enough of them were ignored for the queue to have been full.
    full: bool,
    /// The timestamp of the one that is taken for the right one; 0 where it had none.
    value: u32,
}

compact!(struct Tries { full, value });

impl Tries {
    /// Which of them was taken, nothing tells.
    pub(super) const fn is_guess(self) -> bool {
        self.full
    }
}

impl Connection {
    /// The server repeats its SYN-ACK, or says in another way that it has ignored all until now.
    pub(super) fn ignored_all(&mut self, by: Mark) {
        let client = &self.sides.client.stream;
        let tried = client.traffic.segments - u64::from(self.opening.syns.client.segments());
        let full = self.opening.tries.full || tried >= NOT_LOST;
        self.opening.tries = Tries { full, ..Tries::default() };
        self.opening.ignored = Some(by);
        self.opening.last_ack = None;
    }

    /// The client tries once more to complete the handshake, at `mark`.
    pub(super) fn try_again(&mut self, segment: &Segment, mark: Mark) {
        if self.opening.last_ack.is_none() {
            self.opening.last_ack = Some(mark);
            self.opening.tries.value = segment.timestamps().map_or(0, |stamps| stamps.value);
        }
    }

    /// The client's first acknowledgment, if `segment`, the server's first since, shows that this one had
    /// completed the handshake, and no later one: it echoes what was sent before that, or nothing came
    /// after the SYN-ACK that seemed to say that all had been ignored. That had crossed the acknowledgment, which
    /// was longer on its way than any before. What a server near the tap has got, it got in the order of capture.
    pub(super) fn taken_earlier(&self, segment: &Segment) -> Option<Mark> {
        let opening = &self.opening;
        let value = opening.tries.value;
        let is_echo_older = segment.timestamps().filter(|_| value > 0).is_some_and(|it| {
            let syn = opening.syns.client.last().and_then(|syn| syn.timestamp);
            newer(value, it.echo)
                && (syn.is_some_and(|syn| newer(it.echo, syn))
                    || self.sides.client.stream.offset(segment.ack) > 1)
        });
        let is_so = is_echo_older || (opening.last_ack.is_none() && opening.ignored.is_some());
        opening.ack.filter(|_| is_so && !self.is_near(Side::Server))
    }

    /// At the end of what is known: a server that ignored one acknowledgment, and would have sent
    /// its SYN-ACK again by now if it had ignored the last one, did take that one.
    pub(super) fn settle_opening(&mut self, known_until: Time, retries: u8) {
        // A cookie is never sent again.
        let Some(ack) = self.opening.last_ack.filter(|_| self.opening.cookie().is_none()) else {
            return;
        };
        if self.is_of_late_copy(Side::Server) {
            return;
        }
        let timeouts = self.opening.syn_ack_timeouts;
        let Some(last) = self.opening.syn_acks.server.last() else { return };
        let server = &mut self.sides.server;
        if server.state != State::SynReceived
            || self.opening.ignored.is_none()
            || timeouts >= u32::from(retries)
            || ack.time < last.mark.time
        {
            return;
        }
        let next_due = last.mark.time + Span::from_millis(1_300_i64 << timeouts.min(7));
        if known_until > next_due {
            let reason = Reason::inferred(ack, Cause::ReceivedAckOfSyn)
                .corrected(self.opening.ignored.map(|ignored| ignored.frame));
            server.apply(Event::ReceiveAckOfSyn, reason);
        }
    }
}
