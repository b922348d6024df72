//! Which handshakes found the accept queue of their listener full.
//!
//! A listener whose accept queue is full ignores SYNs (Linux `tcp_conn_request`): no more connections
//! wait there than it had answered until then and are not over. When there is room again, all the SYNs
//! that come at once are answered, and of their acknowledgments the first ones fill the queue. Those
//! behind are dropped; without a trace, where SYN cookies were sent.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::left_out::LeftOut;
use super::neighbours::{Kind, Turn};
use super::repeats::Repeats;
use crate::connection::SYN_TIMER;
use crate::settings::Settings;
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, FourTuple, Seq};

/// Between handshakes that come so close nobody accepts any.
const AT_ONCE: Span = Span::from_millis(1);

/// Listeners, as far as their queues show.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// From the client to the listener.
    attempts: HashMap<FourTuple, Attempt, RandomState>,
    listeners: HashMap<Endpoint, Listener, RandomState>,
    /// Whoever found no place: the client, its listener, and when that answered.
    crowded: LeftOut,
    /// What the listeners' timers sent again.
    repeats: Repeats,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// The number behind the SYN.
    end: Seq,
    /// Connections that may have waited when it came.
    others: u32,
    answered: bool,
    /// When it was answered last, and whether the SYN came again since.
    last: Time,
    asked: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Listener {
    /// Answered, and not over.
    open: u32,
    /// The queue has no more places than this.
    room: Option<u32>,
    /// Handshakes answered at once: since when, and how many.
    burst: Option<(Time, u32)>,
}

impl Queues {
    /// Attempts that are followed at once, and listeners: those beyond are taken to have found room,
    /// or to have it.
    const MAX_ATTEMPTS: usize = 1 << 17;

    pub(super) fn take(&mut self, turn: &Turn, settings: &Settings) {
        match turn.kind {
            Kind::Syn => self.ask(turn, settings),
            Kind::SynAck => self.answer(turn),
            Kind::Fin | Kind::Rst => {
                self.end(turn.tuple);
                self.end(turn.tuple.reversed());
            }
        }
    }

    /// Whether `tuple` was crowded out between two times.
    pub(super) fn were_full(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.crowded.has(tuple, from, until)
    }

    /// Whether `listener` would have sent its SYN-ACK of `sent` again by `until`, had it been able to.
    pub(super) fn left_unrepeated(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.repeats.left_out(listener, sent, until)
    }

    fn ask(&mut self, turn: &Turn, settings: &Settings) {
        let listener = turn.tuple.destination;
        if settings.of(listener.address).syncookies.is_none_or(|cookies| cookies == 0) {
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
            None => self.end(turn.tuple),
        }
        if self.attempts.len() < Self::MAX_ATTEMPTS || again.is_some() {
            let others = self.listeners.get(&listener).map_or(0, |it| it.open);
            let attempt =
                Attempt { end: turn.end, others, answered: false, last: turn.time, asked: false };
            self.attempts.insert(turn.tuple, attempt);
        }
    }

    fn answer(&mut self, turn: &Turn) {
        let tuple = turn.tuple.reversed();
        if self.listeners.len() >= Self::MAX_ATTEMPTS
            && !self.listeners.contains_key(&tuple.destination)
        {
            return;
        }
        let Some(attempt) = self.attempts.get_mut(&tuple) else { return };
        let before = std::mem::replace(&mut attempt.last, turn.time);
        if attempt.answered {
            let asked = std::mem::take(&mut attempt.asked);
            if !asked && turn.time.since(before) > SYN_TIMER {
                self.repeats.add(tuple.destination, turn.time, before);
            }
            return;
        }
        attempt.answered = true;
        let listener = self.listeners.entry(tuple.destination).or_default();
        listener.open = listener.open.saturating_add(1);
        let burst = listener.burst.filter(|(since, _)| turn.time.since(*since) <= AT_ONCE);
        let (since, before) = burst.unwrap_or((turn.time, 0));
        listener.burst = Some((since, before.saturating_add(1)));
        if listener.room.is_some_and(|room| before >= room) {
            self.crowded.add(tuple, turn.time);
        }
    }

    fn end(&mut self, tuple: FourTuple) {
        let was_open = self.attempts.remove(&tuple).is_some_and(|attempt| attempt.answered);
        if let Some(listener) = self.listeners.get_mut(&tuple.destination).filter(|_| was_open) {
            listener.open = listener.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Horizon, Neighbours};
    use crate::settings::HostSettings;
    use crate::stamp::FrameId;
    use crate::tcp::{Flags, Segment};

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
}
