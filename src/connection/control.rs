//! SYN, SYN-ACK and FIN sent again: looked at before the segment changes anything.

use super::{Connection, Mark, Repeat, RepeatCause, Rule, SAME_FRAME};
use crate::tcp::{Segment, Side};

impl Connection {
    /// The SYN of `from` again.
    pub(super) fn repeated_syn(&self, from: Side, segment: &Segment) -> Option<Repeat> {
        let syns = self.opening.syns.of(from);
        let same = self.sides.of(from).stream.isn() == Some(segment.seq);
        let (first, last) = (syns.first()?.mark, syns.last()?.mark);
        same.then(|| again(RepeatCause::Syn, segment, (first, last), syns.count()))
    }

    /// The SYN-ACK of `from` again.
    pub(super) fn repeated_syn_ack(&self, from: Side, segment: &Segment) -> Option<Repeat> {
        let syn_acks = self.opening.syn_acks.of(from);
        let same = self.sides.of(from).stream.isn() == Some(segment.seq);
        let (first, last) = (syn_acks.first()?.mark, syn_acks.last()?.mark);
        same.then(|| again(RepeatCause::SynAck, segment, (first, last), syn_acks.count()))
    }

    /// The FIN of `from` again; with payload, the payload decides.
    pub(super) fn repeated_fin(&self, from: Side, segment: &Segment) -> Option<Repeat> {
        let me = self.sides.of(from);
        let first = me.fin?;
        if segment.payload_len > 0 || me.stream.fin != Some(me.stream.offset(segment.seq)) {
            return None;
        }
        let last = me.last_fin.unwrap_or(first);
        Some(again(RepeatCause::Fin, segment, (first, last), me.fin_repeats.saturating_add(1)))
    }
}

/// The `nth` repetition of what was first and last sent at these marks.
fn again(cause: RepeatCause, segment: &Segment, (first, last): (Mark, Mark), nth: u32) -> Repeat {
    let waited = segment.time.since(last.time);
    if waited.abs() < SAME_FRAME {
        return Repeat {
            cause: RepeatCause::CaptureDuplicate,
            rule: Rule::SamePacket { ip_id: segment.ip_id, after: waited },
            original: Some(last),
        };
    }
    Repeat { cause, rule: Rule::Again { nth, waited }, original: Some(first) }
}
