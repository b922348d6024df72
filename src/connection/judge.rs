//! Why a segment carries what was carried before: the rules, in the order in which they are asked.
//!
//! First what is no retransmission: the same packet again, whole or in pieces, probes, segments overtaken on the way.
//! Then what sets a sender off: reports of the receiver that had just reached it, or a timer while
//! none came. What is proved needless later is corrected then.

use super::coverage::Added;
use super::flight::Sent;
use super::path::Legs;
use super::repair::{Probe, Repair, Resent};
use super::stream::Stream;
use super::{ELSEWHERE, Mark, Proof, Repeat, RepeatCause, Rule, SAME_FRAME};
use crate::stamp::{Span, Time};
use crate::tcp::{Segment, Seq};

/// A sender acts on a report when it arrives, or when its reordering window (RFC 8985 6.2) or its
/// pacing lets it; so much later at most, beside the path.
const REACTION: Span = Span::from_millis(10);
/// Overtaken segments follow this closely where no round trip is known.
const OVERTAKEN_WITHIN: Span = Span::from_millis(3);
/// A copy with an old timestamp this late is the network's, whatever the clock's tick.
const OLD_TIMESTAMP: Span = Span::from_millis(100);
/// IP identifications further apart than this do not order segments.
const NEAR_IDS: u16 = 128;
/// Duplicate acknowledgments that mean loss (RFC 5681 3.2).
const DUPLICATES: u32 = 3;

/// What a repetition is judged by.
struct Suspect {
    start: i64,
    end: i64,
    mark: Mark,
    legs: Legs,
    /// The last transmission of its first byte, or the segment that left the gap which it fills.
    previous: Option<Mark>,
    original: Option<Mark>,
    /// From the last progress or transmission to this one.
    waited: Span,
    /// From the last acknowledgment to this segment.
    quiet: Span,
    rtt: Span,
}

impl Suspect {
    /// Whether something sent later has arrived, and the reordering window, at most one round trip
    /// (RFC 8985 6.2, step 4), has just closed: too early for a timeout of `expected`.
    fn is_overdue(&self, delivered: Option<Mark>, expected: Option<Span>) -> Option<Rule> {
        let (later, previous) = (delivered?, self.previous?);
        let waited = self.mark.time.since(previous.time);
        let ahead = later.time.since(previous.time);
        let window = self.rtt + self.rtt + REACTION;
        let in_time = waited <= window && waited < expected?;
        (ahead > Span::ZERO && in_time).then_some(Rule::SentLaterArrived {
            later: later.frame,
            ahead,
            waited,
        })
    }
}

impl Stream {
    /// A segment with at most one byte below what is acknowledged, or none of the sequence space's
    /// end: asks for a sign of life, or whether the window is open.
    #[cold]
    pub(super) fn probe(&mut self, segment: &Segment) -> Option<Repeat> {
        let start = self.offset(segment.seq);
        if !self.is_started() || segment.flags.rst() || start != self.acknowledged - 1 || start < 1
        {
            return None;
        }
        let closed = self.repair.as_ref().and_then(|repair| repair.window.closed);
        if closed.is_none() && self.acknowledged < self.end {
            return None;
        }
        let mark = Mark::of(segment);
        let (cause, rule) = if let Some(since) = closed {
            let closed = mark.time.since(since.time);
            (RepeatCause::WindowProbe, Rule::WindowClosed { since, closed })
        } else {
            let idle = mark.time.since(self.advanced.time);
            (RepeatCause::KeepAlive, Rule::BelowWindow { idle })
        };
        self.repair_mut().count(cause, mark);
        let original = self.original_of(start).map(|sent| sent.mark());
        Some(Repeat { cause, rule, original })
    }

    /// One new byte into a closed window asks whether it is open.
    #[cold]
    pub(super) fn probe_of_closed(&mut self, start: i64, segment: &Segment) -> Option<Repeat> {
        let since = self.repair.as_ref()?.window.closed?;
        let mark = Mark::of(segment);
        let cause = RepeatCause::WindowProbe;
        let resent = Resent::new((start, start + 1), mark, cause, Some(mark));
        self.repair_mut().note(resent, mark);
        let closed = mark.time.since(since.time);
        Some(Repeat { cause, rule: Rule::WindowClosed { since, closed }, original: Some(mark) })
    }

    /// Judges a segment that carries `[start, end)`, not all of it for the first time; none where
    /// only a window probe's byte is repeated. The judgement may correct an earlier one.
    pub(super) fn judge(
        &mut self,
        (start, end): (i64, i64),
        added: Added,
        segment: &Segment,
        legs: Legs,
    ) -> (Option<Repeat>, Option<Proof>) {
        let mark = Mark::of(segment);
        let original = self.original_of(start);
        let resent = self.repair.as_ref().and_then(|repair| repair.last_with(start));
        let probed = resent.is_some_and(|resent| resent.cause == RepeatCause::WindowProbe);
        if probed && added.old <= 1 && added.new > 0 {
            return (None, None);
        }
        let suspect = self.suspect((start, end), mark, legs, (original, resent));
        let (mut cause, mut rule, mut proof) = (RepeatCause::Unknown, None, None);
        if let Some((after, elsewhere)) = self.same_packet(&suspect, segment) {
            rule = Some(Rule::SamePacket { ip_id: segment.ip_id, after });
            let by_tap = after.abs() < SAME_FRAME || elsewhere;
            cause = if by_tap { RepeatCause::CaptureDuplicate } else { RepeatCause::PathDuplicate };
        } else if let Some(whole) = self.cut_otherwise((start, end), original, segment) {
            rule = Some(whole);
            cause = RepeatCause::CaptureDuplicate;
        } else if original.is_none()
            && let Some(late) = self.overtaken(&suspect, segment, added.old == 0)
        {
            // What passed before in its place was its repetition; or else itself, long ago.
            let once = added.old == 0 || resent.is_some();
            cause = if once { RepeatCause::Reordering } else { RepeatCause::PathDuplicate };
            rule = Some(late);
        } else if let Some((probe, closed)) = self.window_closed(&suspect) {
            (cause, rule) = (probe, Some(closed));
        }
        let rule = rule.unwrap_or_else(|| {
            let (timed, rule, correction) = self.timed(&suspect, segment);
            proof = correction;
            if end <= self.acknowledged {
                cause = RepeatCause::Spurious;
                self.repair_mut().needless.add(timed);
                return Rule::AlreadyAcknowledged { cause: timed };
            }
            cause = timed;
            rule
        });
        self.remember(&suspect, cause, added, segment, original);
        (Some(Repeat { cause, rule, original: suspect.original }), proof)
    }

    fn suspect(
        &self,
        (start, end): (i64, i64),
        mark: Mark,
        legs: Legs,
        (original, resent): (Option<Sent>, Option<Resent>),
    ) -> Suspect {
        let sent = original.map(|sent| sent.mark());
        let first = resent.and_then(|resent| resent.original).or(sent);
        let gap = || self.sending.as_ref()?.flight.after(end).map(|sent| sent.mark());
        let previous = resent.map(|resent| resent.mark).or(sent).or_else(gap);
        let progress =
            previous.map_or(self.advanced.time, |mark| mark.time.max(self.advanced.time));
        Suspect {
            start,
            end,
            mark,
            legs,
            previous,
            original: first,
            waited: mark.time.since(progress),
            quiet: mark.time.since(self.last_ack),
            rtt: self.round_trip(legs),
        }
    }

    /// The first transmission of the byte at `offset`, or of the first byte after it that was sent.
    fn original_of(&self, offset: i64) -> Option<Sent> {
        self.sending.as_ref()?.flight.at(offset)
    }

    /// How long ago this very packet was seen, if it was, and whether at another place of the host.
    fn same_packet(&self, suspect: &Suspect, segment: &Segment) -> Option<(Span, bool)> {
        let original = self.original_of(suspect.start).filter(|sent| {
            (sent.start, sent.end()) == (suspect.start, suspect.end)
                && (sent.ip_id, sent.checksum) == (segment.ip_id, segment.checksum)
        });
        let resent = self.repair.as_ref().and_then(|repair| {
            repair.same(suspect.start, suspect.end, segment.ip_id, segment.checksum)
        });
        let seen = resent.map(|sent| (sent.mark, sent.timestamp, sent.place));
        let (mark, timestamp, place) =
            seen.or_else(|| original.map(|sent| (sent.mark(), sent.timestamp, sent.place)))?;
        let after = suspect.mark.time.since(mark.time);
        let elsewhere = place != segment.place() && after < ELSEWHERE;
        // Without an IP identification the timestamp has to tell a copy from a repetition, or that nobody
        // has asked for one.
        let same_clock = segment.timestamps().is_some_and(|stamps| stamps.value == timestamp);
        let is_asked_for = self.last_ack > mark.time && self.is_asked_for(suspect.start);
        let is_copy = self.is_numbered(segment)
            || (after.abs() < SAME_FRAME && !is_asked_for)
            || (same_clock && after > OLD_TIMESTAMP);
        (is_copy || elsewhere).then_some((after, elsewhere))
    }

    /// Whether a segment was sent before the one behind it that passed the tap earlier: into a gap,
    /// or after its own repetition has filled that.
    fn overtaken(&self, suspect: &Suspect, segment: &Segment, fills_gap: bool) -> Option<Rule> {
        let flight = &self.sending.as_ref()?.flight;
        let next = flight.after(suspect.end)?;
        let overtaken_by = next.mark().frame;
        if let Some(stamps) = segment.timestamps() {
            let newer = Seq(stamps.value).distance(Seq(next.timestamp));
            if newer < 0 {
                let (value, next) = (stamps.value, next.timestamp);
                return Some(Rule::EarlierTimestamp { value, next, overtaken_by });
            }
            if newer > 0 {
                return None;
            }
        }
        let latest = flight.newest().map_or(next.ip_id, |newest| newest.ip_id);
        let ahead = next.ip_id.wrapping_sub(segment.ip_id);
        let behind = segment.ip_id.wrapping_sub(latest);
        if segment.ip_id != 0 && (1..NEAR_IDS).contains(&ahead) {
            let (ip_id, next) = (segment.ip_id, next.ip_id);
            return Some(Rule::EarlierIpId { ip_id, next, overtaken_by });
        }
        if segment.ip_id != 0 && (1..NEAR_IDS).contains(&behind) {
            return None;
        }
        if !fills_gap {
            return None;
        }
        let shortest = self.sending.as_ref()?.rtt.min().unwrap_or(suspect.legs.peer);
        let rtt =
            if shortest > Span::ZERO { shortest + suspect.legs.own } else { OVERTAKEN_WITHIN };
        let after = suspect.mark.time.since(next.mark().time);
        (after < rtt).then_some(Rule::TooSoon { after, rtt, overtaken_by })
    }

    /// Whether the peer's window was closed when the segment was sent.
    fn window_closed(&self, suspect: &Suspect) -> Option<(RepeatCause, Rule)> {
        let repair = self.repair.as_ref()?;
        // What the closed window refused comes once more when it opens.
        let refused = repair
            .last_with(suspect.start)
            .filter(|sent| sent.cause == RepeatCause::ZeroWindow)
            .and(repair.window.closed_before);
        let since = repair.window.closed.or(refused)?;
        let closed = suspect.mark.time.since(since.time);
        if closed < suspect.legs.own {
            return None;
        }
        let probe = suspect.end - suspect.start <= 1;
        let cause = if probe { RepeatCause::WindowProbe } else { RepeatCause::ZeroWindow };
        Some((cause, Rule::WindowClosed { since, closed }))
    }

    /// What set the sender off: a report that had just reached it, or its timer.
    fn timed(
        &mut self,
        suspect: &Suspect,
        segment: &Segment,
    ) -> (RepeatCause, Rule, Option<Proof>) {
        let start = suspect.start.max(self.acknowledged.min(suspect.end - 1));
        let is_head = suspect.start <= self.acknowledged;
        let (dup_acks, acknowledged, end) = (self.dup_acks, self.acknowledged, self.end);
        let heard = self.last_ack > Time::MIN && acknowledged > 0;
        let few = end - acknowledged <= 4 * i64::from(segment.payload_len.max(536));
        let has_sack = self.options.sack_permitted || !self.options.seen;
        let expected = self.expected_timeout(suspect.legs);
        let fresh = suspect.quiet
            <= suspect.legs.own + REACTION + Span::from_nanos(suspect.rtt.nanos() / 4);
        let repair = self.repair_mut();
        let sacked = repair.sacked_behind(start);
        let in_recovery = acknowledged < repair.recovery.1;
        let after = suspect.quiet;
        let timer = !(fresh && heard) || (sacked == 0 && dup_acks == 0);
        let report = if sacked > 0 {
            Some(Rule::Sacked { bytes: sacked, after })
        } else if dup_acks >= DUPLICATES || (dup_acks > 0 && few) {
            Some(Rule::DuplicateAcks { count: dup_acks, after })
        } else if in_recovery && repair.in_a_row == 0 {
            Some(Rule::PartialAck { recovery: repair.recovery.0, after })
        } else {
            None
        };
        let after_timeout =
            acknowledged < repair.given_up.1 && (fresh || start < repair.given_up.1);
        if after_timeout && !(is_head && timer && is_due(suspect, expected)) {
            return (RepeatCause::Rto, Rule::AfterTimeout { timeout: repair.given_up.0 }, None);
        }
        if let Some(report) = report.filter(|_| fresh) {
            if !in_recovery {
                repair.recovery = (suspect.mark.frame, end);
            }
            return (RepeatCause::Fast, report, None);
        }
        if has_sack && let Some(rule) = suspect.is_overdue(repair.delivered, expected) {
            if !in_recovery {
                repair.recovery = (suspect.mark.frame, end);
            }
            return (RepeatCause::Fast, rule, None);
        }
        let is_tail = suspect.end >= end - 1;
        let alone = repair.in_a_row == 0 && repair.probe.is_none() && !in_recovery;
        if is_tail && alone && has_sack && is_probe_time(suspect, is_head) {
            repair.probe = Some(Probe { mark: suspect.mark, waited: suspect.waited, is_head });
            let rule = Rule::TailProbe { waited: suspect.waited, rtt: suspect.rtt };
            return (RepeatCause::TailLossProbe, rule, None);
        }
        if (is_head || !heard) && is_due(suspect, expected) {
            let (rule, proof) = repair.time_out(suspect, end, expected);
            return (RepeatCause::Rto, rule, proof);
        }
        match report {
            Some(report) => (RepeatCause::Fast, report, None),
            None => (RepeatCause::Unknown, Rule::NoRule { waited: suspect.waited }, None),
        }
    }

    fn remember(
        &mut self,
        suspect: &Suspect,
        cause: RepeatCause,
        added: Added,
        segment: &Segment,
        original: Option<Sent>,
    ) {
        let first_timestamp = original.map_or(0, |sent| sent.timestamp);
        let timestamp = segment.timestamps().map_or(0, |stamps| stamps.value);
        // Where several transmissions wait, a timer's echo is of the one at the left edge only.
        let is_head = suspect.start <= self.acknowledged && suspect.end > self.acknowledged;
        let progress = self.advanced;
        let since = match suspect.original {
            Some(sent) if sent.time > progress.time => sent,
            _ if progress != Mark::default() => progress,
            _ => suspect.previous.unwrap_or(suspect.mark),
        };
        if cause.is_retransmission() || cause == RepeatCause::Reordering {
            let end = self.end;
            let sending = self.sending.get_or_insert_default();
            sending.ambiguous_until = sending.ambiguous_until.max(end).max(suspect.end);
        }
        let repair = self.repair_mut();
        let resent =
            Resent::new((suspect.start, suspect.end), suspect.mark, cause, suspect.original)
                .with_packet(
                    is_head,
                    (first_timestamp, timestamp),
                    (segment.ip_id, segment.checksum, segment.place()),
                );
        repair.note(resent, since);
        if cause.is_retransmission() {
            repair.segments += 1;
            repair.bytes += added.old;
        }
    }
}

impl Repair {
    /// The timer ran out and sent `suspect`.
    fn time_out(
        &mut self,
        suspect: &Suspect,
        end: i64,
        expected: Option<Span>,
    ) -> (Rule, Option<Proof>) {
        let mut proof = None;
        if let Some(probe) = self.probe.take() {
            let second = suspect.mark.time.since(probe.mark.time);
            let doubled = second.nanos() > probe.waited.nanos() / 2 * 3;
            if doubled && probe.is_head {
                proof = self.probe_was_timeout(probe, second);
                self.in_a_row = u32::from(proof.is_some());
            }
        }
        self.timeouts = self.timeouts.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let waited = suspect.waited;
        if self.in_a_row == 1 {
            self.shortest_timeout = Some(self.shortest_timeout.unwrap_or(Span::MAX).min(waited));
        }
        self.longest_timeout = Some(self.longest_timeout.unwrap_or(Span::ZERO).max(waited));
        self.given_up = (suspect.mark.frame, end);
        self.recovery = (suspect.mark.frame, 0);
        let expected = expected.unwrap_or(Span::ZERO);
        (Rule::Timeout { waited, expected, nth: self.in_a_row }, proof)
    }
}

/// Whether a retransmission timer can have run out: no stack waits less than a round trip.
fn is_due(suspect: &Suspect, expected: Option<Span>) -> bool {
    let least = expected.map_or(Span::ZERO, |expected| Span::from_nanos(expected.nanos() / 10));
    suspect.waited > suspect.rtt.max(least).max(Span::from_millis(1))
}

/// Whether a tail loss probe can have been due: after two round trips, or after the delay of a
/// delayed acknowledgment on top where one segment is outstanding (RFC 8985 7.2).
fn is_probe_time(suspect: &Suspect, is_head: bool) -> bool {
    let rtt = suspect.rtt.nanos();
    let longest = if is_head { DELAYED_ACK.nanos() * 2 } else { DELAYED_ACK.nanos() };
    suspect.rtt > Span::ZERO
        && suspect.waited.nanos() > rtt
        && suspect.waited.nanos() < rtt.saturating_mul(3).saturating_add(longest)
}

/// Time that a probe leaves for a delayed acknowledgment (RFC 8985 7.2, `TLP.max_ack_delay`).
const DELAYED_ACK: Span = Span::from_millis(200);

#[cfg(test)]
mod tests;
