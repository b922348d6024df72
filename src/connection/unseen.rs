//! What a side sent that the tap never saw tells which transmission had reached it: of a FIN, and of
//! a SYN-ACK, where no timestamp does.
//!
//! Each that came was answered. An answer that follows right upon what was seen before is the first
//! one; where so many are missing, so many earlier ones had come. In TIME-WAIT no socket answers.

use super::Mark;
use super::attempts::{Attempt, Attempts};
use super::endpoint::{Endpoint, Skip};
use super::numbers::Sender;
use crate::stamp::{Span, Time};
use crate::tcp::{Extras, Segment};

/// What is known of a segment that acknowledges a FIN for the first time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// Who sent it.
    pub(super) sender: Option<Sender>,
    /// It comes from what is left of the socket, however near that is.
    pub(super) of_rest: bool,
    /// What passed the tap later than this it does not answer.
    pub(super) soonest: Time,
    /// All before the FIN had been acknowledged, so that nothing else was to be answered, and no data
    /// is missing before it.
    pub(super) is_all: bool,
    /// It reports that the FIN came twice.
    pub(super) twice: bool,
    /// How long the way to its sender and back is.
    pub(super) path: Span,
    /// It is its sender's own FIN, so what was not seen may be that FIN before.
    pub(super) is_fin: bool,
}

/// No sooner than this is a FIN sent again (Linux `TCP_RTO_MIN`; a probe waits as long for one that is
/// alone).
const FIN_TIMER: Span = Span::from_millis(200);

impl Answer {
    /// It comes from what is left of the socket.
    pub(super) fn is_of_rest(&self) -> bool {
        self.sender == Some(Sender::Rest)
    }
}

impl Endpoint {
    /// The peer's FIN that arrived first, as the sender of its acknowledgment tells.
    pub(super) fn fin_by_number(&self, answer: Answer) -> Option<Attempt> {
        let arrivals = &self.fin_arrivals;
        if arrivals.repeated() == 0 {
            return None;
        }
        let by = |limit: Time| arrivals.all().filter(move |it| it.mark.time <= limit);
        let with_ack = || arrivals.all().all(|it| it.acknowledges_fin);
        let possible = || by(answer.soonest);
        let found = match answer.sender? {
            // It answers each FIN with what is left, the first as well, where it had come to
            // FIN-WAIT-2 before.
            Sender::Rest => {
                let in_time_wait = self.reads_after_fin || !self.was_acknowledged_alone();
                // It sends its FIN until the acknowledgment comes that is in all of them.
                let since = self.latest_fin().filter(|_| in_time_wait && with_ack())?;
                possible().find(|it| it.mark.time >= since.time)
            }
            // In FIN-WAIT the socket is gone with the first FIN.
            Sender::Socket { .. } if self.fin.is_some() => possible().next_back(),
            Sender::Socket { unseen: 0 } if !answer.twice => possible().next_back(),
            Sender::Socket { .. } if !answer.is_all => None,
            Sender::Socket { unseen } if answer.is_fin && !answer.twice => {
                let timers = FIN_TIMER.nanos() * i64::from(unseen);
                by(answer.soonest - Span::from_nanos(timers)).next_back()
            }
            Sender::Socket { unseen } => {
                let came = usize::from(unseen.max(u16::from(answer.twice))) + 1;
                possible().nth(possible().count().saturating_sub(came))
            }
        };
        found.copied()
    }

    /// A segment that leaves a gap, perhaps of the FIN, while `peer` had been acknowledged up to `before`.
    pub(super) fn note_skip(
        &mut self,
        peer: &Self,
        before: i64,
        (segment, path): (&Segment, Span),
        extras: &Extras,
    ) {
        let offset = self.stream.offset(segment.seq);
        let is_highest = self.skipped_to.as_ref().is_none_or(|skip| skip.offset < offset);
        if offset <= self.stream.end || !is_highest {
            return;
        }
        let timestamp = segment.timestamps().map(|stamps| stamps.value);
        let new = before..peer.stream.acknowledged;
        let is_first = peer.stream.fin.is_some_and(|fin| new.contains(&fin));
        let answers_fin = is_first && self.answers_at_once(peer, before, (segment, path), extras);
        self.skipped_to = Some(Box::new(Skip {
            offset,
            mark: Mark::of(segment),
            timestamp,
            number: self.stream.number(segment),
            knew: peer.stream.fin.is_some_and(|fin| peer.stream.offset(segment.ack) > fin),
            is_first_answer: is_first && !peer.reports_twice(before, segment, extras),
            answers_fin,
        }));
    }

    /// Whether `segment` of its peer, which had acknowledged what lies before `before`, says that something
    /// came twice. A block below the acknowledgment reports a duplicate only where there was one: Linux
    /// still lists what it had out of order in the acknowledgment that ends it.
    pub(super) fn reports_twice(&self, before: i64, segment: &Segment, extras: &Extras) -> bool {
        let fin = self.stream.fin;
        extras.sack.as_slice().first().is_some_and(|block| {
            (self.fin_repeats > 0 || Some(before) == fin)
                && self.stream.is_duplicate_report(*block, segment.ack)
        })
    }

    /// Whether it says so of the FIN.
    pub(super) fn reports_fin_twice(
        &self,
        before: i64,
        segment: &Segment,
        extras: &Extras,
    ) -> bool {
        let last = extras.sack.as_slice().first().map(|block| self.stream.offset(block.right) - 1);
        last.is_some() && last == self.stream.fin && self.reports_twice(before, segment, extras)
    }

    /// Whether `segment`, which acknowledges the FIN of `peer` that begins behind what had been
    /// acknowledged `before`, and comes behind the own FIN that was not seen, answers the first that
    /// came: a FIN that comes again is reported as a duplicate (RFC 2883). In CLOSE-WAIT a FIN is
    /// acknowledged with the own one, in FIN-WAIT-1 by itself: that is one more.
    fn answers_at_once(
        &self,
        peer: &Self,
        before: i64,
        (segment, path): (&Segment, Span),
        extras: &Extras,
    ) -> bool {
        // The one that it reports, and another.
        let came = peer.fins_come_by(segment, path).max(2);
        let is_one_more = || {
            peer.reports_fin_twice(before, segment, extras)
                && self.sent_more(peer, before, (segment, path), (came, 0))
        };
        self.reports_duplicates(peer)
            && segment.payload_len == 0
            && (extras.sack.is_empty() || is_one_more())
    }

    /// Whether it tells `peer` what comes twice (RFC 2883).
    pub(super) const fn reports_duplicates(&self, peer: &Self) -> bool {
        self.stream.options.sack_permitted && peer.stream.options.sack_permitted
    }

    /// Whether the own FIN in `segment`, which acknowledges the FIN of `peer` that begins behind what had
    /// been acknowledged `before`, comes again, and was sent before that one came: so much was sent since
    /// and not seen. In CLOSE-WAIT each FIN of the peer is answered once, with the own FIN or before it.
    pub(super) fn closed_before(
        &self,
        peer: &Self,
        before: i64,
        segment: &Segment,
        path: Span,
    ) -> bool {
        self.sent_more(peer, before, (segment, path), (peer.fins_come_by(segment, path), 1))
    }

    /// How many FINs of this side can have come before its peer sent `segment`, of those that the tap saw.
    fn fins_come_by(&self, segment: &Segment, path: Span) -> u32 {
        let is_late = |last: &Mark| segment.time.since(last.time) < path;
        self.fin_repeats + 1 - u32::from(self.last_fin.as_ref().is_some_and(is_late))
    }

    /// Whether more was sent, and not seen, before `segment` than answers to `came` FINs of the peer, and so
    /// many own FINs, or things `at_least`, as timers can have sent since the first of those came.
    fn sent_more(
        &self,
        peer: &Self,
        before: i64,
        (segment, path): (&Segment, Span),
        (came, at_least): (u32, u32),
    ) -> bool {
        let timer = FIN_TIMER + path;
        let since = peer.fin.map_or(Span::ZERO, |fin| segment.time.since(fin.time + path));
        let by_timers = u32::from(since >= timer);
        let usual = came + by_timers.max(at_least);
        peer.stream.fin == Some(before)
            && since < timer + timer
            && matches!(self.stream.sender(segment), Some(Sender::Socket { unseen }) if u32::from(unseen) >= usual)
    }

    /// Its FIN was acknowledged by something else than the peer's FIN.
    pub(super) fn was_acknowledged_alone(&self) -> bool {
        self.acks_of_fin.next(None, |ack| !self.fin_arrivals.has(ack.mark.frame)).is_some()
    }
}

impl Attempts {
    /// The SYN-ACK behind the last SYN, at `syn`, that its receiver answers as `sender`: the last one
    /// if that is its first word since, an earlier one if it had said more; the first where nothing
    /// tells.
    pub(super) fn answered_by_number(&self, syn: Time, sender: Option<Sender>) -> Option<Attempt> {
        let behind = |it: &&Attempt| it.mark.time >= syn;
        let came = match sender {
            Some(Sender::Socket { unseen }) => usize::from(unseen) + 1,
            Some(Sender::Rest) | None => usize::MAX,
        };
        let count = self.all().filter(behind).count();
        self.all().filter(behind).nth(count.saturating_sub(came)).copied()
    }
}
