//! A listener that waits for data (`TCP_DEFER_ACCEPT`): the acknowledgment of its SYN-ACK makes no
//! connection, and what the client says next does (Linux `tcp_check_req`).
//!
//! One connection does not tell. What tells is another one of the same listener, whose client said nothing: the
//! first timers of its SYN-ACK passed without a repetition, and a later one brought it.

use super::{Cause, Connection, Mark, State};
use crate::certainty::Certainty;
use crate::tcp;

impl Connection {
    /// The listener, if it may have waited for what the client said behind its acknowledgment: it said
    /// nothing before that.
    #[must_use]
    pub fn may_be_deferred(&self) -> Option<tcp::Endpoint> {
        let opening = &self.opening;
        let ack = opening.ack.filter(|_| opening.ignored.is_none() && !opening.fast_open)?;
        if opening.cookie().is_some() || self.first_words().is_some_and(|it| it.frame == ack.frame)
        {
            return None;
        }
        let server = &self.sides.server;
        let opened = server.entries().iter().find(|entry| entry.state == State::Established)?;
        if opened.cause != Cause::ReceivedAckOfSyn || opened.frame != Some(ack.frame) {
            return None;
        }
        let spoke = [server.stream.traffic.first_data, server.fin].into_iter().flatten();
        let words = self.first_words();
        let is_silent = |said: Mark| words.is_some_and(|words| words.frame < said.frame);
        spoke.into_iter().all(is_silent).then_some(self.addresses.server)
    }

    /// It had.
    pub fn was_deferred(&mut self) {
        let words = self.first_words();
        let server = &mut self.sides.server;
        let entries = server.entries_mut();
        let opened = entries.iter().position(|entry| entry.state == State::Established);
        let Some(opened) = opened else { return };
        let next = entries.get(opened + 1).copied();
        match (words, next) {
            (Some(words), next) if next.is_none_or(|next| next.at >= words.time) => {
                if let Some(entry) = entries.get_mut(opened) {
                    (entry.at, entry.frame) = (words.time, Some(words.frame));
                    entry.certainty = entry.certainty.min(Certainty::Inferred);
                }
            }
            (_, Some(next)) if next.state == State::Closed => {
                entries.remove(opened);
            }
            (None, None) => {
                server.revert(State::Established);
            }
            _ => {}
        }
    }

    /// The client's first data, or its FIN, if that came without any.
    fn first_words(&self) -> Option<Mark> {
        let client = &self.sides.client;
        client.stream.traffic.first_data.or(client.fin)
    }
}
