//! Packets that come twice, and SYN, SYN-ACK and FIN sent again: known before the segment changes
//! anything.

use super::attempts::Attempts;
use super::{Connection, Effects, Mark, Repeat, RepeatCause, Rule, SAME_FRAME};
use crate::tcp::{Control, Segment, Side};

impl Connection {
    /// Whether the tap delivered `segment` twice: it is counted then, and nothing else is to be made
    /// of it. Also counts a SYN, SYN-ACK or FIN that is sent again.
    pub(super) fn is_seen_twice(
        &mut self,
        from: Side,
        segment: &Segment,
        effects: &mut Effects,
    ) -> bool {
        let is_plain = matches!(segment.control(), Control::None | Control::Rst);
        if is_plain && !self.sides.of(from).stream.is_same_packet(segment) {
            return false;
        }
        effects.repeat = self.repeated_packet(from, segment);
        effects.repeat.is_some_and(Repeat::is_copy)
    }

    /// The packet before it again, or a control segment again.
    #[cold]
    fn repeated_packet(&mut self, from: Side, segment: &Segment) -> Option<Repeat> {
        let stream = &self.sides.of(from).stream;
        if stream.is_same_packet(segment) {
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
        if waited.abs() < SAME_FRAME {
            return Some(self.count_copy(from, segment, Some(last)));
        }
        let stream = &mut self.sides.of_mut(from).stream;
        stream.repair_mut().count(cause, Mark::of(segment));
        Some(Repeat { cause, rule: Rule::Again { nth, waited }, original: Some(first) })
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
