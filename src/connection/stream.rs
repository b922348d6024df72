//! One direction of a connection: the sequence space of what one endpoint sent.
//!
//! Turns wrapping sequence numbers into 64-bit offsets (0 is the SYN, 1 the first byte), and keeps
//! what was sent, seen, acknowledged and repeated. Knows nothing of states.

use super::coverage::Coverage;
use super::{Mark, OfferedOptions, Repeat, RepeatCause, Rule, Traffic, Unacknowledged};
use crate::stamp::Time;
use crate::tcp::{Extras, Marks, SackBlock, Segment, Seq};

/// What one endpoint sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// A recent sequence number and its offset: distances from it never reach 2^31.
    reference: (Seq, i64),
    /// Whether `reference` was ever set.
    started: bool,
    /// Whether the SYN was seen, so that offsets are true positions.
    pub(super) syn_seen: bool,
    /// The offset after the last byte (or FIN) sent.
    pub(super) end: i64,
    /// The highest acknowledgment from the peer.
    pub(super) acknowledged: i64,
    /// Offset of the FIN.
    pub(super) fin: Option<i64>,
    pub(super) coverage: Coverage,
    pub(super) options: OfferedOptions,
    pub(super) traffic: Traffic,
    /// The oldest transmission of the oldest unacknowledged byte, while there is one.
    oldest_unacknowledged: Option<Mark>,
    last_data_sent: Option<Mark>,
    repeated_unacknowledged: u32,
}

/// What a segment's payload was to its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Payload {
    /// Carried bytes that had been sent and not yet acknowledged, or its FIN again.
    pub(super) repeats_unacknowledged: bool,
    /// Why it carried what was carried before.
    pub(super) repeat: Option<Repeat>,
}

impl Stream {
    /// Furthest that a number may lie from what is expected and still count as of this stream.
    const PLAUSIBLE: i64 = 1 << 30;

    /// The offset of `seq`.
    pub(super) fn offset(&self, seq: Seq) -> i64 {
        self.reference.1 + i64::from(seq.distance(self.reference.0))
    }

    /// The sequence number at `offset`.
    pub(super) fn seq_at(&self, offset: i64) -> Seq {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sequence numbers are offsets modulo 2^32"
        )]
        let distance = (offset - self.reference.1) as u32;
        self.reference.0.plus(distance)
    }

    /// Whether any sequence number of this direction is known.
    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    /// The initial sequence number, where the SYN or its acknowledgment told.
    pub(super) fn isn(&self) -> Option<Seq> {
        self.syn_seen.then(|| self.seq_at(0))
    }

    /// Starts (or restarts) the stream with a SYN of sequence number `isn`.
    pub(super) fn start_with_syn(&mut self, isn: Seq) {
        self.reference = (isn, 0);
        self.started = true;
        self.syn_seen = true;
        self.end = 1;
        self.acknowledged = 0;
        self.coverage = Coverage::starting_at(1);
    }

    /// Starts the stream in the middle: `seq` becomes the first byte.
    pub(super) fn start_midstream(&mut self, seq: Seq) {
        if !self.started {
            self.reference = (seq, 1);
            self.started = true;
            self.end = 1;
            self.acknowledged = 1;
            self.coverage = Coverage::starting_at(1);
        }
    }

    /// Keeps the options of a SYN or SYN-ACK.
    pub(super) fn offer(&mut self, segment: &Segment, extras: &Extras) {
        use crate::tcp::Flags;
        let both = segment.flags.contains(Flags::ECE) && segment.flags.contains(Flags::CWR);
        let echo_alone = segment.flags.ack() && segment.flags.contains(Flags::ECE);
        self.options = OfferedOptions {
            seen: true,
            mss: extras.syn.mss,
            window_scale: extras.syn.window_scale,
            sack_permitted: extras.syn.sack_permitted,
            timestamps: segment.timestamps().is_some(),
            fast_open: extras.syn.fast_open,
            mptcp: extras.mptcp,
            ecn: both || echo_alone,
        };
    }

    /// Counts a segment and takes its payload and FIN into the stream.
    pub(super) fn send(&mut self, segment: &Segment) -> Payload {
        self.count(segment);
        if segment.flags.rst() || segment.seq_len() == 0 {
            return Payload::default();
        }
        let start = self.offset(segment.payload_seq());
        if (start - self.end).abs() > Self::PLAUSIBLE {
            return Payload::default();
        }
        let end = start + i64::from(segment.payload_len);
        let mark = Mark::of(segment);
        let mut payload = Payload::default();
        if segment.payload_len > 0 {
            if start < self.end {
                payload.repeat = Some(Repeat {
                    cause: RepeatCause::Unknown,
                    rule: Rule::NoRule { waited: crate::stamp::Span::ZERO },
                    original: None,
                });
            }
            payload.repeats_unacknowledged = self.take_data(start, end, mark);
        }
        if segment.flags.fin() {
            match self.fin {
                Some(known) => {
                    payload.repeats_unacknowledged |= known >= self.acknowledged && known == end;
                }
                None => self.fin = Some(end),
            }
            self.end = self.end.max(end + 1);
        }
        self.end = self.end.max(end);
        self.advance_reference();
        payload
    }

    /// The peer acknowledged up to `ack`. Returns the offset, if it is a plausible one.
    pub(super) fn acknowledge(&mut self, ack: Seq) -> Option<i64> {
        let offset = self.offset(ack);
        if offset - self.end > Self::PLAUSIBLE || self.end - offset > Self::PLAUSIBLE {
            return None;
        }
        if offset > self.acknowledged {
            self.acknowledged = offset;
            let fin = self.fin.filter(|fin| *fin < offset);
            self.coverage.skip_to(fin.unwrap_or(offset));
            self.end = self.end.max(offset);
            self.repeated_unacknowledged = 0;
            self.oldest_unacknowledged =
                if self.unacknowledged_bytes() > 0 { self.last_data_sent } else { None };
            self.advance_reference();
        }
        Some(offset)
    }

    /// Whether the FIN was seen, and everything before it.
    pub(super) fn is_complete(&self) -> bool {
        self.fin.is_some_and(|fin| self.coverage.next() >= fin)
    }

    /// Whether the peer has acknowledged the FIN.
    pub(super) fn fin_acknowledged(&self) -> bool {
        self.fin.is_some_and(|fin| self.acknowledged > fin)
    }

    /// Whether `block` reports bytes below `ack`, that is, a duplicate (RFC 2883 4).
    pub(super) fn is_duplicate_report(&self, block: SackBlock, ack: Seq) -> bool {
        self.offset(block.right) <= self.offset(ack)
    }

    /// The traffic so far, with what is still unacknowledged.
    pub(super) fn traffic(&self) -> Traffic {
        let mut traffic = self.traffic.clone();
        traffic.missing_bytes = self.coverage.missing();
        traffic.ranges_dropped = self.coverage.dropped();
        let first = 1;
        let sent_end = self.fin.unwrap_or(self.end).min(self.end);
        let acknowledged = self.acknowledged.min(sent_end) - first;
        traffic.acknowledged_bytes = u64::try_from(acknowledged).unwrap_or(0);
        let bytes = self.unacknowledged_bytes();
        traffic.unacknowledged = match (self.oldest_unacknowledged, self.last_data_sent) {
            (Some(first_sent), Some(last_sent)) if bytes > 0 => Some(Unacknowledged {
                bytes,
                first_sent,
                last_sent,
                retransmissions: self.repeated_unacknowledged,
            }),
            _ => None,
        };
        traffic
    }

    /// Counts a segment, and takes nothing from it.
    pub(super) fn count(&mut self, segment: &Segment) {
        let traffic = &mut self.traffic;
        traffic.segments += 1;
        traffic.data_segments += u64::from(segment.payload_len > 0);
        traffic.payload_bytes += u64::from(segment.payload_len);
        traffic.ip_bytes += u64::from(segment.payload_len) + u64::from(segment.header_len);
        traffic.bad_checksums += u64::from(segment.marks.contains(Marks::BAD_CHECKSUM));
        let silent = segment.flags.syn() || segment.flags.rst() || segment.flags.fin();
        traffic.zero_windows += u64::from(segment.window == 0 && !silent);
        traffic.last_segment = Some(Mark::of(segment));
    }

    /// Takes `[start, end)`; says whether any of it was sent before and is unacknowledged.
    fn take_data(&mut self, start: i64, end: i64, mark: Mark) -> bool {
        // One byte just below what is acknowledged asks for a sign of life (RFC 9293 3.8.4).
        if end - start == 1 && start < self.acknowledged && end == self.end {
            return false;
        }
        let added = self.coverage.add(start, end);
        let traffic = &mut self.traffic;
        traffic.unique_bytes += added.new;
        if traffic.first_data.is_none() {
            traffic.first_data = Some(mark);
        }
        if added.old > 0 {
            traffic.retransmitted_segments += 1;
            traffic.retransmitted_bytes += added.old;
        }
        if added.new > 0 {
            traffic.last_data = Some(mark);
        }
        let repeats = added.old > 0 && end > self.acknowledged;
        if repeats {
            self.repeated_unacknowledged = self.repeated_unacknowledged.saturating_add(1);
        }
        if end > self.acknowledged {
            self.last_data_sent = Some(mark);
            if self.oldest_unacknowledged.is_none() {
                self.oldest_unacknowledged = Some(mark);
            }
        }
        let flight = u64::try_from(end - self.acknowledged).unwrap_or(0);
        self.traffic.max_in_flight = self.traffic.max_in_flight.max(flight);
        repeats
    }

    fn unacknowledged_bytes(&self) -> u64 {
        let end = self.fin.unwrap_or(self.end).min(self.end);
        u64::try_from(end - self.acknowledged.max(1)).unwrap_or(0)
    }

    fn advance_reference(&mut self) {
        let offset = self.end;
        self.reference = (self.seq_at(offset), offset);
    }

    /// When the last segment was sent.
    pub(super) fn last_time(&self) -> Option<Time> {
        self.traffic.last_segment.map(|mark| mark.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Flags;

    fn data(seq: u32, len: u32) -> Segment {
        Segment { seq: Seq(seq), payload_len: len, flags: Flags::ACK, ..Segment::default() }
    }

    #[test]
    fn offsets_survive_the_wrap_of_sequence_numbers() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(u32::MAX - 5));
        let mut seq = stream.seq_at(1);
        for _ in 0..5_000 {
            stream.send(&data(seq.0, 1_000_000));
            seq = seq.plus(1_000_000);
            stream.acknowledge(seq);
        }
        assert_eq!(stream.end, 5_000_000_001);
        assert_eq!(stream.traffic().acknowledged_bytes, 5_000_000_000);
        assert_eq!(stream.traffic().unique_bytes, 5_000_000_000);
        assert_eq!(stream.traffic().unacknowledged, None);
    }

    #[test]
    fn a_repeated_range_is_counted_once_as_unique_and_once_as_retransmitted() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(0));
        assert!(!stream.send(&data(1, 100)).repeats_unacknowledged);
        assert!(stream.send(&data(1, 150)).repeats_unacknowledged);
        let traffic = stream.traffic();
        assert_eq!((traffic.unique_bytes, traffic.retransmitted_bytes), (150, 100));
        assert_eq!(traffic.unacknowledged.unwrap().bytes, 150);
        assert_eq!(traffic.unacknowledged.unwrap().retransmissions, 1);
    }

    #[test]
    fn bytes_acknowledged_but_never_captured_are_missing() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(0));
        stream.acknowledge(Seq(101));
        assert_eq!(stream.traffic().missing_bytes, 100);
    }

    #[test]
    fn a_wild_acknowledgment_moves_nothing() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(0));
        assert_eq!(stream.acknowledge(Seq(0x7000_0000)), None);
        assert_eq!(stream.acknowledged, 0);
    }
}
