//! The same bytes cut in another way: a large segment on one interface of the capturing host, and its
//! pieces on another one.
//!
//! A capture of several interfaces (`-i any`, a bridge and its ports, containers and the card below)
//! sees a packet at each of them, before its cutting (TSO, GSO) and behind it, or before pieces are
//! put together (GRO) and behind that. None of it was sent again.

use super::flight::Sent;
use super::repair::Resent;
use super::stream::Stream;
use super::{Mark, Rule};
use crate::stamp::Span;
use crate::tcp::{Part, Segment};

/// From interface to interface where the capture tells them apart; a queue in between may be full.
const ELSEWHERE: Span = Span::from_millis(200);
/// The same where only the identification tells.
const COUNTED: Span = Span::from_millis(10);
/// The same where nothing but time tells pieces from a retransmission: no timer is that quick.
const UNTOLD: Span = Span::from_millis(1);

/// A transmission that the segment may be a part of.
struct Seen {
    start: i64,
    end: i64,
    mark: Mark,
    timestamp: u32,
    ip_id: u16,
    place: u16,
}

impl From<Sent> for Seen {
    fn from(sent: Sent) -> Self {
        let (end, mark) = (sent.end(), sent.mark());
        let Sent { start, timestamp, ip_id, place, .. } = sent;
        Self { start, end, mark, timestamp, ip_id, place }
    }
}

impl From<Resent> for Seen {
    fn from(resent: Resent) -> Self {
        let Resent { start, end, mark, timestamp, ip_id, place, .. } = resent;
        Self { start, end, mark, timestamp, ip_id, place }
    }
}

impl Stream {
    /// Whether `segment`, which carries `[start, end)`, has bytes that passed the tap a moment ago in
    /// segments of other sizes: in `sent`, the first transmission of its first byte, or in a
    /// repetition of that.
    pub(super) fn cut_otherwise(
        &self,
        range: (i64, i64),
        sent: Option<Sent>,
        segment: &Segment,
    ) -> Option<Rule> {
        let again = self.repair.as_ref().and_then(|repair| repair.sent_again_with(range.0));
        let seen = again.map(Seen::from).into_iter().chain(sent.map(Seen::from));
        seen.into_iter().find_map(|seen| self.is_part_of(&seen, range, segment))
    }

    fn is_part_of(&self, seen: &Seen, (start, end): (i64, i64), segment: &Segment) -> Option<Rule> {
        let part = Part {
            offset: u32::try_from(start - seen.start).ok()?,
            len: u32::try_from(end - start).ok()?,
            whole: u32::try_from(seen.end - seen.start).ok()?,
            ip_ids: (segment.ip_id, seen.ip_id),
        };
        let counts = part.is_anonymous() || (part.counts() && self.precedes_next(seen, part));
        let within = match (seen.place != segment.place(), part.is_anonymous()) {
            (true, _) => ELSEWHERE,
            (false, _) if self.is_asked_for(start) => return None,
            (false, false) => COUNTED,
            (false, true) if end <= seen.end => UNTOLD,
            (false, true) => return None,
        };
        let stamp = segment.timestamps().map_or(0, |stamps| stamps.value);
        let after = segment.time.since(seen.mark.time);
        let is_same = (seen.start, seen.end) == (start, end);
        let is_recut = !is_same && counts && stamp == seen.timestamp && after < within;
        is_recut.then_some(Rule::CutOtherwise { seen: seen.mark.frame, after })
    }

    /// Whether the part has counted less far than what was sent behind the whole: a sender that sends
    /// something again has counted further. Where nothing was, it must be one piece: something longer
    /// may have counted beyond all pieces.
    fn precedes_next(&self, seen: &Seen, part: Part) -> bool {
        let flight = self.sending.as_ref().map(|sending| &sending.flight);
        let next = flight.and_then(|flight| flight.after(seen.end));
        match next.filter(|next| next.mark().frame > seen.mark.frame) {
            Some(next) => part.ahead() < next.ip_id.wrapping_sub(seen.ip_id),
            None => part.ahead() == 0 || part.len <= part.step(),
        }
    }

    /// Whether the receiver has reported that it lacks the byte at `offset`.
    pub(super) fn is_asked_for(&self, offset: i64) -> bool {
        let repair = self.repair.as_ref();
        self.dup_acks > 0 || repair.is_some_and(|repair| repair.sacked_behind(offset) > 0)
    }
}
