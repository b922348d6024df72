//! How many places the accept queue of a listener has, as its SYN cookies tell, and who came behind them.
//!
//! Linux measures both queues of a listener by one number, the backlog of listen(2): who is answered with
//! a cookie met as many half-open connections as may wait to be accepted (`inet_csk_reqsk_queue_is_full`,
//! `sk_acceptq_is_full`; older kernels hold one half-open connection less). Of handshakes that are
//! completed at once, those behind are dropped without a trace.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::queues::AT_ONCE;
use crate::connection::is_set_back;
use crate::stamp::Time;
use crate::tcp::{Endpoint, FourTuple};

/// The accept queues of all listeners that answer with cookies when they must.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Who was answered, by a server whose clock has not shown since.
    unread: HashMap<FourTuple, Answer, RandomState>,
    listeners: HashMap<Endpoint, Listener, RandomState>,
    /// How many completed handshakes are remembered.
    count: usize,
}

/// A SYN-ACK that may be a cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// When the SYN came.
    pub(super) asked: Time,
    /// The SYN-ACK's timestamp.
    pub(super) value: u32,
    /// How many half-open connections its listener held, at most.
    pub(super) before: u32,
}

#[derive(Debug, Default)]
struct Listener {
    /// Handshakes that were completed, in the order of capture.
    completed: Vec<Completed>,
    /// No more connections than this have a place, and since when that is known.
    backlog: Vec<(Time, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Completed {
    tuple: FourTuple,
    at: Time,
    /// When the first one was that was completed at once with it.
    burst: Time,
    /// When it showed that it had been ignored.
    ignored: Time,
}

impl Places {
    /// What is remembered of each kind: those beyond are taken to have found a place.
    const MAX: usize = 1 << 16;
    const MAX_BACKLOGS: usize = 64;
    /// Handshakes that are gone through to find one.
    const MAX_SEARCHED: usize = 1 << 12;

    /// A listener answers the SYN of `tuple`.
    pub(super) fn answer(&mut self, tuple: FourTuple, answer: Answer) {
        if self.unread.len() < Self::MAX {
            self.unread.insert(tuple, answer);
        }
    }

    /// The client of `tuple` acknowledges that. Returns the number of its handshake at this listener.
    pub(super) fn complete(&mut self, tuple: FourTuple, at: Time) -> Option<usize> {
        if self.count >= Self::MAX {
            return None;
        }
        self.count += 1;
        let completed = &mut self.listeners.entry(tuple.destination).or_default().completed;
        let burst = completed.last().map(|last| last.burst);
        let burst = burst.filter(|since| at.since(*since) <= AT_ONCE).unwrap_or(at);
        completed.push(Completed { tuple, at, burst, ignored: Time::MAX });
        Some(completed.len() - 1)
    }

    /// A listener repeats its answer to the handshake of this number: it had ignored the acknowledgment.
    pub(super) fn ignore(&mut self, listener: Endpoint, number: Option<usize>, at: Time) {
        let listener = self.listeners.get_mut(&listener);
        let completed = listener.zip(number).and_then(|(it, nth)| it.completed.get_mut(nth));
        if let Some(completed) = completed {
            completed.ignored = completed.ignored.min(at);
        }
    }

    /// The server of `tuple` says something at a time, with a timestamp: was its SYN-ACK a cookie?
    pub(super) fn hear(&mut self, tuple: FourTuple, at: Time, value: Option<u32>) {
        let Some(answer) = self.unread.remove(&tuple) else { return };
        let is_cookie =
            value.is_some_and(|value| is_set_back((answer.value, answer.asked), (value, at)));
        let Some(listener) = self.listeners.get_mut(&tuple.destination) else { return };
        let backlog = &mut listener.backlog;
        let is_less = backlog.last().is_none_or(|(_, least)| answer.before < *least);
        if is_cookie && is_less && backlog.len() < Self::MAX_BACKLOGS {
            backlog.push((at, answer.before));
        }
    }

    /// Nothing more is to be heard of `tuple`.
    pub(super) fn forget(&mut self, tuple: FourTuple) {
        self.unread.remove(&tuple);
    }

    /// Flows whose servers are to be heard.
    pub(super) fn unread(&self) -> impl ExactSizeIterator<Item = FourTuple> {
        self.unread.keys().copied()
    }

    /// Whether `tuple` completed its handshake after `from`, when those at the same time before it had taken
    /// all places, as is known `until` then.
    pub(super) fn were_taken(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        let Some(listener) = self.listeners.get(&tuple.destination) else { return false };
        let Some((_, backlog)) = listener.backlog.iter().rfind(|(known, _)| *known <= until) else {
            return false;
        };
        let completed = &listener.completed;
        let first = completed.partition_point(|it| it.at < from);
        let mine = completed.iter().skip(first).take_while(|it| it.at <= until);
        let Some(mine) = mine.take(Self::MAX_SEARCHED).find(|it| it.tuple == tuple) else {
            return false;
        };
        // Where somebody waits to accept, the first one frees its place at once.
        let places = usize::try_from(*backlog).unwrap_or(usize::MAX).saturating_add(1);
        let burst = completed.partition_point(|it| it.burst < mine.burst);
        let before = completed.iter().skip(burst).take_while(|it| it.tuple != tuple);
        let took = |it: &&Completed| it.ignored > until;
        before.filter(took).take(places).count() == places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> FourTuple {
        let end = |last: u8, port| Endpoint { address: [10, 0, 0, last].into(), port };
        FourTuple { source: end(1, port), destination: end(2, 80) }
    }

    fn at(micros: i64) -> Time {
        Time::from_nanos(micros * 1_000)
    }

    /// Five SYNs, all acknowledged at once 20 ms later; a second after, the server of `heard` speaks, and
    /// shows that its SYN-ACK was set back by so much.
    fn race(heard: u16, set_back: u32) -> Vec<bool> {
        let mut places = Places::default();
        for port in 1..=5_u16 {
            let answer =
                Answer { asked: at(port.into()), value: 7_000, before: u32::from(port) - 1 };
            places.answer(tuple(port), answer);
        }
        for port in 1..=5_u16 {
            places.complete(tuple(port), at(20_000 + i64::from(port)));
        }
        let spoken = at(1_000_000 + i64::from(heard));
        places.hear(tuple(heard), spoken, Some(8_000 + set_back));
        assert!(!places.were_taken(tuple(5), at(0), at(1_000_000)), "not known yet");
        (1..=5).map(|port| places.were_taken(tuple(port), at(0), at(2_000_000))).collect()
    }

    #[test]
    fn a_cookie_tells_how_many_wait_to_be_accepted_and_who_came_behind_them() {
        assert_eq!(race(2, 30), [false, false, true, true, true]);
        assert_eq!(race(3, 30), [false, false, false, true, true]);
        assert!(!race(2, 0).contains(&true), "no cookie");
    }

    #[test]
    fn who_is_ignored_takes_no_place() {
        let mut places = Places::default();
        let answer = Answer { asked: at(0), value: 7_000, before: 1 };
        places.answer(tuple(4), answer);
        for port in 1..=4_u16 {
            places.complete(tuple(port), at(i64::from(port)));
        }
        places.hear(tuple(4), at(1_000_000), Some(8_030));
        let taken = |places: &Places, until| {
            [1, 2, 3, 4].map(|port| places.were_taken(tuple(port), at(0), at(until)))
        };
        assert_eq!(taken(&places, 1_000_000), [false, false, true, true]);
        places.ignore(tuple(1).destination, Some(0), at(1_100_000));
        assert_eq!(taken(&places, 1_000_000), [false, false, true, true]);
        assert_eq!(taken(&places, 1_100_000), [false, false, false, true]);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut places = Places::default();
        let answer = Answer { asked: at(0), value: 7_000, before: 0 };
        for nth in 0..i64::try_from(Places::MAX).unwrap() + 9 {
            let port = u16::try_from(nth % 60_000).unwrap();
            let mut tuple = tuple(port);
            tuple.source.address = [10, 9, 0, u8::from(nth >= 60_000)].into();
            places.answer(tuple, answer);
            places.complete(tuple, at(1));
        }
        assert_eq!((places.unread.len(), places.count), (Places::MAX, Places::MAX));
    }
}
