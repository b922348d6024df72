//! Segments that several taps saw: the second sighting is no retransmission.
//!
//! A segment counts as seen elsewhere if another input of its group (inputs that overlap in time)
//! has shown the same one within [`WINDOW`], and more often than its own input has so far: what
//! was sent twice is seen twice by every tap. So does one whose bytes another input has shown in
//! pieces of another size. Remembers a bounded number of segments, the latest.
//! Knows nothing of connections.

mod trains;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use self::trains::Trains;
use super::batch::Batch;
use super::identity::Flow;
use super::packed::{Kind, Packed};
use super::strip::Strip;
use crate::stamp::{Span, Time};
use crate::tcp::{Segment, Seq};

/// How far two sightings of one transmission may lie apart: the way between the taps and the
/// difference of their clocks. Linux retransmits after 200 ms at the earliest (`TCP_RTO_MIN`), and
/// what is retransmitted sooner has another IP identification or timestamp as a rule.
pub const WINDOW: Span = Span::from_millis(200);

/// Segments remembered by a shard; the oldest leaves first. Half of what fits into a table of 8,192 places, so
/// that it makes room among what was removed and never grows beyond that.
const MAX_SIGHTINGS: usize = 3_584;

/// Inputs that are told apart for one segment; further ones count as repeating it.
const MAX_SOURCES: usize = 4;

/// A segment as it was seen.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    /// Hash of everything that makes two sightings those of one segment.
    print: u64,
    /// Hash of what pieces of it would have in common with it.
    train: u64,
    clock: Time,
    seq: Seq,
    payload_len: u32,
    ip_id: u16,
}

/// The latest segments of a shard, with who saw them.
#[derive(Debug)]
pub(super) struct Sightings {
    hasher: RandomState,
    entries: HashTable<Entry>,
    /// Entries in the order in which they were last renewed; outdated ones are told by their
    /// number.
    queue: VecDeque<(u64, u32)>,
    next_number: u32,
    trains: Trains,
    /// What was seen and not looked up so far, since no other input could have shown it.
    put_off: Vec<Sighting>,
    /// The group of that, and the input.
    put_off_of: (u32, u32),
    repeated: BTreeMap<u32, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// [`Sighting::print`].
    print: u64,
    clock: Time,
    number: u32,
    /// Which inputs showed it.
    sources: [u32; MAX_SOURCES],
    /// How often each of them did; none after the first that did not.
    counts: [u8; MAX_SOURCES],
}

impl Sightings {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            hasher,
            entries: HashTable::new(),
            queue: VecDeque::new(),
            next_number: 0,
            trains: Trains::default(),
            put_off: Vec::new(),
            put_off_of: (0, 0),
            repeated: BTreeMap::new(),
        }
    }

    /// Segments that another input had shown already, by input.
    pub(super) const fn repeated(&self) -> &BTreeMap<u32, u64> {
        &self.repeated
    }

    /// Remembers a segment of a batch, if it is watched; true if another input has shown this
    /// transmission of it already.
    #[cold]
    pub(super) fn is_repeated_in(
        &mut self,
        (batch, strip): (&Batch, &Strip),
        packed: &Packed,
    ) -> bool {
        let clock = batch.clock_at(strip, packed);
        if clock < strip.watched_from {
            return false;
        }
        let way = (strip.group, packed.kind.contains(Kind::FORWARD));
        let segment = packed.segment(strip.first);
        let sighting = self.sighting(clock, (batch.flow_of(packed), way), &segment);
        self.see((strip.group, strip.first.file()), sighting, clock < strip.alone_until)
    }

    /// Takes a sighting of a group's input in; true if another input has shown it. It is not looked for
    /// while the input is alone.
    fn see(&mut self, of: (u32, u32), sighting: Sighting, is_alone: bool) -> bool {
        if is_alone {
            self.put_off(of, sighting);
            return false;
        }
        self.make_up(of.0);
        self.is_repeated(of.1, &sighting)
    }

    /// Keeps a sighting of an input that is the only one of its group so far, until there is another.
    fn put_off(&mut self, of: (u32, u32), sighting: Sighting) {
        if self.put_off.len() >= MAX_SIGHTINGS {
            self.make_up(of.0);
        }
        if self.put_off_of != of {
            // Nobody asks for another group's any more.
            self.put_off.clear();
            self.put_off_of = of;
        }
        self.put_off.push(sighting);
    }

    /// Remembers what was put off, if that is of the group.
    fn make_up(&mut self, group: u32) {
        let (of, source) = self.put_off_of;
        for sighting in std::mem::take(&mut self.put_off) {
            if of == group {
                let is_repeated = self.is_repeated(source, &sighting);
                debug_assert!(!is_repeated, "no other input has shown anything");
            }
        }
    }

    /// Remembers a segment; true if another input has shown this transmission of it already.
    fn is_repeated(&mut self, source: u32, sighting: &Sighting) -> bool {
        let Sighting { print, clock, .. } = *sighting;
        self.forget(clock);
        if let Some(entry) = self.entries.find_mut(print, |entry| entry.print == print) {
            if entry.count(source) {
                *self.repeated.entry(source).or_default() += 1;
                return true;
            }
            (entry.number, entry.clock) = (self.next_number, clock);
        } else {
            if sighting.payload_len > 0 && self.is_cut_otherwise(source, sighting) {
                *self.repeated.entry(source).or_default() += 1;
                return true;
            }
            let entry = Entry::new((print, clock), self.next_number, source);
            self.entries.insert_unique(print, entry, |entry| entry.print);
        }
        self.queue.push_back((print, self.next_number));
        // Wraps long after an entry of that number has left.
        self.next_number = self.next_number.wrapping_add(1);
        false
    }

    /// Whether another input has shown the bytes in a larger segment, or in smaller ones.
    fn is_cut_otherwise(&mut self, source: u32, sighting: &Sighting) -> bool {
        let is_held = self.trains.hold(source, sighting);
        if !is_held {
            self.trains.note(source, sighting);
        }
        is_held
    }

    /// Lets go of what is too old at `clock`, or too much.
    fn forget(&mut self, clock: Time) {
        while let Some(&(print, number)) = self.queue.front() {
            let found = self
                .entries
                .find_entry(print, |entry| entry.print == print && entry.number == number);
            if let Ok(entry) = found {
                let old = clock.since(entry.get().clock) > WINDOW;
                if !old && self.queue.len() < MAX_SIGHTINGS {
                    return;
                }
                entry.remove();
            }
            self.queue.pop_front();
        }
    }

    /// What was seen at `clock` of a flow, on its way in a group and a direction. The print is of what
    /// stays the same from tap to tap: not the TTL, nor a checksum that offload fills in later.
    fn sighting(
        &self,
        clock: Time,
        (flow, (group, forward)): (Flow<'_>, (u32, bool)),
        segment: &Segment,
    ) -> Sighting {
        let Segment { seq, ack, timestamps, payload_len, window, flags, ip_id, .. } = *segment;
        let mut hasher = self.hasher.build_hasher();
        match flow {
            Flow::Narrow([low, high, ports]) => hasher.write_u128(joined([low, high, ports, 0])),
            Flow::Wide(tuple, layers) => (tuple, layers).hash(&mut hasher),
        }
        let way = group << 1 | u32::from(forward);
        hasher.write_u128(joined([way, ack.0, timestamps.value, timestamps.echo]));
        let train = hasher.finish();
        let rest = u32::from(window) << 16 | u32::from(flags.0);
        hasher.write_u128(joined([seq.0, payload_len, rest, u32::from(ip_id)]));
        Sighting { print: hasher.finish(), train, clock, seq, payload_len, ip_id }
    }
}

/// Four numbers as one, which takes a hasher one step.
const fn joined([a, b, c, d]: [u32; 4]) -> u128 {
    (a as u128) << 96 | (b as u128) << 64 | (c as u128) << 32 | d as u128
}

impl Entry {
    fn new((print, clock): (u64, Time), number: u32, source: u32) -> Self {
        let (mut sources, mut counts) = ([u32::MAX; MAX_SOURCES], [0; MAX_SOURCES]);
        (sources[0], counts[0]) = (source, 1);
        Self { print, clock, number, sources, counts }
    }

    /// Counts a sighting; true if another input has had as many.
    fn count(&mut self, source: u32) -> bool {
        let others = self.sources.iter().zip(self.counts).filter(|(other, _)| **other != source);
        let most = others.map(|(_, count)| count).max().unwrap_or(0);
        let mut all = self.sources.iter_mut().zip(&mut self.counts);
        let own = all.find(|(it, count)| **it == source || **count == 0);
        // More inputs than are told apart.
        let Some((it, count)) = own else { return true };
        *it = source;
        *count = count.saturating_add(1);
        *count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sightings() -> Sightings {
        Sightings::new(RandomState::default())
    }

    /// Shows the segment `seq` as `source` saw it after so many milliseconds.
    fn show(it: &mut Sightings, source: u32, millis: i64, seq: u32) -> bool {
        let sighting = sighting(it, millis, seq);
        it.see((0, source), sighting, false)
    }

    fn sighting(it: &Sightings, millis: i64, seq: u32) -> Sighting {
        let clock = Time::from_nanos(millis * 1_000_000);
        let segment = Segment { seq: Seq(seq), payload_len: 100, ..Segment::default() };
        it.sighting(clock, (Flow::Narrow([1, 2, 3]), (0, true)), &segment)
    }

    #[test]
    fn what_another_tap_saw_a_moment_ago_is_the_same_transmission() {
        let mut it = sightings();
        assert!(!show(&mut it, 0, 0, 7));
        assert!(show(&mut it, 1, 3, 7));
        assert!(!show(&mut it, 1, 4, 8));
        assert!(show(&mut it, 0, 5, 8));
        assert_eq!(it.repeated(), &BTreeMap::from([(0, 1), (1, 1)]));
    }

    #[test]
    fn what_one_tap_saw_twice_was_sent_twice_and_the_other_tap_sees_it_twice_too() {
        let mut it = sightings();
        assert!(!show(&mut it, 0, 0, 7));
        assert!(!show(&mut it, 0, 1, 7));
        assert!(show(&mut it, 1, 2, 7));
        assert!(show(&mut it, 1, 3, 7));
        assert!(!show(&mut it, 1, 4, 7), "a third time, which the first tap has not seen");
        assert!(show(&mut it, 0, 5, 7));
    }

    #[test]
    fn what_comes_much_later_was_sent_again() {
        let mut it = sightings();
        assert!(!show(&mut it, 0, 0, 7));
        assert!(show(&mut it, 1, 200, 7));
        assert!(!show(&mut it, 1, 401, 7));
    }

    #[test]
    fn the_number_of_segments_remembered_is_bounded() {
        let mut it = sightings();
        let many = 3 * u32::try_from(MAX_SIGHTINGS).unwrap();
        for seq in 0..many {
            assert!(!show(&mut it, 0, 0, seq));
        }
        assert!(it.entries.len() <= MAX_SIGHTINGS && it.queue.len() <= MAX_SIGHTINGS);
        // What a run can be held to counts on it.
        assert!(size_of::<Entry>() <= 40 && it.entries.capacity() <= 8_192);
        assert!(show(&mut it, 1, 0, many - 1));
        assert!(!show(&mut it, 1, 0, 0), "forgotten");
    }

    #[test]
    fn a_fifth_tap_repeats_too() {
        let mut it = sightings();
        assert!(!show(&mut it, 0, 0, 7));
        assert!((1..6).all(|source| show(&mut it, source, 1, 7)));
    }

    /// A segment is shown: by which input, when, which one, and whether there is no other input yet.
    type Shown = (u32, i64, u32, bool);

    /// Segments of an input that is alone at first, some of them several times, and of a second one.
    fn shown(alone: u32, beside: u32) -> Vec<Shown> {
        let mut draw = 1_u32;
        let mut next = |below: u32| {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (draw >> 8) % below
        };
        let all = alone + beside;
        (0..all)
            .map(|at| {
                let is_alone = at < alone;
                let source = if is_alone { 0 } else { next(2) };
                // The window is a third of all of it.
                let millis = i64::from(at * 600 / all);
                (source, millis, (at / 2).saturating_sub(next(all / 8)), is_alone)
            })
            .collect()
    }

    #[test]
    fn what_an_input_shows_while_it_is_alone_is_found_again_as_if_it_had_been_looked_up_at_once() {
        for (alone, beside) in [(100, 300), (1_000, 300), (9_000, 6_000), (20_000, 4_000)] {
            let (mut at_once, mut later) = (sightings(), sightings());
            for (source, millis, seq, is_alone) in shown(alone, beside) {
                let expected = show(&mut at_once, source, millis, seq);
                let sighting = sighting(&later, millis, seq);
                assert_eq!(later.see((0, source), sighting, is_alone), expected, "{alone} {seq}");
            }
            assert_eq!(at_once.repeated(), later.repeated());
            assert!(!later.repeated().is_empty());
        }
    }

    #[test]
    fn nothing_is_looked_up_of_inputs_that_stay_alone() {
        let mut it = sightings();
        for group in 0..4 {
            for seq in 0..2_000 {
                let sighting = sighting(&it, i64::from(group) * 100, seq);
                assert!(!it.see((group, group), sighting, true));
            }
        }
        assert!(it.entries.is_empty() && it.trains.is_empty());
        assert_eq!(it.put_off.len(), 2_000, "those before are over");
        let (own, other) = (sighting(&it, 301, 7), sighting(&it, 301, 8));
        assert!(!it.see((4, 4), other, false), "of another group");
        assert!(it.entries.len() == 1 && !it.see((3, 3), own, false), "given up");
    }

    #[test]
    fn the_number_of_segments_put_off_is_bounded() {
        let mut it = sightings();
        for seq in 0..20_000 {
            let sighting = sighting(&it, 0, seq);
            assert!(!it.see((0, 0), sighting, true));
            assert!(it.put_off.len() <= MAX_SIGHTINGS);
        }
        // What a run can be held to counts on it.
        assert!(size_of::<Sighting>() <= 40 && it.put_off.capacity() <= 4_096);
        assert!(show(&mut it, 1, 0, 19_999) && it.put_off.capacity() == 0);
    }
}
