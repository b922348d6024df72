//! For how long Zeek remembers a connection.
//!
//! Zeek's timers go off with the next packet of the capture, whichever connection it belongs to;
//! here they go off at their times.

use super::{Effects, Tracker};
use crate::stamp::{Span, Time};

/// The intervals that cut a flow into connections, by their names in Zeek's `init-bare.zeek`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `tcp_attempt_delay`: an attempt is given up.
    attempt: Span,
    /// `tcp_SYN_timeout`: the first look at a connection.
    first_check: Span,
    /// `tcp_session_timer`: from one look to the next.
    check: Span,
    /// `tcp_connection_linger`: silence without which a look finds nothing.
    linger: Span,
    /// `tcp_close_delay`: a closed connection is forgotten.
    close: Span,
    /// `udp_inactivity_timeout`: silence before a handshake is over.
    idle_before: Span,
    /// `tcp_inactivity_timeout`: silence after it.
    idle: Span,
}

impl Timers {
    /// Zeek 7.0's own.
    pub const DEFAULT: Self = Self {
        attempt: Span::from_secs(5),
        first_check: Span::from_secs(5),
        check: Span::from_secs(6),
        linger: Span::from_secs(5),
        close: Span::from_secs(5),
        idle_before: Span::from_secs(60),
        idle: Span::from_secs(5 * 60),
    };

    /// All of them a day long, so that nothing is cut but by a SYN.
    pub const ONE_DAY: Self = {
        let day = Span::from_secs(24 * 60 * 60);
        Self {
            attempt: day,
            first_check: day,
            check: day,
            linger: day,
            close: day,
            idle_before: day,
            idle: day,
        }
    };
}

/// When a connection leaves Zeek's memory.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// When the attempt is given up, unless it was answered.
    attempt: Time,
    /// Zeek looks from here on, in steps, whether the connection is over.
    checks: [Time; 2],
    /// It was closed, and is forgotten now.
    deletion: Time,
    /// It is past its handshake.
    is_open: bool,
}

impl Lifetime {
    /// Of a connection whose first segment comes at `clock`.
    #[must_use]
    pub fn new(timers: Timers, clock: Time) -> Self {
        Self {
            attempt: Time::MAX,
            checks: [clock + timers.first_check, Time::MAX],
            deletion: Time::MAX,
            is_open: false,
        }
    }

    /// Takes what a segment, which the tracker has observed, set off.
    pub fn observe(&mut self, timers: Timers, effects: Effects, tracker: &Tracker) {
        self.is_open |= effects.opens;
        if effects.attempts {
            self.attempt = tracker.last + timers.attempt;
        }
        if effects.closes {
            (self.attempt, self.checks) = (Time::MAX, [Time::MAX; 2]);
            self.deletion = self.deletion.min(tracker.last + timers.close);
        }
        if effects.half_closes {
            let [_, second] = &mut self.checks;
            *second = (*second).min(tracker.last + timers.check);
        }
    }

    /// When the connection is forgotten if nothing more comes.
    #[must_use]
    pub fn due(&self, timers: Timers, tracker: &Tracker) -> Time {
        let idle = if self.is_open { timers.idle } else { timers.idle_before };
        let mut due = self.deletion.min(tracker.last + idle);
        if tracker.is_active && tracker.is_attempt() {
            due = due.min(self.attempt);
        }
        if tracker.is_active && tracker.is_over() {
            let quiet_since = tracker.last + timers.linger;
            for from in self.checks {
                due = due.min(next_after(quiet_since, from, timers.check));
            }
        }
        due
    }
}

/// The first of the times `from`, `from` + `step`, `from` + 2 `step` ... that lies after `after`.
fn next_after(after: Time, from: Time, step: Span) -> Time {
    if from > after {
        return from;
    }
    let steps = after.since(from).nanos() / step.nanos() + 1;
    from + Span::from_nanos(step.nanos().saturating_mul(steps))
}
