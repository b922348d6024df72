//! The handshake: which SYN was answered, which SYN-ACK arrived, and what later evidence corrects.
//!
//! The client is ESTABLISHED when a SYN-ACK reaches it; which one did, its acknowledgment tells.
//! The server is ESTABLISHED when that acknowledgment reaches it, which is taken back when it sends
//! the SYN-ACK again: lost behind the tap, a full accept queue, a deferred accept.

use crate::compact::compact;

use super::attempts::{Attempt, Attempts};
use super::cookie::Baker;
use super::late_copy::LateCopy;
use super::numbers::Sender;
use super::path::NEAR;
use super::stream::Stream;
use super::unheard::Tries;
use super::{
    Blocked, CROSSING_SLACK, Cause, Connection, Event, Mark, Reason, State, StraySyn,
    TimeWaitBefore,
};
use crate::settings::Settings;
use crate::stamp::Span;
use crate::tcp::{Extras, Segment, Seq, Side, Sides};

/// No acknowledgment is delayed as long (RFC 9293 3.8.6.3).
const LONGEST_DELAY: Span = Span::from_millis(500);

/// What the capture shows of a handshake.
#[derive(Clone, Debug, Default)]
pub(super) struct Opening {
    /// The SYNs of each side; the server's only in a simultaneous open.
    pub(super) syns: Sides<Attempts>,
    /// The SYN-ACKs of each side; the client's only in a simultaneous open.
    pub(super) syn_acks: Sides<Attempts>,
    /// The client's first acknowledgment of the SYN-ACK.
    pub(super) ack: Option<Mark>,
    /// The segment of the client that completes the handshake, as far as is known.
    pub(super) last_ack: Option<Mark>,
    /// The number that it acknowledged, and its timestamp; 0 where it had none.
    pub(super) last_ack_number: Option<(Seq, u32)>,
    pub(super) rst: Option<Mark>,
    /// SYN-ACKs sent again after the client's acknowledgment had passed.
    pub(super) syn_acks_after_ack: u32,
    /// The latest frame that showed that the server had ignored an acknowledgment. After it, the
    /// next one proves nothing by itself.
    pub(super) ignored: Option<Mark>,
    /// The client's attempts that were ignored.
    pub(super) tries: Tries,
    /// The first SYN-ACK sent again came so late that the server had been waiting for data.
    pub(super) deferred: bool,
    /// SYN-ACKs that answered a SYN again.
    pub(super) syn_acks_provoked: u8,
    /// SYN-ACKs that the server's timer sent, as opposed to a repeated SYN.
    pub(super) syn_ack_timeouts: u32,
    pub(super) server_rtt: Option<Span>,
    pub(super) client_rtt: Option<Span>,
    pub(super) syn_payload: u32,
    /// Data in the SYN was acknowledged by the SYN-ACK.
    pub(super) fast_open: bool,
    /// An acknowledgment sent *to* the side that acknowledges nothing of its: answered with RST.
    pub(super) bad_ack: Sides<Option<Seq>>,
    /// The server may answer with SYN cookies.
    pub(super) baker: Option<Box<Baker>>,
    /// A late copy of the SYN made another half-open connection.
    pub(super) late_copy: Option<Box<LateCopy>>,
    /// The TIME-WAIT of the connection before.
    pub(super) before: Option<Box<TimeWaitBefore>>,
    /// What that TIME-WAIT answered to the SYN.
    pub(super) blocked: Option<Box<Blocked>>,
}

compact!(struct Opening {
    syns, syn_acks, ack, last_ack, last_ack_number, rst, syn_acks_after_ack, ignored, tries,
    deferred, syn_acks_provoked, syn_ack_timeouts, server_rtt, client_rtt, syn_payload, fast_open,
    bad_ack, baker, late_copy, before, blocked
});

/// A first SYN-ACK sent again later than this had its timer held back: it starts with 1 s (RFC 6298
/// 2.1), and a server that waits for data lets its first expiries pass (Linux `TCP_DEFER_ACCEPT`).
pub(crate) const DEFERRED: Span = Span::from_millis(2_500);

impl Opening {
    /// Whether the client's latest acknowledgment was of this number.
    fn has_acknowledged(&self, number: Seq) -> bool {
        self.last_ack_number.is_some_and(|(acknowledged, _)| acknowledged == number)
    }

    /// The SYN-ACK that `segment` of its receiver answers: the echo tells, or what the `sender` of the
    /// segment had sent before, or else that `side` did not send its SYN again after it. One that is beside the
    /// tap, where its answers pass, had not heard what it left unanswered until the SYN-ACK came again.
    fn syn_ack_that_reached(
        &self,
        side: Side,
        segment: &Segment,
        sender: Option<Sender>,
    ) -> Option<Attempt> {
        let syn_acks = self.syn_acks.of(side.peer());
        if let Some(stamps) = segment.timestamps() {
            return syn_acks.answered_by(Some(stamps.echo));
        }
        let last_syn = self.syns.of(side).last().map(|syn| syn.mark.time);
        let told = last_syn.and_then(|syn| syn_acks.answered_by_number(syn, sender));
        let after = |syn_ack: &Attempt| segment.time.since(syn_ack.mark.time);
        let at_once = syn_acks.last().filter(|last| after(last) < NEAR);
        let unheard = |told: &Attempt| at_once.is_some() && after(told) > LONGEST_DELAY;
        let is_seen = !matches!(sender, Some(Sender::Socket { unseen: 1.. }));
        told.filter(|told| !(is_seen && unheard(told))).or(at_once).or_else(|| syn_acks.last())
    }

    /// Whether the server may go on before its SYN-ACK is acknowledged: it took data with the SYN, or the SYN
    /// asks for Fast Open or brings a cookie (RFC 7413 4.1.3; servers may do without: Linux
    /// `tcp_fastopen_no_cookie`).
    pub(super) fn may_be_early(&self, client: &Stream) -> bool {
        self.fast_open || client.options.fast_open.is_some()
    }
}

impl Connection {
    /// SYN without ACK.
    pub(super) fn on_syn(&mut self, from: Side, segment: &Segment, extras: &Extras) {
        let mark = Mark::of(segment);
        let me = self.sides.of_mut(from);
        match me.stream.isn() {
            Some(isn) if isn == segment.seq => {
                self.outlives_refusal(from, segment);
                let me = self.sides.of_mut(from);
                if !me.stream.options.seen {
                    me.stream.offer(segment, extras);
                }
                me.stream.send(segment);
                // The capture shows the answer before the SYN.
                if !me.is_known() {
                    me.apply(Event::SendSyn, Reason::observed(mark, Cause::SentSyn));
                }
                if me.state == State::Closed {
                    me.take_back_estimate();
                }
                self.opening.syns.of_mut(from).push(segment, Cause::ReceivedSyn);
                self.note_active_opener(from, mark);
                return;
            }
            Some(_) => return self.on_stray_syn(from, segment, extras),
            None if me.is_known() => return self.on_stray_syn(from, segment, extras),
            None => {}
        }
        me.stream.start_with_syn(segment.seq);
        me.stream.offer(segment, extras);
        me.stream.send(segment);
        me.apply(Event::SendSyn, Reason::observed(mark, Cause::SentSyn));
        self.opening.syns.of_mut(from).push(segment, Cause::ReceivedSyn);
        if from == Side::Client {
            self.opening.syn_payload = segment.payload_len;
        }
    }

    /// The SYN of a side that is only known to have answered one: it had begun by itself.
    fn note_active_opener(&mut self, from: Side, mark: Mark) {
        let answered = self.opening.syn_acks.of(from).first();
        let me = self.sides.of_mut(from);
        if let Some(syn_ack) = answered
            && !me.was_in(State::SynSent)
            && me.was_in(State::SynReceived)
        {
            let reason = Reason::inferred(syn_ack.mark, Cause::SentSyn);
            me.begin_with(State::SynSent, reason.corrected(Some(mark.frame)));
        }
    }

    /// A SYN with another ISN while the connection is open: its sender has lost the connection, or
    /// somebody else sent it. The peer will answer with a challenge ACK (RFC 9293 3.5.1, figure 9),
    /// and what the sender makes of that will tell.
    fn on_stray_syn(&mut self, from: Side, segment: &Segment, extras: &Extras) {
        let forward = self.is_forward(from);
        self.sides.of_mut(from).stream.count(segment);
        if self.stray_syn.as_ref().is_none_or(|stray| stray.segment.seq != segment.seq) {
            let earlier = self.give_way();
            let into_time_wait =
                self.sides.of(from.peer()).state == State::TimeWait || self.is_left_alone_by(from);
            self.stray_syn = Some(Box::new(StraySyn {
                forward,
                segment: *segment,
                extras: *extras,
                is_attempt: into_time_wait,
                is_kept: false,
                earlier,
            }));
        }
    }

    /// SYN with ACK.
    pub(super) fn on_syn_ack(
        &mut self,
        from: Side,
        segment: &Segment,
        extras: &Extras,
        settings: &Settings,
    ) {
        let mark = Mark::of(segment);
        let (me, peer) = self.sides.pair_mut(from);
        if !peer.stream.is_started() {
            peer.stream.start_with_syn(segment.ack.minus(1));
        }
        let offset = peer.stream.offset(segment.ack);
        let valid = (1..=peer.stream.end).contains(&offset);
        if !valid {
            *self.opening.bad_ack.of_mut(from.peer()) = Some(segment.ack);
            me.stream.send(segment);
            return;
        }
        if self.answers_late_copy(from, segment) {
            return;
        }
        let me = self.sides.of_mut(from);
        let repeated = self.opening.syn_acks.of(from).count() > 0;
        if repeated && me.stream.isn() == Some(segment.seq) {
            self.doubt_cookie(from, segment);
            self.doubt_syn(from, segment);
            self.on_syn_ack_again(from, segment);
            return;
        }
        let is_anew = repeated && self.is_asked_anew(from);
        if is_anew {
            self.ask_anew(from);
        }
        let echoes_earlier = self.echoes_earlier_syn(from, segment);
        let (me, peer) = self.sides.pair_mut(from);
        if is_anew || matches!(me.state, State::SynSent | State::Listen | State::SynReceived) {
            if me.stream.isn() != Some(segment.seq) {
                me.stream.start_with_syn(segment.seq);
            }
            me.stream.offer(segment, extras);
        }
        me.stream.send(segment);
        peer.stream.acknowledge(segment);
        let echo = segment.timestamps().map(|stamps| stamps.echo);
        let arrival = self.opening.syns.of(from.peer()).answered_by(echo);
        let reason = match arrival {
            Some(syn) if echoes_earlier => Reason::inferred(syn.mark, syn.cause),
            Some(syn) => Reason::observed(syn.mark, syn.cause),
            None => Reason::inferred(mark, Cause::SentSynAck),
        };
        if is_anew || me.state != State::Closed {
            me.apply(Event::ReceiveSyn, reason);
        }
        // The SYN-ACKs cross as well: the peer's is on its way, and acknowledges the SYN.
        if let Some(crossing) = self.opening.syn_acks.of(from.peer()).last() {
            let reason = Reason::observed(crossing.mark, crossing.cause);
            me.apply(Event::ReceiveSynAck, reason);
        }
        // In a simultaneous open the peer is past SYN-SENT already, and this is its ACK.
        if peer.state == State::SynReceived && peer.was_in(State::SynSent) {
            peer.apply(Event::ReceiveSynAck, Reason::observed(mark, Cause::ReceivedSynAck));
        }
        self.opening.syn_acks.of_mut(from).push(segment, Cause::ReceivedSynAck);
        if from == Side::Client {
            // Of a simultaneous open.
            self.opening.client_rtt = arrival.map(|syn| segment.time.since(syn.mark.time));
        } else {
            self.opening.server_rtt = arrival
                .map(|syn| segment.time.since(syn.mark.time))
                .filter(|rtt| *rtt >= Span::ZERO);
            self.opening.fast_open = self.opening.syn_payload > 0 && offset > 1;
            self.note_cookie(segment, arrival.map_or(mark.time, |syn| syn.mark.time), settings);
        }
    }

    /// A SYN-ACK again: the handshake's last segment has not arrived, or has been ignored.
    fn on_syn_ack_again(&mut self, from: Side, segment: &Segment) {
        let mark = Mark::of(segment);
        let crossing = self.answer_time(from) + CROSSING_SLACK;
        // Each SYN is answered once.
        let syns = self.opening.syns.of(from.peer());
        let provoked = u32::from(self.opening.syn_acks_provoked) < syns.repeated()
            && syns.last().is_some_and(|syn| segment.time.since(syn.mark.time) <= crossing);
        let answered = &mut self.opening.syn_acks_provoked;
        *answered = answered.saturating_add(u8::from(provoked));
        self.opening.syn_ack_timeouts += u32::from(!provoked);
        let me = self.sides.of_mut(from);
        let quiet =
            me.stream.traffic.segments == u64::from(self.opening.syn_acks.of(from).segments());
        me.stream.send(segment);
        if me.state == State::Closed {
            me.take_back_estimate();
        }
        let acknowledged = self
            .opening
            .last_ack
            .filter(|ack| from == Side::Server && segment.time.since(ack.time) > crossing);
        if acknowledged.is_some() && quiet {
            let since_first = self.opening.syn_acks.of(from).first();
            self.opening.deferred = self.opening.syn_acks.of(from).count() == 1
                && since_first.is_some_and(|it| segment.time.since(it.mark.time) > DEFERRED);
            self.opening.syn_acks_after_ack += 1;
            me.revert(State::Established);
            self.ignored_all(mark);
        }
        self.opening.syn_acks.of_mut(from).push(segment, Cause::ReceivedSynAck);
    }

    /// An ordinary segment while a side is still opening: proves what came before it, or shows that
    /// it does not belong here. Says whether it does.
    pub(super) fn join_opening(&mut self, from: Side, segment: &Segment) -> bool {
        let mark = Mark::of(segment);
        let (me, peer) = self.sides.pair_mut(from);
        if !segment.flags.ack() {
            return me.state == State::Established || peer.state == State::Established;
        }
        if !peer.stream.is_started() {
            // The SYN-ACK was not captured; its sequence number is the one before what the first
            // segment after the handshake acknowledges.
            peer.stream.start_with_syn(segment.ack.minus(1));
        }
        let offset = peer.stream.offset(segment.ack);
        // A server that has answered no SYN yet can only acknowledge what it was sent.
        let unanswered = me.state == State::Listen && peer.state == State::SynSent;
        let lost = if unanswered { 0 } else { 1 << 30 };
        if !(1..=peer.stream.end.max(1) + lost).contains(&offset) {
            *self.opening.bad_ack.of_mut(from.peer()) = Some(segment.ack);
            if unanswered && let Some(by) = self.opening.before.take() {
                self.opening.blocked = Some(Box::new(Blocked { by: *by, answer: mark }));
            }
            return false;
        }
        if offset > peer.stream.end {
            // Of data that was not captured, or of nothing: the answer will tell.
            *self.opening.bad_ack.of_mut(from.peer()) = Some(segment.ack);
        }
        match me.state {
            State::SynSent => {
                let sender = me.stream.sender(segment);
                if let Some(syn_ack) = self.opening.syn_ack_that_reached(from, segment, sender) {
                    // Both opened: the peer's SYN came first, and was answered by what was not seen.
                    if let Some(syn) = self.opening.syns.of(from.peer()).first()
                        && matches!(sender, Some(Sender::Socket { unseen: 1.. }))
                    {
                        me.apply(Event::ReceiveSyn, Reason::inferred(syn.mark, syn.cause));
                    }
                    let reason = Reason::observed(syn_ack.mark, syn_ack.cause);
                    me.apply(Event::ReceiveSynAck, reason);
                    if from == Side::Client {
                        self.opening.client_rtt = Some(segment.time.since(syn_ack.mark.time));
                    }
                } else if let Some(syn) = self.opening.syns.of(from.peer()).last() {
                    // The SYNs crossed, and its SYN-ACK was lost before the tap.
                    me.apply(Event::ReceiveSyn, Reason::inferred(syn.mark, syn.cause));
                } else {
                    let reason = Reason::inferred(mark, Cause::SentInConnection);
                    me.apply(Event::ReceiveSynAck, reason);
                }
            }
            State::Listen => {
                // Its SYN or SYN-ACK is not in the capture.
                let syn = self.opening.syns.of(from.peer()).last();
                let syn_ack = self.opening.syn_acks.of(from.peer()).last();
                if let Some(syn) = syn {
                    me.apply(Event::ReceiveSyn, Reason::inferred(syn.mark, Cause::ReceivedSyn));
                    me.stream.start_midstream(segment.seq);
                } else if let Some(syn_ack) = syn_ack {
                    let reason = Reason::inferred(syn_ack.mark, Cause::ReceivedSynAck);
                    me.enter(State::Established, reason);
                }
            }
            _ => {}
        }
        if self.sides.of(from.peer()).state == State::Listen
            && let Some(syn) = self.opening.syns.of(from).last()
        {
            let reason = Reason::inferred(syn.mark, Cause::ReceivedSyn);
            self.sides.of_mut(from.peer()).apply(Event::ReceiveSyn, reason);
        }
        self.prove_server(from, segment);
        true
    }

    /// A server that sends anything but a SYN-ACK has seen the handshake complete.
    fn prove_server(&mut self, from: Side, segment: &Segment) {
        if self.is_of_late_copy(from) {
            return;
        }
        let may_be_early =
            self.opening.may_be_early(&self.sides.client.stream) && self.opening.last_ack.is_none();
        if self.sides.of(from).state != State::SynReceived
            || may_be_early
            || self.goes_on_half_open(from, segment)
        {
            return;
        }
        let earlier = self.taken_earlier(segment);
        let me = self.sides.of_mut(from);
        let reason = match earlier.or(self.opening.last_ack) {
            Some(ack) => {
                let is_guess = earlier.is_some() || self.opening.tries.is_guess();
                let sure = if is_guess { Reason::inferred } else { Reason::observed };
                let ignored = self.opening.ignored.filter(|_| earlier.is_none());
                sure(ack, Cause::ReceivedAckOfSyn).corrected(ignored.map(|ignored| ignored.frame))
            }
            None => Reason::inferred(Mark::of(segment), Cause::SentInConnection),
        };
        me.apply(Event::ReceiveAckOfSyn, reason);
        self.prove_client(from);
    }

    /// A server that goes on without the capture showing why: its client had opened as well.
    fn prove_client(&mut self, server: Side) {
        let Some(syn_ack) = self.opening.syn_acks.of(server).last() else { return };
        let reason = Reason::inferred(syn_ack.mark, syn_ack.cause);
        let client = self.sides.of_mut(server.peer());
        match client.state {
            State::SynSent => {
                client.apply(Event::ReceiveSynAck, reason);
            }
            State::Listen => client.enter(State::Established, reason),
            _ => {}
        }
    }

    /// A server that has sent nothing but SYN-ACKs answers the client's acknowledgment with a RST
    /// that repeats its number: there was no connection to acknowledge (RFC 9293 3.10.7.1). What was said
    /// later it answers by itself, so that where it has answered all of it, it answered the acknowledgment too.
    pub(super) fn take_back_unproven(&mut self, from: Side, rst: &Segment) {
        let (syns, syn_acks) = (&self.opening.syns, &self.opening.syn_acks);
        let (syns, syn_acks) = (syns.of(from.peer()).segments(), syn_acks.of(from).segments());
        let (me, peer) = self.sides.pair_mut(from);
        let resets = u64::from(me.resets);
        let is_all = me.stream.traffic.segments == u64::from(syn_acks) + resets;
        if !is_all || rst.flags.ack() || !self.opening.has_acknowledged(rst.seq) {
            return;
        }
        let said = peer.stream.traffic.segments.saturating_sub(u64::from(syns));
        match *me.entries() {
            [.., opened]
                if opened.cause == Cause::ReceivedAckOfSyn
                    && peer.stream.last_time() <= Some(opened.at) =>
            {
                me.revert(State::Established);
            }
            [.., opened, end]
                if opened.cause == Cause::ReceivedAckOfSyn
                    && end.cause == Cause::ConnectionGone
                    && resets >= said =>
            {
                me.revert(State::Closed);
                me.revert(State::Established);
                me.apply(Event::SendRst, Reason::of(&end).corrected(Some(rst.frame)));
            }
            _ => {}
        }
    }

    /// A server in SYN-RECEIVED answers the client's latest acknowledgment with a RST that repeats
    /// its number: it completes nothing, and whoever sent it never got the SYN-ACK.
    pub(super) fn refuse_handshake(&mut self, from: Side, rst: &Segment) {
        if from == Side::Client || !self.opening.has_acknowledged(rst.seq) {
            return;
        }
        if self.opening.ack == self.opening.last_ack {
            self.opening.ack = None;
            let client = &mut self.sides.client;
            let only = u64::from(self.opening.syns.client.segments()) + 1;
            if client.stream.traffic.segments == only && client.revert(State::Established).is_some()
            {
                self.opening.client_rtt = None;
            }
        }
        self.opening.last_ack = None;
        self.opening.last_ack_number = None;
    }

    /// A valid acknowledgment from `from`: completes the peer's handshake if that waits for it.
    pub(super) fn on_ack_of_syn(&mut self, from: Side, segment: &Segment) {
        let mark = Mark::of(segment);
        if self.sides.of(from.peer()).state != State::SynReceived
            || self.is_of_late_copy(from.peer())
        {
            return;
        }
        if from == Side::Client {
            let value = segment.timestamps().map_or(0, |stamps| stamps.value);
            self.opening.last_ack_number = Some((segment.ack, value));
            self.opening.ack.get_or_insert(mark);
            self.try_again(segment, mark);
        }
        let reason = Reason::observed(mark, Cause::ReceivedAckOfSyn);
        match self.opening.ignored {
            None => self.sides.of_mut(from.peer()).apply(Event::ReceiveAckOfSyn, reason),
            // The server had waited for data (TCP_DEFER_ACCEPT) and waits no longer.
            Some(ignored) if self.opening.deferred => {
                let reason = reason.corrected(Some(ignored.frame));
                self.sides.of_mut(from.peer()).apply(Event::ReceiveAckOfSyn, reason)
            }
            Some(_) => false,
        };
    }
}
