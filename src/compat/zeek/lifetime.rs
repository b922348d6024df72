//! For how long Zeek remembers a connection, with its default timers.
//!
//! The intervals are those of Zeek 7.0's `init-bare.zeek`. Zeek's timers go off with the next packet
//! of the capture, whichever connection it belongs to; here they go off at their times.

use super::{Effects, Tracker};
use crate::stamp::{Span, Time};

/// When a connection leaves Zeek's memory.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// When the attempt is given up, unless it was answered.
    attempt: Time,
    /// Zeek asks from here on, in steps, whether the connection is over.
    checks: [Time; 2],
    /// It was closed, and is forgotten now.
    deletion: Time,
    /// The silence that ends it.
    idle: Span,
}

impl Lifetime {
    /// `tcp_attempt_delay`.
    const ATTEMPT: Span = Span::from_secs(5);
    /// `tcp_SYN_timeout`: the first look at the connection.
    const FIRST_CHECK: Span = Span::from_secs(5);
    /// `tcp_session_timer`: from one look to the next.
    const CHECK: Span = Span::from_secs(6);
    /// `tcp_connection_linger`: silence without which a look finds nothing.
    const LINGER: Span = Span::from_secs(5);
    /// `tcp_close_delay`.
    const CLOSE: Span = Span::from_secs(5);
    /// `udp_inactivity_timeout`, in force before a handshake is over.
    const IDLE_BEFORE: Span = Span::from_secs(60);
    /// `tcp_inactivity_timeout`.
    const IDLE: Span = Span::from_secs(5 * 60);

    /// Of a connection whose first segment comes at `clock`.
    #[must_use]
    pub fn new(clock: Time) -> Self {
        Self {
            attempt: Time::MAX,
            checks: [clock + Self::FIRST_CHECK, Time::MAX],
            deletion: Time::MAX,
            idle: Self::IDLE_BEFORE,
        }
    }

    /// Takes what a segment at `clock` set off.
    pub fn observe(&mut self, effects: Effects, tracker: &Tracker, clock: Time) {
        if effects.opens {
            self.idle = Self::IDLE;
        }
        if effects.attempts {
            self.attempt = clock + Self::ATTEMPT;
        }
        if effects.closes {
            (self.attempt, self.checks) = (Time::MAX, [Time::MAX; 2]);
            self.deletion = self.deletion.min(tracker.last + Self::CLOSE);
        }
        if effects.half_closes {
            let [_, second] = &mut self.checks;
            *second = (*second).min(tracker.last + Self::CHECK);
        }
    }

    /// When the connection is forgotten if nothing more comes.
    #[must_use]
    pub fn due(&self, tracker: &Tracker) -> Time {
        let mut due = self.deletion.min(tracker.last + self.idle);
        if tracker.is_active {
            if tracker.is_attempt() {
                due = due.min(self.attempt);
            }
            if tracker.is_over() {
                let lingers = tracker.last + Self::LINGER;
                due = self.checks.iter().fold(due, |due, from| due.min(next_after(lingers, *from)));
            }
        }
        due
    }
}

/// The first of the times `from`, `from` + 6 s, `from` + 12 s ... that lies after `after`.
fn next_after(after: Time, from: Time) -> Time {
    if from > after {
        return from;
    }
    let step = Lifetime::CHECK.nanos();
    let steps = after.since(from).nanos() / step + 1;
    from + Span::from_nanos(steps * step)
}
