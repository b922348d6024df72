//! One side of a connection: its state, how it came there, and what it sent.

use crate::compact::compact;

use super::acks_of_fin::AcksOfFin;
use super::attempts::Attempts;
use super::clock::Clock;
use super::stream::Stream;
use super::{Cause, Entry, Event, Mark, State, next};
use crate::certainty::Certainty;
use crate::near;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::Timestamps;

/// One endpoint as the tap's evidence shows it.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Endpoint {
    /// What this side sent.
    pub(super) stream: Stream,
    // Perf: these stand in the line in which the stream ends, see `Connection::prefetch`.
    /// When data in flight, or a closed window, last ceased to hold back what the application wrote.
    pub(super) released: Time,
    /// They may be holding it back now.
    pub(super) held: bool,
    /// Probes and repetitions since the peer was last heard: it may hear nothing either.
    pub(super) unanswered: u8,
    /// The state now. LISTEN stands for "nothing proven yet".
    pub(super) state: State,
    /// It sent the latest segment before it had heard what its peer had acknowledged before its FIN or RST.
    pub(super) unaware: bool,
    /// Whether the side was seen to take data after its own FIN: nobody orphaned it.
    pub(super) reads_after_fin: bool,
    /// Sent something after a timer should have ended it: that timer does not run here.
    pub(super) outlived_timer: bool,
    /// How often it went on after an ICMP error that should have ended its attempt.
    pub(super) outlived_icmp: u8,
    /// When the timer of the state runs out; `Time::MAX` while none runs.
    pub(super) timer: Time,
    /// How much later than that a segment may come that the timer itself sends.
    pub(super) timer_grace: Span,
    /// First FIN sent.
    pub(super) fin: Option<Mark>,
    /// When it sent what it sent, by its own clock.
    pub(super) clock: Clock,
    timeline: Vec<Entry>,
    dropped: u32,
    /// How often TIME-WAIT was started again.
    pub(super) time_wait_restarts: u32,
    /// Segments that may have brought the peer's FIN, complete with everything before it; which one
    /// did is settled by this side's acknowledgment.
    pub(super) fin_arrivals: Attempts,
    /// The frame that took back an entry, until the next entry cites it.
    pub(super) correction: Option<FrameId>,
    /// RSTs sent.
    pub(super) resets: u32,
    /// Acknowledgments of the FIN that passed the tap, after which the FIN was sent again.
    pub(super) acks_of_fin_ignored: u32,
    /// An acknowledgment of the FIN after several that were ignored.
    pub(super) pending_ack_of_fin: Option<Mark>,
    /// The latest repetition of the FIN, and its distance from the one before.
    pub(super) last_fin: Option<Mark>,
    pub(super) fin_gap: Span,
    /// FINs after the first one.
    pub(super) fin_repeats: u32,
    /// Timestamps of the latest FIN or RST: a repetition has newer ones, a copy made on the way, or
    /// what was overtaken, has not.
    pub(super) fin_stamps: Option<Timestamps>,
    /// The acknowledgments of the FIN that passed the tap.
    pub(super) acks_of_fin: AcksOfFin,
    /// Where in the peer's stream the data begins that carried the acknowledgment of the FIN that
    /// was taken; `i64::MIN` where it came alone.
    pub(super) ack_of_fin_rides_on: i64,
    /// The first segment with the highest number of those that show that something before them was
    /// not captured, or was overtaken. Perhaps it was the FIN.
    pub(super) skipped_to: Option<Box<Skip>>,
}

compact!(struct Endpoint {
    state, timeline, dropped, stream, clock, fin_arrivals, timer, timer_grace, time_wait_restarts,
    reads_after_fin, outlived_timer, outlived_icmp, correction, resets, acks_of_fin_ignored,
    pending_ack_of_fin, last_fin, fin_gap, fin_repeats, fin_stamps, acks_of_fin,
    ack_of_fin_rides_on, skipped_to, unanswered, held, released, unaware, fin
});

/// A segment that came before what lies before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skip {
    /// Where it begins.
    pub(super) offset: i64,
    pub(super) mark: Mark,
    pub(super) timestamp: Option<u32>,
    /// Its IP identification, where its sender counts them.
    pub(super) number: Option<u16>,
    /// It acknowledges the peer's FIN.
    pub(super) knew: bool,
    /// Nothing before it did, and it does not report that the FIN had come before.
    pub(super) is_first_answer: bool,
    /// It answers the peer's latest FIN at once, as the first word since.
    pub(super) answers_fin: bool,
}

compact!(struct Skip {
    offset, mark, timestamp, number, answers_fin, is_first_answer, knew
});

/// Why a state is entered, and how sure that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reason {
    pub(super) at: Time,
    pub(super) frame: Option<FrameId>,
    pub(super) cause: Cause,
    pub(super) certainty: Certainty,
    pub(super) corrected_by: Option<FrameId>,
}

impl Reason {
    /// Seen in the capture, at `mark`.
    pub(super) const fn observed(mark: Mark, cause: Cause) -> Self {
        Self {
            at: mark.time,
            frame: Some(mark.frame),
            cause,
            certainty: Certainty::Observed,
            corrected_by: None,
        }
    }

    /// Concluded from what is seen at `mark`.
    pub(super) const fn inferred(mark: Mark, cause: Cause) -> Self {
        Self { certainty: Certainty::Inferred, ..Self::observed(mark, cause) }
    }

    /// A timer ran out at `at`.
    pub(super) const fn timer(at: Time, cause: Cause) -> Self {
        Self { at, frame: None, cause, certainty: Certainty::Inferred, corrected_by: None }
    }

    /// That of an entry made before.
    pub(super) const fn of(entry: &Entry) -> Self {
        Self {
            at: entry.at,
            frame: entry.frame,
            cause: entry.cause,
            certainty: entry.certainty,
            corrected_by: entry.corrected_by,
        }
    }

    /// The same, corrected by what `mark` showed later, if it is later.
    pub(super) fn corrected(self, by: Option<FrameId>) -> Self {
        Self { corrected_by: by, ..self }
    }
}

impl Entry {
    const fn new(state: State, at: Time, reason: Reason) -> Self {
        let Reason { frame, cause, certainty, corrected_by, .. } = reason;
        Self { state, at, frame, cause, certainty, corrected_by }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            state: State::Listen,
            timeline: Vec::new(),
            dropped: 0,
            stream: Stream::default(),
            clock: Clock::default(),
            fin_arrivals: Attempts::default(),
            timer: Time::MAX,
            timer_grace: Span::ZERO,
            time_wait_restarts: 0,
            reads_after_fin: false,
            outlived_timer: false,
            outlived_icmp: 0,
            correction: None,
            acks_of_fin_ignored: 0,
            pending_ack_of_fin: None,
            last_fin: None,
            fin_gap: Span::ZERO,
            resets: 0,
            fin_repeats: 0,
            fin_stamps: None,
            acks_of_fin: AcksOfFin::default(),
            ack_of_fin_rides_on: i64::MIN,
            skipped_to: None,
            unanswered: 0,
            held: false,
            released: Time::MIN,
            unaware: false,
            fin: None,
        }
    }
}

impl Endpoint {
    /// How many entries a timeline keeps. A connection has at most about ten; more come only from
    /// corrections that a hostile capture provokes.
    const MAX_ENTRIES: usize = 32;

    /// Applies `event`; says whether it changed the state.
    pub(super) fn apply(&mut self, event: Event, reason: Reason) -> bool {
        match next(self.state, event) {
            Some(state) => {
                self.enter(state, reason);
                true
            }
            None => false,
        }
    }

    /// Enters `state` without asking the table: for a capture that began in mid-connection.
    pub(super) fn enter(&mut self, state: State, reason: Reason) {
        self.state = state;
        self.timer = Time::MAX;
        self.timer_grace = Span::ZERO;
        if self.timeline.len() >= Self::MAX_ENTRIES {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        if self.timeline.is_empty() {
            // Perf: one allocation for the usual close instead of two (4, then 8 entries).
            self.timeline.reserve_exact(6);
        }
        // An effect cannot come before the state that it ends.
        let at = self.timeline.last().map_or(reason.at, |last| last.at.max(reason.at));
        self.timeline.push(Entry::new(state, at, reason));
    }

    /// Takes back the last entry if it is `state`, and returns it.
    pub(super) fn revert(&mut self, state: State) -> Option<Entry> {
        let last = self.timeline.pop_if(|last| last.state == state)?;
        self.state = self.timeline.last().map_or(State::Listen, |entry| entry.state);
        self.timer = Time::MAX;
        self.timer_grace = Span::ZERO;
        Some(last)
    }

    /// Asks the memory for the states that are behind.
    pub(super) fn prefetch_past(&self) {
        // Every other one: two share a line.
        self.timeline.iter().step_by(2).for_each(near::value);
    }

    /// Puts `state` before everything that is known: the endpoint began there, as came out later.
    pub(super) fn begin_with(&mut self, state: State, reason: Reason) {
        if self.timeline.len() < Self::MAX_ENTRIES {
            let at = self.timeline.first().map_or(reason.at, |first| first.at.min(reason.at));
            self.timeline.insert(0, Entry::new(state, at, reason));
        }
    }

    /// All entries, to be looked at or put right at the end.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.timeline
    }

    /// The same.
    pub(super) const fn entries_mut(&mut self) -> &mut Vec<Entry> {
        &mut self.timeline
    }

    /// Its FIN, as it was seen last.
    pub(super) fn latest_fin(&self) -> Option<Mark> {
        self.last_fin.or(self.fin)
    }

    /// The last entry.
    pub(super) fn last_entry(&self) -> Option<&Entry> {
        self.timeline.last()
    }

    /// Whether anything is known of this side's state.
    pub(super) fn is_known(&self) -> bool {
        !self.timeline.is_empty()
    }

    /// Whether the side ever was in `state`.
    pub(super) fn was_in(&self, state: State) -> bool {
        self.timeline.iter().any(|entry| entry.state == state)
    }

    /// Takes out the timeline, and how many entries did not fit it.
    pub(super) fn take_timeline(&mut self) -> (Vec<Entry>, u32) {
        (std::mem::take(&mut self.timeline), self.dropped)
    }
}
