//! One captured segment: lengths instead of payload.

use crate::compact::compact;

use super::{Control, Flags, Seq, Timestamps};
use crate::stamp::{FrameId, Time};

/// A TCP segment as the tap saw it. Small and `Copy`; carries lengths, never payload.
///
/// Handshake options and SACK blocks travel beside it, in [`Extras`](super::Extras).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// When the tap saw it.
    pub time: Time,
    /// Which frame carried it.
    pub frame: FrameId,
    /// Sequence number of the first byte, or of the SYN.
    pub seq: Seq,
    /// Acknowledgment number; meaningful only with ACK.
    pub ack: Seq,
    /// Timestamps option; meaningful only with [`Marks::TIMESTAMPS`].
    pub timestamps: Timestamps,
    /// Payload bytes, by the IP and TCP headers (not by what the snaplen left).
    pub payload_len: u32,
    /// Bytes of the IP packet before the TCP payload: IP header, extensions, TCP header.
    pub header_len: u16,
    /// The window field as sent, unscaled.
    pub window: u16,
    /// The control bits.
    pub flags: Flags,
    /// IPv4 identification; 0 for IPv6.
    pub ip_id: u16,
    /// The TCP checksum field, as a cheap fingerprint of the bytes.
    pub checksum: u16,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// DSCP and ECN bits, or traffic class.
    pub traffic_class: u8,
    /// What else was noticed while decoding.
    pub marks: Marks,
    /// Which interface of the capturing host saw it, in or out, as far as the capture tells: a number
    /// below [`Segment::INTERFACES`] that differs where interfaces do, mostly. 0 where nothing is told.
    pub interface: u8,
}

compact!(struct Segment {
    time, frame, seq, ack, timestamps, payload_len, header_len, window, flags, ip_id, checksum,
    ttl, traffic_class, marks, interface
});

impl Segment {
    /// Length in sequence space: payload, plus one for SYN and one for FIN (RFC 9293 3.4).
    ///
    /// The only place where SYN and FIN count.
    #[must_use]
    pub const fn seq_len(&self) -> u32 {
        self.payload_len
            .saturating_add(self.flags.syn() as u32)
            .saturating_add(self.flags.fin() as u32)
    }

    /// The sequence number after the segment.
    #[must_use]
    pub const fn seq_end(&self) -> Seq {
        self.seq.plus(self.seq_len())
    }

    /// Sequence number of the first payload byte (a SYN comes before it).
    #[must_use]
    pub const fn payload_seq(&self) -> Seq {
        self.seq.plus(self.flags.syn() as u32)
    }

    /// How many interfaces are told apart.
    pub const INTERFACES: u8 = 8;

    /// The number of an interface and a direction.
    #[must_use]
    pub const fn interface(index: u32, outgoing: bool) -> u8 {
        #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits count")]
        let index = index as u8;
        (index << 1 | outgoing as u8) % Self::INTERFACES
    }

    /// What differs between two sightings of a packet at different places: a router counts the time
    /// to live down, and each interface has its number.
    #[must_use]
    pub const fn place(&self) -> u16 {
        (self.ttl as u16) << 8 | self.interface as u16
    }

    /// What the segment does to its connection.
    #[must_use]
    pub const fn control(&self) -> Control {
        self.flags.control()
    }

    /// The acknowledgment number, if ACK is set.
    #[must_use]
    pub const fn acknowledges(&self) -> Option<Seq> {
        if self.flags.ack() { Some(self.ack) } else { None }
    }

    /// The timestamps option, if present.
    #[must_use]
    pub const fn timestamps(&self) -> Option<Timestamps> {
        if self.marks.contains(Marks::TIMESTAMPS) { Some(self.timestamps) } else { None }
    }
}

/// Facts noticed while decoding a segment, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks(pub u8);

compact!(struct Marks as (bits));

impl Marks {
    /// The timestamps option was present.
    pub const TIMESTAMPS: Self = Self(0x01);
    /// The TCP checksum was verified and is wrong.
    pub const BAD_CHECKSUM: Self = Self(0x02);
    /// The checksum could be verified: the whole segment was captured.
    pub const CHECKSUM_VERIFIED: Self = Self(0x04);
    /// The snaplen cut into the TCP header; options may be missing.
    pub const CUT_HEADER: Self = Self(0x08);
    /// The snaplen cut into the payload.
    pub const CUT_PAYLOAD: Self = Self(0x10);
    /// Rebuilt from IP fragments.
    pub const REASSEMBLED: Self = Self(0x20);
    /// The IP length was zero (offload); the length was taken from the frame.
    pub const GUESSED_LENGTH: Self = Self(0x40);
    /// The wrong checksum is what a sending host leaves to its network card to finish.
    pub const UNFINISHED_CHECKSUM: Self = Self(0x80);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other` cleared.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// With the bits of `other` set as well.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syn_and_fin_take_one_sequence_number_each() {
        let segment = Segment {
            seq: Seq(u32::MAX),
            payload_len: 10,
            flags: Flags::SYN | Flags::FIN,
            ..Segment::default()
        };
        assert_eq!(segment.seq_len(), 12);
        assert_eq!(segment.seq_end(), Seq(11));
        assert_eq!(segment.payload_seq(), Seq(0));
    }

    #[test]
    fn a_segment_stays_within_a_cache_line() {
        assert!(size_of::<Segment>() <= 64);
    }
}
