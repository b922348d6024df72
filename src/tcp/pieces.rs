//! Large segments and their pieces: whether one segment can be a part of another one's bytes.
//!
//! A host that leaves the cutting to its network card (TSO) captures one large segment where the
//! wire carries several; one whose card or driver puts them together again (LRO, GRO) captures one
//! where several came. Pieces count the IP identification of the whole up (Linux
//! `inet_gso_segment`), which tells them from bytes that were sent again.

/// Bytes within those of a larger segment, or of several of one size one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where they begin in it.
    pub offset: u32,
    /// How many they are.
    pub len: u32,
    /// How many it has.
    pub whole: u32,
    /// IP identification of the part, and of the beginning of the whole; both 0 where the packets
    /// have none, as in IPv6.
    pub ip_ids: (u16, u16),
}

impl Part {
    /// Neither has an IP identification: nothing tells the part from bytes that were sent again.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        self.ip_ids.0 | self.ip_ids.1 == 0
    }

    /// How much further the part has counted.
    #[must_use]
    pub const fn ahead(&self) -> u16 {
        self.ip_ids.0.wrapping_sub(self.ip_ids.1)
    }

    /// Bytes of each piece before it, if it counts as one: as many as are before it in pieces.
    #[must_use]
    pub const fn step(&self) -> u32 {
        match self.offset.checked_div(self.ahead() as u32) {
            Some(step) => step,
            None => 0,
        }
    }

    /// Whether the identification is that of a piece at this place, or of several put together.
    #[must_use]
    pub const fn counts(&self) -> bool {
        let (offset, ahead) = (self.offset, self.ahead() as u32);
        if offset == 0 || ahead == 0 {
            return offset == ahead;
        }
        let step = self.step();
        let ends_it = offset + self.len == self.whole;
        step > 0
            && offset.is_multiple_of(ahead)
            && (self.len <= step || self.len.is_multiple_of(step) || ends_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_counts_as_far_as_there_are_pieces_before_it() {
        let counts = |offset, len, ip_id| {
            Part { offset, len, whole: 6_000, ip_ids: (ip_id, 65_534) }.counts()
        };
        assert!(counts(0, 1_500, 65_534) && counts(1_500, 1_500, 65_535) && counts(4_500, 900, 1));
        assert!(counts(3_000, 3_000, 0), "two pieces put together");
        assert!(!counts(0, 1_500, 65_535) && !counts(1_500, 1_500, 65_534));
        assert!(!counts(1_500, 1_500, 5), "sent again, after all pieces");
    }
}
