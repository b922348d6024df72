//! What was read of one input: filled chunk by chunk, in the order of the file.

use super::chunk::Found;
use super::lane::SLACK;
use super::quality::Seen;
use crate::analysis::{CountedInterface, Input, InputDamage};
use crate::capture::{DamageList, MAX_INTERFACES, Oddities, Statistics};
use crate::decode::SkipCounts;
use crate::stamp::{Span, Time};

/// Shortest time between two inputs that is called a gap.
const MIN_GAP: Span = Span::from_secs(1);

/// How many times as long as the mean time between two frames of the inputs around it a gap is, at
/// least.
const GAP_RATIO: i64 = 10;

/// What was read of one input.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) input: Input,
    pub(super) damage: DamageList,
    pub(super) skips: SkipCounts,
    seen: Seen,
    oddities: Oddities,
    statistics: Statistics,
    /// The highest time so far, or that of the inputs before it.
    pub(super) clock: Time,
    /// Records so far that have a number in the file.
    pub(super) numbered: u64,
    /// What a frame's number is added to, to name it in the run.
    pub(super) base: u64,
    /// Before which time nothing of it comes, until something has come.
    pub(super) expected: Option<Time>,
    /// Nothing was read beside it, and something up to this time ahead of it.
    pub(super) read_after: Option<Time>,
    /// More records than that it cannot have.
    pub(super) bound: u64,
    /// The first input of those that it overlaps with.
    pub(super) group: u32,
    /// Segments that are a little behind the clock are put in the order of their times.
    pub(super) is_ordered: bool,
    /// Segments whose IP header claims more than the frame had.
    beyond_frame: u64,
}

impl Account {
    /// Nothing yet of an input with at most `bound` records, of which nothing comes before a time.
    pub(super) fn new(input: Input, bound: u64, expected: Time) -> Self {
        Self { input, bound, expected: Some(expected), ..Self::default() }
    }

    /// An input that is not read, and lies beside no other.
    pub(super) fn of_unread(input: Input) -> Self {
        Self { input, clock: Time::MIN, group: u32::MAX, ..Self::default() }
    }

    /// Adds what was found in the next range, which holds so many segments.
    pub(super) fn add(&mut self, found: &mut Found, segments: u64) {
        self.damage.absorb(&found.damage, self.numbered);
        self.seen.absorb(&found.seen, self.numbered);
        self.skips.merge(&found.skips);
        self.oddities += found.oddities;
        self.statistics.append(&mut found.statistics);
        while self.statistics.len() > MAX_INTERFACES {
            self.statistics.pop_last();
        }
        self.beyond_frame += found.beyond_frame;
        self.numbered += found.frames;
        let input = &mut self.input;
        input.frames += found.frames - found.events;
        input.events += found.events;
        input.outside_period += found.outside;
        input.left_out += found.left_out;
        input.tcp_segments += segments;
        for link in &found.links {
            if let Err(place) = input.link_types.binary_search(link) {
                input.link_types.insert(place, *link);
            }
        }
        if let Some((first, last)) = found.times {
            let earlier = |known: Time| known.min(first);
            input.first_time = Some(input.first_time.map_or(first, earlier));
            input.last_time = Some(input.last_time.map_or(last, |known| known.max(last)));
        }
    }

    fn finish(self) -> Input {
        let Self { mut input, damage, skips, seen, oddities, statistics, numbered, .. } = self;
        let beyond_frame = self.beyond_frame;
        input.not_merged = self.read_after.is_some_and(|after| input.first_time < Some(after));
        input.not_merged &= input.first_time.is_some();
        input.quality = seen.finish();
        let clock = &mut input.quality.clock;
        // Interfaces that take turns in the file are no clock that was set.
        let took_turns = self.is_ordered && clock.steps > 0 && clock.largest <= SLACK;
        let turns = if took_turns { std::mem::take(clock).steps } else { 0 };
        let found = skips.iter().filter(|(_, frames)| *frames > 0);
        input.skipped = found.map(|(skip, frames)| (skip.name(), frames)).collect();
        let odd = oddities
            .named()
            .into_iter()
            .chain([("ip_beyond_frame", beyond_frame), ("interfaces_took_turns", turns)]);
        input.oddities = odd.filter(|(_, count)| *count > 0).collect();
        let interfaces = statistics.into_iter();
        input.interfaces = interfaces
            .map(|((section, interface), counted)| CountedInterface { section, interface, counted })
            .collect();
        let mut listed: Vec<InputDamage> = damage
            .listed()
            .iter()
            .map(|it| InputDamage {
                kind: it.kind.name(),
                offset: it.offset,
                skipped_bytes: it.skipped,
                after_frame: it.frame,
            })
            .collect();
        // What ended a stream comes behind all damage in what it gave.
        input.damage.iter_mut().for_each(|end| end.after_frame = numbered);
        listed.append(&mut input.damage);
        listed.truncate(Input::MAX_DAMAGE);
        input.damage = listed;
        input.damage_total += damage.places();
        input
    }
}

/// The inputs, with the gaps between them.
pub(super) fn finish(accounts: Vec<Account>) -> Vec<Input> {
    let mut inputs: Vec<Input> = accounts.into_iter().map(Account::finish).collect();
    // The end of what is covered so far, and the mean time between frames there.
    let mut covered: Option<(Time, Span)> = None;
    for input in &mut inputs {
        let (Some(first), Some(last)) = (input.first_time, input.last_time) else { continue };
        let pace = pace(input, first, last);
        if let Some((end, before)) = covered {
            let gap = first.since(end);
            let usual = before.max(pace).nanos().saturating_mul(GAP_RATIO);
            input.gap_before = Some(gap).filter(|gap| *gap >= MIN_GAP && gap.nanos() > usual);
        }
        if covered.is_none_or(|(end, _)| last >= end) {
            covered = Some((last, pace));
        }
    }
    inputs
}

/// Mean time between two frames.
fn pace(input: &Input, first: Time, last: Time) -> Span {
    let steps = i64::try_from(input.frames.saturating_sub(1)).unwrap_or(i64::MAX).max(1);
    Span::from_nanos(last.since(first).nanos() / steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(first: i64, last: i64, frames: u64) -> Account {
        let time = |seconds: i64| Some(Time::from_nanos(seconds * 1_000_000_000));
        let input =
            Input { first_time: time(first), last_time: time(last), frames, ..Input::default() };
        Account { input, ..Account::default() }
    }

    fn gaps(accounts: Vec<Account>) -> Vec<Option<Span>> {
        finish(accounts).iter().map(|input| input.gap_before).collect()
    }

    #[test]
    fn time_that_no_file_covers_is_a_gap() {
        let series = vec![input(0, 10, 1_000), input(10, 20, 1_000), input(50, 60, 1_000)];
        assert_eq!(gaps(series), [None, None, Some(Span::from_secs(30))]);
    }

    #[test]
    fn a_pause_that_is_usual_on_a_quiet_link_is_none() {
        assert_eq!(gaps(vec![input(0, 100, 11), input(190, 290, 11)]), [None, None]);
        assert_eq!(
            gaps(vec![input(0, 100, 11), input(201, 290, 11)]).last(),
            Some(&Some(Span::from_secs(101)))
        );
    }

    #[test]
    fn what_a_file_beside_it_covers_is_no_gap() {
        let taps = vec![input(0, 100, 9_000), input(10, 20, 1_000), input(50, 60, 1_000)];
        assert_eq!(gaps(taps), [None, None, None]);
    }
}
