//! A handshake that a listener may hold half-open, and when the timer of its SYN-ACK runs out.

use crate::stamp::{Span, Time};
use crate::tcp::Seq;

/// The first timer of a SYN-ACK (RFC 6298 2.1).
const FIRST_TIMER: Span = Span::from_secs(1);

/// It runs out after 1 s, at the earliest, counted in ticks of 4 ms or less; the second one not before 3 s.
pub(super) const DUE: Span = Span::from_millis(1_004);
pub(super) const SECOND: Span = Span::from_millis(1_900);

/// A timer of 1 s is late by less than 64 ms or 8 ticks of 10 ms.
pub(super) const OVERDUE: Span = Span::from_millis(1_100);

/// A handshake, from its SYN on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// The number behind the SYN.
    pub(super) end: Seq,
    /// Connections that may have waited when it came.
    pub(super) others: u32,
    pub(super) answered: bool,
    /// When it was answered first and last, and whether the SYN came again since, or ever.
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) asked: bool,
    pub(super) came_again: bool,
    /// Whether it is held half-open, for all that is known, how many were before it, and how often a
    /// timer repeated the answer.
    pub(super) held: bool,
    pub(super) before: u32,
    pub(super) repeats: u8,
    /// The listener answers as quickly as if the tap was beside it: none of its answers is lost before that.
    pub(super) is_near: bool,
}

impl Attempt {
    /// No timer waits longer (Linux `TCP_RTO_MAX`).
    const MAX_WAIT: Span = Span::from_secs(120);

    /// A SYN came, and `others` may have waited.
    pub(super) const fn new(end: Seq, others: u32, at: Time) -> Self {
        Self {
            end,
            others,
            answered: false,
            first: at,
            last: at,
            asked: false,
            came_again: false,
            held: false,
            before: 0,
            repeats: 0,
            is_near: false,
        }
    }

    fn wait(&self) -> Span {
        let times = 1_i64 << self.repeats.min(7);
        Span::from_nanos(FIRST_TIMER.nanos() * times).min(Self::MAX_WAIT)
    }

    /// When the timer of its answer runs out next.
    pub(super) fn runs_out(&self) -> Time {
        self.last + self.wait()
    }

    /// How late that may be: a step of the timers' wheel is an eighth of the time at most.
    pub(super) fn slack(&self) -> Span {
        match self.repeats {
            0 => Span::from_nanos(OVERDUE.nanos() - FIRST_TIMER.nanos()),
            _ => Span::from_nanos(self.wait().nanos() / 8),
        }
    }

    /// Whether it is held, and its timer runs out then.
    pub(super) fn is_due(&self, runs_out: Time) -> bool {
        self.held && self.runs_out() == runs_out
    }
}
