//! How many sockets were in a state at the same time, made of the intervals of final timelines.
//!
//! Exact to the nanosecond while the series is small. Once ticks have widened it still is exact at
//! the end of every tick: what begins and ends within one tick cancels, whatever spans a tick's end
//! is counted there. So a coarse peak is a true value, and can only miss spikes shorter than
//! [`Concurrency::resolution`].

use std::iter;

use super::sparse::Sparse;
use crate::connection::State;
use crate::near;
use crate::stamp::{Span, Time};

/// Sockets in one state over time.
#[derive(Clone, Debug, Default)]
pub struct Concurrency {
    steps: Sparse<i64, { Concurrency::MAX_STEPS }, 0>,
    /// Up to when the latest of the cut-off intervals is known, and how many are cut off there.
    cut_off: Option<(Time, i64)>,
}

/// The highest value of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// How many at once.
    pub count: u64,
    /// When it was first reached.
    pub at: Time,
}

/// When a series was at or above a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Above {
    /// First moment.
    pub first: Time,
    /// Last moment.
    pub last: Time,
    /// Sum of the times in between that were at or above it.
    pub total: Span,
}

impl Concurrency {
    /// Moments of change that are kept before ticks widen: about 64 KiB.
    pub const MAX_STEPS: usize = 4_096;

    /// Adds a socket that was in the state from `from` to before `until`.
    pub fn add(&mut self, from: Time, until: Time) {
        if until > from {
            self.steps.push(from, 1);
            self.steps.push(until, -1);
        }
    }

    /// Adds a socket that was in the state from `from` and still was at `known_until`, where the
    /// capture, or the record, ends.
    pub fn add_cut_off(&mut self, from: Time, known_until: Time) {
        let known_until = known_until.max(from);
        self.add(from, known_until + Span::from_nanos(1));
        self.cut_off = later(self.cut_off, Some((known_until, 1)));
    }

    /// Adds a socket that was in the state from `from` to before `until`, or, without an end, still
    /// at `known_until`.
    pub fn add_interval(&mut self, from: Time, until: Option<Time>, known_until: Time) {
        match until {
            Some(until) => self.add(from, until),
            None => self.add_cut_off(from, known_until),
        }
    }

    /// Adds the sockets of another shard.
    pub fn merge(&mut self, other: &Self) {
        self.steps.merge(&other.steps);
        self.cut_off = later(self.cut_off, other.cut_off);
    }

    /// Puts the series in order; reading it is cheap then.
    pub(super) fn settle(&mut self) {
        self.steps.settle();
    }

    /// Is exact less often, so that no more than `most` moments of change are kept.
    pub(super) fn coarsen(&mut self, most: usize) {
        self.steps.coarsen(most);
    }

    /// How many moments of change are kept.
    pub(super) const fn extent(&self) -> usize {
        self.steps.extent()
    }

    /// Asks the memory for it.
    pub(super) fn prefetch(&self) {
        near::value(&self.steps);
        near::value(&self.cut_off);
    }

    /// Asks the memory for where the next change is written.
    pub(super) fn prefetch_end(&self) {
        self.steps.prefetch_end();
    }

    /// Whether nothing ever was in the state.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Distance between the moments at which the series is exact.
    #[must_use]
    pub fn resolution(&self) -> Span {
        self.steps.resolution()
    }

    /// How many still were in the state at the end, where the series is cut off.
    #[must_use]
    pub fn at_end(&self) -> u64 {
        self.cut_off.map_or(0, |(_, count)| count.unsigned_abs())
    }

    /// The moments of change, each with the value from then on.
    #[must_use]
    pub fn points(&self) -> Vec<(Time, u64)> {
        let mut points = Vec::with_capacity(self.steps.extent() + 1);
        self.each_point(|at, value| points.push((at, value)));
        points
    }

    /// The same, one after the other.
    #[inline]
    fn each_point(&self, mut visit: impl FnMut(Time, u64)) {
        let (mut value, mut before) = (0_i64, None);
        self.steps.each_tick(|_, at, delta| {
            value += delta;
            // The cut is inside the last tick: what stood there stands at the cut, not after it.
            if let Some((cut, count)) = self.cut_off
                && at > cut
                && before.is_none_or(|before| before < cut)
            {
                visit(cut, count.unsigned_abs());
            }
            before = Some(at);
            visit(at, u64::try_from(value).unwrap_or(0));
        });
    }

    /// The highest value, and when it was first reached.
    #[must_use]
    pub fn peak(&self) -> Option<Peak> {
        let mut peak: Option<Peak> = None;
        self.each_point(|at, count| {
            if count > peak.map_or(0, |peak| peak.count) {
                peak = Some(Peak { count, at });
            }
        });
        peak
    }

    /// The value at `time`.
    #[must_use]
    pub fn at(&self, time: Time) -> u64 {
        let points = self.points();
        let next = points.partition_point(|(at, _)| *at <= time);
        next.checked_sub(1).and_then(|last| points.get(last)).map_or(0, |(_, count)| *count)
    }

    /// The highest value in each of `buckets` equal parts of the time from `from` to `until`.
    #[must_use]
    pub fn timeline(&self, from: Time, until: Time, buckets: usize) -> Vec<u64> {
        let mut ends = parts(from, until, buckets);
        let mut timeline = Vec::with_capacity(buckets);
        let (mut value, mut highest, mut end) = (0, 0, ends.next());
        self.each_point(|at, count| {
            if at < from {
                (value, highest) = (count, count);
                return;
            }
            // The last part includes its end.
            while let Some(behind) = end
                && at >= behind
                && (at > behind || timeline.len() + 1 < buckets)
            {
                timeline.push(highest);
                (highest, end) = (value, ends.next());
            }
            (value, highest) = (count, highest.max(count));
        });
        if timeline.len() < buckets {
            timeline.push(highest);
        }
        timeline.resize(buckets, value);
        timeline
    }

    /// The values at `count` + 1 evenly spaced moments, the first at `from` and the last at `until`.
    #[must_use]
    pub fn samples(&self, from: Time, until: Time, count: usize) -> Vec<u64> {
        let points = self.points();
        let mut points = points.iter().peekable();
        let mut value = 0;
        iter::once(from)
            .chain(parts(from, until, count))
            .map(|moment| {
                while let Some((_, count)) = points.next_if(|(at, _)| *at <= moment) {
                    value = *count;
                }
                value
            })
            .collect()
    }

    /// When the value was `level` or more; none when it never was.
    #[must_use]
    pub fn above(&self, level: u64) -> Option<Above> {
        let mut above: Option<Above> = None;
        let mut since: Option<Time> = None;
        for (at, count) in self.points() {
            match (since, count >= level) {
                (None, true) => {
                    since = Some(at);
                    above.get_or_insert(Above { first: at, last: at, total: Span::ZERO });
                }
                (Some(from), false) => {
                    since = None;
                    if let Some(above) = &mut above {
                        above.last = at;
                        above.total = above.total + at.since(from);
                    }
                }
                _ => {}
            }
        }
        above
    }
}

/// The later of two cuts; those at the same moment add up.
fn later(one: Option<(Time, i64)>, other: Option<(Time, i64)>) -> Option<(Time, i64)> {
    match (one, other) {
        (Some((a, m)), Some((b, n))) if a == b => Some((a, m + n)),
        (one, other) => one.max(other),
    }
}

/// The ends of `count` equal parts of the time from `from` to `until`, without overflow.
fn parts(from: Time, until: Time, count: usize) -> impl Iterator<Item = Time> {
    let (from, until, parts) = (from.nanos(), until.nanos(), (count as u64).max(1));
    let length = until.max(from).abs_diff(from);
    let (step, rest) = (length / parts, length % parts);
    // How far the end is, and how many parts of a nanosecond farther.
    let ends = (0..count).scan((0, 0), move |(nanos, more), _| {
        *nanos += step;
        *more += rest;
        if *more >= parts {
            (*nanos, *more) = (*nanos + 1, *more - parts);
        }
        Some(*nanos)
    });
    ends.map(move |nanos: u64| Time::from_nanos(from.saturating_add_unsigned(nanos)))
}

/// One [`Concurrency`] for each state that ever occurred; nothing is stored for the others.
#[derive(Clone, Debug, Default)]
pub struct StateSeries {
    series: Vec<(State, Concurrency)>,
}

impl StateSeries {
    /// The series of `state`, where the state occurred.
    #[must_use]
    pub fn of(&self, state: State) -> Option<&Concurrency> {
        self.series.iter().find(|(of, _)| *of == state).map(|(_, series)| series)
    }

    /// The highest value of `state`; none where it never occurred.
    #[must_use]
    pub fn peak(&self, state: State) -> Option<Peak> {
        self.of(state).and_then(Concurrency::peak)
    }

    /// Adds the sockets of another shard.
    pub fn merge(&mut self, other: &Self) {
        for (state, series) in &other.series {
            self.of_mut(*state).merge(series);
        }
    }

    /// Puts every series in order.
    pub(super) fn settle(&mut self) {
        self.series.iter_mut().for_each(|(_, series)| series.settle());
    }

    /// Asks the memory for all series.
    pub(super) fn prefetch(&self) {
        self.series.iter().for_each(|(_, series)| series.prefetch());
    }

    /// Asks the memory for where the next changes are written.
    pub(super) fn prefetch_ends(&self) {
        self.series.iter().for_each(|(_, series)| series.prefetch_end());
    }

    /// Every series keeps no more than `most` moments of change.
    pub(super) fn coarsen(&mut self, most: usize) {
        self.series.iter_mut().for_each(|(_, series)| series.coarsen(most));
    }

    /// How many moments of change are kept, of all states.
    pub(super) fn extent(&self) -> usize {
        self.series.iter().map(|(_, series)| series.extent()).sum()
    }

    /// The series of `state`, begun where there was none.
    pub(super) fn of_mut(&mut self, state: State) -> &mut Concurrency {
        let index = self.series.iter().position(|(of, _)| *of == state);
        let index = index.unwrap_or_else(|| {
            // A host has six of them at most.
            self.series.reserve_exact(1);
            self.series.push((state, Concurrency::default()));
            self.series.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found, or pushed just now")]
        &mut self.series[index].1
    }
}
