//! The rules, in the order in which Wireshark applies them.

use super::direction::{Direction, Duplicates, Scale};
use super::{AnalysisFlags, Completeness};
use crate::stamp::{Span, Time};
use crate::tcp::{Extras, Flags, Segment, Seq};

/// A segment behind the furthest one is fast retransmitted only within this time of the
/// acknowledgment that asks for it.
const FAST_RETRANSMISSION_WITHIN: Span = Span::from_millis(20);
/// A segment behind the furthest one is out of order only within this time of it, while the
/// handshake's round trip is unknown.
const OUT_OF_ORDER_WITHIN: Span = Span::from_millis(3);
/// Flags that rule out window updates, duplicate acknowledgments and probes.
const CONTROL: Flags = Flags(Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0);

/// Wireshark's view of one connection, fed with its segments in capture order.
///
/// One is enough for all connections of a flow: a SYN with another initial sequence number makes
/// it start over by itself, and is reported as a reused port.
#[derive(Clone, Debug, Default)]
pub struct Analyzer {
    client: Direction,
    server: Direction,
    /// When the latest SYN without ACK was captured.
    syn_at: Option<Time>,
    /// From that SYN to the first segment with ACK.
    first_rtt: Option<Span>,
    /// MPTCP operations seen on the connection, one bit per subtype.
    mptcp_seen: u8,
    completeness: Completeness,
}

impl Analyzer {
    /// Wireshark's `tcp.completeness` after the segments so far.
    #[must_use]
    pub const fn completeness(&self) -> Completeness {
        self.completeness
    }

    /// Takes the connection's next segment and says what Wireshark shows on it.
    pub fn observe(
        &mut self,
        from_client: bool,
        segment: &Segment,
        extras: &Extras,
    ) -> AnalysisFlags {
        // Wireshark believes the frame where the IP header claims more.
        let framed =
            Segment { payload_len: extras.framed_len.unwrap_or(segment.payload_len), ..*segment };
        let segment = &framed;
        let mut shown = self.identify(from_client, segment);
        let mptcp_seen = self.mptcp_seen;
        let (sender, peer) = self.directions(from_client);
        if sender.base_seq.is_none() {
            sender.base_seq = Some(segment.seq.minus(u32::from(!segment.flags.syn())));
        }
        if peer.base_seq.is_none() && segment.flags.ack() {
            peer.base_seq = Some(segment.ack.minus(1));
        }
        shown |= Self::about_window(sender, peer, segment, mptcp_seen);
        if segment.ack != sender.last_ack {
            sender.duplicates = Duplicates::None;
            sender.overtaken = false;
        }
        shown |= Self::about_acknowledgment(peer, segment);
        let keep_alive = shown.contains(AnalysisFlags::KEEP_ALIVE);
        if !keep_alive
            && (segment.payload_len > 0 || segment.flags.intersects(Flags::SYN | Flags::FIN))
        {
            shown |= self.about_retransmission(from_client, segment);
        }
        self.remember(from_client, segment, shown);
        self.remember_handshake(from_client, segment, extras);
        self.completeness.observe(segment);
        shown
    }

    fn directions(&mut self, from_client: bool) -> (&mut Direction, &mut Direction) {
        if from_client {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        }
    }

    /// Starts over on a SYN with a new initial sequence number; repairs the furthest sequence
    /// number on a repeated SYN, since a RST in between may have moved it.
    fn identify(&mut self, from_client: bool, segment: &Segment) -> AnalysisFlags {
        if !segment.flags.syn() {
            return AnalysisFlags::NONE;
        }
        let (sender, _) = self.directions(from_client);
        match sender.base_seq {
            None => AnalysisFlags::NONE,
            Some(base) if segment.flags.ack() => {
                if base == segment.seq {
                    return AnalysisFlags::NONE;
                }
                sender.base_seq = Some(segment.seq);
                AnalysisFlags::REUSED_PORTS
            }
            Some(base) if base == segment.seq => {
                sender.next_seq = sender.contiguous;
                AnalysisFlags::NONE
            }
            Some(_) => {
                *self = Self { completeness: Completeness::begun_anew(), ..Self::default() };
                AnalysisFlags::REUSED_PORTS
            }
        }
    }

    /// The rules about windows, probes, holes and duplicate acknowledgments.
    fn about_window(
        sender: &mut Direction,
        peer: &Direction,
        segment: &Segment,
        mptcp_seen: u8,
    ) -> AnalysisFlags {
        let length = segment.payload_len;
        let at_next = segment.seq == sender.next_seq;
        if length == 1 && at_next && peer.window == Some(0) {
            return AnalysisFlags::ZERO_WINDOW_PROBE;
        }
        let mut shown = AnalysisFlags::NONE;
        let known = sender.next_seq != Seq(0);
        if known && segment.seq.is_after(sender.next_seq) && !segment.flags.rst() {
            shown |= AnalysisFlags::LOST_SEGMENT;
        }
        if segment.flags.intersects(CONTROL) {
            return shown;
        }
        if segment.window == 0 {
            shown |= AnalysisFlags::ZERO_WINDOW;
        }
        if length <= 1 && segment.seq == sender.next_seq.minus(1) {
            shown |= AnalysisFlags::KEEP_ALIVE;
        }
        if length > 0 {
            if peer.window_edge() == Some(segment.seq.plus(length)) {
                shown |= AnalysisFlags::WINDOW_FULL;
            }
            return shown;
        }
        if !at_next || segment.ack != sender.last_ack {
            return shown;
        }
        let unchanged = sender.window == Some(segment.window);
        match (segment.window, unchanged) {
            (0, true) if peer.last_flags.contains(AnalysisFlags::ZERO_WINDOW_PROBE) => {
                shown | AnalysisFlags::ZERO_WINDOW_PROBE_ACK
            }
            (0, _) => shown,
            (_, false) => shown | AnalysisFlags::WINDOW_UPDATE,
            (_, true) if peer.last_flags.contains(AnalysisFlags::KEEP_ALIVE) => {
                shown | AnalysisFlags::KEEP_ALIVE_ACK
            }
            // MPTCP may repeat an acknowledgment to carry an option (RFC 8684 3.3.2).
            (_, true) if mptcp_seen != sender.mptcp_seen => shown,
            (_, true) => {
                sender.duplicates = sender.duplicates.one_more();
                shown | AnalysisFlags::DUPLICATE_ACK
            }
        }
    }

    /// An acknowledgment beyond what was seen without a hole means bytes that were not captured.
    fn about_acknowledgment(peer: &mut Direction, segment: &Segment) -> AnalysisFlags {
        if !segment.flags.ack()
            || peer.contiguous == Seq(0)
            || !segment.ack.is_after(peer.contiguous)
        {
            return AnalysisFlags::NONE;
        }
        if peer.contiguous.is_before(peer.next_seq) {
            peer.contiguous = peer.next_seq;
            return AnalysisFlags::ACK_LOST_SEGMENT;
        }
        // Nothing to catch up with: reported once, until the peer repeats or moves its own
        // acknowledgment.
        let first = peer.duplicates == Duplicates::None && !peer.overtaken;
        peer.overtaken = true;
        if first { AnalysisFlags::ACK_LOST_SEGMENT } else { AnalysisFlags::NONE }
    }

    /// What a segment with payload, SYN or FIN is that does not move its direction forward.
    fn about_retransmission(&mut self, from_client: bool, segment: &Segment) -> AnalysisFlags {
        let reordering = self.first_rtt.unwrap_or(OUT_OF_ORDER_WITHIN);
        let (sender, peer) = self.directions(from_client);
        let end = segment.seq.plus(segment.payload_len);
        if segment.payload_len > 0 && peer.last_ack != Seq(0) && !end.is_after(peer.last_ack) {
            return AnalysisFlags::SPURIOUS_RETRANSMISSION | AnalysisFlags::RETRANSMISSION;
        }
        // More than one byte from the last known byte on: new data after a window probe.
        let after_probe = segment.payload_len > 1 && segment.seq == sender.next_seq.minus(1);
        let behind = sender.next_seq != Seq(0) && segment.seq.is_before(sender.next_seq);
        if !behind || after_probe {
            return AnalysisFlags::NONE;
        }
        if (peer.duplicates == Duplicates::Several || peer.overtaken)
            && peer.last_ack == segment.seq
            && within(segment.time, peer.last_at, FAST_RETRANSMISSION_WITHIN)
        {
            return AnalysisFlags::FAST_RETRANSMISSION | AnalysisFlags::RETRANSMISSION;
        }
        let control = u32::from(segment.flags.intersects(Flags::SYN | Flags::FIN));
        if within(segment.time, sender.next_seq_at, reordering)
            && sender.next_seq != end.plus(control)
        {
            return AnalysisFlags::OUT_OF_ORDER;
        }
        AnalysisFlags::RETRANSMISSION
    }

    fn remember(&mut self, from_client: bool, segment: &Segment, shown: AnalysisFlags) {
        let mptcp_seen = self.mptcp_seen;
        let (sender, peer) = self.directions(from_client);
        if segment.flags.ack() {
            peer.acknowledged(sender.last_ack, segment.ack);
        }
        let is_control = segment.flags.intersects(Flags::SYN | Flags::FIN);
        let is_remembered =
            (segment.payload_len > 0 || is_control) && sender.await_acknowledgment();
        let control = u32::from(is_control && is_remembered);
        let end = segment.seq.plus(segment.payload_len).plus(control);
        if !shown.contains(AnalysisFlags::ZERO_WINDOW_PROBE) {
            if end.is_after(sender.next_seq) || sender.next_seq == Seq(0) {
                sender.next_seq = end;
                sender.next_seq_at = segment.time;
            }
            if segment.seq == sender.contiguous || sender.contiguous == Seq(0) {
                sender.contiguous = sender.next_seq;
            }
        }
        sender.window = Some(segment.window);
        sender.last_ack = segment.ack;
        sender.last_at = segment.time;
        sender.last_flags = shown;
        sender.mptcp_seen = mptcp_seen;
    }

    /// Takes what later segments are judged by: round trip, window scale, MPTCP operations.
    fn remember_handshake(&mut self, from_client: bool, segment: &Segment, extras: &Extras) {
        let syn = segment.flags.syn();
        if syn && !segment.flags.ack() {
            self.syn_at = Some(segment.time);
        }
        if !syn && segment.flags.ack() && self.first_rtt.is_none() {
            // A SYN at the epoch counts as none, and so does a round trip of exactly nothing.
            self.first_rtt = self
                .syn_at
                .filter(|syn_at| *syn_at != Time::from_nanos(0))
                .map(|syn_at| segment.time.since(syn_at))
                .filter(|rtt| *rtt != Span::ZERO);
        }
        if let Some(subtype) = extras.mptcp {
            self.mptcp_seen |= mptcp_operation(subtype);
        }
        let (sender, peer) = self.directions(from_client);
        if syn {
            sender.window_unscaled = true;
        } else if segment.flags.ack() {
            sender.window_unscaled = false;
        }
        if let Some(shift) = extras.syn.window_scale {
            sender.scale = Scale::asked(shift);
        }
        if syn && sender.scale == Scale::Unknown {
            sender.scale = Scale::Unused;
            peer.scale = Scale::Unused;
        } else if syn && segment.flags.ack() && peer.scale == Scale::Unused {
            sender.scale = Scale::Unused;
        }
    }
}

/// Whether `time` lies less than `limit` after `earlier`; a time before it never does, and a
/// negative limit allows every time after it, since Wireshark compares without sign.
fn within(time: Time, earlier: Time, limit: Span) -> bool {
    time.since(earlier).nanos().cast_unsigned() < limit.nanos().cast_unsigned()
}

/// The bit of an MPTCP subtype (RFC 8684 8): capable, join, sequence signal, add address, remove
/// address, priority, fail, fast close. Later subtypes are not tracked.
const fn mptcp_operation(subtype: u8) -> u8 {
    if subtype < 8 { 1 << subtype } else { 0 }
}
