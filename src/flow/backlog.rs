//! How many half-open connections a listener holds, and when it can hold no more.
//!
//! A listener of Linux that holds as many requests as its backlog allows answers all further SYNs with
//! cookies (`inet_csk_reqsk_queue_is_full`). How many that are, the first cookie shows that gives itself
//! away by not being repeated: no more than may have been held when it was baked. And what a timer repeats
//! had been held since it was sent; while so many were, each other answer was a cookie. One that met an
//! empty queue was none: if it is not repeated, the listener was closed meanwhile, and who answers is
//! another one.

use std::collections::VecDeque;

use super::repeats::{DUE, OVERDUE, SECOND};
use crate::stamp::{Span, Time};
use crate::tcp::FourTuple;

/// One step of the timers' wheel is as quick as that.
const AT_ONCE: Span = Span::from_millis(1);

/// So long after a SYN-ACK was due, who is heard is the listener that sent it.
const NEAR: Span = Span::from_secs(8);

/// The half-open connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Those that may be held.
    holding: u32,
    /// No more than so many have a place.
    places: Option<u32>,
    /// Answered, in that order: when, to whom, and how many may have been held before.
    waiting: VecDeque<(Time, FourTuple, u32)>,
    /// Repeated by a timer, the latest one last: since when they are held, and when that was.
    held: Vec<(Time, Time)>,
    /// When all places were taken.
    full: Vec<Stretch>,
    /// When listeners had been answering that are gone.
    gone: Vec<Stretch>,
    /// From then on the count is wrong: some were not seen, or there are several listeners.
    lost: Option<Time>,
}

/// From when to when something was so.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: Time,
    until: Time,
    /// When that showed.
    known: Time,
}

impl Backlog {
    /// Requests and times that are remembered: more are taken for uncounted.
    const MAX_HELD: usize = 1 << 13;
    const MAX_FULL: usize = 1 << 13;

    /// A SYN comes. Returns how many may be held before it.
    pub(super) fn ask(&mut self) -> u32 {
        let before = self.holding;
        self.holding = self.holding.saturating_add(1);
        before
    }

    /// It is answered for the first time.
    pub(super) fn answer(&mut self, attempt: FourTuple, at: Time, before: u32) {
        self.waiting.push_back((at, attempt, before));
    }

    /// One that may have been held is held no longer.
    pub(super) fn leave(&mut self) {
        self.holding = self.holding.saturating_sub(1);
    }

    /// Something was not counted.
    pub(super) fn lose_count(&mut self, at: Time) {
        self.lost.get_or_insert(at);
    }

    /// The listener is there, since it answers somebody. `is_open` says of an answer, by whom it went to
    /// and when, whether nothing came of it yet, neither a repetition nor an acknowledgment.
    pub(super) fn hear(&mut self, at: Time, is_open: impl Fn(FourTuple, Time) -> bool) {
        while let Some((sent, attempt, before)) = self.waiting.front().copied()
            && at.since(sent) > OVERDUE
        {
            self.waiting.pop_front();
            // By now it may be another listener.
            if at.since(sent) < NEAR && is_open(attempt, sent) {
                self.note_unrepeated(at, sent, before);
            }
        }
    }

    /// A timer repeats an answer of `last`, the first of which was of `first`.
    pub(super) fn repeat(
        &mut self,
        at: Time,
        (first, last): (Time, Time),
        is_open: impl Fn(FourTuple, Time) -> bool,
    ) {
        self.hear(at, &is_open);
        self.hold(at, first);
        if last == first && at.since(first) < SECOND {
            // What is due is repeated before what is older.
            let due = self.waiting.iter().skip_while(|(sent, ..)| *sent <= first);
            let mut due = due.take_while(|(sent, ..)| at.since(*sent) >= DUE);
            let first = due.find(|(sent, attempt, _)| is_open(*attempt, *sent)).copied();
            if let Some((sent, _, before)) = first {
                self.note_unrepeated(at, sent, before);
            }
        }
    }

    /// What was answered at `sent` is not repeated by `at`, when it was due: it was a cookie, or its
    /// listener is gone.
    fn note_unrepeated(&mut self, at: Time, sent: Time, before: u32) {
        if self.gone.last().is_some_and(|gone| sent <= gone.until) {
            return;
        }
        if before == 0 && self.lost.is_none() {
            if self.gone.len() < Self::MAX_FULL {
                self.gone.push(Stretch { from: sent, until: at, known: at });
            }
            return;
        }
        if self.places.is_none_or(|places| before < places) {
            self.places = Some(before);
            self.note_full(at);
        }
    }

    fn hold(&mut self, at: Time, since: Time) {
        self.held.retain(|(other, _)| *other != since);
        if self.held.len() < Self::MAX_HELD {
            self.held.push((since, at));
            self.note_full(at);
        } else {
            self.lose_count(at);
        }
    }

    fn note_full(&mut self, at: Time) {
        let Some(places) = self.places.map(|places| places as usize) else { return };
        if self.all_held(places + 1).is_some() {
            // More than one listener has that many places.
            return self.lose_count(at);
        }
        let Some((from, until)) = self.all_held(places) else { return };
        let full = Stretch { from, until, known: at };
        let has_room = self.full.len() < Self::MAX_FULL;
        match self.full.last_mut() {
            Some(last) if last.from == from && at.since(last.known) < AT_ONCE => *last = full,
            _ if has_room => self.full.push(full),
            _ => self.lose_count(at),
        }
    }

    /// From when to when the latest `count` were all held.
    fn all_held(&self, count: usize) -> Option<(Time, Time)> {
        let latest = self.held.get(self.held.len().checked_sub(count)?..)?;
        let from = latest.iter().map(|(since, _)| *since).max()?;
        let until = latest.first()?.1;
        (from <= until).then_some((from, until))
    }

    /// Whether the listener that answered at `sent` was gone when that was due again, as is known `until`
    /// then.
    pub(super) fn was_gone(&self, sent: Time, until: Time) -> bool {
        let gone = self.gone.partition_point(|gone| gone.until < sent);
        self.gone.get(gone).is_some_and(|gone| gone.from <= sent && gone.known <= until)
    }

    /// Whether there was no place left for what was answered at `sent`, as is known `until` then.
    pub(super) fn was_full(&self, sent: Time, until: Time) -> bool {
        let near = self.full.partition_point(|full| full.until < sent);
        let tells = |full: &Stretch| full.from < sent && full.known <= until;
        self.lost.is_none_or(|lost| lost > until)
            && self.full.get(near..).is_some_and(|full| full.iter().take(8).any(tells))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Endpoint;

    fn tuple(port: u16) -> FourTuple {
        let end = |last: u8, port| Endpoint { address: [10, 0, 0, last].into(), port };
        FourTuple { source: end(1, port), destination: end(2, 80) }
    }

    fn at(millis: i64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// SYNs each millisecond, and which of them a timer repeats at 1,020 ms, the latest first.
    fn flood(syns: u16, repeated: &[u16]) -> Backlog {
        let mut backlog = Backlog::default();
        for port in 1..=syns {
            let before = backlog.ask();
            backlog.answer(tuple(port), at(i64::from(port)), before);
        }
        for (nth, port) in repeated.iter().rev().enumerate() {
            let done = &repeated[repeated.len() - nth..];
            let sent = at(i64::from(*port));
            let is_open = |it: FourTuple, _| !done.contains(&it.source.port);
            backlog.repeat(at(1_020), (sent, sent), is_open);
        }
        backlog
    }

    #[test]
    fn what_came_while_as_many_were_held_as_the_first_cookie_met_was_a_cookie() {
        let backlog = flood(60, &[1, 2, 3]);
        let full = |sent| backlog.was_full(at(sent), at(1_020));
        assert_eq!([3, 4, 20, 60, 1_019].map(full), [false, true, true, true, true]);
        assert!(!full(1_021), "by then some may have gone");
        assert!(!backlog.was_full(at(20), at(1_019)), "not known yet");
    }

    #[test]
    fn nothing_is_known_where_nothing_was_due() {
        let backlog = flood(10, &[]);
        assert!(!backlog.was_full(at(10), at(5_000)));
        let backlog = flood(3, &[1, 2, 3]);
        assert!(
            !backlog.was_full(at(100), at(5_000)),
            "no cookie showed how many places there are"
        );
    }

    #[test]
    fn two_listeners_on_one_port_do_not_count_together() {
        // The first one is full at 3, and the second one goes on.
        let backlog = flood(40, &[1, 2, 3, 5, 6]);
        assert!(!backlog.was_full(at(30), at(1_020)));
    }

    #[test]
    fn a_listener_that_is_heard_had_nothing_to_repeat_what_was_due_from() {
        let mut backlog = flood(20, &[1, 2, 3]);
        backlog.places = None;
        backlog.full.clear();
        backlog.hear(at(1_200), |tuple, _| tuple.source.port > 3);
        assert!(backlog.was_full(at(10), at(1_200)) && !backlog.was_full(at(10), at(1_199)));
        let mut backlog = flood(20, &[1, 2, 3]);
        (backlog.places, backlog.full) = (None, Vec::new());
        backlog.hear(at(12_000), |tuple, _| tuple.source.port > 3);
        assert!(!backlog.was_full(at(10), at(12_000)), "it may be another one by then");
    }

    #[test]
    fn what_met_an_empty_queue_was_no_cookie_and_its_listener_is_gone() {
        let mut backlog = flood(20, &[5, 6, 7]);
        backlog.hear(at(1_200), |tuple, _| !(5..=7).contains(&tuple.source.port));
        assert!([1, 2, 20].iter().all(|sent| backlog.was_gone(at(*sent), at(1_200))));
        assert!(!backlog.was_gone(at(1), at(1_199)) && !backlog.was_gone(at(1_201), at(2_000)));
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut backlog = Backlog::default();
        assert_eq!((backlog.ask(), backlog.ask()), (0, 1));
        backlog.leave();
        assert_eq!(backlog.ask(), 1);
    }
}
