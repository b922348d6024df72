//! A connection that was open when the capture began, for all that is known: what else may have
//! happened before.

use super::endpoint::{Endpoint, Reason};
use super::{Cause, Connection, Entry, Event, State};
use crate::certainty::Certainty;
use crate::tcp::Side;

impl Connection {
    /// `from`, which has said nothing but acknowledgments, had sent its FIN before the capture began: it
    /// is in TIME-WAIT now, and its peer, whose FIN came with `received`, had been in CLOSE-WAIT.
    pub(super) fn had_sent_fin_before(&mut self, from: Side, received: &Entry, proof: Reason) {
        let (me, peer) = self.sides.pair_mut(from);
        let [begun, _] = *me.entries() else { return };
        let assumed = Reason::of(&begun).corrected(proof.frame);
        me.revert(State::CloseWait);
        me.apply(Event::SendFin, assumed);
        me.apply(Event::ReceiveAckOfFin, assumed);
        me.apply(
            Event::ReceiveFin,
            Reason { certainty: Certainty::Inferred, ..Reason::of(received) },
        );
        if let [begun, sent, answered] = *peer.entries()
            && (sent.state, answered.state) == (State::FinWait1, State::FinWait2)
        {
            peer.revert(State::FinWait2);
            peer.revert(State::FinWait1);
            peer.apply(Event::ReceiveFin, Reason::of(&begun).corrected(proof.frame));
            for (event, entry) in [(Event::SendFin, sent), (Event::ReceiveAckOfFin, answered)] {
                let certainty = entry.certainty.min(Certainty::Inferred);
                peer.apply(event, Reason { certainty, ..Reason::of(&entry) });
            }
        }
    }

    /// What a FIN did is not certain where its receiver, or sender, may have closed before the capture
    /// began: a side that says anything that counts had not.
    pub(super) fn settle_late_beginning(&mut self) {
        for side in Side::BOTH {
            let (me, peer) = self.sides.pair_mut(side);
            if !me.has_begun_late() {
                continue;
            }
            let (i_spoke, peer_spoke) = (me.spoke(), peer.spoke());
            for entry in me.entries_mut() {
                let is_certain = match entry.state {
                    State::FinWait1 | State::FinWait2 => peer_spoke,
                    State::CloseWait | State::TimeWait => i_spoke,
                    _ => true,
                };
                if !is_certain {
                    entry.certainty = entry.certainty.min(Certainty::Inferred);
                }
            }
        }
    }
}

impl Endpoint {
    /// Whether the capture began in mid-connection, for this side.
    pub(super) fn has_begun_late(&self) -> bool {
        self.entries().first().is_some_and(|first| first.cause == Cause::Midstream)
    }

    /// Whether it sent anything that has a number of its own.
    pub(super) fn spoke(&self) -> bool {
        self.stream.traffic.payload_bytes > 0 || self.stream.fin.is_some()
    }
}
