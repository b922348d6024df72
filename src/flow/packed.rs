//! A segment on its way from decoding to its shard: one cache line.
//!
//! Waves hold millions of these, so the tuple is stored without its address family, and what is
//! rare lies in side lists of the [`Batch`](super::Batch).

use super::deal::MULTIPLIER;
use crate::stamp::{FrameId, Time};
use crate::tcp::{Flags, Marks, Segment, Seq, Timestamps};

/// One segment with its flow, in 64 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Packed {
    pub(super) time: Time,
    /// Lower address, higher address, and their ports of an IPv4 flow outside tunnels; else the
    /// index in the batch's list of wide flows, and a number in two halves that flows seldom share.
    pub(super) flow: [u32; 3],
    seq: u32,
    ack: u32,
    ts_value: u32,
    ts_echo: u32,
    payload_len: u32,
    /// Index of the frame in its batch, from 0.
    pub(super) frame: u32,
    /// Index in the batch's list of extras, or [`Packed::NO_EXTRAS`].
    pub(super) extras: u32,
    window: u16,
    flags: u16,
    ip_id: u16,
    checksum: u16,
    header_len: u16,
    ttl: u8,
    traffic_class: u8,
    marks: u8,
    pub(super) kind: Kind,
}

/// How to read the fields of a [`Packed`], as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    /// The segment travelled from the lower endpoint to the higher one.
    pub(super) const FORWARD: Self = Self(1);
    /// The flow is in the list of wide flows.
    pub(super) const WIDE: Self = Self(2);
    /// The capture clock was ahead of the frame's time; it is in the list of late frames.
    pub(super) const LATE: Self = Self(4);
    /// No segment, but an ICMP error that quotes one of the flow: the index in the list of errors
    /// stands in place of that of the extras.
    pub(super) const QUOTE: Self = Self(8);

    /// Where [`Segment::interface`] begins, which takes all bits from there on.
    const INTERFACE_SHIFT: u32 = 5;
    const INTERFACE: Self = Self((Segment::INTERFACES - 1) << Self::INTERFACE_SHIFT);

    /// The options are packed into the places of the timestamp's echo and of the extras' index.
    pub(super) const OPTIONS: Self = Self(16);

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Packed {
    /// Stands for [`Extras::NONE`](crate::tcp::Extras::NONE).
    pub(super) const NO_EXTRAS: u32 = u32::MAX;

    /// Packs a segment; its frame number is replaced by the index in the batch.
    pub(super) const fn new(segment: &Segment, frame: u32, flow: [u32; 3], kind: Kind) -> Self {
        Self {
            time: segment.time,
            flow,
            seq: segment.seq.0,
            ack: segment.ack.0,
            ts_value: segment.timestamps.value,
            ts_echo: segment.timestamps.echo,
            payload_len: segment.payload_len,
            frame,
            extras: Self::NO_EXTRAS,
            window: segment.window,
            flags: segment.flags.0,
            ip_id: segment.ip_id,
            checksum: segment.checksum,
            header_len: segment.header_len,
            ttl: segment.ttl,
            traffic_class: segment.traffic_class,
            marks: segment.marks.0,
            kind: Kind(kind.0 | segment.interface << Kind::INTERFACE_SHIFT),
        }
    }

    /// Packs a segment of a wide flow: its index, and a number that flows seldom share.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub(super) const fn wide(
        segment: &Segment,
        frame: u32,
        (index, number): (u32, u64),
        kind: Kind,
    ) -> Self {
        let flow = [index, (number >> 32) as u32, number as u32];
        Self::new(segment, frame, flow, kind.with(Kind::WIDE))
    }

    /// A number that flows seldom share.
    #[inline]
    pub(super) const fn number(&self) -> u64 {
        let [low, high, ports] = self.flow;
        if self.kind.contains(Kind::WIDE) {
            return (high as u64) << 32 | ports as u64;
        }
        let addresses = (low as u64) << 32 | high as u64;
        addresses ^ (ports as u64).wrapping_mul(MULTIPLIER)
    }

    /// Whether it acknowledges and is none of those.
    pub(super) const fn acknowledges_alone(&self) -> bool {
        let flags = Flags(self.flags);
        let is_other = flags.syn() || flags.fin() || flags.rst();
        flags.ack() && !is_other && !self.kind.contains(Kind::QUOTE)
    }

    /// What it acknowledges.
    pub(super) const fn acknowledged(&self) -> Seq {
        Seq(self.ack)
    }

    /// Whether it stands for an ICMP error.
    pub(super) const fn is_quote(&self) -> bool {
        self.kind.contains(Kind::QUOTE)
    }

    /// Whether it is a SYN-ACK.
    pub(super) const fn is_syn_ack(&self) -> bool {
        let flags = Flags(self.flags);
        let is_answer = flags.syn() && flags.ack() && !flags.rst();
        is_answer && !self.kind.contains(Kind::QUOTE)
    }

    /// Whether it is a SYN, a FIN or a RST.
    pub(super) const fn may_turn(&self) -> bool {
        let flags = Flags(self.flags);
        (flags.syn() || flags.fin() || flags.rst()) && !self.kind.contains(Kind::QUOTE)
    }

    /// Whether the segment's timestamp echoes nothing.
    pub(super) const fn echoes_nothing(&self) -> bool {
        self.ts_echo == 0
    }

    /// Whether it is a segment of which no options lie elsewhere.
    pub(super) const fn is_ordinary(&self) -> bool {
        let usual = Kind::FORWARD.with(Kind::WIDE).with(Kind::LATE).with(Kind::INTERFACE);
        usual.contains(self.kind) && self.extras == Self::NO_EXTRAS
    }

    /// Holds packed options; the segment must echo no timestamp.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub(super) const fn put_options(&mut self, bits: u64) {
        (self.ts_echo, self.extras) = (bits as u32, (bits >> 32) as u32);
        self.kind = self.kind.with(Kind::OPTIONS);
    }

    /// The same, with packed options.
    pub(super) const fn with_options(mut self, bits: u64) -> Self {
        self.put_options(bits);
        self
    }

    /// The packed options, where it holds such.
    pub(super) const fn options(&self) -> Option<u64> {
        let bits = (self.extras as u64) << 32 | self.ts_echo as u64;
        if self.kind.contains(Kind::OPTIONS) { Some(bits) } else { None }
    }

    /// The segment again; `first` is the batch's first frame.
    pub(super) const fn segment(&self, first: FrameId) -> Segment {
        Segment {
            time: self.time,
            frame: first.plus(self.frame as u64),
            seq: Seq(self.seq),
            ack: Seq(self.ack),
            timestamps: Timestamps {
                value: self.ts_value,
                echo: if self.kind.contains(Kind::OPTIONS) { 0 } else { self.ts_echo },
            },
            payload_len: self.payload_len,
            header_len: self.header_len,
            window: self.window,
            flags: Flags(self.flags),
            ip_id: self.ip_id,
            checksum: self.checksum,
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            marks: Marks(self.marks),
            interface: self.kind.0 >> Kind::INTERFACE_SHIFT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_segment_is_one_cache_line_and_loses_nothing() {
        assert_eq!(size_of::<Packed>(), 64);
        let segment = Segment {
            time: Time::from_nanos(-5),
            frame: FrameId::new(3, 17),
            seq: Seq(u32::MAX),
            ack: Seq(7),
            timestamps: Timestamps { value: 1, echo: 2 },
            payload_len: 70_000,
            header_len: 60,
            window: 65_535,
            flags: Flags(0xfff),
            ip_id: 9,
            checksum: 0xbeef,
            ttl: 64,
            traffic_class: 0xb8,
            marks: Marks(0x7f),
            interface: 5,
        };
        let packed = Packed::new(&segment, 7, [1, 2, 3], Kind::FORWARD);
        assert_eq!((packed.segment(FrameId::new(3, 10)), packed.options()), (segment, None));
        let echoless = Segment { timestamps: Timestamps { value: 1, echo: 0 }, ..segment };
        let mut packed = Packed::new(&echoless, 7, [1, 2, 3], Kind::FORWARD);
        packed.put_options(u64::MAX - 7);
        assert_eq!(packed.segment(FrameId::new(3, 10)), echoless);
        assert_eq!(packed.options(), Some(u64::MAX - 7));
    }
}
