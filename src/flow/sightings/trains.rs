//! Large segments and their pieces: the same bytes, cut in another way at another tap.
//!
//! Pieces have the acknowledgment and the timestamps of the whole, and count its IP identification up
//! ([`Part`]), which tells them from bytes that were sent again. A train is such a segment, or pieces
//! of one size one behind the other. Bounded: the latest ones.

use std::collections::VecDeque;

use hashbrown::HashTable;

use super::{Sighting, WINDOW};
use crate::stamp::Time;
use crate::tcp::{Part, Seq};

/// Trains remembered by a shard; the oldest leaves first. Half of what fits into a table of 2,048 places, as in
/// [`super::MAX_SIGHTINGS`].
const MAX_TRAINS: usize = 896;

/// Bytes that an input showed, of one key.
#[derive(Clone, Copy, Debug)]
struct Train {
    /// [`Sighting::train`].
    key: u64,
    number: u64,
    clock: Time,
    source: u32,
    seq: Seq,
    len: u32,
    ip_id: u16,
    pieces: u16,
    /// Bytes of a piece; the last one may be shorter.
    step: u32,
}

/// The latest trains of a shard.
#[derive(Debug, Default)]
pub(super) struct Trains {
    latest: HashTable<Train>,
    /// In the order in which they began.
    queue: VecDeque<(u64, u64)>,
    next_number: u64,
}

impl Trains {
    /// Whether another input than `source` has shown the segment's bytes in a segment of another
    /// size, or in several.
    pub(super) fn hold(&mut self, source: u32, segment: &Sighting) -> bool {
        let key = segment.train;
        self.forget(segment.clock);
        let holds =
            |train: &Train| train.key == key && train.source != source && train.holds(segment);
        self.latest.find(key, holds).is_some()
    }

    /// Remembers a segment that `source` showed.
    pub(super) fn note(&mut self, source: u32, segment: &Sighting) {
        let Sighting { train: key, clock, seq, payload_len: len, ip_id, .. } = *segment;
        let continues = |train: &Train| {
            train.key == key && train.source == source && train.is_continued_by(segment)
        };
        if let Some(train) = self.latest.find_mut(key, continues) {
            train.len += len;
            train.pieces += 1;
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        let train = Train { key, number, clock, source, seq, len, ip_id, pieces: 1, step: len };
        self.latest.insert_unique(key, train, |train| train.key);
        self.queue.push_back((key, number));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_empty() && self.queue.is_empty()
    }

    /// Lets go of what is too old at `clock`, or too much.
    fn forget(&mut self, clock: Time) {
        while let Some(&(key, number)) = self.queue.front() {
            let found = self.latest.find_entry(key, |it| it.key == key && it.number == number);
            if let Ok(entry) = found {
                let old = clock.since(entry.get().clock) > WINDOW;
                if !old && self.queue.len() < MAX_TRAINS {
                    return;
                }
                entry.remove();
            }
            self.queue.pop_front();
        }
    }
}

impl Train {
    fn end(&self) -> Seq {
        self.seq.plus(self.len)
    }

    fn is_continued_by(&self, segment: &Sighting) -> bool {
        let is_whole = self.len == self.step.saturating_mul(u32::from(self.pieces));
        let next = self.ip_id.wrapping_add(self.pieces);
        is_whole
            && self.pieces < u16::MAX
            && segment.seq == self.end()
            && segment.payload_len <= self.step
            && (segment.ip_id == next || (self.ip_id | segment.ip_id) == 0)
    }

    fn holds(&self, segment: &Sighting) -> bool {
        let (offset, len) = (segment.seq.distance(self.seq), segment.payload_len);
        let Ok(offset) = u32::try_from(offset) else { return false };
        let is_inside = offset < self.len && len <= self.len - offset;
        is_inside && len != self.step && self.counts_up_to(segment, offset)
    }

    /// Whether the segment's identification is that of a piece at `offset`.
    fn counts_up_to(&self, segment: &Sighting, offset: u32) -> bool {
        let (ip_ids, len) = ((segment.ip_id, self.ip_id), segment.payload_len);
        let part = Part { offset, len, whole: self.len, ip_ids };
        // IPv6 has none, and some hosts leave it at zero where nothing is fragmented.
        if part.is_anonymous() {
            return true;
        }
        if self.pieces > 1 && offset > 0 {
            return offset == u32::from(part.ahead()).saturating_mul(self.step);
        }
        part.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Span;

    const START: Time = Time::from_nanos(1_000_000_000);

    /// What is shown at the start of the train 7.
    fn segment(seq: u32, payload_len: u32, ip_id: u16) -> Sighting {
        Sighting { print: 0, train: 7, clock: START, seq: Seq(seq), payload_len, ip_id }
    }

    /// Whether what the second input shows was all shown by the first.
    fn are_held(shown: &[(u32, u32, u16)], seen: &[(u32, u32, u16)]) -> Vec<bool> {
        let mut trains = Trains::default();
        for &(seq, len, ip_id) in shown {
            trains.note(0, &segment(seq, len, ip_id));
        }
        let held = seen.iter().map(|&(seq, len, ip_id)| trains.hold(1, &segment(seq, len, ip_id)));
        held.collect()
    }

    #[test]
    fn pieces_of_a_large_segment_are_that_segment() {
        let whole = [(u32::MAX - 99, 3_500, 65_535)];
        let pieces =
            [(u32::MAX - 99, 1_000, 65_535), (900, 1_000, 0), (1_900, 1_000, 1), (2_900, 500, 2)];
        assert_eq!(are_held(&whole, &pieces), [true; 4]);
        assert_eq!(are_held(&pieces, &whole), [true]);
    }

    #[test]
    fn hosts_at_both_ends_may_put_pieces_together_differently() {
        let sent = [(0, 6_000, 10)];
        assert_eq!(are_held(&sent, &[(0, 4_000, 10), (4_000, 2_000, 14)]), [true; 2]);
    }

    #[test]
    fn bytes_that_were_sent_again_are_not_pieces() {
        let whole = [(0, 3_000, 10)];
        let again = [(0, 1_000, 20), (1_000, 1_000, 21), (2_000, 1_000, 10)];
        assert_eq!(are_held(&whole, &again), [false; 3]);
        assert_eq!(are_held(&[(0, 1_000, 10), (1_000, 1_000, 11)], &[(0, 2_000, 12)]), [false]);
    }

    #[test]
    fn a_segment_that_is_only_partly_covered_or_as_large_is_another_one() {
        assert_eq!(are_held(&[(0, 3_000, 10)], &[(2_000, 1_500, 12), (0, 3_000, 10)]), [false; 2]);
        assert_eq!(are_held(&[(0, 1_000, 0), (1_000, 1_000, 0)], &[(0, 2_001, 0)]), [false]);
    }

    #[test]
    fn without_identification_the_bytes_alone_tell() {
        assert_eq!(are_held(&[(0, 3_000, 0)], &[(0, 1_000, 0), (1_000, 1_000, 0)]), [true; 2]);
    }

    #[test]
    fn only_what_another_input_showed_a_moment_ago_counts_and_little_is_kept() {
        let mut trains = Trains::default();
        let later = |millis, train, len| {
            let clock = START + Span::from_millis(millis);
            Sighting { train, clock, ..segment(0, len, 10) }
        };
        trains.note(0, &segment(0, 3_000, 10));
        assert!(!trains.hold(0, &segment(0, 1_000, 10)), "the same input");
        assert!(!trains.hold(1, &later(0, 8, 1_000)), "another flow");
        assert!(trains.hold(1, &later(200, 7, 1_000)));
        for key in 0..5_000 {
            trains.forget(START + WINDOW);
            trains.note(0, &later(200, key, 3_000));
        }
        assert!(trains.latest.len() <= MAX_TRAINS && trains.queue.len() <= MAX_TRAINS);
        assert!(!trains.hold(1, &later(401, 7, 1_000)), "too old");
    }
}
