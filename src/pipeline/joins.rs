//! How an input lies to those before it: behind them, or beside them.
//!
//! Decides, from the inputs alone and never from how far waves reach, what names an input's frames
//! get in the run, whose fragments it goes on with, and which inputs may have seen the same
//! segments.

use super::account::Account;
use super::lane::MAX_LANES;
use crate::decode::{FRAGMENT_EXPIRY, Reassembler};
use crate::flow::SIGHTING_WINDOW;
use crate::stamp::Time;

/// An input whose reading begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) input: u32,
    /// What the plan says of its first time.
    pub(super) first_time: Time,
    /// Nothing is read beside it.
    pub(super) alone: bool,
    /// Inputs before it have not ended.
    pub(super) beside: bool,
}

/// An input that has ended, for as long as a later one may go on with its fragments.
#[derive(Debug)]
struct Ended {
    clock: Time,
    input: u32,
    reassembler: Reassembler,
}

/// How the inputs so far lie to one another.
#[derive(Debug)]
pub(super) struct Joins {
    ended: Vec<Ended>,
    /// The highest time of all inputs so far.
    pub(super) latest: Time,
    /// Behind the names of all frames so far.
    names_end: u64,
    /// Behind all names that the inputs so far may need.
    names_bound: u64,
    /// The first of the inputs that overlap with the latest one.
    group: u32,
    /// Whose clocks are the highest in that group, of two inputs.
    highest: [(Time, u32); 2],
    /// The highest clock of each input that was waited for and those before it.
    waited_for: Vec<Time>,
}

/// No input has a clock.
const NOBODY: [(Time, u32); 2] = [(Time::MIN, u32::MAX); 2];

impl Default for Joins {
    fn default() -> Self {
        let (ended, waited_for) = (Vec::new(), Vec::new());
        Self {
            ended,
            latest: Time::MIN,
            names_end: 0,
            names_bound: 0,
            group: 0,
            highest: NOBODY,
            waited_for,
        }
    }
}

impl Joins {
    /// The time before which an input counts as being late: its first time, or that of the inputs
    /// that it has to wait for.
    pub(super) fn floor(
        &mut self,
        first_time: Time,
        alone: bool,
        index: usize,
        accounts: &[Account],
    ) -> Time {
        if alone {
            return self.latest;
        }
        let Some(last) = index.checked_sub(MAX_LANES) else { return first_time };
        // Their clocks do not move any more.
        for account in accounts.get(self.waited_for.len()..=last).unwrap_or_default() {
            let highest = self.waited_for.last().copied().unwrap_or(Time::MIN);
            self.waited_for.push(highest.max(account.clock));
        }
        self.waited_for.get(last).map_or(first_time, |highest| first_time.max(*highest))
    }

    /// Takes an input in; returns where its clock starts, and the fragments that it goes on with.
    pub(super) fn enter(&mut self, entry: &Entry, accounts: &mut [Account]) -> (Time, Reassembler) {
        let Entry { input, first_time, alone, beside } = *entry;
        let floor = self.floor(first_time, alone, input as usize, accounts);
        let overlaps = beside || self.latest > floor;
        if !overlaps {
            (self.group, self.highest) = (input, NOBODY);
        }
        let base = if overlaps { self.names_bound } else { self.names_end };
        if let Some(account) = accounts.get_mut(input as usize) {
            (account.base, account.group, account.clock) = (base, self.group, floor);
            account.expected = None;
            account.read_after = Some(self.latest).filter(|_| alone);
            self.names_bound = self.names_bound.max(base.saturating_add(account.bound));
        }
        (floor, self.succeed(floor, accounts))
    }

    /// Notes that an input has ended.
    pub(super) fn retire(&mut self, input: u32, clock: Time, reassembler: Reassembler) {
        self.ended.push(Ended { clock, input, reassembler });
    }

    /// Notes how far an input has come.
    pub(super) fn advance(&mut self, input: u32, account: &Account) {
        let [first, second] = &mut self.highest;
        if account.clock >= first.0 || first.1 == input {
            if first.1 != input {
                *second = *first;
            }
            *first = (account.clock, input);
        } else if account.clock >= second.0 || second.1 == input {
            *second = (account.clock, input);
        }
        self.latest = self.latest.max(account.clock);
        self.names_end = self.names_end.max(account.base.saturating_add(account.numbered));
    }

    /// Whether another input of the group showed something so shortly before `clock` that it may be
    /// what `input` shows then.
    pub(super) fn is_near(&self, input: u32, clock: Time) -> bool {
        let mut others = self.highest.iter().filter(|(_, other)| *other != input);
        others.any(|(shown, other)| *other != u32::MAX && *shown >= clock - SIGHTING_WINDOW)
    }

    /// Whether no other input of the group has shown anything.
    pub(super) fn is_only(&self, input: u32) -> bool {
        self.highest.iter().all(|(_, other)| [input, u32::MAX].contains(other))
    }

    /// The fragments of the input that ended last before `floor`, if that is not long ago.
    fn succeed(&mut self, floor: Time, accounts: &mut [Account]) -> Reassembler {
        let is_stale = |ended: &mut Ended| floor.since(ended.clock) > FRAGMENT_EXPIRY;
        for stale in self.ended.extract_if(.., is_stale) {
            finish(stale.reassembler, accounts);
        }
        let before = self.ended.iter().enumerate().filter(|(_, ended)| ended.clock <= floor);
        let last = before.max_by_key(|(_, ended)| (ended.clock, ended.input));
        let last = last.map(|(index, _)| index);
        last.map_or_else(Reassembler::new, |index| self.ended.swap_remove(index).reassembler)
    }

    /// Gives up what is left of fragments at the end of the run.
    pub(super) fn finish(self, accounts: &mut [Account]) {
        self.ended.into_iter().for_each(|ended| finish(ended.reassembler, accounts));
    }
}

fn finish(mut reassembler: Reassembler, accounts: &mut [Account]) {
    reassembler.finish();
    for (input, skips) in reassembler.skipped() {
        if let Some(account) = accounts.get_mut(*input as usize) {
            account.skips.merge(skips);
        }
    }
}
