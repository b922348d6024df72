//! One endpoint as Zeek sees it: its state, its sequence numbers, and what it sent.

use crate::compact::compact;

use super::columns::Counts;
use super::delivery::Delivery;
use super::history::Scaled;
use crate::near;
use crate::tcp::{Segment, Seq};

/// The state of an endpoint: what was seen of it, not what its socket is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointState {
    /// Nothing seen.
    #[default]
    Inactive,
    /// A SYN of the originator.
    SynSent,
    /// A SYN-ACK of the originator.
    SynAckSent,
    /// Something, but no SYN.
    Partial,
    /// A SYN of the responder, or the originator's SYN after that.
    Established,
    /// A FIN.
    Closed,
    /// A RST.
    Reset,
}

compact!(
    enum EndpointState {
        Inactive,
        SynSent,
        SynAckSent,
        Partial,
        Established,
        Closed,
        Reset,
    }
);

impl EndpointState {
    /// Nothing or not enough was seen to speak of a connection.
    pub(super) const fn is_handshake(self) -> bool {
        matches!(self, Self::Inactive | Self::SynSent | Self::SynAckSent)
    }
}

/// A sequence number together with how often the numbers have wrapped.
///
/// Zeek counts a wrap whenever a higher number is the smaller one, also where nothing has wrapped;
/// the sums below follow it in that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) seq: Seq,
    wraps: u32,
}

compact!(struct Counted { seq, wraps });

impl Counted {
    const fn update(&mut self, seq: Seq) {
        self.wraps = self.wraps.wrapping_add((seq.0 < self.seq.0) as u32);
        self.seq = seq;
    }

    /// Sets the number and leaves the wraps as they are.
    const fn reset(&mut self, seq: Seq) {
        self.seq = seq;
    }

    pub(super) const fn full(self) -> u64 {
        (self.wraps as u64) << 32 | self.seq.0 as u64
    }

    /// The offset from `start` of a number near this one, and whether it lies before the start.
    const fn offset(self, seq: Seq, start: Seq) -> (u64, bool) {
        let mut wraps = self.wraps;
        let delta = seq.distance(self.seq);
        if delta < 0 {
            wraps = wraps.saturating_sub((seq.0 > self.seq.0) as u32);
        } else if delta > 0 {
            wraps = wraps.wrapping_add((seq.0 < self.seq.0) as u32);
        }
        if wraps == 0 {
            let delta = seq.distance(start);
            return ((delta as i64).cast_unsigned(), delta < 0);
        }
        (Self { seq, wraps }.full().wrapping_sub(start.0 as u64), false)
    }
}

/// Letters that a direction has once, as bits of [`Endpoint::entered`].
pub(super) mod once {
    pub(in super::super) const SYN: u8 = 0x01;
    pub(in super::super) const FIN: u8 = 0x02;
    pub(in super::super) const RST: u8 = 0x04;
    pub(in super::super) const FIN_RST: u8 = 0x08;
    pub(in super::super) const DATA: u8 = 0x10;
    pub(in super::super) const ACK: u8 = 0x20;
    pub(in super::super) const MULTIPLE: u8 = 0x40;
}

/// One endpoint.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Endpoint {
    /// After the highest number sent.
    pub(super) last: Counted,
    /// The highest acknowledgment of what it sent.
    pub(super) acked: Counted,
    /// The SYN's number, or the one before the first.
    pub(super) start: Seq,
    pub(super) state: EndpointState,
    pub(super) before: EndpointState,
    /// Letters that a history has once per direction, as bits.
    pub(super) entered: u8,
    /// A FIN was sent.
    pub(super) finished: bool,
    pub(super) delivery: Delivery,
    pub(super) counts: Counts,
    /// Offset after the last FIN.
    pub(super) fin_end: u64,
    /// Offsets of the last SYN, FIN and RST, in 32 bits: zero before the first.
    pub(super) last_syn: u32,
    pub(super) last_fin: u32,
    pub(super) last_rst: u32,
    pub(super) retransmissions: Scaled,
    pub(super) zero_windows: Scaled,
    pub(super) gaps: Scaled,
    pub(super) bad_checksums: Scaled,
    /// Zeek has taken note of its close.
    pub(super) closed: bool,
    /// Everything up to its close was delivered.
    pub(super) ended: bool,
    /// Something was processed of it (`first_packet_seen`).
    pub(super) seen: bool,
}

compact!(struct Endpoint {
    state, before, entered, finished, closed, ended, seen, start, last, acked, delivery, counts,
    fin_end, last_syn, last_fin, last_rst, retransmissions, zero_windows, gaps, bad_checksums
});

impl Endpoint {
    /// A jump that a SYN or RST is not believed to make.
    const TOO_LARGE_JUMP: u32 = 1 << 20;

    #[inline]
    pub(super) fn prefetch(&self) {
        near::value(&self.last);
        near::value(&self.counts);
    }

    pub(super) const fn enter(&mut self, state: EndpointState) {
        if !matches_state(self.state, state) {
            self.before = self.state;
            self.state = state;
        }
    }

    /// Sets the numbers for the first segment, or for a SYN that begins anew.
    pub(super) const fn initialise(&mut self, segment: &Segment, end: Seq) {
        let syn = segment.flags.syn();
        match self.state {
            EndpointState::Inactive => {
                let (start, end) =
                    if syn { (segment.seq, end) } else { (segment.seq.minus(1), segment.seq) };
                self.begin_at(start, end);
            }
            EndpointState::SynSent | EndpointState::SynAckSent => {
                if syn && segment.seq.0 != self.start.0 {
                    self.begin_at(segment.seq, end);
                }
            }
            EndpointState::Established | EndpointState::Partial => {
                if syn {
                    self.begin_at(segment.seq, end);
                }
            }
            EndpointState::Reset => {
                if syn && matches!(self.before, EndpointState::Inactive) {
                    self.begin_at(segment.seq, end);
                }
            }
            EndpointState::Closed => {}
        }
    }

    /// Sets the numbers of an endpoint of which only an acknowledgment was seen.
    pub(super) const fn initialise_from(&mut self, ack: Seq) {
        self.begin_at(ack.minus(1), ack.minus(1));
    }

    const fn begin_at(&mut self, start: Seq, last: Seq) {
        self.start = start;
        self.acked.reset(start);
        self.last.reset(last);
    }

    /// The offset of a number sent, and whether it lies before the start.
    pub(super) const fn offset(&self, seq: Seq) -> (u64, bool) {
        self.last.offset(seq, self.start)
    }

    /// The offset of an acknowledgment of what was sent, and whether it lies before the start.
    pub(super) const fn ack_offset(&self, ack: Seq) -> (u64, bool) {
        self.acked.offset(ack, self.start)
    }

    /// The offset of the highest acknowledgment of what was sent.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acked.full().wrapping_sub(self.start.0 as u64)
    }

    /// Takes an acknowledgment of what was sent.
    pub(super) const fn acknowledge(&mut self, ack: Seq) {
        let delta = ack.distance(self.acked.seq);
        let is_broken = ack.0 == 0 && delta > Self::TOO_LARGE_JUMP.cast_signed();
        if delta > 0 && !is_broken {
            self.acked.update(ack);
        }
    }

    /// Moves the highest number sent on to `end`; says whether the segment was a retransmission.
    pub(super) const fn send(&mut self, segment: &Segment, end: Seq) -> bool {
        let delta = end.distance(self.last.seq);
        let flags = segment.flags;
        if (flags.syn() || flags.rst()) && delta.unsigned_abs() > Self::TOO_LARGE_JUMP {
            return false;
        }
        if flags.fin() && self.last.seq.0 == self.start.plus(1).0 {
            self.last.update(end);
            return false;
        }
        if matches!(self.state, EndpointState::Reset) {
            return false;
        }
        if delta > 0 {
            self.last.update(end);
            return false;
        }
        segment.payload_len > 0
    }

    /// Whether not a byte of what was sent was acknowledged; the SYN may have been.
    pub(super) const fn is_unacknowledged(&self) -> bool {
        let ack = self.acked.full();
        let start = self.start.0 as u64;
        ack == start || ack == start.wrapping_add(1)
    }

    /// Payload sent, by the sequence numbers.
    pub(super) const fn size(&self, peer: EndpointState) -> u64 {
        let aborted_attempt = matches!(self.before, EndpointState::SynSent)
            && matches!(self.state, EndpointState::Reset)
            && matches!(peer, EndpointState::Inactive);
        if aborted_attempt && !self.is_unacknowledged() {
            return 0;
        }
        let (last, ack) = (self.last.full(), self.acked.full());
        let end = if last > ack { last } else { ack };
        let size = end.wrapping_sub(self.start.0 as u64);
        let without_syn = size.saturating_sub(1);
        without_syn.saturating_sub(self.finished as u64)
    }

    /// Whether payload before the close is still outstanding, or the peer's is unacknowledged.
    pub(super) fn is_pending(&self, peer_holds: bool) -> bool {
        if self.delivery.skipping {
            return false;
        }
        let delivered = u64::from(self.start.0).wrapping_add(self.delivery.next());
        let last = self.last.full();
        if last < delivered {
            return false;
        }
        let is_complete = delivered == last || delivered == last.wrapping_sub(1);
        !is_complete || (self.state != EndpointState::Reset && peer_holds)
    }
}

/// `==` in a `const fn`.
const fn matches_state(one: EndpointState, other: EndpointState) -> bool {
    one as u8 == other as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_follow_the_numbers_across_the_wrap() {
        let mut endpoint = Endpoint::default();
        endpoint.begin_at(Seq(u32::MAX - 9), Seq(u32::MAX - 8));
        assert_eq!(endpoint.offset(Seq(u32::MAX)), (9, false));
        assert_eq!(endpoint.offset(Seq(20)), (30, false));
        assert!(endpoint.offset(Seq(u32::MAX - 19)).1);
        endpoint.last.update(Seq(20));
        assert_eq!(endpoint.offset(Seq(30)), (40, false));
        assert_eq!(endpoint.size(EndpointState::Established), 29);
    }
}
