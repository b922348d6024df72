//! Which handshakes found the accept queue of their listener full.
//!
//! A listener whose accept queue is full ignores SYNs (Linux `tcp_conn_request`): no more connections
//! wait there than it had answered until then and are not over. When there is room again, all the SYNs
//! that come at once are answered, and of their acknowledgments the first ones fill the queue. Those
//! behind are dropped; without a trace, where SYN cookies were sent.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::attempt::Attempt;
use super::backlog::Backlog;
use super::left_out::LeftOut;
use super::turns::{Kind, Turn};
use crate::connection::{DEFERRED, NEAR, SYN_TIMER};
use crate::settings::{HostSettings, Settings};
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, FourTuple};

/// Between handshakes that come so close nobody accepts any.
pub(super) const AT_ONCE: Span = Span::from_millis(1);

/// Listeners, as far as their queues show.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// From the client to the listener.
    attempts: HashMap<FourTuple, Attempt, RandomState>,
    /// Those of them that the client has not acknowledged yet.
    unanswered: HashSet<FourTuple, RandomState>,
    listeners: HashMap<Endpoint, Listener, RandomState>,
    /// Whoever found no place: the client, its listener, and when that answered.
    crowded: LeftOut,
    /// How many completed handshakes are remembered.
    completed: usize,
}

/// Whether a host answers with cookies where it has to, and what it holds shows by being repeated.
fn may_bake(host: &HostSettings) -> bool {
    host.syncookies.is_some_and(|cookies| cookies > 0) && host.synack_retries > 0
}

/// Whether the settings of a host were given, so that its queues matter.
const fn is_known(host: &HostSettings) -> bool {
    host.syncookies.is_some()
}

#[derive(Debug, Default)]
struct Listener {
    /// Answered, and not over.
    open: u32,
    /// The queue has no more places than this.
    room: Option<u32>,
    /// Handshakes answered at once: since when, and how many.
    burst: Option<(Time, u32)>,
    /// Its half-open connections.
    backlog: Backlog,
    /// When handshakes were completed, for all that is known.
    completed: Vec<Time>,
    /// Since when it is known to wait for data (`TCP_DEFER_ACCEPT`).
    defers: Option<Time>,
}

impl Queues {
    /// Attempts that are followed at once, and listeners: those beyond are taken to have found room,
    /// or to have it.
    const MAX_ATTEMPTS: usize = 1 << 17;
    /// Completed handshakes that are remembered: those beyond are taken to have left room.
    const MAX_COMPLETED: usize = 1 << 19;

    pub(super) fn take(&mut self, turn: &Turn, settings: &Settings) {
        match turn.kind {
            Kind::Syn => self.ask(turn, settings),
            Kind::SynAck => self.answer(turn, settings),
            Kind::Ack => self.acknowledge(turn),
            Kind::Fin | Kind::Rst => {
                self.end(turn.tuple, turn.time);
                self.end(turn.tuple.reversed(), turn.time);
            }
        }
    }

    /// Whether `tuple` was crowded out between two times.
    pub(super) fn were_full(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.crowded.has(tuple, from, until)
    }

    /// Whether `listener` held as many as it may when it answered at `sent`, as is known `until` then.
    pub(super) fn held_all(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.listeners.get(&listener).is_some_and(|it| it.backlog.was_full(sent, until))
    }

    /// Whether `listener`, which answered at `sent`, was gone when that was due again.
    pub(super) fn were_closed(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.listeners.get(&listener).is_some_and(|it| it.backlog.was_gone(sent, until))
    }

    /// Whether `listener` completed a handshake after `from` and before `until`.
    pub(super) fn has_completed(&self, listener: Endpoint, from: Time, until: Time) -> bool {
        let times = self.listeners.get(&listener).map_or(&[][..], |it| &it.completed);
        let next = times.partition_point(|at| *at <= from);
        times.get(next).is_some_and(|at| *at < until)
    }

    /// Whether `listener` waits for data before it makes a connection, as is known `until` then.
    pub(super) fn wait_for_data(&self, listener: Endpoint, until: Time) -> bool {
        let known = self.listeners.get(&listener).and_then(|it| it.defers);
        known.is_some_and(|at| at < until)
    }

    /// Attempts of which an acknowledgment counts.
    pub(super) fn unanswered(&self) -> impl ExactSizeIterator<Item = FourTuple> {
        self.unanswered.iter().copied()
    }

    /// Whether an acknowledgment that travels as `tuple` counts.
    pub(super) fn awaits(&self, tuple: FourTuple) -> bool {
        self.unanswered.contains(&tuple)
    }

    fn ask(&mut self, turn: &Turn, settings: &Settings) {
        let listener = turn.tuple.destination;
        if !is_known(settings.of(listener.address)) {
            return;
        }
        let again = self.attempts.get(&turn.tuple).filter(|before| before.end == turn.end);
        let again = again.copied();
        match again {
            Some(before) if before.answered => {
                self.attempts.insert(turn.tuple, Attempt { asked: true, ..before });
                return;
            }
            // The listener was there, since others had been answered, and ignored this one.
            Some(before) if before.others > 0 => {
                let listener = self.listeners.entry(listener).or_default();
                let room = listener.room.map_or(before.others, |room| room.min(before.others));
                listener.room = Some(room);
            }
            Some(_) => {}
            None => self.end(turn.tuple, turn.time),
        }
        let has_room = self.attempts.len() < Self::MAX_ATTEMPTS;
        let Some(backlog) = self.listener(listener).map(|it| &mut it.backlog) else { return };
        if !has_room && again.is_none() {
            return backlog.lose_count(turn.time);
        }
        let others = self.listeners.get(&listener).map_or(0, |it| it.open);
        let attempt = Attempt::new(turn.end, others, turn.time);
        self.attempts.insert(turn.tuple, attempt);
        self.unanswered.insert(turn.tuple);
    }

    /// What is known of a listener, unless there are too many.
    fn listener(&mut self, listener: Endpoint) -> Option<&mut Listener> {
        let has_room = self.listeners.len() < Self::MAX_ATTEMPTS;
        match self.listeners.entry(listener) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => has_room.then(|| place.insert(Listener::default())),
        }
    }

    fn answer(&mut self, turn: &Turn, settings: &Settings) {
        let tuple = turn.tuple.reversed();
        let host = settings.of(tuple.destination.address);
        if !is_known(host) {
            return;
        }
        let (bakes, somaxconn) = (may_bake(host), host.somaxconn);
        let Some(attempt) = self.attempts.get_mut(&tuple) else {
            // It is held as well.
            if let Some(listener) = self.listener(tuple.destination) {
                listener.backlog.lose_count(turn.time);
            }
            return;
        };
        let last = std::mem::replace(&mut attempt.last, turn.time);
        let first = attempt.first;
        if attempt.answered {
            let asked = std::mem::take(&mut attempt.asked);
            attempt.came_again |= asked;
            let is_timer = !asked && turn.time.since(last) > SYN_TIMER;
            let is_held_back = is_timer
                && last == first
                && attempt.is_near
                && turn.time.since(first) > DEFERRED
                && !self.unanswered.contains(&tuple);
            let Some(listener) = self.listeners.get_mut(&tuple.destination) else { return };
            if is_held_back {
                listener.defers.get_or_insert(turn.time);
            }
            if !bakes {
                return;
            }
            let backlog = &mut listener.backlog;
            if is_timer {
                if !self.unanswered.contains(&tuple) {
                    // The acknowledgment was ignored.
                    backlog.lose_count(turn.time);
                }
                backlog.repeat(&mut self.attempts, tuple, turn.time, last == first);
            } else if asked {
                backlog.answer(&mut self.attempts, tuple, turn.time, somaxconn);
            }
            return;
        }
        attempt.answered = true;
        attempt.is_near = turn.time.since(first) < NEAR;
        attempt.first = turn.time;
        if self.listener(tuple.destination).is_none() {
            return;
        }
        let Some(listener) = self.listeners.get_mut(&tuple.destination) else { return };
        listener.open = listener.open.saturating_add(1);
        let burst = listener.burst.filter(|(since, _)| turn.time.since(*since) <= AT_ONCE);
        let (since, before) = burst.unwrap_or((turn.time, 0));
        listener.burst = Some((since, before.saturating_add(1)));
        if listener.room.is_some_and(|room| before >= room) {
            self.crowded.add(tuple, turn.time);
        }
        if !bakes {
            return;
        }
        listener.backlog.hear(&mut self.attempts, turn.time);
        listener.backlog.answer(&mut self.attempts, tuple, turn.time, somaxconn);
    }

    /// The client acknowledges, which makes a connection of it. If that was ignored, the answer comes again.
    fn acknowledge(&mut self, turn: &Turn) {
        let Some(attempt) = self.attempts.get_mut(&turn.tuple).filter(|it| it.answered) else {
            return;
        };
        if self.unanswered.remove(&turn.tuple)
            && let Some(listener) = self.listeners.get_mut(&turn.tuple.destination)
        {
            listener.backlog.leave(attempt, turn.tuple, turn.time);
            if self.completed < Self::MAX_COMPLETED {
                listener.completed.push(turn.time);
                self.completed += 1;
            }
        }
    }

    fn end(&mut self, tuple: FourTuple, at: Time) {
        let Some(mut attempt) = self.attempts.remove(&tuple) else { return };
        self.unanswered.remove(&tuple);
        if let Some(listener) = self.listeners.get_mut(&tuple.destination) {
            listener.open = listener.open.saturating_sub(u32::from(attempt.answered));
            listener.backlog.leave(&mut attempt, tuple, at);
        }
    }

    /// The capture is over.
    pub(super) fn conclude(&mut self, clock: Time) {
        let attempts = &mut self.attempts;
        self.listeners.values_mut().for_each(|it| it.backlog.conclude(attempts, clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Horizon, Neighbours};
    use crate::stamp::FrameId;
    use crate::tcp::{Flags, Segment, Seq};

    fn tuple(port: u16) -> FourTuple {
        let end = |last: u8, port| Endpoint { address: [10, 0, 0, last].into(), port };
        FourTuple { source: end(1, port), destination: end(2, 80) }
    }

    /// SYNs (`>`) and SYN-ACKs (`<`) of clients by their ports: when, in microseconds.
    fn crowded(turns: &[(i64, char, u16)], wanted: &[u16]) -> Vec<bool> {
        let mut settings = Settings::default();
        let host = HostSettings { syncookies: Some(1), ..settings.default.clone() };
        settings.default = host;
        let mut neighbours = Neighbours::default();
        for (frame, (micros, kind, port)) in (1..).zip(turns) {
            let time = Time::from_nanos(micros * 1_000);
            let (tuple, flags) = match kind {
                '>' => (tuple(*port), Flags::SYN),
                _ => (tuple(*port).reversed(), Flags::SYN | Flags::ACK),
            };
            let frame = FrameId::new(0, frame);
            let segment = Segment { time, frame, flags, ..Segment::default() };
            neighbours.read(Turn::of(Horizon::new(time, 0), tuple, &segment));
        }
        neighbours.settle(|_| true, &settings);
        let is_crowded =
            |port: &u16| neighbours.found_queue_full(tuple(*port), Time::MIN, Time::MAX);
        wanted.iter().map(is_crowded).collect()
    }

    #[test]
    fn of_many_handshakes_at_once_those_beyond_the_room_that_ignored_syns_showed_are_crowded_out() {
        let mut turns = vec![(0, '>', 1), (1, '<', 1), (20, '>', 2), (21, '<', 2)];
        turns.extend((3..=6).map(|port| (i64::from(port) * 20, '>', port)));
        for port in 3..=6 {
            let at = 1_000_000 + i64::from(port) * 10;
            turns.extend([(at, '>', port), (at + 1, '<', port)]);
        }
        turns.extend([(3_000_000, '>', 7), (3_000_001, '<', 7)]);
        assert_eq!(
            crowded(&turns, &[1, 2, 3, 4, 5, 6, 7]),
            [false, false, false, false, true, true, false]
        );
    }

    #[test]
    fn where_no_syn_was_ignored_nobody_is_crowded_out() {
        let turns: Vec<_> = (1..=9_u16)
            .flat_map(|port| [(i64::from(port), '>', port), (i64::from(port), '<', port)])
            .collect();
        assert!(!crowded(&turns, &[1, 2, 3, 4, 5, 6, 7, 8, 9]).contains(&true));
    }

    #[test]
    fn a_listener_whose_acknowledged_syn_ack_comes_again_late_and_not_at_once_waits_for_data() {
        let mut settings = Settings::default();
        settings.default = HostSettings { syncookies: Some(0), ..settings.default.clone() };
        let waits = |again: i64, answer: i64| {
            let mut queues = Queues::default();
            let story = [
                (0, false, Flags::SYN),
                (answer, true, Flags::SYN | Flags::ACK),
                (answer + 1, false, Flags::ACK),
                (again, true, Flags::SYN | Flags::ACK),
            ];
            for (frame, (micros, is_answer, flags)) in (1..).zip(story) {
                let time = Time::from_nanos(micros * 1_000);
                let tuple = if is_answer { tuple(1).reversed() } else { tuple(1) };
                let frame = FrameId::new(0, frame);
                let segment = Segment { time, frame, flags, ..Segment::default() };
                if let Some(turn) = Turn::of(Horizon::new(time, 0), tuple, &segment) {
                    queues.take(&turn, &settings);
                }
            }
            let until = |micros: i64| Time::from_nanos(micros * 1_000);
            let listener = tuple(1).destination;
            assert!(!queues.wait_for_data(listener, until(again)));
            queues.wait_for_data(listener, until(again + 1))
        };
        assert!(waits(3_050_000, 20));
        assert!(!waits(1_020_000, 20), "a full queue");
        assert!(!waits(3_050_000, 20_000), "the first ones may have been lost");
    }

    #[test]
    fn a_port_pair_that_begins_anew_does_not_make_a_cookie_of_the_one_before() {
        let mut settings = Settings::default();
        settings.default = HostSettings { syncookies: Some(1), ..settings.default.clone() };
        let (syn, syn_ack) = (Flags::SYN, Flags::SYN | Flags::ACK);
        // When, who, the client's number, and what: port 9 is never acknowledged, and repeated.
        let story = [
            (0, 9, 0, syn),
            (0, 9, 0, syn_ack),
            (1, 1, 0, syn),
            (1, 1, 0, syn_ack),
            (2, 1, 0, Flags::ACK),
            (1_020, 9, 0, syn_ack),
            (1_170, 1, 5_000, syn),
            (1_170, 1, 5_000, syn_ack),
            (1_175, 3, 0, syn),
            (1_175, 3, 0, syn_ack),
        ];
        let mut queues = Queues::default();
        for (frame, (millis, port, number, flags)) in (1..).zip(story) {
            let time = Time::from_nanos(millis * 1_000_000);
            let is_answer = flags == syn_ack;
            let tuple = if is_answer { tuple(port).reversed() } else { tuple(port) };
            let (seq, ack) = if is_answer { (7, number + 1) } else { (number, 8) };
            let (frame, seq, ack) = (FrameId::new(0, frame), Seq(seq), Seq(ack));
            let segment = Segment { time, frame, seq, ack, flags, ..Segment::default() };
            if let Some(turn) = Turn::of(Horizon::new(time, 0), tuple, &segment) {
                queues.take(&turn, &settings);
            }
        }
        let at = |millis: i64| Time::from_nanos(millis * 1_000_000);
        assert!(!queues.held_all(tuple(1).destination, at(500), at(2_000)));
    }
}
