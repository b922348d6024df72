//! A listener that waits for data (`TCP_DEFER_ACCEPT`): the acknowledgment of its SYN-ACK makes no
//! connection, and what the client says next does (Linux `tcp_check_req`).
//!
//! What tells is another one of the same listener, whose client said nothing: the first timers of its SYN-ACK
//! passed without a repetition, and a later one brought it. Else a long answer does, where the tap is beside the
//! server: its socket takes the time from the SYN-ACK to what made it for the round trip
//! (`tcp_synack_rtt_meas`), and the longer that is, the smaller are the pieces that it hands to the network card
//! (`tcp_tso_autosize`), until an acknowledgment corrects it.

use super::{Cause, Connection, Mark, State};
use crate::certainty::Certainty;
use crate::settings::Settings;
use crate::stamp::Span;
use crate::tcp::{self, Side};

/// With a round trip below this, ten segments in flight at first (RFC 6928) are handed over in halves.
const SHORT: Span = Span::from_millis(1);

/// With one above this, two at a time, which is the least (Linux `tcp_min_tso_segs`).
const LONG: Span = Span::from_millis(8);

/// Bytes of the timestamps option, with what aligns it.
const TIMESTAMPS: u32 = 12;

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

    /// The listener waited, as its answer tells.
    pub(super) fn settle_deferred(&mut self, settings: &Settings) {
        if self.may_be_deferred().is_some() && self.answered_in_small_pieces(settings) {
            self.was_deferred();
        }
    }

    /// Whether the server's first answer is cut as if the client, which is near, were far: the socket was made by
    /// what that said long behind its acknowledgment.
    fn answered_in_small_pieces(&self, settings: &Settings) -> bool {
        let (client, server) = (&self.sides.client.stream, &self.sides.server.stream);
        let (syns, syn_acks) = (&self.opening.syns.client, &self.opening.syn_acks.server);
        let Some(sending) = &server.sending else { return false };
        let Some((words, syn_ack)) = self.first_words().zip(syn_acks.first()) else { return false };
        let Some((one, other)) = client.options.mss.zip(server.options.mss) else { return false };
        let stamped = client.options.timestamps && server.options.timestamps;
        let size = u32::from(one.min(other)).saturating_sub(if stamped { TIMESTAMPS } else { 0 });
        let has_room = |window: u64| window >= u64::from(size) * 4;
        settings.of(self.addresses.server.address).is_linux()
            && (syns.count(), syn_acks.count()) == (1, 1)
            && self.is_beside(Side::Server)
            && self.opening.client_rtt.is_some_and(|rtt| rtt < SHORT)
            && words.time.since(syn_ack.mark.time) >= LONG
            && sending.first_piece == size * 2
            && server.traffic.payload_bytes > u64::from(sending.first_piece)
            && has_room(u64::from(client.windows.0) << server.peer_shift.unwrap_or(0))
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
