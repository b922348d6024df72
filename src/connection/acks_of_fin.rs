//! The acknowledgments of a FIN that passed the tap: which of them reached its sender?
//!
//! The first one did, for all that is known, until what that side says later shows that it had not
//! come: the FIN again, a timestamp that echoes something older, or any word of a side that it
//! would have closed.

use crate::compact::compact;

use super::closing::newer;
use super::earlier_syn::COPIES;
use super::endpoint::Endpoint;
use super::first_fin::BEFORE_TIMERS;
use super::several::Several;
use super::{CROSSING_SLACK, Cause, Connection, Event, Mark, Reason, State};
use crate::stamp::{FrameId, Time};
use crate::tcp::{Segment, Side};

/// One acknowledgment of a FIN.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckOfFin {
    pub(super) mark: Mark,
    timestamp: Option<u32>,
    /// Its receiver had acknowledged all that its sender had sent before, so its timestamp counts
    /// (RFC 7323 4.3).
    in_order: bool,
    /// It says nothing else.
    is_alone: bool,
}

compact!(struct AckOfFin { mark, timestamp, in_order, is_alone });

/// Those of one FIN, in the order of capture.
#[derive(Clone, Debug, Default)]
pub(super) struct AcksOfFin(Several<AckOfFin, 15>);

compact!(struct AcksOfFin as (acks));

impl AcksOfFin {
    pub(super) fn push(&mut self, segment: &Segment, in_order: bool) {
        let timestamp = segment.timestamps().map(|stamps| stamps.value);
        let is_alone = segment.seq_len() == 0;
        self.0.push(AckOfFin { mark: Mark::of(segment), timestamp, in_order, is_alone });
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<Mark> {
        self.0.first().map(|ack| ack.mark)
    }

    /// The first one, if that was a pure acknowledgment.
    pub(super) fn first_if_alone(&self) -> Option<Mark> {
        self.0.first().filter(|ack| ack.is_alone).map(|ack| ack.mark)
    }

    /// How many were pure acknowledgments, of those that are kept, not counting what the network may have
    /// doubled.
    pub(super) fn alone(&self) -> u32 {
        let mut last = Time::MIN;
        let mut count = 0;
        for ack in self.0.all().filter(|ack| ack.is_alone) {
            count += u32::from(ack.mark.time > last + COPIES);
            last = ack.mark.time;
        }
        count
    }

    /// Whether the one at `mark` left within one tick of its sender's clock before `segment`.
    pub(super) fn left_just_before(&self, mark: Mark, segment: &Segment) -> bool {
        let ack = self.in_frame(Some(mark.frame)).and_then(|ack| ack.timestamp);
        ack.zip(segment.timestamps()).is_some_and(|(ack, it)| it.value.wrapping_sub(ack) <= 1)
    }

    /// The one before the latest.
    pub(super) fn before_the_last(&self) -> Option<Mark> {
        self.0.all().rev().nth(1).map(|ack| ack.mark)
    }

    /// The first one after `frame` that is `possible`.
    pub(super) fn next(
        &self,
        frame: Option<FrameId>,
        possible: impl Fn(&AckOfFin) -> bool,
    ) -> Option<Mark> {
        let after = |ack: &&AckOfFin| Some(ack.mark.frame) > frame && possible(ack);
        self.0.all().find(after).map(|ack| ack.mark)
    }

    fn in_frame(&self, frame: Option<FrameId>) -> Option<AckOfFin> {
        self.0.all().find(|ack| Some(ack.mark.frame) == frame).copied()
    }
}

/// What a segment of a side tells of the acknowledgments of its FIN.
#[derive(Clone, Copy, Debug)]
struct Word {
    /// What passed the tap before this had come by the time that it was sent, or never.
    due: Time,
    echo: Option<u32>,
    /// It says by itself that no acknowledgment of the FIN had come.
    denies_all: bool,
}

impl Word {
    /// Whether `ack` had not come: it would have ended its receiver, or have been echoed.
    fn denies(&self, ack: &AckOfFin) -> bool {
        let unheard = self.echo.zip(ack.timestamp).is_some_and(|(echo, ack)| newer(ack, echo));
        ack.mark.time < self.due && (self.denies_all || (ack.in_order && unheard))
    }
}

impl Connection {
    /// `from`, which has sent its FIN, says something: was the acknowledgment of that FIN, by which it
    /// changed its state, really there by then?
    pub(super) fn doubt_by_word(&mut self, from: Side, segment: &Segment) {
        let Some(path) = self.path(from) else { return };
        // A cookie that comes back late makes another socket.
        let is_other = self.opening.cookie().is_some();
        let is_near = self.is_near(from);
        let me = self.sides.of_mut(from);
        if is_other || me.is_beyond_its_fin(segment) {
            return;
        }
        // At the tap no copy comes from a network: what it sends again, by its timer, it has no
        // acknowledgment of.
        let last = me.stream.last_time();
        let has_stamps = segment.timestamps().is_some();
        let is_again = is_near
            && segment.payload_len > 0
            && me.stream.offset(segment.seq) < me.stream.acknowledged
            && has_stamps == me.stream.options.timestamps
            && last.is_none_or(|last| segment.time.since(last) > BEFORE_TIMERS);
        let now = (is_again && !has_stamps).then_some(segment.time);
        let Some(sent) = me.clock.sent(segment).or(now) else { return };
        let word = Word {
            due: sent - path - CROSSING_SLACK,
            echo: segment.timestamps().map(|stamps| stamps.echo),
            denies_all: me.state == State::Closed || is_again,
        };
        let taken = me.last_entry().copied().filter(|it| it.cause == Cause::ReceivedAckOfFin);
        let ack = taken.and_then(|entry| me.acks_of_fin.in_frame(entry.frame));
        if let (Some(entry), Some(ack)) = (taken, ack.filter(|ack| word.denies(ack))) {
            me.revert(entry.state);
            me.correction = Some(segment.frame);
            if !me.take_next_ack_of_fin(entry.frame, &word) {
                // Unless the FIN comes again, it was only late.
                me.pending_ack_of_fin = Some(ack.mark);
            }
        }
    }

    /// `from` sends its FIN again, which is no copy: what acknowledged it had not come.
    pub(super) fn doubt_by_fin(&mut self, from: Side, segment: &Segment) {
        let path = self.answer_time(from);
        let me = self.sides.of_mut(from);
        let sent = me.clock.sent(segment).unwrap_or(segment.time);
        let word = Word { due: sent - path - CROSSING_SLACK, echo: None, denies_all: true };
        let taken = me
            .last_entry()
            .copied()
            .filter(|entry| entry.cause == Cause::ReceivedAckOfFin && entry.at < word.due);
        let Some(entry) = taken else { return };
        me.revert(entry.state);
        me.correction = Some(segment.frame);
        me.acks_of_fin_ignored += 1;
        me.take_next_ack_of_fin(entry.frame, &word);
    }
}

impl Endpoint {
    /// Whether `segment` cannot come from a socket that has sent its FIN: it carries data behind that, or
    /// none and not the number behind it. Somebody else says that, in its name.
    fn is_beyond_its_fin(&self, segment: &Segment) -> bool {
        let (begin, end) = (self.stream.offset(segment.seq), self.stream.offset(segment.seq_end()));
        self.stream
            .fin
            .is_some_and(|fin| if segment.seq_len() == 0 { begin == fin } else { end > fin + 1 })
    }

    /// The next acknowledgment of the FIN after `frame` is on its way to it still, or came.
    fn take_next_ack_of_fin(&mut self, frame: Option<FrameId>, word: &Word) -> bool {
        let next = self.acks_of_fin.next(frame, |ack| !word.denies(ack));
        let Some(next) = next else { return false };
        let reason = Reason::observed(next, Cause::ReceivedAckOfFin);
        let correction = self.correction.take();
        self.apply(Event::ReceiveAckOfFin, reason.corrected(correction));
        self.ack_of_fin_rides_on = i64::MIN;
        true
    }
}
