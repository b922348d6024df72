//! Which of several SYNs without timestamps made the half-open connection, as two SYN-ACKs tell.
//!
//! A listener that has taken a SYN sends its SYN-ACK again when its timer runs out, which is about
//! when the client repeats its SYN, and once more when that arrives. So where two SYN-ACKs follow
//! the last SYN, the first one is the timer's, or the answer to an earlier SYN, that was late. One that had
//! taken the last SYN only would say nothing else before its timer runs out, and then only if what the client
//! answered was lost: that is likelier only where the listener is so near that it answers each SYN at once.

use super::path::NEAR;
use super::{Connection, Mark, SYN_TIMER, State};
use crate::certainty::Certainty;
use crate::stamp::Span;
use crate::tcp::{Segment, Side};

/// Two answers so close together may be one that the network doubled.
pub(super) const COPIES: Span = Span::from_micros(1_500);

/// Where a SYN is answered at once, the second one comes before the timer runs out again.
const BEFORE_TIMER: Span = Span::from_millis(900);

impl Connection {
    /// The server's second SYN-ACK: whether it is the answer to the client's last SYN, and the first
    /// one was not.
    pub(super) fn doubt_syn(&mut self, from: Side, syn_ack: &Segment) {
        let (syns, syn_acks) = (&self.opening.syns.client, &self.opening.syn_acks.server);
        if from == Side::Client || syn_ack.timestamps().is_some() || syn_acks.count() != 1 {
            return;
        }
        let (Some(syn), Some(first)) = (syns.last(), syn_acks.first()) else { return };
        let earlier = syns.all().rfind(|it| it.mark.time < syn.mark.time).copied();
        let by_timer = first.mark.time.since(syn.mark.time);
        let answer = syn_ack.time.since(syn.mark.time);
        // A client that waited for its timer was waiting for the listener's as well, which is as long: more
        // often than one SYN-ACK is doubled, two of them have met on the way.
        let by_client = earlier.is_some_and(|it| syn.mark.time.since(it.mark.time) > SYN_TIMER);
        let apart = if by_client { Span::ZERO } else { COPIES };
        let in_time = by_timer >= NEAR || answer < BEFORE_TIMER;
        let tells = by_timer > Span::ZERO && answer > by_timer + apart && in_time;
        let Some(earlier) = earlier.filter(|_| tells) else { return };
        let entry =
            self.sides.server.entries_mut().iter_mut().find(|entry| {
                entry.state == State::SynReceived && entry.frame == Some(syn.mark.frame)
            });
        if let Some(entry) = entry {
            (entry.at, entry.frame) = (earlier.mark.time, Some(earlier.mark.frame));
            entry.certainty = Certainty::Inferred;
            entry.corrected_by = Some(Mark::of(syn_ack).frame);
            self.opening.server_rtt = Some(answer);
        }
    }
}
