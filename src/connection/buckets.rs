//! A TIME-WAIT that never was: beyond `tcp_max_tw_buckets` Linux closes the socket instead.
//!
//! Only what else the host holds tells, so somebody who sees its other connections must say so. What
//! the socket still answered afterwards shows that it was there all the same.

use super::endpoint::{Endpoint, Reason};
use super::{CROSSING_SLACK, Cause, Connection, State};
use crate::certainty::Certainty;
use crate::settings::Settings;
use crate::stamp::{Span, Time};
use crate::tcp::{FourTuple, Side};

/// A FIN may be behind its effect, or ahead of it, by this: lost behind the tap, or sent again.
const AROUND: Span = Span::from_secs(1);

impl Connection {
    /// The sides whose host may have had no place for their TIME-WAIT: each as the source of a tuple,
    /// and from when on it would have asked for one.
    #[must_use]
    pub fn may_lack_bucket(&self, settings: &Settings) -> [Option<(Side, FourTuple, Time)>; 2] {
        Side::BOTH.map(|side| {
            let (own, peer) = (self.addresses.of(side), self.addresses.of(side.peer()));
            settings.of(own.address).max_tw_buckets?;
            let me = self.sides.of(side);
            let entered = me.time_wait()?.at;
            let answered = me.stream.last_time().is_some_and(|last| {
                last.since(entered) > self.answer_time(side) + CROSSING_SLACK && me.resets == 0
            });
            let tuple = FourTuple { source: *own, destination: *peer };
            let from = self.first.time.max(entered - AROUND);
            (!answered).then_some((side, tuple, from))
        })
    }

    /// The sides that a RST ended in FIN-WAIT-2: each as the source of a tuple, and around when its FIN was
    /// acknowledged. An orphan takes a place then, and is closed at once if there is none.
    #[must_use]
    pub fn may_be_reset_too_late(&self, settings: &Settings) -> Vec<(Side, FourTuple, Time, Time)> {
        let of = |side| {
            let (own, peer) = (self.addresses.of(side), self.addresses.of(side.peer()));
            settings.of(own.address).max_tw_buckets?;
            let [.., waiting, closed] = self.sides.of(side).entries() else { return None };
            let is_reset = waiting.state == State::FinWait2
                && closed.cause == Cause::ReceivedRst
                && closed.certainty == Certainty::Observed;
            let tuple = FourTuple { source: *own, destination: *peer };
            is_reset.then_some((side, tuple, waiting.at - AROUND, waiting.at + AROUND))
        };
        Side::BOTH.into_iter().filter_map(of).collect()
    }

    /// The host of `side` may have had none.
    pub fn may_have_had_no_bucket(&mut self, side: Side) {
        if let Some(closed) = self.sides.of_mut(side).entries_mut().last_mut() {
            closed.certainty = closed.certainty.min(Certainty::Inferred);
        }
    }

    /// The host of `side` had none.
    pub fn had_no_bucket(&mut self, side: Side) {
        let me = self.sides.of_mut(side);
        let Some(entry) = me.time_wait().copied() else { return };
        let entries = me.entries_mut();
        let kept = entries.iter().take_while(|it| it.state != State::TimeWait).count();
        entries.truncate(kept);
        let reason = Reason {
            cause: Cause::NoTimeWaitBucket,
            certainty: Certainty::Inferred,
            ..Reason::of(&entry)
        };
        me.enter(State::Closed, reason);
    }
}

impl Endpoint {
    /// Its TIME-WAIT, if that is how it ended.
    fn time_wait(&self) -> Option<&super::Entry> {
        self.entries().iter().find(|entry| entry.state == State::TimeWait)
    }
}
