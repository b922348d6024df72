//! `tcp.completeness`: which parts of a conversation were captured, as bits.

use crate::tcp::Segment;

/// Wireshark's `tcp.completeness` after the segments so far.
///
/// The first segment counts only as a SYN; whatever else it is, Wireshark does not count it. FIN
/// counts only together with ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completeness {
    bits: u8,
    /// A segment was seen.
    started: bool,
}

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
        Self { bits: Self::SYN, started: true }
    }

    /// Takes the conversation's next segment.
    #[inline]
    pub fn observe(&mut self, segment: &Segment) {
        let flags = segment.flags;
        let has_data = segment.payload_len > 0;
        if !self.started {
            self.started = true;
            if flags.syn() && !flags.ack() {
                self.bits = Self::SYN | if has_data { Self::DATA } else { 0 };
            }
            return;
        }
        if flags.ack() {
            self.bits |= if flags.syn() {
                Self::SYN_ACK
            } else if has_data {
                Self::DATA
            } else {
                Self::ACK
            };
            if flags.fin() {
                self.bits |= Self::FIN;
            }
        }
        if flags.rst() {
            self.bits |= Self::RST;
        }
    }
}
