//! Which bytes of one direction the tap has seen.
//!
//! Offsets are 64-bit positions in the stream: 0 is the SYN, 1 the first byte. The same type keeps
//! the bytes that SACK reports. Ranges beyond the first gap are bounded; what does not fit is
//! counted, never silently lost.

use crate::compact::compact;

/// Bytes seen, as one contiguous part and bounded ranges beyond it.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    /// Everything from the start up to here was seen, or was skipped as lost.
    next: i64,
    /// Made with the first hole.
    holes: Option<Box<Holes>>,
}

compact!(struct Coverage { next, holes });

/// What is not contiguous.
#[derive(Clone, Debug, Default)]
struct Holes {
    /// Disjoint ranges beyond `next`, sorted; neighbours do not touch.
    beyond: Vec<(i64, i64)>,
    /// Bytes that no captured segment carried, though they must have been sent.
    missing: u64,
    /// The latest ranges of them: a segment that passes the tap late takes its bytes back.
    skipped: Vec<(i64, i64)>,
    /// Ranges that did not fit [`Coverage::MAX_RANGES`].
    dropped: u32,
}

compact!(struct Holes { beyond, missing, skipped, dropped });

/// What a segment added to the coverage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// Bytes seen for the first time.
    pub(super) new: u64,
    /// Bytes seen before, or given up as lost before.
    pub(super) old: u64,
}

impl Coverage {
    /// How many ranges beyond a gap are kept per direction.
    pub(super) const MAX_RANGES: usize = 64;

    /// A coverage that starts at `start`.
    pub(super) fn starting_at(start: i64) -> Self {
        Self { next: start, ..Self::default() }
    }

    /// The first byte not seen.
    pub(super) const fn next(&self) -> i64 {
        self.next
    }

    /// Bytes given up as missing, and those of gaps still open.
    pub(super) fn missing(&self) -> u64 {
        let Some(holes) = &self.holes else { return 0 };
        let mut open = 0;
        let mut from = self.next;
        for &(start, end) in &holes.beyond {
            open += length(from, start);
            from = end;
        }
        holes.missing + open
    }

    /// Ranges that did not fit the bound.
    pub(super) fn dropped(&self) -> u32 {
        self.holes.as_ref().map_or(0, |holes| holes.dropped)
    }

    /// Marks `[start, end)` as seen.
    #[inline]
    pub(super) fn add(&mut self, start: i64, end: i64) -> Added {
        if start == self.next && self.holes.is_none() {
            self.next = self.next.max(end);
            return Added { new: length(start, end), old: 0 };
        }
        self.add_closely(start, end)
    }

    fn add_closely(&mut self, start: i64, end: i64) -> Added {
        let total = length(start, end);
        let is_contiguous = self.holes.as_ref().is_none_or(|holes| holes.beyond.is_empty());
        if start <= self.next && is_contiguous {
            let new = length(self.next.max(start), end).min(total);
            self.next = self.next.max(end);
            return Added { new, old: total - new };
        }
        let new = self.add_beyond(start.max(self.next), end);
        Added { new, old: total - new }
    }

    /// Marks `[start, end)` as seen, some of which lies before what was seen or skipped.
    pub(super) fn add_late(&mut self, start: i64, end: i64) -> Added {
        let taken_back = self.holes.as_mut().map_or(0, |holes| holes.take_back(start, end));
        let Added { new, old } = self.add(start, end);
        Added { new: new + taken_back, old: old - taken_back }
    }

    /// Forgets what lies before `offset`, without calling any of it missing.
    pub(super) fn forget_before(&mut self, offset: i64) {
        if offset > self.next {
            self.next = offset;
            self.absorb();
        }
    }

    /// Bytes in the ranges beyond `offset`.
    pub(super) fn beyond(&self, offset: i64) -> u64 {
        let ranges = self.holes.iter().flat_map(|holes| &holes.beyond);
        ranges.map(|&(start, end)| length(start.max(offset), end)).sum()
    }

    /// The peer acknowledged up to `end`: what was not seen before it is missing for good.
    #[inline]
    pub(super) fn skip_to(&mut self, end: i64) {
        if end > self.next {
            self.skip_unseen(end);
        }
    }

    fn skip_unseen(&mut self, end: i64) {
        let holes = self.holes.get_or_insert_default();
        let mut from = self.next;
        let seen: Vec<_> = holes.beyond.iter().copied().take_while(|range| range.0 < end).collect();
        for (start, until) in seen {
            holes.skip(from, start);
            from = until;
        }
        holes.skip(from, end);
        self.next = end;
        self.absorb();
    }

    fn add_beyond(&mut self, start: i64, end: i64) -> u64 {
        if start >= end {
            return 0;
        }
        let beyond = &mut self.holes.get_or_insert_default().beyond;
        let first = beyond.partition_point(|range| range.1 < start);
        let last = beyond.partition_point(|range| range.0 <= end);
        let touched = beyond.get(first..last).unwrap_or_default();
        let seen: u64 =
            touched.iter().map(|range| length(range.0.max(start), range.1.min(end))).sum();
        let merged = (
            touched.first().map_or(start, |range| range.0.min(start)),
            touched.last().map_or(end, |range| range.1.max(end)),
        );
        beyond.splice(first..last, [merged]);
        self.absorb();
        if let Some(holes) = self.holes.as_mut().filter(|it| it.beyond.len() > Self::MAX_RANGES) {
            // The oldest gap is given up: it is the least likely to be filled.
            let until = holes.beyond.first().map_or(self.next, |range| range.0);
            holes.dropped = holes.dropped.saturating_add(1);
            self.skip_to(until);
        }
        length(start, end) - seen
    }

    fn absorb(&mut self) {
        let Some(holes) = &mut self.holes else { return };
        let reached = holes.beyond.partition_point(|range| range.0 <= self.next);
        if let Some(last) = holes.beyond.drain(..reached).next_back() {
            self.next = self.next.max(last.1);
        }
    }
}

impl Holes {
    /// How many skipped ranges are kept per direction.
    const MAX_SKIPPED: usize = 16;

    /// No captured segment carried `[start, end)`.
    fn skip(&mut self, start: i64, end: i64) {
        if start < end {
            self.missing += length(start, end);
            if let Some(last) = self.skipped.last_mut().filter(|last| last.1 == start) {
                last.1 = end;
                return;
            }
            if self.skipped.len() >= Self::MAX_SKIPPED {
                self.skipped.remove(0);
            }
            self.skipped.push((start, end));
        }
    }

    /// Of what was skipped, `[start, end)` is captured after all: how many bytes that is.
    fn take_back(&mut self, start: i64, end: i64) -> u64 {
        let mut taken_back = 0;
        let mut rest = Vec::new();
        for &(from, until) in &self.skipped {
            taken_back += length(from.max(start), until.min(end));
            rest.extend([(from, until.min(start)), (from.max(end), until)]);
        }
        rest.retain(|range| range.0 < range.1);
        rest.truncate(Self::MAX_SKIPPED);
        self.skipped = rest;
        self.missing -= taken_back;
        taken_back
    }
}

fn length(start: i64, end: i64) -> u64 {
    u64::try_from(end.saturating_sub(start)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_order_extend_the_contiguous_part() {
        let mut coverage = Coverage::starting_at(1);
        assert_eq!(coverage.add(1, 11), Added { new: 10, old: 0 });
        assert_eq!(coverage.add(6, 16), Added { new: 5, old: 5 });
        assert_eq!((coverage.next(), coverage.missing()), (16, 0));
    }

    #[test]
    fn a_gap_is_missing_until_it_is_filled() {
        let mut coverage = Coverage::starting_at(1);
        assert_eq!(coverage.add(11, 21).new, 10);
        assert_eq!((coverage.next(), coverage.missing()), (1, 10));
        assert_eq!(coverage.add(1, 11), Added { new: 10, old: 0 });
        assert_eq!((coverage.next(), coverage.missing()), (21, 0));
    }

    #[test]
    fn an_acknowledged_gap_is_missing_until_its_bytes_pass_the_tap_late() {
        let mut coverage = Coverage::starting_at(1);
        coverage.add(11, 21);
        coverage.skip_to(31);
        assert_eq!((coverage.next(), coverage.missing()), (31, 20));
        assert_eq!(coverage.add_late(3, 13), Added { new: 8, old: 2 });
        assert_eq!((coverage.next(), coverage.missing()), (31, 12));
        assert_eq!(coverage.add_late(1, 11), Added { new: 2, old: 8 });
        assert_eq!(coverage.missing(), 10);
    }

    #[test]
    fn ranges_are_bounded_and_the_overflow_is_counted() {
        let mut coverage = Coverage::starting_at(0);
        for index in 0..1_000 {
            coverage.add(index * 10 + 5, index * 10 + 6);
        }
        assert!(coverage.holes.as_ref().unwrap().beyond.len() <= Coverage::MAX_RANGES);
        assert!(coverage.dropped() > 0);
    }

    #[test]
    fn any_order_of_ranges_counts_each_byte_once() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from((state >> 33) % below).unwrap()
        };
        for _ in 0..200 {
            let mut coverage = Coverage::starting_at(0);
            let mut seen = [false; 300];
            for _ in 0..40 {
                let start = random(250);
                let end = start + random(50);
                let fresh = (start..end).filter(|&at| !seen[usize::try_from(at).unwrap()]).count();
                let added = coverage.add_late(start, end);
                assert_eq!(added.new, u64::try_from(fresh).unwrap());
                (start..end).for_each(|at| seen[usize::try_from(at).unwrap()] = true);
            }
            let contiguous = seen.iter().take_while(|byte| **byte).count();
            assert_eq!(coverage.next(), i64::try_from(contiguous).unwrap());
        }
    }
}
