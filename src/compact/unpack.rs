//! The compact form of a value, read: see [`compact`](super) for the format.

use super::Compact;
use super::pack::{Room, WORD};
use super::recent::{LENGTH, Memory, PLACE, Recent, unzigzag};

/// Reads from a room.
///
/// Perf: behind the end it reads what happens to be there, which is told at the end, so that nothing
/// on the way asks for it.
pub(crate) struct Unpacker<'a> {
    bytes: &'a [u8; Room::BYTES + WORD],
    /// How many bits are read.
    read: usize,
    /// How many there are.
    len: usize,
    memory: Memory,
}

impl Room {
    /// The value whose compact form `bytes` are; none where some are missing.
    pub(crate) fn unpack<T: Compact>(&mut self, bytes: &[u8]) -> Option<T> {
        self.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let len = bytes.len() * u8::BITS as usize;
        let mut unpacker = Unpacker { bytes: &self.bytes, read: 0, len, memory: Memory::new() };
        let value = T::unpack_any(&mut unpacker);
        (!unpacker.is_short()).then_some(value)
    }
}

impl Unpacker<'_> {
    /// Whether bits were missing.
    #[inline]
    pub(super) const fn is_short(&self) -> bool {
        self.read > self.len
    }

    /// How many bits are left.
    #[inline]
    pub(super) const fn left(&self) -> usize {
        self.len.saturating_sub(self.read)
    }

    /// The bits that come next, 57 of them or more.
    #[inline]
    fn ahead(&self) -> u64 {
        let place = self.read / u8::BITS as usize % Room::BYTES;
        let word = self.bytes.get(place..).and_then(<[u8]>::first_chunk).copied();
        word.map_or(0, u64::from_le_bytes) >> (self.read % u8::BITS as usize)
    }

    /// Takes so many bits, at most 57.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> u64 {
        self.take_some(count.into())
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 57")]
    fn take_some(&mut self, count: u64) -> u64 {
        let bits = self.ahead() & !(u64::MAX << count);
        self.read += count as usize;
        bits
    }

    /// A number that is not zero.
    #[inline(never)]
    pub(crate) fn number(&mut self) -> u64 {
        let ahead = self.ahead();
        if ahead & 1 == 0 {
            self.read += (1 + PLACE) as usize;
            return self.memory.numbers.at(ahead >> 1);
        }
        let number = self.digits(1);
        if number >> Memory::SHORT != 0 {
            self.memory.numbers.set(Recent::place(number), number);
        }
        number
    }

    /// Behind a tag: how many bits a number has behind the highest, and those bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "fewer than a word has")]
    fn digits(&mut self, tag: u32) -> u64 {
        let ahead = self.ahead() >> tag;
        let (behind, head) = (ahead & !(u64::MAX << LENGTH), tag + LENGTH);
        self.read += head as usize;
        let digits = if behind <= u64::from(u64::BITS - u8::BITS - head) {
            self.read += behind as usize;
            ahead >> LENGTH & !(u64::MAX << behind)
        } else {
            self.take(u32::BITS) | self.take_some(behind - u64::from(u32::BITS)) << u32::BITS
        };
        digits | 1 << behind
    }

    /// A zero, and a distance of either sign.
    #[inline]
    fn distance(&mut self, last: u64) -> u64 {
        let distance = if self.ahead() & 0b10 == 0 { self.take(2) } else { self.digits(2) };
        last.wrapping_add_signed(unzigzag(distance))
    }

    /// A time in nanoseconds.
    #[inline(never)]
    pub(crate) fn time(&mut self) -> i64 {
        if self.ahead() & 1 == 1 {
            self.memory.place = self.take(1 + PLACE) >> 1;
            return self.memory.times.at(self.memory.place).cast_signed();
        }
        let time = self.distance(self.memory.time);
        self.memory.time = time;
        self.memory.place = Recent::place(time);
        self.memory.times.set(self.memory.place, time);
        time.cast_signed()
    }

    /// A frame.
    #[inline(never)]
    pub(crate) fn frame(&mut self) -> u64 {
        let place = self.memory.place;
        if self.ahead() & 1 == 1 {
            self.read += 1;
            return self.memory.frames.at(place);
        }
        let frame = self.distance(self.memory.frame);
        self.memory.frame = frame;
        self.memory.frames.set(place, frame);
        frame
    }

    /// The time and the frame of one segment.
    #[inline(never)]
    pub(crate) fn mark(&mut self) -> (i64, u64) {
        let ahead = self.ahead();
        if ahead & 1 == 1 {
            let place = ahead >> 1;
            self.read += (1 + PLACE) as usize;
            self.memory.place = place;
            return (self.memory.times.at(place).cast_signed(), self.memory.frames.at(place));
        }
        self.read += 1;
        (self.time(), self.frame())
    }
}
