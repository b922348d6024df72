//! Timers that no segment shows: they run on capture time, from the host's settings.

use super::closing::runs;
use super::endpoint::Endpoint;
use super::{Cause, Connection, Event, LINGER, Reason, State};
use crate::settings::{HostSettings, Settings};
use crate::stamp::{Span, Time};
use crate::tcp::{Segment, Side};

/// The share of its length by which a timer may be late before its absence means anything. The
/// kernel's wheel is up to an eighth late; what is concluded too early is taken back.
const LATENESS: i64 = 16;

/// Linux `TCP_TIMEWAIT_LEN`.
const TIME_WAIT: Span = Span::from_secs(60);

impl Connection {
    /// When the connection can leave memory if nothing more comes; `Time::MAX` while it is open.
    #[must_use]
    pub fn deadline(&self) -> Time {
        let end = self.end();
        if runs(end) { end.max(self.last.time) + LINGER } else { Time::MAX }
    }

    /// Nobody waits for anything more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end() <= self.last.time
    }

    /// When the last timer runs out; `Time::MAX` while it is open.
    fn end(&self) -> Time {
        let over = |endpoint: &Endpoint| match endpoint.state {
            State::Closed => endpoint.last_entry().map_or(Time::MIN, |entry| entry.at),
            State::Listen => Time::MIN,
            _ => endpoint.timer,
        };
        over(&self.sides.client).max(over(&self.sides.server))
    }

    /// Gives back memory that only late repetitions of early segments would want: to be called when
    /// the connection has been closed for a while.
    pub fn rest(&mut self) {
        for side in Side::BOTH {
            if let Some(sending) = &mut self.sides.of_mut(side).stream.sending {
                sending.flight.rest();
            }
        }
    }

    /// Ends the states whose timers ran out before `now`.
    pub(super) fn expire_timers(&mut self, now: Time) {
        for side in Side::BOTH {
            let endpoint = self.sides.of(side);
            let expires =
                endpoint.timer <= now && now.since(endpoint.timer) >= endpoint.timer_grace;
            // A FIN that passed the tap will have been received, or lost: in TIME-WAIT it does not end yet.
            let has_fin = endpoint.state == State::FinWait2 && endpoint.fin_arrivals.count() > 0;
            if expires
                && !has_fin
                && !(endpoint.state == State::SynSent && self.has_heard_answer(side))
            {
                let endpoint = self.sides.of_mut(side);
                let cause = match endpoint.state {
                    State::TimeWait => Cause::TimeWaitExpired,
                    State::FinWait2 => Cause::FinWait2Expired,
                    State::SynSent => Cause::ConnectTimeout,
                    _ => Cause::HalfOpenExpired,
                };
                endpoint.apply(Event::TimerExpires, Reason::timer(endpoint.timer, cause));
            }
        }
    }

    /// Whether a client that should have repeated its SYN did not, although a SYN-ACK was on its way:
    /// it has had that, and nothing that it said since passed the tap.
    fn has_heard_answer(&self, side: Side) -> bool {
        let syns = self.opening.syns.of(side);
        let answer = self.opening.syn_acks.of(side.peer()).last();
        syns.last().zip(answer).is_some_and(|(syn, answer)| {
            let due = syn.mark.time + Span::from_millis(1_300_i64 << syns.repeated().min(7));
            answer.mark.time > due
        })
    }

    /// Starts the timers that `segment` started, once its effects are settled.
    pub(super) fn arm_timers(&mut self, from: Side, segment: &Segment, settings: &Settings) {
        for side in Side::BOTH {
            let state = self.sides.of(side).state;
            match state {
                State::TimeWait => self.arm_time_wait(side, from, segment, settings),
                State::FinWait2 => self.arm_fin_wait_2(side, settings),
                State::SynReceived => self.arm_half_open(side, settings),
                State::SynSent => self.arm_connect(side, settings),
                _ => {}
            }
        }
    }

    /// TIME-WAIT lasts from its last restart: every segment with ACK that is no RST restarts it.
    fn arm_time_wait(&mut self, side: Side, from: Side, segment: &Segment, settings: &Settings) {
        let length = settings.of(self.addresses.of(side).address).time_wait;
        let endpoint = self.sides.of_mut(side);
        let entered = endpoint.last_entry().map_or(segment.time, |entry| entry.at);
        if !runs(endpoint.timer) {
            endpoint.timer = entered + length;
        } else if from != side
            && segment.flags.ack()
            && !segment.flags.rst()
            && segment.time > entered
        {
            endpoint.timer = segment.time + length;
            endpoint.time_wait_restarts = endpoint.time_wait_restarts.saturating_add(1);
        }
    }

    /// FIN-WAIT-2 of an orphan: not for a side that still reads.
    fn arm_fin_wait_2(&mut self, side: Side, settings: &Settings) {
        let length = orphaned_for(settings.of(self.addresses.of(side).address).fin_timeout);
        let endpoint = self.sides.of_mut(side);
        if endpoint.reads_after_fin || endpoint.outlived_timer {
            endpoint.timer = Time::MAX;
        } else if let Some(entry) = endpoint.last_entry().copied() {
            endpoint.timer = entry.at + length;
        }
    }

    /// A half-open connection ends after the last SYN-ACK and its backoff; or, under pressure, when
    /// the next SYN-ACK is due and does not come (Linux `reqsk_timer_handler`). A server that has
    /// repeated none yet may be one that keeps nothing to repeat it from (SYN cookies).
    fn arm_half_open(&mut self, side: Side, settings: &Settings) {
        let host = settings.of(self.addresses.of(side).address);
        let retries = u32::from(host.synack_retries);
        let own = self.opening.syn_acks.of(side).last();
        let own = own.map(|last| (last.mark.time, self.opening.syn_ack_timeouts));
        let copy = self.opening.late_copy.as_ref().filter(|_| self.is_of_late_copy(side));
        let copy = copy.map(|copy| (copy.last, copy.repeated));
        let Some((last, done)) = copy.or(own) else { return };
        // What was acknowledged and is not sent again was taken: that comes out at the end.
        let is_answered = self.opening.last_ack.is_some_and(|ack| ack.time >= last);
        let endpoint = self.sides.of_mut(side);
        if (1..retries).contains(&done) && is_answered {
            endpoint.timer = Time::MAX;
        } else if (1..retries).contains(&done) {
            let step = backoff(done, host.rto_max);
            endpoint.timer = last + step;
            endpoint.timer_grace = Span::from_nanos(step.nanos() / LATENESS);
        } else {
            let rest =
                (done..=retries).fold(Span::ZERO, |sum, step| sum + backoff(step, host.rto_max));
            endpoint.timer = last + rest;
            endpoint.timer_grace = Span::ZERO;
        }
    }

    /// A connect ends after the last SYN retransmission and its backoff.
    fn arm_connect(&mut self, side: Side, settings: &Settings) {
        let host = settings.of(self.addresses.of(side).address);
        let syns = self.opening.syns.of(side);
        let Some(last) = syns.last() else { return };
        let timer = give_up(host, last.mark.time, syns.repeated(), &syns.gaps(2));
        self.sides.of_mut(side).timer = timer;
    }
}

/// How long an orphan stays in FIN-WAIT-2. Beyond the length of TIME-WAIT, what is left over counts, and
/// twice: once for the full socket, and once for what replaces it (Linux `tcp_keepalive_timer`).
fn orphaned_for(fin_timeout: Span) -> Span {
    let beyond = Span::from_nanos(fin_timeout.nanos() - TIME_WAIT.nanos());
    if beyond > Span::ZERO { beyond + beyond } else { fin_timeout }
}

/// When a client gives up that sent its last SYN at `last`, after `repeated` earlier ones with the
/// first two distances `gaps`.
pub(super) fn give_up(host: &HostSettings, last: Time, repeated: u32, gaps: &[Span]) -> Time {
    let linear = linear_timeouts(host, gaps);
    let retries = u32::from(host.syn_retries);
    if repeated > retries + linear {
        return last;
    }
    let even = i64::from(linear.saturating_sub(repeated)) * backoff(0, host.rto_max).nanos();
    let passed = repeated.saturating_sub(linear);
    let doubled = waits(retries + 1, host.rto_max) - waits(passed, host.rto_max);
    last + Span::from_nanos(even + doubled)
}

/// The first `count` waits of a schedule together, in nanoseconds.
///
/// Perf: whole runs, flood: asked for every SYN, and added up step by step it took 8 % of the
/// instructions.
fn waits(count: u32, longest: Span) -> i64 {
    // 1 + 2 + 4 ..., while no wait is cut.
    if (1..=7).contains(&count) && backoff(count - 1, Span::MAX) <= longest {
        return ((1 << count) - 1) * 1_000_000_000;
    }
    (0..count).map(|step| backoff(step, longest).nanos()).sum()
}

/// The `step`-th wait of a schedule that starts with 1 s and doubles (RFC 6298 2, 5.5).
fn backoff(step: u32, longest: Span) -> Span {
    Span::from_secs(1_i64 << step.min(7)).min(longest)
}

/// The longest time from one SYN of an attempt to the next one.
pub(super) fn longest_wait_for_syn(host: &HostSettings) -> Span {
    let longest = backoff(u32::from(host.syn_retries).saturating_sub(1), host.rto_max);
    longest + Span::from_nanos(longest.nanos() / LATENESS)
}

/// How many even steps come first: as set, or as the first two gaps show.
fn linear_timeouts(host: &HostSettings, gaps: &[Span]) -> u32 {
    host.syn_linear_timeouts.map_or_else(
        || match *gaps {
            [first, second] if second < first + Span::from_nanos(first.nanos() / 2) => 4,
            _ => 0,
        },
        u32::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Profile;

    #[test]
    fn distances_of_centuries_between_syns_are_no_reason_to_panic() {
        let host = HostSettings::of_profile(Profile::Linux);
        let gaps = [Span::from_nanos(i64::MAX), Span::from_nanos(i64::MIN)];
        assert!(give_up(&host, Time::MAX, 2, &gaps) >= Time::MAX);
    }
    #[test]
    fn waits_add_up_as_step_by_step() {
        for (retries, longest, linear) in
            [(6, 120, None), (6, 120, Some(4)), (3, 2, Some(1)), (15, 120, None), (0, 64, Some(2))]
        {
            let host = HostSettings {
                syn_retries: retries,
                syn_linear_timeouts: linear,
                rto_max: Span::from_secs(longest),
                ..HostSettings::of_profile(Profile::Linux)
            };
            let linear = linear.map_or(0, u32::from);
            for repeated in 0..20 {
                let steps = repeated..=u32::from(retries) + linear;
                let waits = steps.map(|step| backoff(step.saturating_sub(linear), host.rto_max));
                let expected = waits.fold(Time::from_nanos(5), |time, wait| time + wait);
                assert_eq!(give_up(&host, Time::from_nanos(5), repeated, &[]), expected);
            }
        }
    }
}
