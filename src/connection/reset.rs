//! RST: whether the receiver accepts it, and what kind of reset it was.
//!
//! Acceptance follows RFC 9293 3.10.7 and RFC 5961 3.2: exactly the next expected sequence number.
//! The tap knows that number only as a range, from what the receiver acknowledged to what it may
//! have received since; a RST within that range counts.

use super::endpoint::Endpoint;
use super::first_fin::BEFORE_TIMERS;
use super::numbers::LIMIT;
use super::{Cause, Connection, Event, LONG_IDLE, Mark, Reason, Reset, ResetKind, State};
use crate::settings::Settings;
use crate::stamp::{Span, Time};
use crate::tcp::{Segment, Side, Sides};

impl Endpoint {
    /// Whether `segment`, whose number is `start`, asks for a sign of life: one below what is acknowledged,
    /// with no more than one byte, and so long after it was `heard` last that a timer can have sent it. What
    /// lies further back was overtaken.
    pub(super) fn asks_for_life(
        &self,
        peer: &Self,
        segment: &Segment,
        start: i64,
        heard: Option<Time>,
    ) -> bool {
        segment.payload_len <= 1
            && start + 1 == self.stream.acknowledged
            && heard.is_none_or(|heard| segment.time.since(heard) > BEFORE_TIMERS)
            && !self.was_overtaken(peer, segment)
    }

    /// A RST with ACK comes from a socket that lives: no RST had reached it, and no timer ended it.
    fn had_not_been_reset(&mut self, rst: &Segment) {
        let ended = self.last_entry().is_some_and(|last| last.cause == Cause::ReceivedRst);
        let number = self.stream.offset(rst.seq);
        if !rst.flags.ack() || number <= 0 || number != self.stream.end {
            return;
        }
        if ended {
            self.revert(State::Closed);
        } else {
            self.take_back_estimate();
        }
    }

    /// Nothing is known of this side but that it answers with a RST without ACK: the connection
    /// that the other side's segment seemed to belong to was not its own (RFC 9293 3.10.7.1).
    fn was_never_there(&mut self, segment: &Segment) {
        let guessed = self.last_entry().is_some_and(|entry| entry.cause == Cause::Midstream);
        if guessed && !segment.flags.ack() && self.stream.traffic.segments == 1 {
            self.revert(State::Established);
        }
    }
}

/// So much longer than usual may be the way of what follows a burst.
const QUEUED: Span = Span::from_millis(10);

/// Beside the way, an answer takes a host no longer than this.
const PROMPT: Span = Span::from_millis(1);

/// How many probes and repetitions in a row go unanswered before the peer counts as deaf.
const DEAF: u8 = 2;

/// How many RSTs a side ignores, after acknowledgments of its FIN, before it counts as behind a filter.
const FILTERED: u32 = 2;

/// An answer to what comes again is out by then, delayed or not (RFC 1122 4.2.3.2; Linux 40 to 200 ms).
pub(super) const AT_LEISURE: Span = Span::from_millis(250);

impl Connection {
    /// A segment with RST.
    pub(super) fn on_reset(&mut self, from: Side, segment: &Segment, settings: &Settings) {
        let mark = Mark::of(segment);
        let me = self.sides.of_mut(from);
        me.resets = me.resets.saturating_add(1);
        me.stream.send(segment);
        me.fin_stamps = segment.timestamps().or(me.fin_stamps);
        me.was_never_there(segment);
        self.take_back_unproven(from, segment);
        self.take_back_early_open(from, segment);
        self.sides.of_mut(from).had_not_been_reset(segment);
        if self.is_of_another(from, segment) {
            return;
        }
        if self.answers_bad_ack(from, segment) {
            self.refuse_handshake(from, segment);
            return;
        }
        if segment.flags.ack() && self.sides.of(from).state != State::SynSent {
            self.reset_acknowledges(from, segment);
        }
        self.had_died_before_ack(from, segment);
        self.had_been_reset_before_ack(from, segment);
        self.had_been_reset_before_fin(from, segment);
        self.had_closed_before_ack(from, segment);
        self.doubt_ack_before(from, segment);
        self.doubt_what_crossed(from, segment);
        let states = self.states_now();
        let accepted = self.accepts(from.peer(), segment, settings);
        let kind = self.kind_of(from, segment, states);
        let seq_offset = self.seq_offset(from, segment);
        let sent = self.reason_of_sender(from, segment);
        if accepted && sent.cause == Cause::ConnectionGone {
            self.has_begun_anew(from);
        }
        // A RST that answers no SYN of the peer does not come from the port that the SYN went to.
        let elsewhere = !accepted
            && states.of(from).is_none()
            && *states.of(from.peer()) == Some(State::SynSent);
        // It answers what the connection of before has sent.
        let leaves = self.is_of_late_copy(from) && !segment.flags.ack();
        let leaves = leaves || self.is_unasked(from, segment);
        let ended = !elsewhere && !leaves && self.sides.of_mut(from).apply(Event::SendRst, sent);
        if accepted {
            self.reset_follows_fin(from, segment);
        }
        let received = Reason::observed(mark, Cause::ReceivedRst);
        // A peer that has left several questions unanswered hears nothing, the RST neither.
        let heard = !self.is_deaf(from.peer(), segment);
        let reached =
            accepted && heard && self.sides.of_mut(from.peer()).apply(Event::ReceiveRst, received);
        if self.opening.ack.is_none() {
            self.opening.rst.get_or_insert(mark);
        }
        if self.reset.is_none() && (ended || reached) {
            self.reset = Some(Box::new(Reset {
                by: from,
                mark,
                states,
                kind,
                seq_offset,
                has_ack: segment.flags.ack(),
                unacknowledged_from_peer: self.unacknowledged(from.peer()),
                idle: segment.time.since(self.last.time).max(self.last_gap),
                seq: segment.seq,
            }));
        }
    }

    /// Whether a RST without ACK answers nothing. A host sends such a one as an answer only, and at once
    /// (RFC 9293 3.10.7.1); what it sends by itself acknowledges (3.10.5). So somebody else has sent this
    /// one in the name of `from`, which knows nothing of it. Windows, which begins with another time to
    /// live, aborts with such a one.
    fn is_unasked(&self, from: Side, rst: &Segment) -> bool {
        let peer = &self.sides.of(from.peer()).stream;
        // What is on its way may have been held up.
        let least = if peer.unacknowledged().is_some() { AT_LEISURE } else { PROMPT };
        let asked = peer.last_time().zip(self.path(from));
        !rst.flags.ack()
            && rst.ttl <= LIMIT
            && self.sides.of(from).state >= State::Established
            && !self.is_lossy_beyond_tap(from)
            && asked.is_some_and(|(asked, path)| {
                rst.time.since(asked) > Span::from_nanos(path.nanos() * 8) + least
            })
    }

    /// Whether `side` hears nothing any more, as its silence says to what `rst` comes after.
    fn is_deaf(&self, side: Side, rst: &Segment) -> bool {
        let is_near = self.is_near(side);
        let waited = rst.time.since(self.last.time) > AT_LEISURE;
        let peer = self.sides.of(side.peer());
        // Nearby nothing is lost on the way: a side that has ignored several acknowledgments of its FIN,
        // and then two RSTs before this one, lies behind a filter that stays.
        let ignores = is_near
            && self.sides.of(side).acks_of_fin_ignored >= u32::from(DEAF)
            && peer.resets > FILTERED;
        ignores || peer.unanswered >= if is_near && waited { 1 } else { DEAF }
    }

    /// Why the sender of a RST is CLOSED. A socket that aborts sends RST with ACK; a RST without
    /// one answers for a port where no socket is any more (RFC 9293 3.10.7.1), or for one that has
    /// closed already.
    fn reason_of_sender(&self, from: Side, segment: &Segment) -> Reason {
        let mark = Mark::of(segment);
        let forward = self.is_forward(from);
        let own_syn = self.stray_syn.as_ref().filter(|stray| stray.forward == forward);
        // It answers something without ACK; a socket counts from what it sent (RFC 9293 3.10.7.1).
        let counts_from_zero = segment.flags.ack() && segment.seq.0 == 0;
        let gone = match self.sides.of(from).state {
            State::Closed | State::Listen => false,
            _ if counts_from_zero => true,
            State::SynSent
            | State::Established
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => !segment.flags.ack(),
            // A FIN would have been acknowledged; what else may come after its own, an orphan resets.
            State::FinWait2 => {
                let answers_fin = self.sides.of(from.peer()).fin.is_some();
                !segment.flags.ack() && (answers_fin || own_syn.is_some())
            }
            State::SynReceived | State::FinWait1 => false,
        };
        // Data after its FIN resets an orphan, and meets none where that has died. Nor does what was to
        // complete a handshake meet a server that was forgotten.
        let may_be_gone = !segment.flags.ack()
            && matches!(
                self.sides.of(from).state,
                State::SynReceived | State::FinWait1 | State::FinWait2
            );
        match own_syn {
            // It had already begun anew.
            Some(stray) if gone => {
                Reason::inferred(Mark::of(&stray.segment), Cause::ConnectionGone)
                    .corrected(Some(mark.frame))
            }
            _ if gone => Reason::inferred(mark, Cause::ConnectionGone),
            _ if may_be_gone => Reason::inferred(mark, Cause::SentRst),
            _ => Reason::observed(mark, Cause::SentRst),
        }
    }

    /// A RST whose number is that of an acknowledgment of nothing: it answers that one only, and
    /// leaves its sender in SYN-SENT or SYN-RECEIVED (RFC 9293 3.10.7.3, 3.10.7.4).
    fn answers_bad_ack(&self, from: Side, segment: &Segment) -> bool {
        matches!(self.sides.of(from).state, State::SynSent | State::SynReceived)
            && *self.opening.bad_ack.of(from) == Some(segment.seq)
    }

    /// Whether a RST without ACK of a side that has just begun counts from a number that it never had: it
    /// answers what the peer had sent in the connection before on these ports, and says nothing of this one.
    fn is_of_another(&self, from: Side, rst: &Segment) -> bool {
        let me = self.sides.of(from);
        let number = me.stream.offset(rst.seq);
        !rst.flags.ack()
            && me.state == State::SynSent
            && !(1..=me.stream.end.max(1)).contains(&number)
            && *self.opening.bad_ack.of(from) != Some(rst.seq)
    }

    /// Whether a side at the tap has lived through a RST and said so: what that counted from had not come.
    pub(super) fn has_challenged(&self, side: Side) -> bool {
        let heard = self.sides.of(side).stream.last_time();
        heard.is_some_and(|heard| self.is_behind_reset(side, heard))
    }

    /// Whether what `side` said at `time` left after the peer's RST had come, if that was not lost.
    pub(super) fn is_behind_reset(&self, side: Side, time: Time) -> bool {
        let path = if self.is_near(side) { Some(Span::from_nanos(1)) } else { self.path(side) };
        // An answer may be a little quicker than any before.
        let soonest = path.map(|path| Span::from_nanos(path.nanos() - path.nanos() / 8));
        let reset = self.reset.as_ref().filter(|reset| reset.by != side);
        reset.zip(soonest).is_some_and(|(reset, soonest)| time.since(reset.mark.time) >= soonest)
    }

    /// Whether what passed the tap at `sent`, on its way to `receiver`, came there, for all that the
    /// receiver has said since.
    pub(super) fn may_have_come(&self, receiver: Side, sent: Time) -> bool {
        let heard = self.sides.of(receiver).stream.last_time();
        let path = self.answer_time(receiver);
        let told = sent + path + path + QUEUED;
        heard.is_none_or(|heard| heard <= told) || self.sides.of(receiver).unaware
    }

    fn states_now(&self) -> Sides<Option<State>> {
        let of = |side| {
            let endpoint = self.sides.of(side);
            endpoint.is_known().then_some(endpoint.state)
        };
        Sides { client: of(Side::Client), server: of(Side::Server) }
    }

    fn unacknowledged(&self, side: Side) -> u64 {
        self.sides.of(side).stream.unacknowledged().map_or(0, |rest| rest.bytes)
    }

    /// How far the RST of `from` lies from what its peer has acknowledged.
    fn seq_offset(&self, from: Side, segment: &Segment) -> i64 {
        let stream = &self.sides.of(from).stream;
        if stream.is_started() { stream.offset(segment.seq) - stream.acknowledged } else { 0 }
    }

    /// Whether `receiver` takes the RST.
    fn accepts(&self, receiver: Side, segment: &Segment, settings: &Settings) -> bool {
        let me = self.sides.of(receiver);
        let sent = &self.sides.of(receiver.peer()).stream;
        match me.state {
            State::Closed | State::Listen => return false,
            State::SynSent => {
                let offset = me.stream.offset(segment.ack);
                return segment.flags.ack() && (1..=me.stream.end).contains(&offset);
            }
            State::TimeWait if settings.of(self.addresses.of(receiver).address).rfc1337 => {
                return false;
            }
            _ => {}
        }
        if !sent.is_started() {
            return true;
        }
        let offset = sent.offset(segment.seq);
        let lowest = match me.state {
            // A peer that counts its FIN twice over (Linux tcp_reset_check).
            State::CloseWait | State::LastAck | State::Closing => sent.acknowledged - 1,
            State::SynReceived => 1,
            // What another socket has received, which a late cookie made, it has received alone.
            _ if me.last_entry().is_some_and(|last| last.cause == Cause::ReceivedCookie) => 1,
            _ => sent.acknowledged,
        };
        let complete = i64::from(sent.is_complete());
        let in_order = (sent.coverage.next() + complete).max(sent.acknowledged);
        // Sent by nobody that knows what else was sent: what is on its way comes first.
        let behind_fin = if me.state == State::FinWait2 { 0 } else { complete };
        let rest = sent.unacknowledged().filter(|_| me.state != State::SynReceived);
        let is_late = !segment.flags.ack()
            && offset < in_order - behind_fin
            && !self.has_challenged(receiver)
            && rest.is_some_and(|rest| self.may_have_come(receiver, rest.first_sent.time));
        if is_late {
            return false;
        }
        // With SACK, the end of what it holds out of order counts as well (Linux tcp_validate_incoming).
        let behind_hole = me.stream.options.sack_permitted && offset == sent.end;
        (lowest..=in_order).contains(&offset) || behind_hole
    }

    fn kind_of(&self, from: Side, segment: &Segment, states: Sides<Option<State>>) -> ResetKind {
        let mine = *states.of(from);
        let peers = *states.of(from.peer());
        let idle = segment.time.since(self.last.time).max(self.last_gap);
        if peers == Some(State::SynSent) && matches!(mine, None | Some(State::Closed)) {
            return ResetKind::Refused;
        }
        if peers == Some(State::TimeWait) {
            return ResetKind::ToTimeWait;
        }
        let me = self.sides.of(from);
        match mine {
            Some(State::SynSent) => ResetKind::HandshakeAborted,
            Some(State::SynReceived) => ResetKind::HandshakeRejected,
            _ if from == Side::Server
                && self.opening.syn_acks_after_ack > 0
                && !me.was_in(State::Established) =>
            {
                ResetKind::HandshakeRejected
            }
            Some(State::FinWait2) => self.kind_in_fin_wait_2(from, segment),
            Some(State::Closed) if me.was_in(State::FinWait2) && !me.was_in(State::TimeWait) => {
                self.kind_in_fin_wait_2(from, segment)
            }
            Some(State::FinWait1 | State::Closing | State::LastAck | State::TimeWait) => {
                ResetKind::AfterFin
            }
            _ if !segment.flags.ack() && idle >= LONG_IDLE => ResetKind::Idle,
            Some(State::CloseWait) => ResetKind::AfterPeerFin,
            Some(State::Established) => self.kind_when_open(from, segment),
            _ => ResetKind::Unknown,
        }
    }

    /// An orphan answers data with a RST (Linux `tcp_rcv_state_process`), and takes a FIN: what answers
    /// that, or a question, is no socket any more. A RST with ACK answers nothing.
    fn kind_in_fin_wait_2(&self, from: Side, segment: &Segment) -> ResetKind {
        if self.unacknowledged(from.peer()) > 0 {
            ResetKind::OrphanFinWait2
        } else if segment.flags.ack() {
            self.kind_when_open(from, segment)
        } else {
            ResetKind::FinWait2Gone
        }
    }

    /// An open connection: was there something unread? Where all is acknowledged, a side that closes with
    /// data unread and one that aborts (`SO_LINGER` 0) send the same RST: a server owes an answer to what
    /// came last, and a client that has asked has had it.
    fn kind_when_open(&self, from: Side, segment: &Segment) -> ResetKind {
        let me = &self.sides.of(from).stream;
        let peer = &self.sides.of(from.peer()).stream;
        let last_received = peer.traffic.last_data.map(|mark| mark.time);
        let last_sent = me.traffic.last_data.map(|mark| mark.time);
        let unanswered = last_received > last_sent && (from == Side::Server || last_sent.is_none());
        if self.unacknowledged(from.peer()) > 0 || (segment.flags.ack() && unanswered) {
            ResetKind::UnreadData
        } else if segment.flags.ack() && self.unacknowledged(from) == 0 {
            ResetKind::Abort
        } else {
            ResetKind::Unknown
        }
    }
}
