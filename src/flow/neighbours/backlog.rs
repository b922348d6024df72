//! How many half-open connections a listener holds, and when it can hold no more.
//!
//! A listener of Linux that holds as many requests as its backlog allows answers all further SYNs with
//! cookies (`inet_csk_reqsk_queue_is_full`). How many that are, the first cookie shows that gives itself
//! away by not being repeated: as many as were held when it was baked. With that number the queue can be
//! followed: who came when it had room was held, until it was acknowledged, reset, or given up.
//!
//! One that met an empty queue was no cookie: if it is not repeated, the listener was closed meanwhile, and
//! who answers is another one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;

use super::attempt::{Attempt, DUE, OVERDUE, SECOND};
use crate::stamp::{Span, Time};
use crate::tcp::FourTuple;

/// So long after a SYN-ACK was due, who is heard is the listener that sent it.
const NEAR: Span = Span::from_secs(8);

/// A listener that was heard so long after its SYN-ACK was about to repeat it.
const NEARLY_DUE: Span = Span::from_millis(900);

/// A step of the timers' wheel, and more than what the processors are apart in it.
const STEP: Span = Span::from_millis(12);

/// Nobody was answered for so long before the capture ended: then a flood was over.
const QUIET: Span = Span::from_millis(100);

/// Of those whose turn it was, so many are looked at behind one that a timer repeats.
const BEHIND: usize = 8;

type Attempts = HashMap<FourTuple, Attempt, RandomState>;

/// The half-open connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Those that are held, as far as is known, and those among them that a timer repeated.
    holding: u32,
    repeated: u32,
    /// No more than so many have a place, and whether one showed it that was not repeated.
    places: Option<u32>,
    is_proven: bool,
    /// Who came and left of late, and how many were held before.
    log: VecDeque<(Time, FourTuple, Step)>,
    before: u32,
    /// When the timers of those that are held run out.
    due: BinaryHeap<Reverse<(Time, FourTuple)>>,
    /// Since when all places are taken.
    full_since: Option<Time>,
    /// When all places were taken, and when they were for all that was known before a cookie showed
    /// how many there are.
    full: Vec<Stretch>,
    full_before: Vec<Stretch>,
    /// When listeners had been answering that are gone.
    gone: Vec<Stretch>,
    /// From then on the count is wrong: some were not seen, or there are several listeners.
    lost: Option<Time>,
    heard: Option<Time>,
    /// When the latest one was answered first, and the latest one of those that were repeated.
    answered: Option<Time>,
    newest: Option<Time>,
    /// Who was not repeated when its turn had come, and when that was.
    suspects: VecDeque<(Time, FourTuple)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Comes,
    Leaves,
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
    /// Places that any listener may have.
    const MAX_PLACES: u32 = 1 << 14;
    /// Steps and times that are remembered.
    const MAX_STEPS: usize = 1 << 16;
    const MAX_FULL: usize = 1 << 13;

    /// An attempt is answered, for the first time or because its SYN came again, by a listener of a
    /// host whose `somaxconn` may be known.
    pub(super) fn answer(
        &mut self,
        attempts: &mut Attempts,
        tuple: FourTuple,
        at: Time,
        somaxconn: Option<u32>,
    ) {
        let Some(attempt) = attempts.get_mut(&tuple) else { return };
        self.answered = Some(at);
        if attempt.held {
            attempt.came_again = true;
            return self.due.push(Reverse((attempt.runs_out(), tuple)));
        }
        // One more than the backlog says, which is no larger than `somaxconn`.
        let most = somaxconn.map_or(Self::MAX_PLACES, |most| most.saturating_add(1));
        let places = *self.places.get_or_insert(most.min(Self::MAX_PLACES));
        if self.holding >= places {
            if places == Self::MAX_PLACES {
                self.lose_count(at);
            }
            return;
        }
        attempt.held = true;
        attempt.before = self.holding;
        self.due.push(Reverse((attempt.runs_out(), tuple)));
        self.holding += 1;
        self.note((at, tuple, Step::Comes));
        if self.holding == places {
            self.full_since = Some(at);
            self.note_full(attempts, at);
        }
    }

    /// One that may have been held is held no longer.
    pub(super) fn leave(&mut self, attempt: &mut Attempt, tuple: FourTuple, at: Time) {
        if !std::mem::take(&mut attempt.held) {
            return;
        }
        self.holding = self.holding.saturating_sub(1);
        self.repeated = self.repeated.saturating_sub(u32::from(attempt.repeats > 0));
        self.note((at, tuple, Step::Leaves));
        if self.places.is_some_and(|places| self.holding < places) {
            self.full_since = None;
            for full in self.full.iter_mut().rev().take_while(|full| full.until > at) {
                full.until = at;
            }
        }
    }

    /// Something was not counted.
    pub(super) fn lose_count(&mut self, at: Time) {
        self.lost.get_or_insert(at);
    }

    /// The listener is there, since it answers somebody.
    pub(super) fn hear(&mut self, attempts: &mut Attempts, at: Time) {
        self.heard = Some(at);
        self.confirm(attempts, at);
        while let Some(Reverse((runs_out, tuple))) = self.due.peek().copied() {
            let Some(attempt) = attempts.get_mut(&tuple).filter(|it| it.is_due(runs_out)) else {
                self.due.pop();
                continue;
            };
            let late = at.since(runs_out);
            if late <= attempt.slack() {
                break;
            }
            self.due.pop();
            // By now it may be another listener.
            let tells = late < NEAR && attempt.repeats == 0 && !attempt.came_again;
            if tells {
                self.note_unrepeated(attempts, tuple, at);
            }
            if let Some(attempt) = attempts.get_mut(&tuple) {
                self.leave(attempt, tuple, at);
            }
        }
    }

    /// A timer repeats the answer to an attempt, which was given once until then or more often.
    pub(super) fn repeat(
        &mut self,
        attempts: &mut Attempts,
        tuple: FourTuple,
        at: Time,
        was_once: bool,
    ) {
        let Some(attempt) = attempts.get_mut(&tuple) else { return };
        let (first, was_held) = (attempt.first, attempt.held);
        self.newest = self.newest.max(Some(first));
        self.repeated += u32::from(!was_held || attempt.repeats == 0);
        attempt.repeats = attempt.repeats.saturating_add(1);
        attempt.held = true;
        self.due.push(Reverse((attempt.runs_out(), tuple)));
        self.holding += u32::from(!was_held);
        if self.places.is_some_and(|places| self.repeated > places) {
            // More than one listener has that many places.
            self.lose_count(at);
        }
        self.hear(attempts, at);
        if was_once && at.since(first) < SECOND {
            // What is due is repeated before what is older.
            let next = self.log.partition_point(|(sent, ..)| *sent <= first);
            let behind = self.log.iter().skip(next).take(BEHIND);
            let mut due = behind.take_while(|(sent, ..)| at.since(*sent) >= DUE);
            let unrepeated = due.find(|it| Self::is_open(attempts, it)).map(|it| it.1);
            if let Some(unrepeated) = unrepeated {
                let is_new = self.suspects.iter().all(|it| it.1 != unrepeated);
                if is_new && self.suspects.len() < BEHIND {
                    self.suspects.push_back((at, unrepeated));
                }
            }
        }
        self.note_full(attempts, at);
    }

    /// Each processor has timers of its own, so that what runs out at one time is repeated in two orders
    /// at once: who was left out then must not come a step of the timers' wheel later.
    fn confirm(&mut self, attempts: &mut Attempts, at: Time) {
        let is_over = |(since, _): &mut (Time, FourTuple)| at.since(*since) > STEP;
        while let Some((_, tuple)) = self.suspects.pop_front_if(is_over) {
            let first = attempts.get(&tuple).map(|it| it.first);
            if first.is_some_and(|first| Self::is_open(attempts, &(first, tuple, Step::Comes))) {
                self.note_unrepeated(attempts, tuple, at);
            }
        }
    }

    /// The capture is over, some time after anybody was answered: what was not repeated although older
    /// ones were, when its turn came or was about to, was a cookie. That the capture ended just before
    /// would be a strange chance.
    pub(super) fn conclude(&mut self, attempts: &mut Attempts, clock: Time) {
        let is_quiet = self.answered.is_some_and(|last| clock.since(last) > QUIET);
        let Some(newest) = self.newest.filter(|_| is_quiet) else { return };
        self.confirm(attempts, clock);
        if self.is_proven {
            return;
        }
        let first = self.log.iter().find(|it| Self::is_open(attempts, it)).copied();
        if let Some((sent, tuple, _)) = first
            && sent > newest
            && self.was_about_to_repeat(sent, clock)
        {
            self.note_unrepeated(attempts, tuple, clock);
        }
    }

    fn was_about_to_repeat(&self, sent: Time, clock: Time) -> bool {
        let heard = self.heard.is_some_and(|heard| heard.since(sent) > NEARLY_DUE);
        heard || clock.since(sent) > OVERDUE
    }

    /// Whether nothing came of it yet, neither a repetition nor an acknowledgment.
    fn is_open(attempts: &Attempts, (at, tuple, step): &(Time, FourTuple, Step)) -> bool {
        *step == Step::Comes
            && attempts
                .get(tuple)
                .is_some_and(|it| it.held && it.repeats == 0 && !it.came_again && it.first == *at)
    }

    /// An answer is not repeated by `at`, when it was due: it was a cookie, or its listener is gone.
    fn note_unrepeated(&mut self, attempts: &mut Attempts, tuple: FourTuple, at: Time) {
        let Some(attempt) = attempts.get(&tuple).copied() else { return };
        if self.gone.last().is_some_and(|gone| attempt.first <= gone.until) {
            return;
        }
        if attempt.before == 0 && self.lost.is_none() {
            if self.gone.len() < Self::MAX_FULL {
                self.gone.push(Stretch { from: attempt.first, until: at, known: at });
            }
            return;
        }
        if !self.is_proven {
            self.prove(attempts, attempt.before, at);
        } else if attempt.held {
            // There was room for it, so that it belongs to another listener.
            self.lose_count(at);
        }
    }

    /// There are so many places, as shows at a time: who found one, and when were all taken?
    fn prove(&mut self, attempts: &mut Attempts, places: u32, at: Time) {
        (self.is_proven, self.places, self.full_since) = (true, Some(places), None);
        self.full_before = std::mem::take(&mut self.full);
        let mut holding = self.before.min(places);
        let mut cookies = HashSet::<FourTuple, RandomState>::default();
        for (time, tuple, step) in self.log.iter().copied() {
            match step {
                Step::Comes if holding < places => {
                    cookies.remove(&tuple);
                    holding += 1;
                    if holding == places {
                        self.full_since = Some(time);
                    }
                }
                Step::Comes => {
                    cookies.insert(tuple);
                }
                Step::Leaves if cookies.remove(&tuple) => {}
                Step::Leaves => {
                    holding = holding.saturating_sub(1);
                    let since = self.full_since.take();
                    if let Some(from) = since.filter(|_| self.full.len() < Self::MAX_FULL) {
                        self.full.push(Stretch { from, until: time, known: at });
                    }
                }
            }
        }
        self.holding = holding;
        let mut is_wrong = false;
        for (_, tuple, _) in &self.log {
            if !cookies.remove(tuple) {
                continue;
            }
            let Some(attempt) = attempts.get_mut(tuple).filter(|it| it.held) else { continue };
            attempt.held = attempt.repeats > 0;
            self.holding += u32::from(attempt.held);
            is_wrong |= attempt.held;
        }
        if is_wrong {
            // Somebody was held that found no place.
            self.lose_count(at);
        }
        self.note_full(attempts, at);
    }

    fn note(&mut self, step: (Time, FourTuple, Step)) {
        if self.holding == 0 {
            self.log.clear();
            self.before = 0;
            return;
        }
        self.log.push_back(step);
        while self.log.len() > Self::MAX_STEPS
            || self.log.front().is_some_and(|(at, ..)| step.0.since(*at) > NEAR)
        {
            match self.log.pop_front() {
                Some((.., Step::Comes)) => self.before += 1,
                Some((.., Step::Leaves)) => self.before = self.before.saturating_sub(1),
                None => return,
            }
        }
    }

    /// While all places are taken: until when, for all that is known `at` then?
    fn note_full(&mut self, attempts: &Attempts, at: Time) {
        let Some(from) = self.full_since else { return };
        while let Some(Reverse((runs_out, tuple))) = self.due.peek().copied() {
            if attempts.get(&tuple).is_some_and(|it| it.is_due(runs_out)) {
                break;
            }
            self.due.pop();
        }
        let Some(Reverse((until, _))) = self.due.peek().copied() else { return };
        let is_known = self.full.last().is_some_and(|it| it.from == from && it.until >= until);
        if is_known {
            return;
        }
        if self.full.len() < Self::MAX_FULL {
            self.full.push(Stretch { from, until, known: at });
        } else {
            self.lose_count(at);
        }
    }

    /// Whether the listener that answered at `sent` was gone when that was due again, as is known `until`
    /// then.
    pub(super) fn was_gone(&self, sent: Time, until: Time) -> bool {
        let gone = self.gone.partition_point(|gone| gone.until < sent);
        self.gone.get(gone).is_some_and(|gone| gone.from <= sent && gone.known <= until)
    }

    /// Whether there was no place left for what was answered at `sent`, as is known `until` then.
    pub(super) fn was_full(&self, sent: Time, until: Time) -> bool {
        let tells = |full: &Stretch| full.from < sent && full.known <= until;
        let among = |full: &[Stretch]| {
            let near = full.partition_point(|full| full.until < sent);
            full.iter().skip(near).take(8).any(tells)
        };
        self.lost.is_none_or(|lost| lost > until) && (among(&self.full) || among(&self.full_before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Endpoint, Seq};

    struct Flood(Backlog, Attempts);

    impl Flood {
        fn hear(&mut self, millis: i64) {
            self.0.hear(&mut self.1, at(millis));
        }

        fn was_full(&self, sent: i64, until: i64) -> bool {
            self.0.was_full(at(sent), at(until))
        }
    }

    fn tuple(port: u16) -> FourTuple {
        let end = |last: u8, port| Endpoint { address: [10, 0, 0, last].into(), port };
        FourTuple { source: end(1, port), destination: end(2, 80) }
    }

    fn at(millis: i64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn answered(at: Time) -> Attempt {
        Attempt { answered: true, ..Attempt::new(Seq(0), 0, at) }
    }

    /// SYNs each millisecond.
    fn syns(count: u16) -> Flood {
        let mut flood = Flood(Backlog::default(), Attempts::default());
        for port in 1..=count {
            let sent = at(i64::from(port));
            flood.1.insert(tuple(port), answered(sent));
            flood.0.answer(&mut flood.1, tuple(port), sent, None);
        }
        flood
    }

    /// SYNs each millisecond, and which of them a timer repeats at 1,020 ms, the latest first. The next
    /// one is answered at 1,040 ms.
    fn flood(count: u16, repeated: &[u16]) -> Flood {
        let mut flood = syns(count);
        for port in repeated.iter().rev() {
            flood.1.get_mut(&tuple(*port)).unwrap().last = at(1_020);
            flood.0.repeat(&mut flood.1, tuple(*port), at(1_020), true);
        }
        flood.hear(1_040);
        flood
    }

    #[test]
    fn what_came_while_as_many_were_held_as_the_first_cookie_met_was_a_cookie() {
        let flood = flood(60, &[1, 2, 3]);
        let full = |sent| flood.was_full(sent, 1_040);
        assert_eq!([3, 4, 20, 60, 1_019].map(full), [false, true, true, true, true]);
        assert!(flood.was_full(3_000, 3_000), "until the timers run out again");
        assert!(!flood.was_full(3_100, 3_100), "by then some may have gone");
        assert!(!flood.was_full(20, 1_039), "not known yet");
    }

    #[test]
    fn who_is_repeated_by_another_processor_was_not_left_out() {
        // 5 and 4 on one, 3, 2 and 1 on the other.
        let mut flood = syns(8);
        for (millis, port) in [(0, 3), (0, 5), (0, 2), (0, 4), (1, 1)] {
            let now = at(1_020 + millis);
            flood.1.get_mut(&tuple(port)).unwrap().last = now;
            flood.0.repeat(&mut flood.1, tuple(port), now, true);
        }
        flood.hear(1_040);
        assert!(flood.was_full(6, 1_040) && !flood.was_full(5, 1_040));
    }

    #[test]
    fn nothing_is_known_where_nothing_was_due() {
        let mut flood = flood(10, &[]);
        flood.0.conclude(&mut flood.1, at(900));
        assert!(!flood.was_full(10, 5_000));
    }

    #[test]
    fn two_listeners_on_one_port_do_not_count_together() {
        // The first one is full at 3, and the second one goes on.
        assert!(!flood(40, &[1, 2, 3, 5, 6]).was_full(30, 1_040));
    }

    #[test]
    fn a_listener_that_is_heard_had_nothing_to_repeat_what_was_due_from() {
        let mut flood = syns(20);
        for port in 1..=3 {
            flood.1.get_mut(&tuple(port)).unwrap().last = at(1_000 + i64::from(port));
            flood.0.repeat(&mut flood.1, tuple(port), at(1_000 + i64::from(port)), true);
        }
        let unheard = flood.was_full(10, 1_199);
        flood.hear(1_200);
        assert!(!unheard && flood.was_full(10, 1_200) && !flood.was_full(10, 1_199));
    }

    #[test]
    fn what_is_not_repeated_when_the_capture_ends_was_a_cookie_if_its_turn_had_come() {
        let repeats = |until: i64| {
            let mut flood = syns(20);
            for port in 1..=3 {
                flood.1.get_mut(&tuple(port)).unwrap().last = at(1_000 + i64::from(port));
                flood.0.repeat(&mut flood.1, tuple(port), at(1_000 + i64::from(port)), true);
            }
            flood.0.conclude(&mut flood.1, at(until));
            flood
        };
        let ended = repeats(1_003);
        assert!(ended.was_full(4, 1_003) && !ended.was_full(3, 1_003) && !ended.was_full(4, 1_002));
    }

    #[test]
    fn a_listener_holds_one_more_than_its_host_allows_to_any() {
        let mut flood = Flood(Backlog::default(), Attempts::default());
        for port in 1..=9 {
            let sent = at(i64::from(port));
            flood.1.insert(tuple(port), answered(sent));
            flood.0.answer(&mut flood.1, tuple(port), sent, Some(4));
        }
        assert!(flood.was_full(6, 6) && !flood.was_full(5, 6));
    }

    #[test]
    fn what_met_an_empty_queue_was_no_cookie_and_its_listener_is_gone() {
        let mut flood = flood(20, &[5, 6, 7]);
        flood.hear(1_200);
        let gone = |sent, until| flood.0.was_gone(at(sent), at(until));
        assert!([1, 2, 20].iter().all(|sent| gone(*sent, 1_200)));
        assert!(!gone(1, 1_199) && !gone(1_201, 2_000));
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut flood = flood(20, &[1, 2, 3]);
        let mut attempt = flood.1[&tuple(2)];
        flood.0.leave(&mut attempt, tuple(2), at(1_500));
        assert!(flood.was_full(1_400, 1_400) && !flood.was_full(1_600, 1_600));
        flood.1.insert(tuple(50), answered(at(1_700)));
        flood.0.answer(&mut flood.1, tuple(50), at(1_700), None);
        assert!(!flood.was_full(1_700, 1_700) && flood.was_full(1_800, 1_800));
    }
}
