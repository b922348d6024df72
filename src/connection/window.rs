//! The receive window that limits one direction: closed, exhausted, and for how long.
//!
//! Kept with the direction that it limits; belongs to the receiver. Made only when a window closes
//! or fills for the first time.

use crate::compact::compact;

use super::Mark;
use crate::stamp::{Span, Time};

/// Periods of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Episodes {
    /// How many.
    pub count: u32,
    /// How long they lasted together; one that did not end counts up to the record's end.
    pub total: Span,
    /// The longest one.
    pub longest: Option<Episode>,
}

compact!(struct Episodes { count, total, longest });

/// One period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The segment that began it.
    pub from: Mark,
    /// The segment that ended it; none when nothing did.
    pub until: Option<Mark>,
    /// How long it lasted, or has lasted so far.
    pub length: Span,
}

compact!(struct Episode { from, until, length });

impl Episodes {
    pub(super) fn add(&mut self, episode: Episode) {
        self.count = self.count.saturating_add(1);
        self.total = self.total + episode.length;
        if self.longest.is_none_or(|longest| episode.length > longest.length) {
            self.longest = Some(episode);
        }
    }

    /// With the period that began at `open` and did not end before `until`.
    pub(super) fn with_open(mut self, open: Option<Mark>, until: Time) -> Self {
        if let Some(from) = open {
            self.add(Episode { from, until: None, length: until.since(from.time) });
        }
        self
    }
}

/// What is known of a window that closed or filled at least once.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Since when the receiver advertises zero.
    pub(super) closed: Option<Mark>,
    /// Since when it did, the last time that it opened again.
    pub(super) closed_before: Option<Mark>,
    /// Since when the sender has used all of it.
    pub(super) full: Option<Mark>,
    pub(super) closures: Episodes,
    pub(super) fillings: Episodes,
}

compact!(struct Window { closed, closed_before, full, closures, fillings });

impl Window {
    /// The receiver advertised a window of zero, at `mark`.
    pub(super) fn close(&mut self, mark: Mark) {
        self.closed.get_or_insert(mark);
    }

    /// The receiver advertised room, at `mark`.
    pub(super) fn open(&mut self, mark: Mark) {
        self.closed_before = self.closed.or(self.closed_before);
        end(&mut self.closed, &mut self.closures, mark);
    }

    /// The sender reached the window's edge, at `mark`.
    pub(super) fn fill(&mut self, mark: Mark) {
        self.full.get_or_insert(mark);
    }

    /// The sender can send again, as of `mark`.
    pub(super) fn drain(&mut self, mark: Mark) {
        end(&mut self.full, &mut self.fillings, mark);
    }
}

fn end(open: &mut Option<Mark>, episodes: &mut Episodes, mark: Mark) {
    if let Some(from) = open.take() {
        let length = mark.time.since(from.time);
        episodes.add(Episode { from, until: Some(mark), length });
    }
}
