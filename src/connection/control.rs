//! Packets that come twice, and SYN, SYN-ACK and FIN sent again: known before the segment changes
//! anything.

use super::attempts::Attempts;
use super::{Connection, Effects, Mark, Repeat, RepeatCause, Rule, SAME_FRAME};
use crate::stamp::Span;
use crate::tcp::{Control, Extras, Segment, Side};

/// The least that passes before a timer repeats a SYN-ACK: 1 s (Linux `TCP_TIMEOUT_INIT`), but for the
/// coarseness of its clock.
const SHORTEST_TIMER: Span = Span::from_millis(900);

impl Connection {
    /// Whether the tap delivered `segment` twice: it is counted then, and nothing else is to be made
    /// of it. Also counts a SYN, SYN-ACK or FIN that is sent again.
    pub(super) fn is_seen_twice(
        &mut self,
        from: Side,
        segment: &Segment,
        extras: &Extras,
        effects: &mut Effects,
    ) -> bool {
        let is_plain = matches!(segment.control(), Control::None | Control::Rst);
        let (me, peer) = (self.sides.of(from), self.sides.of(from.peer()));
        if is_plain && (!me.stream.is_same_packet(segment) || peer.stream.is_told_more(extras)) {
            return false;
        }
        effects.repeat = self.repeated_packet(from, segment);
        effects.repeat.is_some_and(Repeat::is_copy)
    }

    /// The packet before it again, or a control segment again.
    #[cold]
    fn repeated_packet(&mut self, from: Side, segment: &Segment) -> Option<Repeat> {
        let stream = &self.sides.of(from).stream;
        let is_another = self.is_second_answer(from, segment);
        if !is_another && stream.is_same_packet(segment) {
            let first = stream.traffic.last_segment;
            return Some(self.count_copy(from, segment, first));
        }
        let (cause, first, last, nth) = match segment.control() {
            Control::Syn => self.attempts(from, segment, RepeatCause::Syn)?,
            Control::SynAck => self.attempts(from, segment, RepeatCause::SynAck)?,
            Control::Fin => self.repeated_fin(from, segment)?,
            Control::None | Control::Rst => return None,
        };
        let waited = segment.time.since(last.time);
        if !is_another && waited.abs() < SAME_FRAME {
            return Some(self.count_copy(from, segment, Some(last)));
        }
        let stream = &mut self.sides.of_mut(from).stream;
        stream.repair_mut().count(cause, Mark::of(segment));
        Some(Repeat { cause, rule: Rule::Again { nth, waited }, original: Some(first) })
    }

    /// Whether two SYN-ACKs of `from` follow one another since a SYN came again just as the timer ran out:
    /// one is the timer's, one answers the SYN, and both are alike (Linux sends them with IP
    /// identification 0). Not where the tap delivered others of this opening twice.
    fn is_second_answer(&self, from: Side, segment: &Segment) -> bool {
        let syns = self.opening.syns.of(from.peer());
        let syn_acks = self.opening.syn_acks.of(from);
        let mut latest = syn_acks.all().rev().map(|syn_ack| syn_ack.mark.time);
        let (Some(last), Some(before)) = (latest.next(), latest.next()) else { return false };
        segment.control() == Control::SynAck
            && syns.last().is_some_and(|syn| syn.mark.time > before)
            && last.since(before) >= SHORTEST_TIMER
            && syns.segments() == syns.count()
            && syn_acks.segments() == syn_acks.count()
    }

    /// Counts a packet that the tap delivered twice.
    #[cold]
    fn count_copy(&mut self, from: Side, segment: &Segment, first: Option<Mark>) -> Repeat {
        match segment.control() {
            Control::Syn => self.opening.syns.of_mut(from).push_copy(),
            Control::SynAck => self.opening.syn_acks.of_mut(from).push_copy(),
            Control::Fin | Control::None | Control::Rst => {}
        }
        self.sides.of_mut(from).stream.count_same_packet(segment, first)
    }

    /// The SYN or SYN-ACK of `from` again: its first and last transmission, and how many.
    fn attempts(
        &self,
        from: Side,
        segment: &Segment,
        cause: RepeatCause,
    ) -> Option<(RepeatCause, Mark, Mark, u32)> {
        let attempts: &Attempts = if cause == RepeatCause::Syn {
            self.opening.syns.of(from)
        } else {
            self.opening.syn_acks.of(from)
        };
        let same = self.sides.of(from).stream.isn() == Some(segment.seq);
        let (first, last) = (attempts.first()?.mark, attempts.last()?.mark);
        same.then_some((cause, first, last, attempts.count()))
    }

    /// The FIN of `from` again; with payload, the payload decides.
    fn repeated_fin(
        &self,
        from: Side,
        segment: &Segment,
    ) -> Option<(RepeatCause, Mark, Mark, u32)> {
        let me = self.sides.of(from);
        let first = me.fin?;
        if segment.payload_len > 0 || me.stream.fin != Some(me.stream.offset(segment.seq)) {
            return None;
        }
        let last = me.last_fin.unwrap_or(first);
        Some((RepeatCause::Fin, first, last, me.fin_repeats.saturating_add(1)))
    }
}
