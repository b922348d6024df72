//! What to look at: which frames, which segments, and how deep into a frame.

use super::Options;
use crate::analysis::Selection;
use crate::decode;
use crate::filter::{Candidate, Filter};
use crate::stamp::{Span, Time};
use crate::tcp::FourTuple;

/// The choices of a run, with moments that are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub(super) decode: decode::Settings,
    filter: Option<&'a Filter>,
    from: Option<Time>,
    to: Option<Time>,
    /// Frames without a VLAN id would not do.
    pub(super) needs_vlan: bool,
}

impl<'a> Look<'a> {
    /// The choices in a capture whose first frame is at `start`.
    pub(super) fn new(options: &'a Options, start: Time) -> Self {
        let (from, to) = options.period.resolve(start);
        let filter = options.filter.as_ref();
        let needs_vlan = filter.is_some_and(Filter::needs_vlan);
        Self { decode: options.decode, filter, from, to, needs_vlan }
    }

    /// Whether the time is in the period.
    #[inline]
    pub(super) fn covers(&self, time: Time) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }

    /// Whether the time lies outside the period, by more than `margin`.
    pub(super) fn is_far_from(&self, time: Time, margin: Span) -> bool {
        self.is_far_between(time, time, margin)
    }

    /// Whether all times from one to another lie on one side of the period, by more than `margin`.
    pub(super) fn is_far_between(&self, first: Time, last: Time, margin: Span) -> bool {
        self.from.is_some_and(|from| last + margin < from)
            || self.to.is_some_and(|to| first > to + margin)
    }

    /// Whether a segment with this tuple is to be looked at.
    #[inline]
    pub(super) fn wants(&self, tuple: impl FnOnce() -> FourTuple, vlan: Option<u16>) -> bool {
        self.filter.is_none_or(|filter| filter.accepts(&Candidate { tuple: tuple(), vlan }))
    }

    /// For the report.
    pub(super) fn selection(&self) -> Selection {
        let filter = self.filter.map(ToString::to_string);
        Selection { filter, from: self.from, to: self.to }
    }
}
