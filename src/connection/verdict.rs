//! The verdict: what is said about a connection once nothing more can change it.

use super::endpoint::Endpoint;
use super::opening::Opening;
use super::tally::tally;
use super::{
    Cause, Close, CloseOutcome, Connection, ConnectionRecord, Event, Handshake, HandshakeOutcome,
    Mark, Reason, State, TimeWaitSide,
};
use crate::settings::Settings;
use crate::stamp::{Span, Time};
use crate::tcp::{Side, Sides};

/// How often data must have been sent again, without any answer, to call the peer dead.
const DEAD_AFTER: u32 = 5;

impl Connection {
    /// Closes the books: `clock` is the capture clock, `replaced_by` the SYN of the next
    /// incarnation, if that is why. What is left of it is of no use.
    #[must_use]
    pub fn finish(
        &mut self,
        clock: Time,
        replaced_by: Option<Mark>,
        settings: &Settings,
    ) -> ConnectionRecord {
        let known_until = replaced_by.map_or(clock, |mark| mark.time).max(self.last.time);
        self.settle_deferred(settings);
        let retries = settings.of(self.addresses.server.address).synack_retries;
        self.settle_opening(known_until, retries);
        self.settle_closing(known_until);
        self.settle_late_beginning();
        self.expire_timers(known_until);
        if let Some(mark) = replaced_by {
            for side in Side::BOTH {
                let reason = Reason::inferred(mark, Cause::Reused);
                self.sides.of_mut(side).apply(Event::TimerExpires, reason);
            }
        }
        self.settle_cookie(known_until);
        let handshake = self.handshake();
        let close = self.close(known_until, replaced_by);
        let legs = Side::BOTH.map(|side| self.answer_time(side));
        let Sides { client, server } = &mut self.sides;
        let (client_states, client_dropped) = client.take_timeline();
        let (server_states, server_dropped) = server.take_timeline();
        let Sides {
            client: Endpoint { stream: client, .. },
            server: Endpoint { stream: server, .. },
        } = &self.sides;
        ConnectionRecord {
            id: self.id,
            client: self.addresses.client,
            server: self.addresses.server,
            role_certainty: self.role_certainty,
            first_time: self.first.time,
            last_time: self.last.time,
            first_frame: self.first.frame,
            last_frame: self.last.frame,
            known_until,
            handshake,
            close,
            states: Sides { client: client_states, server: server_states },
            states_dropped: client_dropped + server_dropped,
            traffic: tally(client, server, known_until, legs),
            options: Sides { client: client.options, server: server.options },
            icmp: self.quoted.as_ref().map(|quoted| quoted.errors).unwrap_or_default(),
            completeness: self.completeness,
            zeek: self.zeek.columns(),
            longest_idle: self.longest_idle(),
            tunnel: std::mem::take(&mut self.tunnel),
            other_tunnel: self.other_tunnel.take().map(<[_]>::into_vec),
        }
    }

    fn handshake(&self) -> Handshake {
        let Opening { syns, syn_acks, .. } = &self.opening;
        let first = |attempts: &super::attempts::Attempts| attempts.first().map(|first| first.mark);
        let syn = first(&syns.client);
        let ack = self.opening.ack;
        Handshake {
            outcome: self.handshake_outcome(),
            syn,
            syn_ack: first(&syn_acks.server),
            ack,
            rst: self.opening.rst,
            syn_retransmissions: syns.client.repeated(),
            syn_ack_retransmissions: syn_acks.server.repeated(),
            syn_acks_after_ack: self.opening.syn_acks_after_ack,
            syn_gaps: syns.client.gaps(Handshake::MAX_GAPS),
            syn_ack_gaps: syn_acks.server.gaps(Handshake::MAX_GAPS),
            server_rtt: self.opening.server_rtt,
            client_rtt: self.opening.client_rtt,
            duration: syn.zip(ack).map(|(syn, ack)| ack.time.since(syn.time)),
            icmp_error: self.quoted.as_ref().and_then(|quoted| quoted.of_attempt),
            syn_payload: self.opening.syn_payload,
            blocked: self.opening.blocked.as_deref().copied(),
            cookie: self.opening.cookie(),
        }
    }

    fn handshake_outcome(&self) -> HandshakeOutcome {
        let syn = self.opening.syns.client.count() > 0;
        let syn_ack = self.opening.syn_acks.server.count() > 0;
        let both_syns = syn && self.opening.syns.server.count() > 0;
        let opened = |side| {
            let endpoint = self.sides.of(side);
            endpoint.was_in(State::Established)
                || endpoint.was_in(State::FinWait1)
                || endpoint.was_in(State::CloseWait)
        };
        let client_opened = opened(Side::Client);
        if both_syns && (client_opened || opened(Side::Server)) {
            return HandshakeOutcome::Simultaneous;
        }
        if !syn && !syn_ack {
            let segments: u64 =
                Side::BOTH.map(|side| self.sides.of(side).stream.traffic.segments).iter().sum();
            let resets: u32 = Side::BOTH.map(|side| self.sides.of(side).resets).iter().sum();
            return if segments == u64::from(resets) {
                HandshakeOutcome::Backscatter
            } else {
                HandshakeOutcome::Midstream
            };
        }
        if client_opened {
            return if self.opening.fast_open {
                HandshakeOutcome::FastOpen
            } else {
                HandshakeOutcome::Complete
            };
        }
        let reset_by = self.reset.as_ref().map(|reset| reset.by);
        match (syn, syn_ack) {
            (true, true) if reset_by == Some(Side::Client) => HandshakeOutcome::Aborted,
            (true, true) => HandshakeOutcome::HalfOpen,
            (true, false) if reset_by == Some(Side::Server) => HandshakeOutcome::Refused,
            (true, false) if reset_by == Some(Side::Client) => HandshakeOutcome::Aborted,
            (true, false) => HandshakeOutcome::Unanswered,
            (false, _) => HandshakeOutcome::Backscatter,
        }
    }

    fn close(&self, known_until: Time, reused_by: Option<Mark>) -> Close {
        let both = |f: &dyn Fn(&super::endpoint::Endpoint) -> Option<Mark>| Sides {
            client: f(&self.sides.client),
            server: f(&self.sides.server),
        };
        let fin = both(&|side| side.fin);
        let fin_acknowledged = both(&|side| side.acks_of_fin.first());
        let first_closer = match (fin.client, fin.server) {
            (Some(client), Some(server)) if server.frame < client.frame => Some(Side::Server),
            (Some(_), _) => Some(Side::Client),
            (None, Some(_)) => Some(Side::Server),
            (None, None) => None,
        };
        let waits = |side| self.sides.of(side).was_in(State::TimeWait);
        let time_wait = match (waits(Side::Client), waits(Side::Server)) {
            (true, true) => Some(TimeWaitSide::Both),
            (true, false) => Some(TimeWaitSide::Client),
            (false, true) => Some(TimeWaitSide::Server),
            (false, false) => None,
        };
        Close {
            outcome: self.close_outcome(&fin, &fin_acknowledged, known_until),
            first_closer,
            fin,
            fin_retransmissions: Sides {
                client: self.sides.client.fin_repeats,
                server: self.sides.server.fin_repeats,
            },
            fin_acknowledged,
            reset: self.reset.as_deref().copied(),
            resets: Sides { client: self.sides.client.resets, server: self.sides.server.resets },
            time_wait,
            time_wait_restarts: self.sides.client.time_wait_restarts
                + self.sides.server.time_wait_restarts,
            reused_by,
        }
    }

    fn close_outcome(
        &self,
        fin: &Sides<Option<Mark>>,
        acknowledged: &Sides<Option<Mark>>,
        known_until: Time,
    ) -> CloseOutcome {
        let closed_before_reset = |reset: Mark| {
            Side::BOTH
                .iter()
                .all(|side| acknowledged.of(*side).is_some_and(|mark| mark.frame < reset.frame))
        };
        if self.reset.as_ref().is_some_and(|reset| !closed_before_reset(reset.mark)) {
            return CloseOutcome::Reset;
        }
        let crossed = Side::BOTH.iter().any(|side| self.sides.of(*side).was_in(State::Closing));
        let fins = Side::BOTH.iter().filter(|side| fin.of(**side).is_some()).count();
        let acks = Side::BOTH
            .iter()
            .filter(|side| fin.of(**side).is_some() && acknowledged.of(**side).is_some())
            .count();
        match (fins, acks) {
            (0, _) if self.is_dead(known_until) => CloseOutcome::TimedOut,
            (0, _) => CloseOutcome::Open,
            (2, 2) if crossed => CloseOutcome::Simultaneous,
            (2, 2) => CloseOutcome::Graceful,
            (1, 1) => CloseOutcome::HalfClosed,
            _ => CloseOutcome::FinUnacknowledged,
        }
    }

    /// One side kept sending the same bytes, and then fell silent without an answer.
    fn is_dead(&self, known_until: Time) -> bool {
        Side::BOTH.iter().any(|side| {
            let stream = &self.sides.of(*side).stream;
            let heard = self.sides.of(side.peer()).stream.last_time();
            stream.unacknowledged().is_some_and(|rest| {
                let tried = rest.last_sent.time.since(rest.first_sent.time);
                rest.retransmissions >= DEAD_AFTER
                    && heard.is_none_or(|heard| heard <= rest.first_sent.time + Span::from_secs(1))
                    && known_until.since(rest.last_sent.time) > tried
            })
        })
    }
}
