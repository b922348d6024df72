//! When each listener answered a SYN: proof that it was there then.
//!
//! What a connection cannot know of its neighbours. A server that does not repeat a SYN-ACK when that
//! is due has either closed its listener or never had a socket to repeat it from (SYN cookies); what
//! it answers to others tells which. Gathered before a wave is consumed, so that every shard sees the
//! same whatever the others have come to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Batch;
use crate::stamp::{Span, Time};
use crate::tcp::Endpoint;

/// SYN-ACKs by listener and second: the first and the last of each.
#[derive(Debug, Default)]
pub struct Answers {
    seconds: HashMap<(Endpoint, i64), (Time, Time)>,
}

/// A SYN-ACK.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// Index of its range in the batch, and of its frame there.
    pub(super) place: (usize, u32),
    pub(super) listener: Endpoint,
    pub(super) time: Time,
}

impl Answers {
    /// Seconds of listeners that are kept. What comes beyond is not: cookies of so many listeners, or
    /// after so long a time, are told by other signs only.
    pub const MAX_SECONDS: usize = 1 << 17;

    /// So long after a moment a listener may be heard to have been there.
    const NEAR: Span = Span::from_secs(8);

    /// Adds the SYN-ACKs of a batch. Batches come in the order of the capture.
    pub fn read(&mut self, batch: &Batch) {
        if self.seconds.len() < Self::MAX_SECONDS {
            batch.answers().iter().for_each(|answer| self.add(answer.listener, answer.time));
        }
    }

    /// Adds a SYN-ACK.
    pub fn add(&mut self, listener: Endpoint, time: Time) {
        let is_full = self.seconds.len() >= Self::MAX_SECONDS;
        match self.seconds.entry((listener, second(time))) {
            Entry::Occupied(mut known) => {
                let (first, last) = known.get_mut();
                (*first, *last) = ((*first).min(time), (*last).max(time));
            }
            Entry::Vacant(place) if !is_full => {
                place.insert((time, time));
            }
            Entry::Vacant(_) => {}
        }
    }

    /// Whether `listener` answered a SYN, or repeated an answer, soon after `from` and before `until`.
    #[must_use]
    pub fn is_heard(&self, listener: Endpoint, from: Time, until: Time) -> bool {
        let until = until.min(from + Self::NEAR);
        (second(from)..=second(until)).any(|second| {
            let known = self.seconds.get(&(listener, second));
            known.is_some_and(|(first, last)| {
                (*first >= from && *first <= until) || (*last >= from && *last <= until)
            })
        })
    }
}

const fn second(time: Time) -> i64 {
    time.nanos().div_euclid(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_heard_between_two_moments_that_lie_near_each_other() {
        let at = |millis: i64| Time::from_nanos(millis * 1_000_000);
        let web = Endpoint { address: [10, 0, 0, 1].into(), port: 80 };
        let mut answers = Answers::default();
        for millis in [1_100, 1_300, 1_900, 30_000] {
            answers.add(web, at(millis));
        }
        assert!(answers.is_heard(web, at(1_000), at(1_200)));
        assert!(answers.is_heard(web, at(1_500), at(9_000)));
        assert!(
            !answers.is_heard(web, at(1_950), at(40_000)),
            "that long after, it may be another"
        );
        assert!(!answers.is_heard(web, at(500), at(1_050)));
        let other = Endpoint { port: 81, ..web };
        assert!(!answers.is_heard(other, at(1_000), at(2_000)));
    }
}
