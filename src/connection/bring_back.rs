//! Which segment of a client brought back the cookie that was taken, or completed the handshake.
//!
//! A listener whose accept queue is full drops what brings a cookie back, without a trace, and any
//! later segment brings it back as well. So it does with what would complete a handshake, until the
//! SYN-ACK is due again. One that was taken makes a socket, and a new socket answers data and a FIN at
//! once: what stays unanswered was dropped, and so was all before it. The queue has filled since the SYN
//! was answered, so that others must have completed their handshakes meanwhile; where nobody did,
//! something else ate those segments.

use crate::compact::compact;

use super::cookie::OVERDUE;
use super::path::NEAR;
use super::{CROSSING_SLACK, Cause, Connection, CookieSign, Mark, State};
use crate::certainty::Certainty;
use crate::stamp::{Span, Time};
use crate::tcp::{self, FourTuple, Segment, Side};

/// A new socket does not delay its first acknowledgments (Linux `tcp_enter_quickack_mode`), but for
/// that of a FIN: `TCP_DELACK_MIN` is 40 ms.
const DELAYED: Span = Span::from_millis(100);

/// On a way longer than this nothing tells what is dropped from what is lost.
const FAR: Span = Span::from_millis(5);

/// So many segments in a row are not all lost on a longer way.
const NOT_LOST: u8 = 2;

/// The client's segments until the server says something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BringBack {
    /// The latest one, and whether a socket would have answered it.
    last: Option<(Time, bool)>,
    /// The first one behind the last that was dropped, and the second of all.
    taken: Option<Mark>,
    second: Option<Mark>,
    /// The first one found the accept queue full.
    crowded: bool,
    /// How many were dropped that a socket would have answered.
    dropped: u8,
    /// The server has said something.
    answered: bool,
    /// Others of the listener completed their handshakes during this one.
    overtaken: bool,
}

compact!(struct BringBack { last, taken, second, crowded, dropped, answered, overtaken });

impl BringBack {
    /// Whether more of the client's segments matter.
    pub(super) const fn is_open(&self) -> bool {
        !self.answered
    }
}

impl Connection {
    /// A segment behind the SYN-ACK of a server that may have sent a cookie.
    pub(super) fn note_bring_back(&mut self, from: Side, segment: &Segment) {
        let crossing = self.answer_time(Side::Server) + CROSSING_SLACK + DELAYED;
        let Some(baker) = &mut self.opening.baker else { return };
        let tries = &mut baker.tries;
        if from == Side::Server {
            tries.answered = true;
        } else if !tries.answered && segment.flags.ack() {
            let unanswered =
                tries.last.is_some_and(|(last, asks)| asks && segment.time.since(last) > crossing);
            tries.dropped = tries.dropped.saturating_add(u8::from(unanswered));
            if tries.last.is_some() {
                tries.second.get_or_insert(Mark::of(segment));
            }
            if unanswered || tries.taken.is_none() {
                tries.taken = Some(Mark::of(segment));
            }
            let asks = segment.payload_len > 0 || segment.flags.fin();
            tries.last = Some((segment.time, asks));
        }
    }

    /// The client and its listener, and when that answered, if others may have taken all its room.
    #[must_use]
    pub fn may_be_crowded_out(&self) -> Option<(FourTuple, Time, Time)> {
        let tries = self.opening.baker.as_ref()?.tries;
        let syn_ack = self.opening.syn_acks.server.last()?.mark.time;
        let attempt =
            FourTuple { source: self.addresses.client, destination: self.addresses.server };
        tries.taken.map(|_| (attempt, self.first.time, syn_ack))
    }

    /// They had.
    pub fn was_crowded_out(&mut self) {
        if let Some(baker) = &mut self.opening.baker {
            baker.tries.crowded = true;
        }
    }

    /// The listener, and from when until when others must have completed their handshakes there for
    /// what this client said first to have found the accept queue full, if that would explain why it was
    /// not answered: there was room when the SYN came that was answered.
    #[must_use]
    pub fn may_be_overtaken(&self) -> Option<(tcp::Endpoint, Time, Time)> {
        self.opening.baker.as_ref().filter(|baker| baker.tries.dropped > 0)?;
        let answered = self.opening.syn_acks.server.first()?.mark.time;
        let mut syns = self.opening.syns.client.all().map(|syn| syn.mark.time);
        let asked = syns.rfind(|syn| *syn <= answered)?;
        Some((self.addresses.server, asked, self.opening.ack?.time))
    }

    /// They had.
    pub fn was_overtaken(&mut self) {
        if let Some(baker) = &mut self.opening.baker {
            baker.tries.overtaken = true;
        }
    }

    /// Puts the socket where it was made, if the segments before are known to have been dropped.
    pub(super) fn settle_bring_back(&mut self, known_until: Time) {
        let is_near = self.opening.server_rtt.is_some_and(|rtt| rtt < NEAR);
        // So far away what looks dropped may as well be lost, there or on the way.
        let is_far = self.opening.server_rtt.is_some_and(|rtt| rtt > FAR);
        let syn_ack = self.opening.syn_acks.server.last().map(|last| last.mark.time);
        let timeouts = self.opening.syn_ack_timeouts;
        let Some(baker) = &mut self.opening.baker else { return };
        let BringBack { taken, second, crowded, dropped, answered, overtaken, .. } = baker.tries;
        // Of what is never answered at all, a longer way may have lost everything.
        let enough = if is_near { 1 } else { NOT_LOST };
        let is_answerable = answered || is_near || baker.sign.is_some();
        let is_ignored = overtaken && dropped >= enough && is_answerable;
        let taken = if is_ignored {
            taken
        } else if crowded {
            // What the server says first may answer nothing but that.
            second.or_else(|| taken.filter(|_| answered))
        } else {
            return;
        };
        if baker.sign.is_none() && baker.may_bake() {
            // A request socket would have sent its SYN-ACK again. And of handshakes that crowd each
            // other no more get one than there are places behind them.
            let until = taken.map(|it| it.time).filter(|_| answered).unwrap_or(known_until);
            let overdue = syn_ack.is_some_and(|sent| until.since(sent) > OVERDUE);
            let is_told = if answered { overdue && crowded } else { overdue || crowded };
            if is_told && timeouts == 0 && !is_far {
                baker.sign = Some(CookieSign::Silence);
            }
        }
        if baker.sign.is_none() {
            if is_ignored && is_near {
                self.settle_ignored(taken.filter(|_| answered));
            }
            return;
        }
        let server = &mut self.sides.server;
        let entries = server.entries_mut();
        if !answered {
            entries.clear();
            server.state = State::Listen;
            return;
        }
        let opened = entries.iter().position(|entry| entry.state == State::Established);
        let Some(opened) = opened else { return };
        let Some(taken) = taken else { return };
        let is_before_the_next = entries.get(opened + 1).is_none_or(|next| next.at >= taken.time);
        if let Some(entry) = entries.get_mut(opened).filter(|_| is_before_the_next) {
            (entry.at, entry.frame) = (taken.time, Some(taken.frame));
        }
    }

    /// A half-open connection found the accept queue full, and `taken` opened it before its SYN-ACK was
    /// due again; nothing did if there is none.
    fn settle_ignored(&mut self, taken: Option<Mark>) {
        if self.opening.ignored.is_some() || self.opening.fast_open {
            return;
        }
        let server = &mut self.sides.server;
        let Some(taken) = taken else {
            server.revert(State::Established);
            return;
        };
        let entries = server.entries_mut();
        let opened = entries.iter().position(|entry| entry.cause == Cause::ReceivedAckOfSyn);
        let Some(opened) = opened else { return };
        let is_before_the_next = entries.get(opened + 1).is_none_or(|next| next.at >= taken.time);
        if let Some(entry) = entries.get_mut(opened).filter(|_| is_before_the_next) {
            (entry.at, entry.frame) = (taken.time, Some(taken.frame));
            entry.certainty = entry.certainty.min(Certainty::Inferred);
        }
    }
}
