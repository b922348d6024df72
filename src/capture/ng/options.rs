//! Options at the end of pcapng blocks (draft-ietf-opsawg-pcapng, "Options").
//!
//! Hand-written, since pcap-file's option parser gives up the whole block, and with it the file,
//! at the first option that is malformed; here that option, or what follows it, is passed over.

use byteorder_slice::ByteOrder;

/// One option: its code and its value without padding.
pub(super) struct Pair<'a> {
    pub(super) code: u16,
    pub(super) value: &'a [u8],
}

/// Iterates over the options in `bytes` until they end or one does not fit.
pub(super) struct Options<'a> {
    rest: &'a [u8],
    /// One option was longer than what is left of the block.
    pub(super) broken: bool,
}

impl<'a> Options<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, broken: false }
    }

    /// The next option; none at the end of the list, of the bytes, or of what can be read.
    pub(super) fn next<B: ByteOrder>(&mut self) -> Option<Pair<'a>> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        let (code, len) = head.split_at(2);
        let (code, len) = (B::read_u16(code), usize::from(B::read_u16(len)));
        self.rest = &[];
        if code == 0 {
            return None;
        }
        let Some((value, rest)) = rest.split_at_checked(len) else {
            self.broken = true;
            return None;
        };
        // Some writers leave out the padding of the last option.
        self.rest = rest.get(len.next_multiple_of(4) - len..).unwrap_or_default();
        Some(Pair { code, value })
    }
}

/// A number of exactly four bytes.
pub(super) fn four<B: ByteOrder>(value: &[u8]) -> Option<u32> {
    (value.len() == 4).then(|| B::read_u32(value))
}

/// A number of exactly eight bytes.
pub(super) fn eight<B: ByteOrder>(value: &[u8]) -> Option<u64> {
    (value.len() == 8).then(|| B::read_u64(value))
}
