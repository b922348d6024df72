//! Where one connection of a port pair ends and the next one begins, and what passes between them.

use crate::compact::compact;

use super::closing::newer;
use super::cookie::Baker;
use super::{Cause, Connection, Entry, State, TimeWaitBefore};
use crate::stamp::Span;
use crate::tcp::{Control, Extras, Segment, Side};

/// How long a RST that ended a connection is doubted when its port pair is used again.
const LATELY: Span = Span::from_secs(10);

/// A SYN that did not fit the connection in which it was seen.
#[derive(Clone, Debug)]
pub(super) struct StraySyn {
    pub(super) forward: bool,
    pub(super) segment: Segment,
    pub(super) extras: Extras,
    /// It begins an attempt of its own: its receiver was in TIME-WAIT, or waited to close, and did not
    /// take it; or may have.
    pub(super) is_attempt: bool,
    /// It was not looked at here.
    pub(super) is_kept: bool,
    /// One that was kept before it.
    pub(super) earlier: Option<Box<Self>>,
}

compact!(struct StraySyn { forward, segment, extras, is_attempt, is_kept, earlier });

impl StraySyn {
    /// Whether `syn_ack`, which travelled `forward`, accepts it.
    fn is_accepted_by(&self, forward: bool, syn_ack: &Segment) -> bool {
        self.forward != forward && syn_ack.ack == self.segment.seq.plus(1)
    }
}

impl Connection {
    /// Says what the port pair's connection before this one left behind; to be called before the
    /// first segment.
    pub fn comes_after(&mut self, before: Option<TimeWaitBefore>) {
        if before.is_some_and(|before| before.recycled) {
            self.opening.baker = Some(Box::new(Baker::of_known_peer()));
        } else {
            self.opening.before = before.map(Box::new);
        }
    }

    /// Whether `segment` begins a new incarnation instead of belonging to this one.
    ///
    /// A SYN with another ISN does, once this connection is closed, reset, in TIME-WAIT, or never
    /// got beyond its handshake. The same ISN is a retransmission, however late. Timers that have
    /// run out by then end their states first.
    #[must_use]
    pub fn is_replaced_by(&mut self, forward: bool, segment: &Segment) -> bool {
        self.expire_timers(segment.time);
        let from = self.side_of(forward);
        match segment.control() {
            Control::Syn => self.is_new_incarnation(from, segment),
            // The peer accepted a SYN that had looked stray: the close was not captured.
            Control::SynAck => {
                self.stray_syn.as_ref().is_some_and(|stray| stray.is_accepted_by(forward, segment))
                    || self.answers_unseen_syn(from, segment)
            }
            // Nobody listens there any more.
            Control::Rst => {
                segment.flags.ack()
                    && self
                        .stray_syn
                        .as_ref()
                        .is_some_and(|stray| stray.is_accepted_by(forward, segment))
            }
            Control::Fin | Control::None => false,
        }
    }

    /// Whether `side` may still have the connection when its peer sends the SYN of another: it is half
    /// open, or a RST ended it lately that may not have come. Its answer will tell: an acknowledgment of
    /// the old numbers, or a SYN-ACK.
    pub(super) fn may_live_on(&self, side: Side, syn: &Segment) -> bool {
        let me = self.sides.of(side);
        let was_reset = |last: &Entry| {
            last.cause == Cause::ReceivedRst
                && syn.time.since(last.at) < LATELY
                && me.was_in(State::Established)
        };
        let is_half_open = me.state == State::SynReceived
            && self.opening.syns.of(side.peer()).count() > 0
            && self.opening.cookie().is_none();
        is_half_open || me.last_entry().is_some_and(was_reset)
    }

    /// A SYN that will begin another connection, whatever comes: it is kept, and nothing else made of it.
    pub(super) fn keeps_for_next(
        &mut self,
        from: Side,
        segment: &Segment,
        extras: &Extras,
    ) -> bool {
        let is_other = segment.control() == Control::Syn
            && self.stray_syn.is_none()
            && self.sides.of(from).stream.isn().is_some_and(|isn| isn != segment.seq)
            && self.may_live_on(from.peer(), segment);
        if is_other {
            let forward = self.is_forward(from);
            let (segment, extras) = (*segment, *extras);
            self.stray_syn = Some(Box::new(StraySyn {
                forward,
                segment,
                extras,
                is_attempt: true,
                is_kept: true,
                earlier: None,
            }));
        }
        is_other
    }

    /// `from` answers for its old connection as one who has none: the SYN before that was its own.
    pub(super) fn has_begun_anew(&mut self, from: Side) {
        let forward = self.is_forward(from);
        if let Some(stray) = self.stray_syn.as_mut().filter(|stray| stray.forward == forward) {
            stray.is_attempt = true;
        }
    }

    /// The SYN that was kept, where another one takes its place: it began a connection all the same.
    pub(super) fn give_way(&mut self) -> Option<Box<StraySyn>> {
        let stray = self.stray_syn.take()?;
        if stray.is_kept { Some(stray) } else { stray.earlier }
    }

    /// Whether the peer of `from` still has the connection, while the orphan at `from` has run out of
    /// time, or no RST of `from` was accepted, or its peer sent none: a SYN is answered with a challenge ACK,
    /// and that with a RST.
    pub(super) fn is_left_alone_by(&self, from: Side) -> bool {
        let ended = self.sides.of(from).last_entry().map(|last| last.cause);
        let peer = self.sides.of(from.peer()).state;
        match ended {
            Some(Cause::FinWait2Expired) => peer == State::CloseWait,
            // A RST that it received, and its peer knows nothing of, was somebody else's.
            Some(Cause::SentRst | Cause::ReceivedRst | Cause::ConnectionGone) => {
                matches!(peer, State::Established | State::CloseWait | State::FinWait1)
            }
            _ => false,
        }
    }

    /// The SYN that an open connection saw and that the next incarnation begins with: to be asked
    /// for when [`Connection::is_replaced_by`] said yes, and to be observed first by the new one.
    #[must_use]
    pub fn take_stray_syn(
        &mut self,
        forward: bool,
        replacing: &Segment,
    ) -> Option<(bool, Segment, Extras)> {
        let stray = self.stray_syn.take_if(|stray| match replacing.control() {
            Control::SynAck | Control::Rst => true,
            // The same one again, or one that crosses it.
            _ => stray.segment.seq == replacing.seq || stray.forward != forward,
        })?;
        let StraySyn { forward, segment, extras, earlier, .. } = *stray;
        self.stray_syn = earlier;
        Some((forward, segment, extras))
    }

    /// The SYN of an attempt that came to nothing, as one that a TIME-WAIT turned away for good: to be
    /// asked for, until there is none, when the connection is about to be finished. The attempt is a
    /// connection of its own.
    #[must_use]
    pub fn take_turned_away(&mut self) -> Option<(bool, Segment, Extras)> {
        let stray = *self.stray_syn.take()?;
        let attempt = if stray.is_attempt {
            self.stray_syn = stray.earlier;
            (stray.forward, stray.segment, stray.extras)
        } else {
            let earlier = *stray.earlier?;
            (earlier.forward, earlier.segment, earlier.extras)
        };
        Some(attempt)
    }
}

impl Connection {
    /// Whether a SYN of `from` with another ISN begins a new incarnation.
    pub(super) fn is_new_incarnation(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        match me.stream.isn() {
            Some(isn) if isn == segment.seq => return false,
            // A side whose SYN was never seen sends one: a new connection, unless SYNs cross.
            None if !me.is_known() => return peer.state != State::SynSent && peer.is_known(),
            Some(_) | None => {}
        }
        if peer.state == State::TimeWait && !self.is_taken_by_time_wait(from, segment) {
            return false;
        }
        if self.may_live_on(from.peer(), segment) {
            return self.stray_syn.is_some();
        }
        let gone = |state| {
            matches!(
                state,
                State::Closed
                    | State::Listen
                    | State::SynSent
                    | State::SynReceived
                    | State::TimeWait
                    | State::LastAck
            )
        };
        let unopened = matches!(me.state, State::SynSent | State::Closed | State::TimeWait)
            && !self.is_left_alone_by(from);
        (gone(me.state) && gone(peer.state)) || (unopened && self.stray_syn.is_none())
    }

    /// Whether a SYN-ACK of `from`, on a tuple where all is over, answers a SYN that the capture
    /// lacks: neither of its numbers is of this connection. What acknowledges what was sent here is somebody's
    /// else, which TIME-WAIT answers (RFC 9293 3.10.7.4, fourth).
    pub(super) fn answers_unseen_syn(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let is_over = |state| matches!(state, State::Closed | State::TimeWait);
        is_over(me.state)
            && is_over(peer.state)
            && me.stream.isn().is_some_and(|isn| isn != segment.seq)
            && peer.stream.isn().is_some_and(|isn| isn.plus(1) != segment.ack)
            && !(peer.state == State::TimeWait
                && (1..=peer.stream.end + 1).contains(&peer.stream.offset(segment.ack)))
    }

    /// Whether a SYN of `from` ends the TIME-WAIT of its peer: a number beyond all that was
    /// received, or a newer timestamp, and no older one (RFC 9293 3.10.7.4, fourth; RFC 6191;
    /// RFC 7323 5.3). Where the peer has opened itself, nobody listens who could take it (Linux
    /// `tcp_v4_rcv`, `TCP_TW_SYN`).
    fn is_taken_by_time_wait(&self, from: Side, segment: &Segment) -> bool {
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        let beyond = me.stream.offset(segment.seq) > me.stream.acknowledged;
        match (me.fin_stamps, segment.timestamps()) {
            _ if peer.timer <= segment.time => true,
            _ if peer.was_in(State::SynSent) => false,
            (Some(recent), Some(now)) => {
                !newer(recent.value, now.value) && (beyond || newer(now.value, recent.value))
            }
            _ => beyond,
        }
    }
}
