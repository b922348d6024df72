//! How connections leave a shard: over, replaced, evicted, or cut off by the capture's end.

use std::cmp::Reverse;

use super::timer::Timer;
use super::{Shard, half, remember};
use crate::connection::{Connection, LoneSyn, Mark, TimeWaitBefore};
use crate::flow::lives::Live;
use crate::flow::lone::Lone;
use crate::flow::observer::{Ending, Finished, Observer};
use crate::flow::table::Slot;
use crate::settings::Settings;
use crate::stamp::{Span, Time};

/// Within so long a client that was refused dials again with the same SYN: Windows does so twice, half a second
/// later each. What is over leaves nothing behind then.
const DIALS_AGAIN: Span = Span::from_secs(3);

/// How a connection leaves.
pub(super) struct Leave {
    pub(super) at: Time,
    pub(super) ending: Ending,
    /// The first segment of the one that takes over its flow.
    pub(super) by: Option<Mark>,
}

impl Shard {
    pub(super) fn ring(&mut self, timer: Timer, settings: &Settings, emit: &mut impl Observer) {
        let Some(live) = self.live.get_mut(timer.slot).filter(|live| live.id == timer.id) else {
            return;
        };
        if live.armed != timer.at {
            return;
        }
        if live.due == timer.at {
            live.armed = Time::MAX;
            live.ticket = Some(self.next_ticket);
            self.over_count += 1;
            let entry = (timer.slot, self.next_ticket);
            self.next_ticket = self.next_ticket.saturating_add(1);
            remember(&mut self.over, entry, self.over_count, |(index, ticket)| {
                self.live.get(index).is_some_and(|live| live.ticket == Some(ticket))
            });
            while self.over_count > self.limits.over {
                self.forget_oldest(timer.at, settings, emit);
            }
            return;
        }
        live.armed = live.due;
        let at = live.due;
        if at < Time::MAX {
            self.timers.push(Reverse(Timer { at, ..timer }));
            if let Some((_, connection)) = self.live.at_hand_mut(timer.slot) {
                // Perf: it was silent for a while, and has left the core's cache.
                connection.prefetch();
                connection.prefetch_behind();
                connection.prefetch_past();
                connection.rest();
            }
            if self.live.awake() > self.closed_awake {
                self.live.put_to_sleep(timer.slot);
            }
        }
    }

    /// Lets go of the connection that has been over for longest; says whether there was one.
    fn forget_oldest(
        &mut self,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> bool {
        while let Some((index, ticket)) = self.over.pop_front() {
            if let Some((next, _)) = self.over.get(3) {
                self.live.prefetch(*next);
            }
            if let Some((next, _)) = self.over.front() {
                self.live.prefetch_body(*next);
            }
            if self.live.get(index).is_some_and(|live| live.ticket == Some(ticket)) {
                let leave = Leave { at: clock, ending: Ending::Expired, by: None };
                self.finish_live(index, leave, settings, emit);
                return true;
            }
        }
        false
    }

    /// Makes sure that one more connection fits: lets go of those that are over, then of closed
    /// ones that only wait for their deadline, the earliest first, else of the one that was silent
    /// for longest, roughly: the first without a segment since it was last looked at.
    pub(super) fn make_room(&mut self, clock: Time, settings: &Settings, emit: &mut impl Observer) {
        while self.live.weight() >= self.limits.connections.max(1) {
            if self.forget_oldest(clock, settings, emit) {
                continue;
            }
            if let Some(Reverse(timer)) = self.timers.pop() {
                self.evict_closed(timer, clock, settings, emit);
                continue;
            }
            let Some((index, id)) = self.candidates.pop_front() else { return };
            let Some(live) = self.live.get_mut(index).filter(|live| live.id == id) else {
                continue;
            };
            if live.touched {
                live.touched = false;
                self.candidates.push_back((index, id));
                continue;
            }
            let leave = Leave { at: clock, ending: Ending::Evicted, by: None };
            self.finish_live(index, leave, settings, emit);
        }
    }

    fn evict_closed(
        &mut self,
        timer: Timer,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        let current = self.live.get(timer.slot).filter(|live| live.id == timer.id);
        if current.is_some_and(|live| live.due == timer.at && live.due > clock) {
            let leave = Leave { at: clock, ending: Ending::Evicted, by: None };
            self.finish_live(timer.slot, leave, settings, emit);
        } else {
            self.ring(timer, settings, emit);
        }
    }

    pub(super) fn evict_embryo(
        &mut self,
        clock: Time,
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        while let Some((index, frame)) = self.queue.pop_front() {
            if self.embryos.get(index).is_some_and(|embryo| half(embryo.frame()) == frame) {
                if self.embryos.is_spared(index, clock) {
                    // The next ones in the queue are younger, and most of them have no answer.
                    self.queue.push_back((index, frame));
                    continue;
                }
                return self.finish_embryo(index, (clock, Ending::Evicted), settings, emit);
            }
        }
    }

    /// An embryo has no timer: whether it timed out long ago is found out when it leaves.
    pub(super) fn finish_embryo(
        &mut self,
        index: u32,
        (at, ending): (Time, Ending),
        settings: &Settings,
        emit: &mut impl Observer,
    ) {
        if emit.is_brief() && self.finish_lone(index, (at, ending), settings, emit) {
            return;
        }
        let Some(hatched) = self.hatch(index, settings, emit) else { return };
        let key = hatched.key;
        let due = hatched.connection.deadline().max(hatched.time);
        let (known_until, ending) = if due <= at {
            (due, Ending::Expired)
        } else if ending == Ending::Evicted
            && hatched.connection.is_over()
            && at.since(hatched.time) > DIALS_AGAIN
        {
            (at, Ending::Expired)
        } else {
            (at, ending)
        };
        let mut connection = hatched.connection;
        tell_neighbours(&mut connection, known_until, settings, emit);
        let record = connection.finish(known_until, None, settings);
        let finished = Finished { record, at: (at, self.cause), ending };
        self.table.remove(key, Slot::embryo(index));
        emit.finished(finished);
    }

    /// Lets go of an embryo without building its connection, if it is a SYN that nothing followed.
    fn finish_lone(
        &mut self,
        index: u32,
        (at, ending): (Time, Ending),
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> bool {
        let Some((embryo, syn, forward)) = self.embryos.lone_syn(index) else { return false };
        let key = embryo.key();
        let Some(canonical) = self.table.tuple(key) else { return false };
        let tuple = if forward { canonical } else { canonical.reversed() };
        let syn = LoneSyn::of(&syn, emit.name(syn.frame), tuple, at, settings);
        let ending = if syn.is_over { Ending::Expired } else { ending };
        let (at, tunnel) = ((at, self.cause), self.table.tunnel(key));
        emit.lone_syn(&Lone { syn, tunnel, at, ending, embryo, tuple, forward, settings });
        self.embryos.drop_lone(index);
        self.table.remove(key, Slot::embryo(index));
        true
    }

    /// Lets go of a connection; says which TIME-WAIT of it ran out, if one did.
    pub(super) fn finish_live(
        &mut self,
        index: u32,
        Leave { at, ending, by }: Leave,
        settings: &Settings,
        emit: &mut impl Observer,
    ) -> Option<TimeWaitBefore> {
        let (live, mut connection) = self.live.remove(index)?;
        let Live { key, due, ticket, .. } = live;
        self.over_count -= usize::from(ticket.is_some());
        // What was over at its deadline was not open any longer than that.
        let (known_until, by, ending) =
            if due <= at { (due, None, Ending::Expired) } else { (at, by, ending) };
        let attempts = std::iter::from_fn(|| connection.take_turned_away());
        let attempts: Vec<_> =
            attempts.filter_map(|syn| Some((syn, self.table.flow(key)?))).collect();
        tell_neighbours(&mut connection, known_until, settings, emit);
        let left = (at, self.cause);
        let finished =
            Finished { record: connection.finish(known_until, by, settings), at: left, ending };
        let time_wait = TimeWaitBefore::of(&finished.record, settings);
        self.table.remove(key, Slot::live(index));
        emit.finished(finished);
        for ((forward, syn, extras), flow) in attempts {
            let first = (forward, &syn, &extras);
            let mut attempt = Connection::begun(emit.name(syn.frame), flow, first, settings);
            let record = attempt.finish(known_until, by, settings);
            emit.finished(Finished { record, at: (at, self.cause), ending });
        }
        time_wait
    }
}

/// What the connection cannot know by itself: whether the listener was heard when its SYN-ACK was due
/// again, whether it found a place in the queues and in TIME-WAIT, and how the capture began.
fn tell_neighbours(
    connection: &mut Connection,
    known_until: Time,
    settings: &Settings,
    emit: &impl Observer,
) {
    let unrepeated = connection.is_unrepeated(settings);
    if unrepeated.is_some_and(|(listener, sent)| emit.lost_listener(listener, sent, known_until)) {
        connection.lost_its_listener();
    } else {
        let asked = connection.is_silent(known_until, settings);
        if asked.is_some_and(|(listener, from)| emit.is_heard(listener, from, known_until)) {
            connection.heard_listener();
        }
    }
    let asked = connection.may_be_cookie(settings);
    if asked.is_some_and(|(listener, sent)| emit.found_no_request(listener, sent, known_until)) {
        connection.found_no_request();
    }
    if let Some(syn) = connection.first_syn()
        && let Some(begun) = emit.begun(syn.frame)
    {
        connection.settle_first_syn(begun, settings);
    }
    let asked = connection.may_be_crowded_out();
    if asked.is_some_and(|(attempt, from, until)| emit.found_queue_full(attempt, from, until)) {
        connection.was_crowded_out();
    }
    let asked = connection.may_be_overtaken();
    if asked.is_some_and(|(listener, from, until)| emit.has_completed(listener, from, until)) {
        connection.was_overtaken();
    }
    let asked = connection.may_be_deferred();
    if asked.is_some_and(|listener| emit.waits_for_data(listener, known_until)) {
        connection.was_deferred();
    }
    for (side, socket, from) in connection.may_lack_bucket(settings).into_iter().flatten() {
        if emit.had_no_bucket(socket, from, known_until) {
            connection.had_no_bucket(side);
        }
    }
    for (side, socket, from, until) in connection.may_be_reset_too_late(settings) {
        if emit.may_lack_bucket(socket, from, until) {
            connection.may_have_had_no_bucket(side);
        }
    }
}
