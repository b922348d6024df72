//! From which time on an input's segments are to be remembered, to be found again in other inputs.
//!
//! Inputs that overlap in time may be taps that saw the same segments. Whether one overlaps with
//! the next is known only when both have been read: until then what lies near the next one's
//! beginning is watched. Once an input is known to lie by itself, nothing of it is. Whether
//! something is watched for nothing leaves no trace in the output.

use super::lane::Lane;
use super::plan::Planned;
use super::reading::Reading;
use super::wave::Wave;
use crate::flow::SIGHTING_WINDOW;
use crate::stamp::Time;

impl Reading<'_> {
    /// From which time on other taps may have seen what input `input`, whose clock shows `clock`,
    /// is about to show. Early rather than late: what is watched for nothing changes nothing.
    pub(super) fn watched_from(&self, input: u32, clock: Time) -> Time {
        let mut others = self.lanes.iter().filter(|lane| lane.input != input);
        if others.any(Lane::is_under_way) || self.joins.is_near(input, clock) {
            return Time::MIN;
        }
        let later = self.accounts.get(input as usize + 1..).unwrap_or_default();
        let registered = later.iter().find_map(|account| account.expected);
        let next = || self.plan.inputs.last().filter(|next| !next.is_alone());
        let first = registered.or_else(|| next().map(Planned::earliest));
        first.map_or(Time::MAX, |first| first - SIGHTING_WINDOW)
    }

    /// Stops watching the inputs of a verified wave that turned out to lie by themselves.
    pub(super) fn unwatch(&self, wave: &mut Wave) {
        let mut known = None;
        for chunk in wave.chunks_mut() {
            let count = chunk.batch.strips().len();
            for index in 0..count {
                let strip = chunk.batch.strip_mut(index);
                let input = strip.first.file();
                let of_input = known.filter(|(of, _)| *of == input);
                let (_, is_apart) = of_input.unwrap_or_else(|| (input, self.is_apart(input)));
                known = Some((input, is_apart));
                if is_apart {
                    strip.watched_from = Time::MAX;
                }
            }
        }
    }

    /// Whether no other input overlaps with this one, nor ever will.
    fn is_apart(&self, input: u32) -> bool {
        let begins_group =
            |index: u32| self.accounts.get(index as usize).is_some_and(|it| it.group == index);
        let mut later = self.accounts.iter().zip(0_u32..).skip(input as usize + 1);
        begins_group(input)
            && match later.find(|(account, _)| !account.input.not_read) {
                Some((_, next)) => begins_group(next),
                None => self.lanes.iter().all(|lane| lane.feeding.is_none()) && self.is_over(),
            }
    }

    /// Whether all that is still to be read lies behind what was read.
    fn is_over(&self) -> bool {
        let next = self.plan.inputs.last();
        next.is_none_or(|next| next.is_alone() || next.earliest() >= self.clock())
    }
}
