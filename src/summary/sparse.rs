//! A bounded, mergeable series: amounts at moments, in ticks that widen when there are too many.
//!
//! A tick is 2^shift nanoseconds long and aligned to absolute time, so that a series can always be
//! brought to a wider tick by a shift, and two series to a common one. Only touched ticks are kept.
//!
//! Why the order of additions leaves no trace: the final shift is the smallest at which all touched
//! ticks fit the bound. Touched ticks are never forgotten, even when their amounts cancel, so a part
//! of the additions never needs a wider tick than all of them, and widening twice equals widening
//! once. Knows nothing of what the amounts mean.

use crate::stamp::{Span, Time};

/// Something that can be added up in any order.
pub(crate) trait Amount: Copy {
    /// Adds `other`.
    fn add(&mut self, other: &Self);
}

impl Amount for i64 {
    fn add(&mut self, other: &Self) {
        *self = self.wrapping_add(*other);
    }
}

/// Amounts by tick: at most `BOUND` ticks, the first resolution being 2^`START` ns.
#[derive(Clone, Debug)]
pub(crate) struct Sparse<V, const BOUND: usize, const START: u8> {
    shift: u8,
    /// Entries in order and without repetition; those behind it are as they came.
    settled: u32,
    entries: Vec<(i64, V)>,
}

impl<V, const BOUND: usize, const START: u8> Default for Sparse<V, BOUND, START> {
    fn default() -> Self {
        Self { shift: START, settled: 0, entries: Vec::new() }
    }
}

impl<V: Amount, const BOUND: usize, const START: u8> Sparse<V, BOUND, START> {
    /// Fewer unsettled entries than this are not worth sorting.
    const MIN_PENDING: usize = 64;

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries are kept.
    pub(crate) const fn extent(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn push(&mut self, at: Time, amount: V) {
        let tick = at.nanos() >> self.shift;
        match self.entries.last_mut() {
            Some((last, sum)) if *last == tick => sum.add(&amount),
            _ => {
                // Most series never get more than two: a capture has many hosts and few busy ones. Room that
                // doubled would be empty by a third.
                if self.entries.len() == self.entries.capacity() {
                    self.entries.reserve_exact((self.entries.len() / 2).max(2));
                }
                self.entries.push((tick, amount));
            }
        }
        self.settle_many();
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.widen_to(other.shift);
        let narrower = self.shift - other.shift;
        self.entries.extend(other.entries.iter().map(|(tick, sum)| (tick >> narrower, *sum)));
        self.settle_many();
    }

    /// Length of a tick.
    pub(crate) fn resolution(&self) -> Span {
        let shift = if self.is_settled() { self.shift } else { self.settled().shift };
        Span::from_nanos(1_i64 << shift)
    }

    /// Touched ticks in order: first moment, last moment, sum.
    pub(crate) fn ticks(&self) -> Vec<(Time, Time, V)> {
        let settled = (!self.is_settled()).then(|| self.settled());
        let Self { shift, entries, .. } = settled.as_ref().unwrap_or(self);
        let length = 1_i64 << shift;
        let moments = |(tick, sum): &(i64, V)| {
            let first = tick << shift;
            (Time::from_nanos(first), Time::from_nanos(first.saturating_add(length - 1)), *sum)
        };
        entries.iter().map(moments).collect()
    }

    const fn is_settled(&self) -> bool {
        self.settled as usize == self.entries.len()
    }

    fn settled(&self) -> Self {
        let mut settled = self.clone();
        settled.settle();
        settled
    }

    /// Settles once the entries that are not are as many as the others, so that sorting costs the
    /// same for every entry, however many additions and merges there are.
    fn settle_many(&mut self) {
        let settled = self.settled as usize;
        if self.entries.len() >= settled + settled.max(Self::MIN_PENDING) {
            self.settle();
        }
    }

    /// Puts the entries in order, and widens the ticks until they fit.
    pub(crate) fn settle(&mut self) {
        if self.is_settled() {
            return;
        }
        // Perf: whole runs, small connections. What was settled is in order, and so is what another
        // series brought: a sort that looks for that takes a quarter of the instructions.
        self.entries.sort_by_key(|(tick, _)| *tick);
        self.coalesce();
        while self.entries.len() > BOUND {
            self.widen_to(self.shift + 1);
        }
        self.settled = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
    }

    /// Widens the ticks until no more than `most` are touched, two at least.
    pub(crate) fn coarsen(&mut self, most: usize) {
        if self.entries.len() <= most.max(2) {
            return;
        }
        self.settle();
        while self.entries.len() > most.max(2) {
            self.widen_to(self.shift + 1);
        }
        self.settled = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.shrink_to_fit();
    }

    /// Brings the entries to ticks of 2^`shift` ns; order is preserved, since `>>` is monotone.
    fn widen_to(&mut self, shift: u8) {
        if shift > self.shift {
            let narrower = shift - self.shift;
            for (tick, _) in &mut self.entries {
                *tick >>= narrower;
            }
            self.shift = shift;
            self.coalesce();
            self.settled = 0;
        }
    }

    fn coalesce(&mut self) {
        self.entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1.add(&later.1);
            }
            same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Sparse<i64, 4, 0>;

    #[test]
    fn ticks_stay_one_nanosecond_while_they_fit() {
        let mut series = Small::default();
        for at in [9, 3, 7, 5] {
            series.push(Time::from_nanos(at), 1);
        }
        let firsts: Vec<_> = series.ticks().iter().map(|tick| tick.0.nanos()).collect();
        assert_eq!((firsts, series.resolution()), (vec![3, 5, 7, 9], Span::from_nanos(1)));
    }

    #[test]
    fn one_tick_too_many_doubles_the_resolution() {
        let mut series = Small::default();
        for at in [-1, 3, 7, 5, 2] {
            series.push(Time::from_nanos(at), 1);
        }
        series.settle();
        assert_eq!(series.resolution(), Span::from_nanos(2));
        let ticks: Vec<_> =
            series.ticks().iter().map(|t| (t.0.nanos(), t.1.nanos(), t.2)).collect();
        assert_eq!(ticks, [(-2, -1, 1), (2, 3, 2), (4, 5, 1), (6, 7, 1)]);
    }

    #[test]
    fn coarser_at_once_or_by_and_by_is_the_same() {
        let times = (0..60).map(|n: i64| Time::from_nanos(n * n * 37 % 1_000));
        let mut at_once = Sparse::<i64, 64, 0>::default();
        let mut by_and_by = at_once.clone();
        for at in times {
            at_once.push(at, 1);
            by_and_by.push(at, 1);
            by_and_by.coarsen(20);
        }
        assert!(at_once.ticks().len() > 30, "{:?}", at_once.ticks());
        at_once.coarsen(10);
        by_and_by.coarsen(10);
        assert!(at_once.extent() <= 10);
        assert_eq!(at_once.ticks(), by_and_by.ticks());
    }

    #[test]
    fn the_whole_range_of_time_fits() {
        let mut series = Small::default();
        for at in [i64::MIN, -1, 0, 1, 2, 3, i64::MAX] {
            series.push(Time::from_nanos(at), 1);
        }
        series.settle();
        assert!(series.entries.len() <= 4);
        assert_eq!(series.ticks().iter().map(|tick| tick.2).sum::<i64>(), 7);
    }
}
