//! TCP options, parsed so that one unknown or malformed option does not hide the others.

use crate::compact::compact;

use super::Seq;

/// The two values of the timestamps option (RFC 7323 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock, in ticks of its own length.
    pub value: u32,
    /// The echoed clock of the peer; meaningful only with ACK.
    pub echo: u32,
}

compact!(struct Timestamps { value, echo });

/// One SACK block: the bytes from `left` up to, not including, `right` (RFC 2018 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlock {
    /// First byte of the block.
    pub left: Seq,
    /// The byte after the last one.
    pub right: Seq,
}

compact!(struct SackBlock { left, right });

/// Up to four SACK blocks, in the order of the wire (the first may be a D-SACK, RFC 2883).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [SackBlock; 4],
    count: u8,
}

compact!(struct SackBlocks { blocks, count });

impl SackBlocks {
    /// Appends a block; a fifth one is ignored, since a header cannot hold it.
    pub fn push(&mut self, block: SackBlock) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.count)) {
            *slot = block;
            self.count += 1;
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The blocks in the order of the wire.
    #[must_use]
    pub fn as_slice(&self) -> &[SackBlock] {
        self.blocks.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// Options that count only on a SYN or SYN-ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOptions {
    /// Maximum segment size in bytes (RFC 9293 3.7.1).
    pub mss: Option<u16>,
    /// Window scale shift as sent; values above 14 act as 14 (RFC 7323 2.3).
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018 2).
    pub sack_permitted: bool,
    /// Length of a Fast Open cookie; 0 is a cookie request (RFC 7413 4.1.1).
    pub fast_open: Option<u8>,
}

compact!(struct SynOptions { mss, window_scale, sack_permitted, fast_open });

/// The options that most segments lack, and what else few have, kept beside the segment.
///
/// Timestamps are on nearly every segment, and therefore in [`Segment`](super::Segment) itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Options of the handshake; also parsed (but without meaning) on other segments.
    pub syn: SynOptions,
    /// Selective acknowledgments.
    pub sack: SackBlocks,
    /// An MPTCP option's subtype (RFC 8684 3), the first one found.
    pub mptcp: Option<u8>,
    /// TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925) signs the segment.
    pub signed: bool,
    /// The option list was malformed or cut; what stood before that is in the other fields.
    pub malformed: bool,
    /// Bytes of payload that the frame had room for, where the IP header claims more: the header
    /// is damaged, or a tool that cut the frames forgot how long they were.
    pub framed_len: Option<u32>,
}

compact!(struct Extras { syn, sack, mptcp, signed, malformed, framed_len });

impl Extras {
    /// What a segment without any of these options has.
    pub const NONE: Self = Self {
        syn: SynOptions { mss: None, window_scale: None, sack_permitted: false, fast_open: None },
        sack: SackBlocks { blocks: [SackBlock { left: Seq(0), right: Seq(0) }; 4], count: 0 },
        mptcp: None,
        signed: false,
        malformed: false,
        framed_len: None,
    };

    /// Parses the option bytes of a header; returns the timestamps beside the rest.
    ///
    /// Unknown kinds are stepped over by their length. A length below 2 or beyond the end stops the
    /// walk and sets [`Extras::malformed`]; a known kind of a wrong length is stepped over.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> (Option<Timestamps>, Self) {
        let mut timestamps = None;
        let mut extras = Self::NONE;
        while let Some((&kind, rest)) = bytes.split_first() {
            match kind {
                0 => break,
                1 => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let length = rest.first().map_or(0, |&length| usize::from(length));
            let Some(body) = bytes.get(2..length) else {
                extras.malformed = true;
                break;
            };
            extras.take(kind, body, &mut timestamps);
            bytes = bytes.get(length..).unwrap_or_default();
        }
        (timestamps, extras)
    }

    /// Whether nothing is set, so that [`Extras::NONE`] can stand for it.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    fn take(&mut self, kind: u8, body: &[u8], timestamps: &mut Option<Timestamps>) {
        match (kind, body) {
            (2, &[high, low]) => self.syn.mss = Some(u16::from_be_bytes([high, low])),
            (3, &[shift]) => self.syn.window_scale = Some(shift),
            (4, []) => self.syn.sack_permitted = true,
            (5, blocks) => {
                for block in blocks.chunks_exact(8) {
                    let (left, right) = halves(block);
                    self.sack.push(SackBlock { left: Seq(left), right: Seq(right) });
                }
            }
            (8, body) if body.len() == 8 => {
                let (value, echo) = halves(body);
                *timestamps = Some(Timestamps { value, echo });
            }
            (19 | 29, _) => self.signed = true,
            (30, &[first, ..]) => self.mptcp = self.mptcp.or(Some(first >> 4)),
            // An option length is one byte, so a body is never longer than 253 bytes.
            (34, cookie) => self.syn.fast_open = u8::try_from(cookie.len()).ok(),
            // The experimental form of Fast Open, marked by 0xF989 (RFC 7413 appendix).
            (254, &[0xF9, 0x89, ref cookie @ ..]) => {
                self.syn.fast_open = u8::try_from(cookie.len()).ok();
            }
            _ => {}
        }
    }
}

/// The two big-endian numbers in the first eight bytes.
fn halves(bytes: &[u8]) -> (u32, u32) {
    let number = |part: Option<&[u8]>| {
        part.and_then(|part| part.try_into().ok()).map_or(0, u32::from_be_bytes)
    };
    (number(bytes.get(..4)), number(bytes.get(4..8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_does_not_hide_the_ones_after_it() {
        let (timestamps, extras) = Extras::parse(&[
            253, 4, 0, 0, 2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2,
        ]);
        assert_eq!(timestamps, Some(Timestamps { value: 1, echo: 2 }));
        assert_eq!(extras.syn.mss, Some(1460));
        assert_eq!(extras.syn.window_scale, Some(7));
        assert!(extras.syn.sack_permitted && !extras.malformed);
    }

    #[test]
    fn a_bad_length_stops_the_walk_and_keeps_what_stood_before() {
        for bad in [
            &[2, 4, 5, 180, 8, 0][..],
            &[2, 4, 5, 180, 8, 1],
            &[2, 4, 5, 180, 8, 10, 0],
            &[2, 4, 5, 180, 8],
        ] {
            let (timestamps, extras) = Extras::parse(bad);
            assert_eq!((timestamps, extras.syn.mss, extras.malformed), (None, Some(1460), true));
        }
    }

    #[test]
    fn sack_blocks_keep_the_order_of_the_wire() {
        let (_, extras) = Extras::parse(&[5, 18, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        let lefts: Vec<u32> = extras.sack.as_slice().iter().map(|block| block.left.0).collect();
        assert_eq!(lefts, [9, 1]);
    }
}
