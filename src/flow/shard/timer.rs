//! When connections of a shard are looked at again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::connection::Connection;
use crate::flow::lives::Live;
use crate::stamp::{Span, Time};

/// So long after its last segment a connection that is closed gives back what it does not need for
/// stragglers.
const REST_AFTER: Span = Span::from_millis(250);

/// Orders by time and then by the connection's age. Outdated ones are told by their id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Time,
    pub(super) id: u64,
    pub(super) slot: u32,
}

/// Works out when a connection is over, and sets a timer if that is earlier than before. A later one is
/// found out when the old timer rings. A connection whose last segment, at `time`, is behind the clock
/// gets the same time as any other.
#[inline]
pub(super) fn arm(
    timers: &mut BinaryHeap<Reverse<Timer>>,
    index: u32,
    (live, connection): (&mut Live, &Connection),
    (clock, time): (Time, Time),
) {
    live.due = on_clock(connection.deadline(), clock, time);
    if live.due < live.armed {
        let at = live.due.min(clock + REST_AFTER);
        if at < live.armed {
            live.armed = at;
            timers.push(Reverse(Timer { at, id: live.id, slot: index }));
        }
    }
}

/// The time `deadline` of a connection on the capture clock, which its last segment, at `time`, may
/// be behind.
fn on_clock(deadline: Time, clock: Time, time: Time) -> Time {
    if deadline == Time::MAX { deadline } else { (deadline + clock.since(time)).max(clock) }
}
