//! A stretch of a frame: the bytes that were captured, and how many there were on the wire.
//!
//! Every layer hands one of these to the next, so that a snaplen's cut is told apart from the end
//! of a packet, and lengths come from headers rather than from what is left of the bytes.

/// Captured bytes of one layer, and the layer's true length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Captured<'a> {
    bytes: &'a [u8],
    length: usize,
}

impl<'a> Captured<'a> {
    /// `bytes` of something that was `length` bytes long; never shorter than the bytes.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], length: usize) -> Self {
        Self { bytes, length: length.max(bytes.len()) }
    }

    /// What was captured.
    #[inline]
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes on the wire: at least as many as were captured.
    #[inline]
    pub(super) fn length(self) -> usize {
        self.length
    }

    /// Whether the snaplen cut something off.
    #[inline]
    pub(super) fn is_cut(self) -> bool {
        self.bytes.len() < self.length
    }

    /// What follows the first `count` bytes, if all of those were captured.
    #[inline]
    pub(super) fn after(self, count: usize) -> Option<Self> {
        let bytes = self.bytes.get(count..)?;
        Some(Self { bytes, length: self.length - count })
    }

    /// The same start with the length that a header states: what lies beyond is padding or a
    /// trailer; what is missing was cut.
    #[inline]
    pub(super) fn with_length(self, length: usize) -> Self {
        Self { bytes: self.bytes.get(..length).unwrap_or(self.bytes), length }
    }

    /// The `N` bytes at `at`, if captured.
    #[inline]
    pub(super) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// The byte at `at`.
    #[inline]
    pub(super) fn byte(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The 16-bit number in network order at `at`.
    #[inline]
    pub(super) fn be16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// The 32-bit number in network order at `at`.
    #[inline]
    pub(super) fn be32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// The 16-bit number in little-endian order at `at`.
    #[inline]
    pub(super) fn le16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// The 32-bit number in little-endian order at `at`.
    #[inline]
    pub(super) fn le32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// Whether an IP header starts here whose lengths fit: a guard against misreading other bytes
    /// as a packet, used wherever a format does not say what it carries.
    pub(super) fn looks_like_ip(self) -> bool {
        match self.byte(0).map(|first| first >> 4) {
            Some(4) => {
                let header = self.byte(0).map_or(0, |first| usize::from(first & 0xf) * 4);
                let total = self.be16(2).map_or(0, usize::from);
                header >= 20 && (total == 0 || (header..=self.length).contains(&total))
            }
            Some(6) => self.be16(4).is_some_and(|payload| usize::from(payload) + 40 <= self.length),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_length_drops_padding_and_shows_a_cut() {
        let padded = Captured::new(&[1, 2, 3, 4], 4).with_length(2);
        assert_eq!((padded.bytes(), padded.is_cut()), (&[1, 2][..], false));
        let cut = Captured::new(&[1, 2, 3, 4], 4).with_length(9);
        assert_eq!((cut.bytes().len(), cut.length(), cut.is_cut()), (4, 9, true));
    }

    #[test]
    fn steps_beyond_the_captured_bytes_are_refused() {
        let captured = Captured::new(&[1, 2], 10);
        assert!(captured.after(3).is_none() && captured.be16(1).is_none());
        assert_eq!(captured.after(2).map(Captured::length), Some(8));
    }

    #[test]
    fn only_headers_whose_lengths_fit_look_like_ip() {
        let mut packet = [0; 40];
        (packet[0], packet[3]) = (0x45, 40);
        assert!(Captured::new(&packet, 40).looks_like_ip());
        packet[3] = 41;
        assert!(!Captured::new(&packet, 40).looks_like_ip());
        (packet[0], packet[3]) = (0x44, 40);
        assert!(!Captured::new(&packet, 40).looks_like_ip());
    }
}
