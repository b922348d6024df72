//! A bounded, mergeable series: amounts at moments, in ticks that widen when there are too many.
//!
//! A tick is 2^shift nanoseconds long and aligned to absolute time, so that a series can always be
//! brought to a wider tick by a shift, and two series to a common one. Only touched ticks are kept.
//!
//! Why the order of additions leaves no trace: the final shift is the smallest at which all touched
//! ticks fit the bound. Touched ticks are never forgotten, even when their amounts cancel, so a part
//! of the additions never needs a wider tick than all of them, and widening twice equals widening
//! once.
//!
//! A capture of a day has millions of amounts, most of them one more or one less some milliseconds after
//! the one before: so they lie in few bytes, each tick as its distance from the one before it.
//! Knows nothing of what the amounts mean.

use super::brief::packed::{put, put_signed, signed, take, take_signed, unsigned};
use crate::near;
use crate::stamp::{Span, Time};

/// Something that can be added up in any order.
pub(crate) trait Amount: Copy {
    /// Adds `other`.
    fn add(&mut self, other: &Self);

    /// The number of one of the three most common amounts, from 0 on.
    fn common(&self) -> Option<u64> {
        None
    }

    /// The common amount of that number.
    fn of_common(_: u64) -> Option<Self> {
        None
    }

    /// Appends it in few bytes.
    fn pack(&self, into: &mut Vec<u8>);

    /// The one at the front of `bytes`, which is taken off.
    fn unpack(bytes: &mut &[u8]) -> Option<Self>;
}

impl Amount for i64 {
    fn add(&mut self, other: &Self) {
        *self = self.wrapping_add(*other);
    }

    /// One more, one less, and both at the same time.
    fn common(&self) -> Option<u64> {
        match self {
            1 => Some(0),
            -1 => Some(1),
            0 => Some(2),
            _ => None,
        }
    }

    fn of_common(number: u64) -> Option<Self> {
        [1, -1, 0].get(usize::try_from(number).ok()?).copied()
    }

    fn pack(&self, into: &mut Vec<u8>) {
        put_signed(into, *self);
    }

    fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        take_signed(bytes)
    }
}

/// Amounts by tick: at most `BOUND` ticks, the first resolution being 2^`START` ns.
#[derive(Clone, Debug)]
pub(crate) struct Sparse<V, const BOUND: usize, const START: u8> {
    shift: u8,
    settled: Run,
    /// What came later, as it came.
    pending: Run,
    /// What came last, which more may be added to.
    last: Option<(i64, V)>,
}

/// Ticks and their amounts, packed: each tick as its distance from the one before, and a common amount in
/// the lowest bits of the same number.
#[derive(Clone, Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    count: u32,
    last: i64,
}

impl Run {
    /// Bytes by which it grows, at most a quarter of what it has.
    const STEP: usize = 32;
    /// The lowest bits of a number that holds a common amount, and what they are where none is.
    const BITS: u32 = 2;
    const OTHER: u64 = 3;
    /// Distances that leave room for these bits.
    const NEAR: u64 = 1 << 54;

    #[inline]
    fn push<V: Amount>(&mut self, tick: i64, amount: &V) {
        if self.bytes.capacity() - self.bytes.len() < Self::STEP / 2 {
            self.bytes.reserve_exact(Self::STEP.max(self.bytes.len() / 4));
        }
        let distance = unsigned(tick.wrapping_sub(self.last));
        if let Some(common) = amount.common().filter(|_| distance < Self::NEAR) {
            put(&mut self.bytes, distance << Self::BITS | common);
        } else {
            put(&mut self.bytes, Self::OTHER);
            put(&mut self.bytes, distance);
            amount.pack(&mut self.bytes);
        }
        (self.last, self.count) = (tick, self.count.saturating_add(1));
    }

    const fn len(&self) -> usize {
        self.count as usize
    }

    /// An empty one with room for the amounts of two others.
    fn for_both(one: &Self, other: &Self) -> Self {
        let room = one.bytes.len() + other.bytes.len() + Self::STEP;
        Self { bytes: Vec::with_capacity(room), ..Self::default() }
    }

    /// Unpacks all of it.
    #[inline]
    fn each<V: Amount>(&self, mut visit: impl FnMut(i64, V)) {
        let mut bytes = self.bytes.as_slice();
        let mut tick = 0_i64;
        while let Some((distance, amount)) = Self::take_next(&mut bytes) {
            tick = tick.wrapping_add(signed(distance));
            visit(tick, amount);
        }
    }

    /// The next distance and amount of packed ones.
    #[inline]
    fn take_next<V: Amount>(bytes: &mut &[u8]) -> Option<(u64, V)> {
        let number = take(bytes)?;
        if number & Self::OTHER == Self::OTHER {
            return Some((take(bytes)?, V::unpack(bytes)?));
        }
        Some((number >> Self::BITS, V::of_common(number & Self::OTHER)?))
    }
}

impl<V, const BOUND: usize, const START: u8> Default for Sparse<V, BOUND, START> {
    fn default() -> Self {
        Self { shift: START, settled: Run::default(), pending: Run::default(), last: None }
    }
}

impl<V: Amount, const BOUND: usize, const START: u8> Sparse<V, BOUND, START> {
    /// Perf: whole runs, small connections. Fewer unsettled entries than this wait for the end, or until
    /// somebody reads them: with 64 each entry was unpacked, sorted and packed three times.
    const MIN_PENDING: usize = BOUND / 4;

    pub(crate) const fn is_empty(&self) -> bool {
        self.extent() == 0
    }

    /// How many entries are kept.
    pub(crate) const fn extent(&self) -> usize {
        self.settled.len() + self.pending.len() + self.last.is_some() as usize
    }

    /// Asks the memory for where the next amount is written.
    pub(crate) fn prefetch_end(&self) {
        near::element(&self.pending.bytes, self.pending.bytes.len());
    }

    pub(crate) fn push(&mut self, at: Time, amount: V) {
        let tick = at.nanos() >> self.shift;
        match &mut self.last {
            Some((last, sum)) if *last == tick => sum.add(&amount),
            last => {
                if let Some((tick, sum)) = last.replace((tick, amount)) {
                    self.pending.push(tick, &sum);
                    self.settle_many();
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let mut entries = self.entries();
        let mut others = other.entries();
        let shift = self.shift.max(other.shift);
        widen(&mut entries, shift - self.shift);
        widen(&mut others, shift - other.shift);
        entries.extend(others);
        self.shift = shift;
        self.set(entries, BOUND);
    }

    /// Length of a tick.
    pub(crate) fn resolution(&self) -> Span {
        let shift = if self.is_settled() { self.shift } else { self.settled().shift };
        Span::from_nanos(1_i64 << shift)
    }

    /// Touched ticks in order: first moment, last moment, sum.
    pub(crate) fn ticks(&self) -> Vec<(Time, Time, V)> {
        let mut ticks = Vec::with_capacity(self.extent());
        self.each_tick(|first, last, sum| ticks.push((first, last, sum)));
        ticks
    }

    /// The same, one after the other.
    #[inline]
    pub(crate) fn each_tick(&self, mut visit: impl FnMut(Time, Time, V)) {
        let settled = (!self.is_settled()).then(|| self.settled());
        let of = settled.as_ref().unwrap_or(self);
        let length = 1_i64 << of.shift;
        of.settled.each(|tick, sum| {
            let first = tick << of.shift;
            let last = first.saturating_add(length - 1);
            visit(Time::from_nanos(first), Time::from_nanos(last), sum);
        });
    }

    const fn is_settled(&self) -> bool {
        self.last.is_none()
    }

    fn settled(&self) -> Self {
        let mut settled = self.clone();
        settled.settle();
        settled
    }

    /// Settles once the entries that are not are as many as the others, so that it costs the same for
    /// every entry, however many additions there are.
    fn settle_many(&mut self) {
        if self.pending.len() >= self.settled.len().max(Self::MIN_PENDING) {
            self.settle();
        }
    }

    /// Puts the entries in order, and widens the ticks until they fit.
    pub(crate) fn settle(&mut self) {
        if !self.is_settled() {
            let entries = self.entries();
            self.set(entries, BOUND);
        }
    }

    /// Widens the ticks until no more than `most` are touched, two at least.
    pub(crate) fn coarsen(&mut self, most: usize) {
        if self.extent() > most.max(2) {
            let entries = self.entries();
            self.set(entries, most.clamp(2, BOUND));
        }
    }

    /// Holds the entries, in ticks so wide that no more than `most` are touched.
    fn set(&mut self, mut entries: Vec<(i64, V)>, most: usize) {
        // Perf: whole runs, small connections. What was settled is in order, and so is what another
        // series brought: a sort that looks for that takes a quarter of the instructions.
        entries.sort_by_key(|(tick, _)| *tick);
        widen(&mut entries, 0);
        while entries.len() > most {
            widen(&mut entries, 1);
            self.shift += 1;
        }
        let mut settled = Run::for_both(&self.settled, &self.pending);
        for (tick, amount) in &entries {
            settled.push(*tick, amount);
        }
        settled.bytes.shrink_to_fit();
        (self.settled, self.pending, self.last) = (settled, Run::default(), None);
    }

    /// All entries: those that are settled, and the others behind them.
    fn entries(&self) -> Vec<(i64, V)> {
        let mut entries = Vec::with_capacity(self.extent());
        self.settled.each(|tick, amount| entries.push((tick, amount)));
        self.pending.each(|tick, amount| entries.push((tick, amount)));
        entries.extend(self.last);
        entries
    }
}

/// Brings entries that are in order to ticks that are 2^`times` as wide, and adds up those of one tick;
/// the order stays, since `>>` is monotone.
fn widen<V: Amount>(entries: &mut Vec<(i64, V)>, times: u8) {
    for (tick, _) in &mut *entries {
        *tick >>= times;
    }
    entries.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1.add(&later.1);
        }
        same
    });
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
    fn amounts_of_any_size_at_any_distance_survive_being_packed() {
        let mut run = Run::default();
        let ticks =
            [i64::MIN, i64::MIN + 1, -1, 0, 5, 1 << 53, (1 << 53) + 1, 1 << 62, i64::MAX, 3];
        let amounts = [1, -1, 0, 2, i64::MIN, 1, -1, 0, i64::MAX, 1];
        let entries: Vec<(i64, i64)> = ticks.into_iter().zip(amounts).collect();
        for (tick, amount) in &entries {
            run.push(*tick, amount);
        }
        let mut unpacked = Vec::new();
        run.each(|tick, amount: i64| unpacked.push((tick, amount)));
        assert_eq!(unpacked, entries);
        assert_eq!(run.len(), entries.len());
    }

    #[test]
    fn the_whole_range_of_time_fits() {
        let mut series = Small::default();
        for at in [i64::MIN, -1, 0, 1, 2, 3, i64::MAX] {
            series.push(Time::from_nanos(at), 1);
        }
        series.settle();
        assert!(series.extent() <= 4);
        assert_eq!(series.ticks().iter().map(|tick| tick.2).sum::<i64>(), 7);
    }
}
