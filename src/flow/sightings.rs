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
use crate::tcp::Segment;

/// How far two sightings of one transmission may lie apart: the way between the taps and the
/// difference of their clocks. Linux retransmits after 200 ms at the earliest (`TCP_RTO_MIN`), and
/// what is retransmitted sooner has another IP identification or timestamp as a rule.
pub const WINDOW: Span = Span::from_millis(200);

/// Segments remembered by a shard; the oldest leaves first. Half of what fits into a table of 8,192 places, so
/// that it makes room among what was removed and never grows beyond that.
const MAX_SIGHTINGS: usize = 3_584;

/// Inputs that are told apart for one segment; further ones count as repeating it.
const MAX_SOURCES: usize = 4;

/// Where and when a segment was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    group: u32,
    source: u32,
    clock: Time,
    forward: bool,
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
    repeated: BTreeMap<u32, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Hash of everything that makes two sightings those of one segment.
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
            repeated: BTreeMap::new(),
        }
    }

    /// Segments that another input had shown already, by input.
    pub(super) const fn repeated(&self) -> &BTreeMap<u32, u64> {
        &self.repeated
    }

    /// The same for a segment of a batch, if it is watched.
    #[cold]
    pub(super) fn is_repeated_in(
        &mut self,
        (batch, strip): (&Batch, &Strip),
        packed: &Packed,
        segment: &Segment,
    ) -> bool {
        let clock = batch.clock_at(strip, packed);
        let (group, source) = (strip.group, strip.first.file());
        let seen = Seen { group, source, clock, forward: packed.kind.contains(Kind::FORWARD) };
        clock >= strip.watched_from && self.is_repeated(seen, batch.flow_of(packed), segment)
    }

    /// Remembers a segment; true if another input has shown this transmission of it already.
    fn is_repeated(&mut self, seen: Seen, flow: Flow<'_>, segment: &Segment) -> bool {
        self.forget(seen.clock);
        let print = self.print(seen, flow, segment);
        if let Some(entry) = self.entries.find_mut(print, |entry| entry.print == print) {
            if entry.count(seen.source) {
                *self.repeated.entry(seen.source).or_default() += 1;
                return true;
            }
            entry.number = self.next_number;
            entry.clock = seen.clock;
        } else {
            if segment.payload_len > 0 && self.is_cut_otherwise(seen, flow, segment) {
                *self.repeated.entry(seen.source).or_default() += 1;
                return true;
            }
            let entry = Entry::new(print, self.next_number, seen);
            self.entries.insert_unique(print, entry, |entry| entry.print);
        }
        self.queue.push_back((print, self.next_number));
        // Wraps long after an entry of that number has left.
        self.next_number = self.next_number.wrapping_add(1);
        false
    }

    /// Whether another input has shown the bytes in a larger segment, or in smaller ones.
    fn is_cut_otherwise(&mut self, seen: Seen, flow: Flow<'_>, segment: &Segment) -> bool {
        let mut hasher = self.hash_of(seen, flow);
        let stamps = segment.timestamps;
        (segment.ack.0, stamps.value, stamps.echo).hash(&mut hasher);
        let (key, Seen { source, clock, .. }) = (hasher.finish(), seen);
        let is_held = self.trains.hold(key, source, clock, segment);
        if !is_held {
            self.trains.note(key, source, clock, segment);
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

    /// What stays the same on the way from tap to tap: not the TTL, nor a checksum that offload
    /// fills in later.
    fn print(&self, seen: Seen, flow: Flow<'_>, segment: &Segment) -> u64 {
        let mut hasher = self.hash_of(seen, flow);
        let Segment { seq, ack, timestamps, payload_len, window, flags, ip_id, .. } = *segment;
        (seq.0, ack.0, payload_len).hash(&mut hasher);
        (timestamps.value, timestamps.echo, window, flags.0, ip_id).hash(&mut hasher);
        hasher.finish()
    }

    /// A hasher that knows who talks to whom, in which group.
    fn hash_of(&self, seen: Seen, flow: Flow<'_>) -> impl Hasher + use<> {
        let mut hasher = self.hasher.build_hasher();
        match flow {
            Flow::Narrow(flow) => flow.hash(&mut hasher),
            Flow::Wide(tuple, layers) => (tuple, layers).hash(&mut hasher),
        }
        (seen.group, seen.forward).hash(&mut hasher);
        hasher
    }
}

impl Entry {
    fn new(print: u64, number: u32, Seen { source, clock, .. }: Seen) -> Self {
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
    use crate::tcp::Seq;

    fn sightings() -> Sightings {
        Sightings::new(RandomState::default())
    }

    /// Shows the segment `seq` as `source` saw it after so many milliseconds.
    fn show(it: &mut Sightings, source: u32, millis: i64, seq: u32) -> bool {
        let clock = Time::from_nanos(millis * 1_000_000);
        let segment = Segment { seq: Seq(seq), payload_len: 100, ..Segment::default() };
        let seen = Seen { group: 0, source, clock, forward: true };
        it.is_repeated(seen, Flow::Narrow([1, 2, 3]), &segment)
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
}
