//! The first FIN of a side: when its application closed, as far as that shows.
//!
//! CLOSE makes the state, and the FIN shows it, at once as a rule. It may have had to wait behind
//! data or a closed window; or an earlier transmission of it was lost before the tap, or was
//! overtaken.

use super::closing::newer;
use super::endpoint::{Endpoint, Skip};
use super::numbers::Sender;
use super::path::{ANY_PATH, BESIDE};
use super::{
    CROSSING_SLACK, Cause, Connection, Entry, Event, Mark, Reason, SYN_TIMER, State, UNHINDERED,
};
use crate::certainty::Certainty;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Extras, Segment, Side};

/// Sooner than this no timer sends anything again (Linux `TCP_RTO_MIN` is 200 ms).
pub(super) const BEFORE_TIMERS: Span = Span::from_millis(150);

/// Nor within this after a FIN has come that brought no room for more.
const SOON: Span = Span::from_micros(200);

/// No application closes so soon after a FIN has come; from afar two segments do not keep their distance.
const INSTANT: Span = Span::from_micros(20);
const INSTANT_AFAR: Span = Span::from_micros(100);

/// What is known when it passes the tap.
struct FirstFin {
    mark: Mark,
    /// Its timestamp, and the IP identification where its sender counts them.
    timestamp: Option<u32>,
    number: Option<u16>,
    /// When it left, as far as its sender's clock tells.
    sent: Option<Time>,
    /// How long it takes from the tap to its sender and back.
    path: Span,
    /// How long after an acknowledgment what it makes room for may pass the tap.
    room_within: Span,
    /// It acknowledges the peer's FIN.
    knew: bool,
    /// One segment may have filled its sender's window: after a SYN or SYN-ACK was lost (RFC 5681
    /// 3.1), or something else (3.1, equation 4).
    narrow: bool,
    /// The same may be, of what was lost before the tap.
    may_be_narrow: bool,
    /// It comes behind an acknowledgment of the peer's FIN.
    behind_answer: bool,
    /// Much is in flight; or was just sent by a sender far away: what of it was still in flight there,
    /// the tap does not show.
    bulk: bool,
    /// The segment before it is an acknowledgment of the peer's FIN, and left together with it.
    is_together: bool,
    /// What its sender sent before is not all acknowledged.
    behind_data: bool,
    /// The segment before it, of either side.
    before: Mark,
    /// Its sender's last segment with payload before it.
    data_before: Option<Mark>,
    /// It is the first that the capture has of its sender: it may have been sent before.
    first_word: bool,
    /// Its identification says that something was sent before it and not seen: perhaps that was the FIN.
    misses_some: bool,
    /// It comes with data right behind other data of its sender: what held that up held it up too.
    with_data: bool,
    /// It comes again, and was sent before the peer's FIN came: what was not seen since tells.
    crossed: bool,
}

impl Connection {
    pub(super) fn on_first_fin(
        &mut self,
        from: Side,
        segment: &Segment,
        data_before: Option<Mark>,
        acknowledged: i64,
    ) {
        self.take_back_early_open(from, segment);
        self.take_back_crossed_open(from, segment);
        let attempts = [self.opening.syns.of(from), self.opening.syn_acks.of(from)];
        let (before, path) = (self.last, self.answer_time(from));
        // A SYN-ACK that comes so late is not the first one.
        let late = from == Side::Server && self.opening.server_rtt > Some(SYN_TIMER);
        let room_within = self.path(from).unwrap_or(ANY_PATH) + CROSSING_SLACK;
        let lost = late || attempts.into_iter().any(|it| it.repeated() > 0);
        let is_lossy = self.is_lossy_beyond_tap(from);
        let (me, peer) = self.sides.pair_mut(from);
        let repeated = me.stream.repair.as_ref().is_some_and(|repair| repair.segments > 0);
        let begins = me.stream.offset(segment.seq);
        let data =
            [data_before.map(|it| it.time), (segment.payload_len > 0).then_some(segment.time)];
        let data = data.into_iter().flatten().max();
        // What is in flight at the tap leaves room for no more, and it did not leave right behind it.
        let in_flight = me.stream.end - 1 - me.stream.acknowledged;
        let hindered = in_flight > UNHINDERED
            && data.is_none_or(|data| segment.time.since(data) > CROSSING_SLACK);
        let just_before = data.is_some_and(|data| segment.time.since(data) <= path + path);
        let fin = FirstFin {
            mark: Mark::of(segment),
            timestamp: segment.timestamps().map(|stamps| stamps.value),
            number: me.stream.number(segment),
            sent: me.clock.sent(segment),
            path,
            room_within,
            knew: peer.stream.fin.is_some_and(|fin| peer.stream.offset(segment.ack) > fin),
            narrow: lost || repeated,
            may_be_narrow: is_lossy,
            behind_answer: peer.stream.fin.is_some_and(|fin| acknowledged > fin),
            bulk: hindered || (path > BESIDE && just_before && me.stream.end > UNHINDERED),
            // Of what comes from afar, only the clock there tells.
            is_together: path <= BESIDE || peer.acks_of_fin.left_just_before(before, segment),
            behind_data: begins > me.stream.acknowledged.max(1),
            before,
            data_before,
            misses_some: matches!(me.stream.sender(segment), Some(Sender::Socket { unseen: 1.. })),
            first_word: !me.stream.syn_seen && me.stream.traffic.segments == 1,
            with_data: segment.payload_len > 0
                && data_before.is_some_and(|data| {
                    peer.stream.traffic.last_data.is_none_or(|it| it.time < data.time)
                }),
            crossed: begins <= me.stream.acknowledged.max(1)
                && me.closed_before(peer, acknowledged, segment, path),
        };
        me.fin = Some(fin.mark);
        me.fin_stamps = segment.timestamps();
        me.send_first_fin(&fin);
    }
}

impl Connection {
    /// A FIN that was sent before the one that is known, and held up before the tap. If it does not
    /// acknowledge the peer's FIN, its sender had not received that one by then: the FINs crossed.
    pub(super) fn on_overtaken_fin(&mut self, from: Side, segment: &Segment) {
        let (me, peer) = self.sides.pair_mut(from);
        let knew = peer.stream.fin.is_none_or(|fin| peer.stream.offset(segment.ack) > fin);
        if peer.had_more_acknowledged(segment) && !knew {
            me.crossed_after_all(Mark::of(segment));
        }
    }

    /// An acknowledgment from behind the FIN, sent before the one FIN that was seen, and held up before the
    /// tap: that one came again. If it does not acknowledge the peer's FIN, or answers the first that came,
    /// the FINs crossed.
    pub(super) fn note_overtaken_ack(&mut self, from: Side, segment: &Segment, extras: &Extras) {
        // A cookie that comes back late makes another socket.
        if self.opening.cookie().is_some() {
            return;
        }
        let (me, peer) = self.sides.pair_mut(from);
        let (Some(own), Some(fin)) = (me.stream.fin, peer.stream.fin) else { return };
        let is_behind = me.fin_repeats == 0 && me.stream.offset(segment.seq) == own + 1;
        if !is_behind || segment.payload_len > 0 || !me.was_overtaken(peer, segment) {
            return;
        }
        let knew = peer.stream.offset(segment.ack) > fin;
        let is_first = me.reports_duplicates(peer) && !peer.reports_twice(fin, segment, extras);
        if !knew || is_first {
            me.crossed_after_all(Mark::of(segment));
        }
    }
}

impl Endpoint {
    /// Whether something that it sent later than `segment` has come before that, as its identification or
    /// what it acknowledges of `peer` tells.
    pub(super) fn was_overtaken(&self, peer: &Self, segment: &Segment) -> bool {
        peer.had_more_acknowledged(segment) || self.stream.has_overtaken(segment)
    }

    /// Whether `segment` of the peer acknowledges less than an earlier one: it was sent before that.
    pub(super) fn had_more_acknowledged(&self, segment: &Segment) -> bool {
        segment.flags.ack() && self.stream.offset(segment.ack) < self.stream.acknowledged
    }

    /// It had sent its FIN, which `mark` shows, before it received the peer's.
    fn crossed_after_all(&mut self, mark: Mark) {
        let closes = |received: &Entry, sent: &Entry| {
            received.state == State::CloseWait && sent.state == State::LastAck
        };
        let (received, end) = match self.entries() {
            [.., received, sent] if closes(received, sent) => (*received, None),
            [.., received, sent, end]
                if closes(received, sent) && end.cause == Cause::ReceivedAckOfFin =>
            {
                (*received, Some(*end))
            }
            _ => return,
        };
        for state in [State::Closed, State::LastAck, State::CloseWait] {
            self.revert(state);
        }
        let sent = Reason { at: received.at, ..Reason::inferred(mark, Cause::SentFin) };
        self.apply(Event::SendFin, sent.corrected(Some(mark.frame)));
        self.apply(Event::ReceiveFin, Reason::of(&received));
        if let Some(end) = end {
            self.apply(Event::ReceiveAckOfFin, Reason::of(&end));
        }
    }

    fn send_first_fin(&mut self, fin: &FirstFin) {
        let left_before = self
            .skipped_to
            .take_if(|skip| self.stream.fin.is_some_and(|fin| skip.offset == fin + 1));
        match left_before {
            Some(skip) => self.left_before(fin, *skip),
            None => self.leaves_now(fin),
        }
    }

    /// The moment of CLOSE, unless it had to wait: it left then when an acknowledgment had made room
    /// and gone its way from the tap.
    fn leaves_now(&mut self, fin: &FirstFin) {
        if fin.narrow {
            self.released = self.released.max(self.stream.advanced.time);
        }
        let waited = self.held
            || fin.bulk
            || fin.with_data
            || fin.first_word
            || fin.misses_some
            || (fin.narrow && fin.behind_data)
            || fin.mark.time.since(self.released) <= fin.room_within;
        let reason = if waited {
            Reason::inferred(fin.mark, Cause::SentFin)
        } else {
            Reason::observed(fin.mark, Cause::SentFin)
        };
        let received = self.last_entry().copied().filter(|entry| {
            entry.state == State::CloseWait
                && (fin.crossed || !fin.knew || self.waited_for_fin(fin, entry))
        });
        if let Some(entry) = received {
            self.revert(State::CloseWait);
            let sent = Reason { at: entry.at, ..Reason::inferred(fin.mark, Cause::SentFin) };
            self.apply(Event::SendFin, sent);
            self.apply(Event::ReceiveFin, Reason::of(&entry).corrected(Some(fin.mark.frame)));
            return;
        }
        // It crossed the RST that was on its way to it.
        let crossed = self.last_entry().is_some_and(|last| last.cause == Cause::ReceivedRst);
        let end = if crossed { self.revert(State::Closed) } else { None };
        // And the FIN that came before that RST.
        let received = self.last_entry().copied().filter(|entry| {
            entry.state == State::CloseWait
                && end.is_some()
                && !fin.knew
                && (entry.certainty < Certainty::Observed
                    || fin.mark.time.since(entry.at) <= fin.path)
        });
        if let Some(entry) = received {
            self.revert(State::CloseWait);
            let sent = Reason { at: entry.at, ..Reason::inferred(fin.mark, Cause::SentFin) };
            self.apply(Event::SendFin, sent);
            self.apply(Event::ReceiveFin, Reason::of(&entry));
        } else {
            self.apply(Event::SendFin, reason);
        }
        if let Some(end) = end {
            self.apply(Event::ReceiveRst, Reason::of(&end).corrected(Some(fin.mark.frame)));
        }
    }

    /// Whether the peer's FIN, by which `received` was entered, made room for it, and it left behind the
    /// acknowledgment of that at once: it had been waiting, and the FINs had crossed.
    fn waited_for_fin(&self, fin: &FirstFin, received: &Entry) -> bool {
        let instant = if fin.path > BESIDE { INSTANT_AFAR } else { INSTANT };
        let made_room = if fin.narrow {
            // In FIN-WAIT-1 a FIN is acknowledged at once, which is seen at the tap.
            (fin.behind_answer || fin.path > BESIDE)
                && (Span::ZERO..=SOON).contains(&self.released.since(received.at))
        } else {
            fin.may_be_narrow
                && fin.behind_answer
                && Some(self.stream.advanced.frame) == received.frame
        };
        made_room
            && fin.is_together
            && Some(fin.before.frame) > received.frame
            // A FIN that waits behind data leaves with the last of it (Linux `tcp_send_fin`).
            && fin.data_before.is_none_or(|data| data.time <= received.at)
            && fin.mark.time.since(fin.before.time) <= instant
            // It may have come together with what was sent long before.
            && fin.sent.is_none_or(|sent| sent <= received.at + fin.path + CROSSING_SLACK)
    }

    /// The number after the FIN was in use before: the FIN left then. The peer's first FIN was
    /// answered from there at once: the two had crossed, and it received that one in FIN-WAIT-1.
    /// Otherwise the answer was to something later, after its own FIN was lost; or the FIN was
    /// overtaken by it, and says itself what it knew.
    fn left_before(&mut self, fin: &FirstFin, skip: Skip) {
        let earlier = skip.mark;
        let stamps = fin.timestamp.zip(skip.timestamp);
        let overtaken = match (stamps, fin.number.zip(skip.number)) {
            (Some((now, then)), _) => !newer(now, then),
            (None, Some((now, then))) => then.wrapping_sub(now).cast_signed() > 0,
            (None, None) => fin.mark.time.since(earlier.time) < BEFORE_TIMERS,
        };
        let crossed = self.last_entry().is_some_and(|last| {
            let is_before = earlier.time < last.at || !skip.knew;
            // Acknowledgments only rise.
            is_before || !fin.knew || (skip.answers(last) && !overtaken)
        });
        self.sent_before(skip.mark, crossed, fin.mark.frame);
    }

    /// The number after a FIN that never came to the tap was in use when the connection was over, or reset.
    pub(super) fn settle_unseen_fin(&mut self) {
        let Some(skip) = self.skipped_to.as_deref().copied() else { return };
        if self.fin.is_some() || !skip.knew || skip.offset != self.stream.end + 1 {
            return;
        }
        let end = self.last_entry().copied().filter(|last| last.cause == Cause::ReceivedRst);
        if end.is_some() {
            self.revert(State::Closed);
        }
        if let Some(last) = self.last_entry().filter(|last| last.state == State::CloseWait) {
            let crossed = skip.mark.time < last.at || skip.answers(last);
            self.sent_before(skip.mark, crossed, skip.mark.frame);
        }
        if let Some(end) = end {
            self.apply(Event::ReceiveRst, Reason::of(&end));
        }
    }

    /// It had sent its FIN before `earlier`, as the segment in `shown_by` tells; and before it received the
    /// peer's if they `crossed`.
    fn sent_before(&mut self, earlier: Mark, crossed: bool, shown_by: FrameId) {
        let received = if crossed { self.revert(State::CloseWait) } else { None };
        let at = received.map_or(earlier.time, |entry| entry.at.min(earlier.time));
        let sent = Reason { at, ..Reason::inferred(earlier, Cause::SentFin) };
        self.apply(Event::SendFin, sent.corrected(Some(shown_by)));
        if let Some(entry) = received {
            self.apply(Event::ReceiveFin, Reason::of(&entry));
        }
    }
}

impl Skip {
    /// Whether it answers the first FIN of the peer, which `received` its sender, from behind its own.
    const fn answers(&self, received: &Entry) -> bool {
        self.answers_fin || (received.corrected_by.is_none() && self.is_first_answer)
    }
}
