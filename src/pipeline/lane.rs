//! Inputs that overlap in time are read side by side: each in a lane of its own.
//!
//! A lane's clock is the highest time that its input has shown; segments are merged by it. What
//! lies before the lowest clock of all lanes, and before the first time of the next input, can be
//! consumed: nothing earlier can come any more. The lane that is behind is read on, and so are those of
//! which no more waits than what was read last; the others wait, so no lane holds more than two shares
//! of one wave. Inputs that follow one another in time
//! are one lane after the other, and nothing is ever held.
//!
//! A capture of several interfaces is written a block of one after a block of the other. Its segments
//! are put in the order of their times, as far as those blocks reach; what may still be overtaken
//! waits.
//!
//! Knows nothing of how lanes are fed or verified.

use std::collections::VecDeque;

use super::feed::Feeding;
use super::joins::Entry;
use super::reading::Reading;
use super::verify::Position;
use super::wave::Ready;
use crate::decode::Reassembler;
use crate::flow::{Batch, Horizon};
use crate::stamp::{Span, Time};

/// Inputs read side by side at most: each takes a file handle. A further one begins when the one
/// so many places before it has ended; what it has from before is read late.
pub(super) const MAX_LANES: usize = 200;

/// An input that is being read.
#[derive(Debug)]
pub(super) struct Lane {
    /// Index of the input.
    pub(super) input: u32,
    /// None: it has been ordered to its end.
    pub(super) feeding: Option<Feeding>,
    pub(super) position: Option<Position>,
    pub(super) reassembler: Reassembler,
    /// Before which time, by the plan, nothing of it comes.
    first_time: Time,
    /// Nothing is read beside it.
    alone: bool,
    /// Its first chunk has been verified, or is about to be.
    entered: bool,
    /// It is not read on until more of what was read can be consumed.
    waits: bool,
    /// Before which place nothing came of what was read of it last.
    before: Horizon,
    /// The highest time that it has shown.
    pub(super) clock: Time,
    /// How far behind that its segments may be and still be put in their place.
    slack: Span,
    /// What may still wait for those: segments of the latest chunks, and the clock behind each.
    recent: VecDeque<(Time, u64)>,
}

/// How far apart the interfaces of one capture are written: dumpcap reads each of them in blocks of
/// up to 250 ms (its `CAP_READ_TIMEOUT`).
pub(super) const SLACK: Span = Span::from_millis(500);

impl Lane {
    pub(super) fn new(feeding: Feeding, first_time: Time, alone: bool) -> Self {
        let slack = if feeding.is_shuffled { SLACK } else { Span::ZERO };
        Self {
            slack,
            recent: VecDeque::new(),
            before: Horizon::new(first_time, feeding.input),
            input: feeding.input,
            feeding: Some(feeding),
            position: None,
            reassembler: Reassembler::new(),
            first_time,
            alone,
            entered: false,
            waits: false,
            clock: Time::MIN,
        }
    }

    /// That of a file which has been read whole.
    pub(super) fn of_whole(input: u32, first_time: Time) -> Self {
        Self {
            slack: Span::ZERO,
            recent: VecDeque::new(),
            before: Horizon::new(first_time, input),
            input,
            feeding: None,
            position: None,
            reassembler: Reassembler::new(),
            first_time,
            alone: false,
            entered: false,
            waits: false,
            clock: Time::MIN,
        }
    }

    /// It is to be read on.
    pub(super) const fn is_hungry(&self) -> bool {
        self.feeding.is_some() && !self.waits
    }

    /// It is about to be read on.
    pub(super) fn turn(&mut self) -> u32 {
        self.before = self.horizon();
        self.input
    }

    /// Something of it has come, and more will.
    pub(super) const fn is_under_way(&self) -> bool {
        self.entered && self.feeding.is_some()
    }

    /// Before which place nothing more of it can come.
    fn horizon(&self) -> Horizon {
        let clock = if self.entered { self.clock - self.slack } else { self.first_time };
        Horizon::new(clock, self.input)
    }

    /// Takes in what the next chunk of it holds, and puts that in order. Order is given up if more
    /// than `most` segments wait for it: so many in so short a time come from no interface.
    ///
    /// False if it does not put anything in order.
    pub(super) fn advance(&mut self, batch: &mut Batch, strip: usize, most: u64) -> bool {
        self.clock = batch.strip(strip).clock_after();
        if self.slack == Span::ZERO {
            return false;
        }
        self.recent.push_back((self.clock, batch.segments()));
        batch.put_in_order(self.slack);
        self.bound(most);
        true
    }

    fn bound(&mut self, max_waiting: u64) {
        let ready = self.clock - self.slack;
        while self.recent.pop_front_if(|(clock, _)| *clock < ready).is_some() {}
        if self.recent.iter().map(|(_, segments)| segments).sum::<u64>() > max_waiting {
            self.slack = Span::ZERO;
            self.recent.clear();
        }
    }
}

impl Reading<'_> {
    /// Bytes of a wave for each lane. Of each, as much may wait.
    pub(super) fn share(&self, budget: u64) -> u64 {
        match self.lanes.len() as u64 {
            0 | 1 => budget,
            lanes => budget.div_ceil(2 * lanes),
        }
    }

    /// The next input has to be read now: the lanes that there are have come to its first time.
    pub(super) fn next_is_due(&mut self) -> bool {
        let Some(next) = self.next_horizon() else { return false };
        let lowest = self.lanes.iter().map(Lane::horizon).min();
        self.next_may_begin() && lowest.is_some_and(|lowest| next < lowest)
    }

    /// The next input may be read: those before it have been ordered to their ends.
    pub(super) fn next_is_free(&self) -> bool {
        self.next_may_begin() && self.lanes.iter().all(|lane| lane.feeding.is_none())
    }

    fn next_may_begin(&self) -> bool {
        let Some(next) = self.plan.inputs.last() else { return false };
        let mut unfinished = self.lanes.iter().filter(|lane| lane.feeding.is_some());
        // Those that have been ordered to their ends are verified before anything of the next one.
        let oldest = unfinished.clone().next().map(|lane| lane.input as usize);
        let has_room = oldest.is_none_or(|oldest| self.accounts.len() < oldest + MAX_LANES);
        has_room && unfinished.all(|lane| !lane.alone && !next.is_alone())
    }

    /// Before which place nothing of the next input can come; none if there is no next input, or
    /// if it waits for a lane to end.
    fn next_horizon(&mut self) -> Option<Horizon> {
        let next = self.plan.inputs.last()?;
        let index = self.accounts.len();
        let waited = index.checked_sub(MAX_LANES);
        let is_waiting = self.lanes.iter().any(|lane| {
            next.is_alone() || waited.is_some_and(|waited| lane.input as usize <= waited)
        });
        if is_waiting {
            return None;
        }
        let floor = self.joins.floor(next.earliest(), next.is_alone(), index, &self.accounts);
        Some(Horizon::new(floor, u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// Works out, when the first chunk of an input is verified, how it lies to the others. By then
    /// all inputs before it have been read to their ends, or beyond its first time.
    pub(super) fn enter(&mut self, input: u32) {
        let is_over = |lane: &Lane| lane.input < input && lane.feeding.is_none();
        for lane in self.lanes.extract_if(.., |lane| is_over(lane)) {
            if lane.entered {
                self.joins.retire(lane.input, lane.clock, lane.reassembler);
            }
        }
        let beside = self.lanes.iter().any(|lane| lane.input < input);
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.input == input) else { return };
        let entry = Entry { input, first_time: lane.first_time, alone: lane.alone, beside };
        let (floor, reassembler) = self.joins.enter(&entry, &mut self.accounts);
        self.begun.extend(self.accounts.get(input as usize).map(|account| (input, account.base)));
        (lane.clock, lane.entered, lane.reassembler) = (floor, true, reassembler);
    }

    pub(super) fn has_entered(&self, input: u32) -> bool {
        self.lanes.iter().any(|lane| lane.input == input && lane.entered)
    }

    /// Takes out the lanes that have ended, and works out how much of what was read is ready to be
    /// consumed.
    pub(super) fn settle(&mut self) -> Ready {
        for lane in self.lanes.extract_if(.., |lane| lane.feeding.is_none()) {
            if lane.entered {
                self.joins.retire(lane.input, lane.clock, lane.reassembler);
            }
        }
        let mut all: Vec<Horizon> = self.lanes.iter().map(Lane::horizon).collect();
        all.extend(self.next_horizon());
        all.sort_unstable();
        let mut all = all.into_iter().chain([Horizon::END, Horizon::END]);
        let (lowest, second) = (all.next(), all.next());
        let behind = self.lanes.iter().find(|lane| Some(lane.horizon()) == lowest);
        let ready = Ready {
            lowest: lowest.unwrap_or(Horizon::END),
            second: second.unwrap_or(Horizon::END),
            is_shuffled: behind.is_some_and(|lane| lane.slack > Span::ZERO),
            clock: lowest.map_or(Time::MAX, |lowest| lowest.time).min(self.joins.latest),
        };
        for lane in &mut self.lanes {
            lane.waits =
                lane.entered && lane.horizon() != ready.lowest && lane.before > ready.lowest;
        }
        ready
    }
}
