//! `tcp.completeness`: which parts of a conversation were captured, as bits.

use crate::compact::compact;

use crate::tcp::Segment;

/// Wireshark's `tcp.completeness` after the segments so far, as it shows on the last of them when
/// it reads the capture a second time (`tshark -2`).
///
/// A first segment that is no SYN counts only when another one follows: Wireshark counts it on the
/// second reading, after it has shown it. FIN counts only together with ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completeness {
    bits: u8,
    /// What the first segment adds when a second one comes.
    first: u8,
    /// A segment was seen.
    started: bool,
}

compact!(struct Completeness { bits, first, started });

impl Completeness {
    /// A SYN without ACK came first.
    pub const SYN: u8 = 1;
    /// A SYN-ACK was seen.
    pub const SYN_ACK: u8 = 2;
    /// An ACK without payload was seen.
    pub const ACK: u8 = 4;
    /// Payload was seen.
    pub const DATA: u8 = 8;
    /// A FIN was seen.
    pub const FIN: u8 = 16;
    /// A RST was seen.
    pub const RST: u8 = 32;

    /// The bits, as Wireshark prints them.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// That of a conversation which a SYN has begun anew.
    pub(super) const fn begun_anew() -> Self {
        Self { bits: Self::SYN, first: 0, started: true }
    }

    /// Takes the conversation's next segment.
    #[expect(clippy::inline_always, reason = "measured: of most segments the flags are known")]
    #[inline(always)]
    pub fn observe(&mut self, segment: &Segment) {
        if self.started {
            self.bits |= self.first | Self::of(segment);
            return;
        }
        self.started = true;
        self.first = Self::of(segment);
        if segment.flags.syn() && !segment.flags.ack() {
            self.bits = Self::SYN | if segment.payload_len > 0 { Self::DATA } else { 0 };
        }
    }

    /// What a segment adds that does not begin the conversation.
    const fn of(segment: &Segment) -> u8 {
        let flags = segment.flags;
        let mut bits = if flags.rst() { Self::RST } else { 0 };
        if flags.ack() {
            bits |= if flags.syn() {
                Self::SYN_ACK
            } else if segment.payload_len > 0 {
                Self::DATA
            } else {
                Self::ACK
            };
            if flags.fin() {
                bits |= Self::FIN;
            }
        }
        bits
    }
}
