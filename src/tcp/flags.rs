//! The control bits of a segment.

use std::fmt;
use std::ops::BitOr;

use crate::compact::compact;

/// The twelve low bits of the header's 13th and 14th byte: reserved bits, AE, CWR, ECE and the six
/// classic flags (RFC 9293 3.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

compact!(struct Flags as (bits));

impl Flags {
    /// The sender has finished sending.
    pub const FIN: Self = Self(0x01);
    /// Synchronises sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Resets the connection.
    pub const RST: Self = Self(0x04);
    /// Asks the receiver to hand data on.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);
    /// Accurate ECN (RFC 9768), formerly the nonce sum.
    pub const AE: Self = Self(0x100);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// SYN is set.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// ACK is set.
    #[must_use]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// FIN is set.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// RST is set.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// The one control that decides what the segment does: RST before SYN before FIN, in the order
    /// in which RFC 9293 3.10.7 looks at them.
    #[must_use]
    pub const fn control(self) -> Control {
        if self.rst() {
            Control::Rst
        } else if self.syn() {
            if self.ack() { Control::SynAck } else { Control::Syn }
        } else if self.fin() {
            Control::Fin
        } else {
            Control::None
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// tcpdump's letters in tcpdump's order; `none` when no flag is set.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(Flags, &str); 9] = [
            (Flags::FIN, "F"),
            (Flags::SYN, "S"),
            (Flags::RST, "R"),
            (Flags::PSH, "P"),
            (Flags::ACK, "."),
            (Flags::URG, "U"),
            (Flags::ECE, "E"),
            (Flags::CWR, "W"),
            (Flags::AE, "e"),
        ];
        if self.0 & 0x1ff == 0 {
            return f.write_str("none");
        }
        LETTERS
            .iter()
            .filter(|(bit, _)| self.contains(*bit))
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// What a segment does to a connection, apart from its data and its acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// Only data, an acknowledgment, or nothing.
    None,
    /// SYN without ACK.
    Syn,
    /// SYN with ACK.
    SynAck,
    /// FIN, without SYN or RST.
    Fin,
    /// RST, whatever else is set.
    Rst,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_tcpdump() {
        assert_eq!((Flags::SYN | Flags::ACK).to_string(), "S.");
        assert_eq!((Flags::PSH | Flags::ACK).to_string(), "P.");
        assert_eq!((Flags::SYN | Flags::ECE | Flags::CWR).to_string(), "SEW");
        assert_eq!(Flags(0).to_string(), "none");
    }

    #[test]
    fn a_reset_wins_over_every_other_control() {
        assert_eq!((Flags::SYN | Flags::RST | Flags::FIN).control(), Control::Rst);
        assert_eq!((Flags::SYN | Flags::FIN).control(), Control::Syn);
        assert_eq!((Flags::FIN | Flags::ACK).control(), Control::Fin);
        assert_eq!(Flags::ACK.control(), Control::None);
    }
}
