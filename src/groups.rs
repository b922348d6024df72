//! A hash table of small numbers, of which nearly every look-up needs one cache line.
//!
//! Twelve numbers share a line with eight bits of the hash of each. What finds its line full goes to
//! the next one, and each line that it passed counts it; so a look-up ends at the first line that
//! nothing passed, and what is taken out leaves no mark. Where a hash points can be asked of the memory
//! before it is looked at, which the tables of `hashbrown` do not let one do.

use crate::near;

/// Numbers by hash. Numbers are told apart by who asks; their hashes are asked for when it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups<T> {
    /// A power of two of them, or none.
    groups: Vec<Group<T>>,
    len: usize,
}

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Group<T> {
    numbers: [T; LANES],
    /// A byte for each number: some bits of its hash and [`USED`], 0 where there is none. The last one
    /// counts those that had no room here.
    tags: [u64; 2],
}

const LANES: usize = 12;

/// How many numbers of a group there are on average when the table grows.
const MANY: usize = 10;

/// So many may have passed, or more: nobody knows, and it stays so until the table grows.
const LOST_COUNT: u64 = 0xff;

/// Where the count of those that passed stands in the second word of tags.
const PASSED: u32 = 56;

/// The lowest bit of each byte.
const ONES: u64 = u64::MAX / 0xff;

const USED: u64 = 0x80;

/// The highest bits of the bytes that stand for numbers.
const USED_LANES: [u64; 2] = [USED * ONES, (USED * ONES) >> 32];

impl<T: Copy + Default> Groups<T> {
    pub(crate) const fn new() -> Self {
        Self { groups: Vec::new(), len: 0 }
    }

    /// How many more there may be before it grows.
    pub(crate) const fn room(&self) -> usize {
        (self.groups.len() * MANY).saturating_sub(self.len)
    }

    /// Asks the memory for where a hash points.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        near::element(&self.groups, self.home(hash));
    }

    /// The number with this hash that `is_it` says is the one.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let (at, lane) = self.place_of(hash, is_it)?;
        self.groups.get(at)?.numbers.get(lane).copied()
    }

    /// The same, to be changed.
    pub(crate) fn find_mut(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let (at, lane) = self.place_of(hash, is_it)?;
        self.groups.get_mut(at)?.numbers.get_mut(lane)
    }

    /// Adds one that is not there.
    pub(crate) fn insert(&mut self, hash: u64, number: T, hash_of: impl Fn(&T) -> u64) {
        if self.room() == 0 {
            self.grow(self.len + 1, hash_of);
        }
        self.put(hash, number);
        self.len += 1;
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) {
        let Some((end, lane)) = self.place_of(hash, is_it) else { return };
        if let Some(group) = self.groups.get_mut(end) {
            group.tag(lane, 0);
        }
        self.len -= 1;
        let mut at = self.home(hash);
        while at != end {
            let Some(group) = self.groups.get_mut(at) else { return };
            let passed = group.passed();
            if passed != 0 && passed != LOST_COUNT {
                let [_, second] = &mut group.tags;
                *second -= 1 << PASSED;
            }
            at = self.after(at);
        }
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize, hash_of: impl Fn(&T) -> u64) {
        if self.room() < more {
            self.grow(self.len + more, hash_of);
        }
    }

    #[cold]
    fn grow(&mut self, wanted: usize, hash_of: impl Fn(&T) -> u64) {
        let count = wanted.div_ceil(MANY).next_power_of_two();
        let empty = Group { numbers: [T::default(); LANES], tags: [0; 2] };
        let before = std::mem::replace(&mut self.groups, vec![empty; count]);
        for group in before {
            for lane in (0..LANES).filter(|lane| group.is_used(*lane)) {
                if let Some(number) = group.numbers.get(lane) {
                    self.put(hash_of(number), *number);
                }
            }
        }
    }

    /// Puts a number into the first group that has room.
    #[inline]
    fn put(&mut self, hash: u64, number: T) {
        let mut at = self.home(hash);
        while let Some(group) = self.groups.get_mut(at) {
            if group.put(number, tag_of(hash)) {
                return;
            }
            let more = u64::from(group.passed() != LOST_COUNT);
            let [_, second] = &mut group.tags;
            *second += more << PASSED;
            at = self.after(at);
        }
    }

    #[inline]
    fn place_of(&self, hash: u64, mut is_it: impl FnMut(&T) -> bool) -> Option<(usize, usize)> {
        let (mut at, tag) = (self.home(hash), tag_of(hash));
        // No more of them than there are, if none has ever been without a passer.
        for _ in 0..self.groups.len() {
            let group = self.groups.get(at)?;
            let mut matches = group.matches(tag);
            while matches != 0 {
                let lane = lane_of(matches);
                if group.numbers.get(lane).is_some_and(&mut is_it) {
                    return Some((at, lane));
                }
                matches &= matches - 1;
            }
            if group.passed() == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits of a hash")]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.groups.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & self.groups.len().wrapping_sub(1)
    }
}

impl<T> Group<T> {
    /// Those that have this tag, and some that may have it, as bits for [`lane_of`].
    #[inline]
    fn matches(&self, tag: u64) -> u64 {
        let [first, second] = self.tags;
        let ([first_lanes, second_lanes], like) = (USED_LANES, tag * ONES);
        // A byte that is 0 borrows from the next one; one above it may seem to be 0 as well then.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        mask(zeros(first ^ like) & first_lanes, zeros(second ^ like) & second_lanes)
    }

    /// Puts a number to where there is none; false if there is no such place.
    #[inline]
    fn put(&mut self, number: T, tag: u64) -> bool {
        let [first, second] = self.tags;
        let [first_lanes, second_lanes] = USED_LANES;
        let free = mask(!first & first_lanes, !second & second_lanes);
        let lane = lane_of(free);
        let Some(place) = self.numbers.get_mut(lane).filter(|_| free != 0) else { return false };
        *place = number;
        self.tag(lane, tag);
        true
    }

    fn is_used(&self, lane: usize) -> bool {
        let tags = self.tags.get(lane / 8).copied().unwrap_or(0);
        tags >> (lane % 8 * 8) & USED != 0
    }

    /// Sets the lane's tag.
    #[inline]
    fn tag(&mut self, lane: usize, tag: u64) {
        if let Some(tags) = self.tags.get_mut(lane / 8) {
            let shift = lane % 8 * 8;
            *tags = *tags & !(0xff << shift) | tag << shift;
        }
    }

    const fn passed(&self) -> u64 {
        let [_, second] = self.tags;
        second >> PASSED
    }
}

/// The highest bits of bytes of both words of tags, in one.
#[inline]
const fn mask(first: u64, second: u64) -> u64 {
    first >> 7 | second >> 6
}

/// The lane of the lowest bit.
#[inline]
const fn lane_of(mask: u64) -> usize {
    let bit = mask.trailing_zeros() as usize;
    bit / 8 + bit % 2 * 8
}

const fn tag_of(hash: u64) -> u64 {
    hash >> 57 | USED
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few places and fewer tags, so that many meet.
    fn crowded(number: u32) -> u64 {
        u64::from(number % 3) | (u64::from(number % 5) << 57)
    }

    fn find(groups: &Groups<u32>, number: u32) -> Option<u32> {
        groups.find(crowded(number), |other| *other == number)
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            steps in prop::collection::vec((0_u32..200, 0_u8..5), 1..600),
        ) {
            let (mut groups, mut map) = (Groups::new(), BTreeMap::new());
            for (number, step) in steps {
                prop_assert_eq!(find(&groups, number), map.get(&number).copied());
                if step > 1 && map.insert(number, number).is_none() {
                    groups.insert(crowded(number), number, |other| crowded(*other));
                } else if step < 2 && map.remove(&number).is_some() {
                    groups.remove(crowded(number), |other| *other == number);
                }
                prop_assert_eq!(groups.len, map.len());
            }
            for number in 0..200 {
                prop_assert_eq!(find(&groups, number), map.remove(&number));
            }
        }
    }

    #[test]
    fn what_is_taken_out_leaves_no_mark() {
        let mut groups = Groups::new();
        groups.reserve(80, |_| 0);
        for number in 0..60 {
            groups.insert(5, number, |_| 0);
        }
        assert!(groups.groups.iter().any(|group| group.passed() > 0));
        assert_eq!(groups.find(5, |other| *other == 59), Some(59));
        for number in (0..60).rev() {
            groups.remove(5, |other| *other == number);
        }
        assert!(groups.groups.iter().all(|group| group.tags == [0; 2]));
    }

    #[test]
    fn a_group_is_one_cache_line() {
        assert_eq!(size_of::<Group<u32>>(), 64);
    }

    #[test]
    fn more_that_pass_than_are_counted_are_still_found() {
        let mut groups = Groups::new();
        groups.reserve(2_000, |_| 0);
        for number in 0..700 {
            groups.insert(0, number, |_| 0);
        }
        (0..600).for_each(|number| groups.remove(0, |other| *other == number));
        assert_eq!(groups.find(0, |other| *other == 650), Some(650));
        assert_eq!(groups.find(0, |other| *other == 50), None);
    }
}
