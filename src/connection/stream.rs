//! One direction of a connection: the sequence space of what one endpoint sent.
//!
//! Turns wrapping sequence numbers into 64-bit offsets (0 is the SYN, 1 the first byte), and keeps
//! what was sent, seen, acknowledged and repeated. New bytes in order and acknowledgments of them
//! take the short way here; the rest is for the files beside it. Knows nothing of states.

use crate::compact::compact;

use super::coverage::Coverage;
use super::flight::{Flight, Sent};
use super::numbers::Numbers;
use super::path::Legs;
use super::print::print;
use super::repair::Repair;
use super::rtt::Rtt;
use super::{Effects, Mark, OfferedOptions, Repeat, RepeatCause, Rule, Unacknowledged};
use crate::near;
use crate::stamp::{Span, Time};
use crate::tcp::{Extras, Marks, SackBlock, Segment, Seq, Side};

/// What one endpoint sent.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Stream {
    // Perf: in this order, see `Connection::prefetch`. What a segment of either side touches:
    /// A recent sequence number and its offset: distances from it never reach 2^31.
    pub(super) reference: (Seq, i64),
    /// The offset after the last byte (or FIN) sent.
    pub(super) end: i64,
    /// The highest acknowledgment from the peer.
    pub(super) acknowledged: i64,
    /// The offset at which the peer's window ends; `i64::MAX` while its scale is unknown.
    pub(super) window_edge: i64,
    pub(super) coverage: Coverage,
    /// Made with the first payload.
    pub(super) sending: Option<Box<Sending>>,
    /// Made with the first trouble.
    pub(super) repair: Option<Box<Repair>>,
    /// The acknowledgment that last moved `acknowledged`, and the time of the last one of any kind.
    pub(super) advanced: Mark,
    pub(super) last_ack: Time,
    /// Offset of the FIN.
    pub(super) fin: Option<i64>,
    /// How often in a row the peer has acknowledged the same.
    pub(super) dup_acks: u32,
    repeated_unacknowledged: u32,
    /// The peer's window field, and the shift that it has outside SYNs, if known.
    pub(super) peer_window: u16,
    pub(super) peer_shift: Option<u8>,
    /// The interface of the acknowledgment that moved `acknowledged`: at others it is a copy.
    pub(super) acknowledged_at: u8,
    /// Whether `reference` was ever set.
    started: bool,
    /// Whether the SYN was seen, so that offsets are true positions.
    pub(super) syn_seen: bool,
    // What one of this side touches besides:
    /// What tells the last segment from others.
    pub(super) print: u64,
    /// Its place.
    pub(super) place: u16,
    pub(super) numbers: Numbers,
    /// The smallest and largest window field that this side sent outside SYNs.
    pub(super) windows: (u16, u16),
    pub(super) traffic: Counters,
    last_data_sent: Option<Mark>,
    pub(super) options: OfferedOptions,
}

compact!(struct Stream {
    reference, started, syn_seen, dup_acks, acknowledged_at, end, acknowledged, fin, coverage,
    options, traffic, last_data_sent, repeated_unacknowledged, print, place, numbers, advanced,
    last_ack, window_edge, peer_window, peer_shift, windows, sending, repair
});

/// What only a direction with payload has.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Sending {
    pub(super) flight: Flight,
    pub(super) rtt: Rtt,
    /// Acknowledgments up to here may belong to a repetition, or have waited for one.
    pub(super) ambiguous_until: i64,
    /// How long its first segment with payload was, if the capture begins before that.
    pub(super) first_piece: u32,
}

compact!(struct Sending { flight, rtt, ambiguous_until, first_piece });

impl Sending {
    #[cold]
    fn begun(first_piece: u32) -> Box<Self> {
        Box::new(Self { first_piece, ..Self::default() })
    }
}

/// Counts of every segment.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Counters {
    pub(super) segments: u64,
    pub(super) data_segments: u64,
    pub(super) ip_bytes: u64,
    pub(super) payload_bytes: u64,
    pub(super) unique_bytes: u64,
    pub(super) max_in_flight: u64,
    pub(super) last_segment: Option<Mark>,
    pub(super) last_data: Option<Mark>,
    pub(super) first_data: Option<Mark>,
    pub(super) zero_windows: u64,
    pub(super) bad_checksums: u64,
}

compact!(struct Counters {
    segments, data_segments, ip_bytes, payload_bytes, unique_bytes, zero_windows, bad_checksums,
    max_in_flight, first_data, last_data, last_segment
});

impl Default for Stream {
    fn default() -> Self {
        Self {
            reference: (Seq(0), 0),
            started: false,
            syn_seen: false,
            dup_acks: 0,
            acknowledged_at: 0,
            end: 0,
            acknowledged: 0,
            fin: None,
            coverage: Coverage::default(),
            options: OfferedOptions::default(),
            traffic: Counters::default(),
            last_data_sent: None,
            repeated_unacknowledged: 0,
            print: 0,
            place: 0,
            numbers: Numbers::default(),
            advanced: Mark::default(),
            last_ack: Time::MIN,
            window_edge: i64::MAX,
            peer_window: 0,
            peer_shift: None,
            windows: (u16::MAX, 0),
            sending: None,
            repair: None,
        }
    }
}

impl Stream {
    /// Furthest that a number may lie from what is expected and still count as of this stream.
    pub(super) const PLAUSIBLE: i64 = 1 << 30;

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

    /// Asks the memory for every part that the next segment will need, and for the endpoint's behind them.
    #[inline]
    pub(super) fn prefetch(&self) {
        near::value(&self.reference);
        near::value(&self.repair);
        near::value(&self.print);
        near::value(&self.traffic.max_in_flight);
        // The other side does not begin at a line.
        near::value(&self.traffic.last_data);
        near::value(&self.last_data_sent);
    }

    /// The same, of what only a direction with payload has.
    #[inline]
    pub(super) fn prefetch_behind(&self) {
        if let Some(sending) = self.sending.as_deref() {
            sending.flight.prefetch();
            sending.rtt.prefetch();
        }
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
        self.sending = None;
        // What was seen before, of numbers that are not its own, is another connection's.
        self.fin = None;
    }

    /// Starts the stream in the middle: `seq`, sent by its side, becomes the first byte. It counts more
    /// than what the peer acknowledged before, if that cannot be right.
    pub(super) fn send_midstream(&mut self, seq: Seq) {
        let is_first = !self.syn_seen && self.traffic.segments == 0;
        if is_first && (self.offset(seq) - self.end).abs() > Self::PLAUSIBLE {
            self.started = false;
        }
        self.start_midstream(seq);
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

    /// Counts a segment of the handshake, or one that does not belong here, with what it carries.
    pub(super) fn send(&mut self, segment: &Segment) {
        self.transmit(segment, Legs::default, &mut Effects::none(Side::Client));
    }

    /// Counts a segment and takes its payload and FIN into the stream; says whether it carried bytes
    /// that had been sent and not yet acknowledged, or the FIN again.
    pub(super) fn transmit(
        &mut self,
        segment: &Segment,
        legs: impl FnOnce() -> Legs,
        effects: &mut Effects,
    ) -> bool {
        self.count(segment);
        if segment.seq_len() == 0 {
            if segment.seq != self.reference.0 {
                effects.repeat = self.probe(segment);
            }
            return false;
        }
        if segment.flags.rst() {
            return false;
        }
        let start = self.offset(segment.payload_seq());
        if (start - self.end).abs() > Self::PLAUSIBLE {
            return false;
        }
        let end = start + i64::from(segment.payload_len);
        let mut repeats = false;
        if segment.payload_len > 0 {
            if start < self.end {
                repeats = self.take_again((start, end), segment, legs(), effects);
            } else {
                self.take_new(start, end, segment);
                if segment.payload_len == 1 && self.repair.is_some() {
                    effects.repeat = self.probe_of_closed(start, segment);
                }
            }
        }
        if segment.flags.fin() {
            let is_copy = effects.repeat.is_some_and(Repeat::is_copy);
            repeats |= self.take_fin(end) && !is_copy;
            self.end = self.end.max(end + 1);
        }
        self.end = self.end.max(end);
        self.advance_reference();
        repeats
    }

    /// Whether the FIN was seen, and everything before it.
    pub(super) fn is_complete(&self) -> bool {
        self.fin.is_some_and(|fin| self.coverage.next() >= fin)
    }

    /// Whether the peer has acknowledged the FIN.
    pub(super) fn fin_acknowledged(&self) -> bool {
        self.fin.is_some_and(|fin| self.acknowledged > fin)
    }

    /// Whether `seq` comes after the last byte sent.
    #[inline]
    pub(super) fn is_next(&self, seq: Seq) -> bool {
        self.reference == (seq, self.end)
    }

    /// The offset of `ack`, if it is near enough to be an acknowledgment of this stream. Nothing
    /// comes after a FIN, so nothing is acknowledged there (RFC 9293 3.10.7.4, fifth).
    #[inline]
    pub(super) fn plausible_offset(&self, ack: Seq) -> Option<i64> {
        let offset = self.offset(ack);
        let beyond = offset - self.end;
        let is_over = self.fin.is_some_and(|fin| fin + 1 == self.end);
        (beyond.abs() <= Self::PLAUSIBLE && !(is_over && beyond > 0)).then_some(offset)
    }

    /// Counts a segment that the tap delivered twice, and nothing else of it.
    pub(super) fn count_same_packet(&mut self, segment: &Segment, first: Option<Mark>) -> Repeat {
        self.count(segment);
        self.repair_mut().count(RepeatCause::CaptureDuplicate, Mark::of(segment));
        let after = first.map_or(Span::ZERO, |first| segment.time.since(first.time));
        let rule = Rule::SamePacket { ip_id: segment.ip_id, after };
        Repeat { cause: RepeatCause::CaptureDuplicate, rule, original: first }
    }

    /// The memory of this direction's trouble, made when it is first needed.
    pub(super) fn repair_mut(&mut self) -> &mut Repair {
        self.repair.get_or_insert_default()
    }

    /// Whether `block` reports bytes below `ack`, that is, a duplicate (RFC 2883 4).
    pub(super) fn is_duplicate_report(&self, block: SackBlock, ack: Seq) -> bool {
        self.offset(block.right) <= self.offset(ack)
    }

    /// Payload bytes that the peer acknowledged.
    pub(super) fn acknowledged_bytes(&self) -> u64 {
        let sent_end = self.fin.unwrap_or(self.end).min(self.end);
        u64::try_from(self.acknowledged.min(sent_end) - 1).unwrap_or(0)
    }

    /// What is repeated from now on is counted anew: the peer has made progress.
    pub(super) const fn forget_repetitions(&mut self) {
        self.repeated_unacknowledged = 0;
    }

    /// What is sent and not acknowledged.
    pub(super) fn unacknowledged(&self) -> Option<Unacknowledged> {
        let bytes = self.unacknowledged_bytes();
        let last_sent = self.last_data_sent.filter(|_| bytes > 0)?;
        let oldest = self.sending.as_ref().and_then(|sending| sending.flight.oldest());
        Some(Unacknowledged {
            bytes,
            first_sent: oldest.map_or(last_sent, |sent| sent.mark()),
            last_sent,
            retransmissions: self.repeated_unacknowledged,
        })
    }

    /// Counts a segment, and takes nothing from it.
    pub(super) fn count(&mut self, segment: &Segment) {
        self.count_bytes(segment);
        let traffic = &mut self.traffic;
        traffic.bad_checksums += u64::from(segment.marks.contains(Marks::BAD_CHECKSUM));
        if !segment.flags.syn() && !segment.flags.rst() {
            traffic.zero_windows += u64::from(segment.window == 0 && !segment.flags.fin());
            self.widen_windows(segment);
        }
    }

    /// Counts what every segment has.
    #[expect(clippy::inline_always, reason = "measured; see `Connection::observe_expected`")]
    #[inline(always)]
    pub(super) fn count_bytes(&mut self, segment: &Segment) {
        let traffic = &mut self.traffic;
        traffic.segments += 1;
        traffic.data_segments += u64::from(segment.payload_len > 0);
        traffic.payload_bytes += u64::from(segment.payload_len);
        traffic.ip_bytes += u64::from(segment.payload_len) + u64::from(segment.header_len);
        traffic.last_segment = Some(Mark::of(segment));
        self.print = print(segment);
        self.place = segment.place();
        self.numbers.take(segment);
    }

    #[inline]
    pub(super) fn widen_windows(&mut self, segment: &Segment) {
        let (low, high) = self.windows;
        self.windows = (low.min(segment.window), high.max(segment.window));
    }

    /// Takes bytes that lie beyond all that were sent before.
    #[expect(clippy::inline_always, reason = "measured; see `Connection::observe_expected`")]
    #[inline(always)]
    pub(super) fn take_new(&mut self, start: i64, end: i64, segment: &Segment) {
        let mark = Mark::of(segment);
        let troubled = self.repair.is_some();
        self.coverage.add(start, end);
        let traffic = &mut self.traffic;
        traffic.unique_bytes += u64::from(segment.payload_len);
        if traffic.first_data.is_none() {
            traffic.first_data = Some(mark);
        }
        traffic.last_data = Some(mark);
        self.last_data_sent = Some(mark);
        let flight = u64::try_from(end - self.acknowledged).unwrap_or(0);
        traffic.max_in_flight = traffic.max_in_flight.max(flight);
        let flight =
            &mut self.sending.get_or_insert_with(|| Sending::begun(segment.payload_len)).flight;
        flight.push_made(segment.time, troubled, || Sent::new(start, segment));
        if end >= self.window_edge {
            self.fill_window(mark);
        }
    }

    /// Takes bytes of which some were sent before, or should have been; judges the repetition. Says
    /// whether bytes are repeated that wait for their acknowledgment.
    #[cold]
    fn take_again(
        &mut self,
        (start, end): (i64, i64),
        segment: &Segment,
        legs: Legs,
        effects: &mut Effects,
    ) -> bool {
        let mark = Mark::of(segment);
        // One byte just below what is acknowledged asks for a sign of life (RFC 9293 3.8.4).
        if end - start == 1 && start < self.acknowledged && end == self.end {
            effects.repeat = self.probe(segment);
            return false;
        }
        let added = self.coverage.add_late(start, end);
        let (repeat, proof) = self.judge((start, end), added, segment, legs);
        effects.repeat = repeat;
        effects.proof = effects.proof.or(proof);
        let is_sent_again = repeat.is_some_and(|repeat| repeat.cause.is_retransmission());
        self.traffic.unique_bytes += added.new;
        if added.new > 0 {
            self.traffic.first_data.get_or_insert(mark);
            self.traffic.last_data = Some(mark);
        }
        let repeats = added.old > 0 && end > self.acknowledged && is_sent_again;
        if repeats {
            self.repeated_unacknowledged = self.repeated_unacknowledged.saturating_add(1);
        }
        if end > self.acknowledged && (is_sent_again || added.new > 0) {
            self.last_data_sent = Some(mark);
        }
        if end > self.end {
            let fresh = Sent::new(start, segment).after(self.end);
            self.sending.get_or_insert_default().flight.push(fresh, true);
        }
        let flight = u64::try_from(end - self.acknowledged).unwrap_or(0);
        self.traffic.max_in_flight = self.traffic.max_in_flight.max(flight);
        repeats
    }

    pub(super) fn unacknowledged_bytes(&self) -> u64 {
        let end = self.fin.unwrap_or(self.end).min(self.end);
        u64::try_from(end - self.acknowledged.max(1)).unwrap_or(0)
    }

    pub(super) fn advance_reference(&mut self) {
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

    fn ack(ack: u32) -> Segment {
        Segment { ack: Seq(ack), flags: Flags::ACK, ..Segment::default() }
    }

    #[test]
    fn where_a_side_begins_its_own_number_counts_more_than_a_wild_acknowledgment() {
        let begun = |acknowledged: u32, sent: u32| {
            let mut stream = Stream::default();
            stream.start_midstream(Seq(acknowledged));
            stream.send_midstream(Seq(sent));
            stream.offset(Seq(sent))
        };
        assert_eq!(begun(1_859_263_201, 3_385_989_857), 1);
        assert_eq!(begun(3_385_989_800, 3_385_989_857), 58, "some of it was not captured");
    }

    #[test]
    fn offsets_survive_the_wrap_of_sequence_numbers() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(u32::MAX - 5));
        let mut seq = stream.seq_at(1);
        for _ in 0..5_000 {
            stream.send(&data(seq.0, 1_000_000));
            seq = seq.plus(1_000_000);
            stream.acknowledge(&ack(seq.0));
        }
        assert_eq!(stream.end, 5_000_000_001);
        assert_eq!(stream.acknowledged_bytes(), 5_000_000_000);
        assert_eq!(stream.traffic.unique_bytes, 5_000_000_000);
        assert_eq!(stream.unacknowledged(), None);
    }

    #[test]
    fn a_repeated_range_is_counted_once_as_unique_and_once_as_retransmitted() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(0));
        let mut effects = Effects::none(Side::Client);
        assert!(!stream.transmit(&data(1, 100), Legs::default, &mut effects));
        assert!(stream.transmit(&data(1, 150), Legs::default, &mut effects));
        let repeated = stream.repair.as_ref().unwrap();
        assert_eq!((stream.traffic.unique_bytes, repeated.bytes), (150, 100));
        let waiting = stream.unacknowledged().unwrap();
        assert_eq!((waiting.bytes, waiting.retransmissions), (150, 1));
    }

    #[test]
    fn bytes_acknowledged_but_never_captured_are_missing() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(0));
        stream.acknowledge(&ack(101));
        assert_eq!(stream.coverage.missing(), 100);
    }

    #[test]
    fn a_wild_acknowledgment_moves_nothing() {
        let mut stream = Stream::default();
        stream.start_with_syn(Seq(0));
        assert_eq!(stream.acknowledge(&ack(0x7000_0000)), None);
        assert_eq!(stream.acknowledged, 0);
    }
}
