//! The compact form of a value, written: see [`compact`](super) for the format.

use super::Compact;
use super::recent::{LENGTH, Memory, PLACE, Recent, zigzag};

/// Bytes of a word.
pub(super) const WORD: usize = size_of::<u64>();

/// Where values are put into few bits, and taken out again.
#[derive(Debug)]
pub struct Room {
    pub(super) bytes: Box<[u8; Self::BYTES + WORD]>,
}

/// Writes into a room.
///
/// Perf: what does not fit is written over the beginning, and told at the end, so that nothing on the
/// way asks for it.
pub(crate) struct Packer<'a> {
    bytes: &'a mut [u8; Room::BYTES + WORD],
    /// How many bytes are written.
    len: usize,
    /// Bits of the next byte, and how many.
    rest: u64,
    count: u32,
    memory: Memory,
}

impl Room {
    /// Bytes that a value may take; a power of two.
    pub(crate) const BYTES: usize = 8 << 10;

    /// An empty room.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: Box::new([0; Self::BYTES + WORD]) }
    }

    /// The compact form of `value`; none where that is too long.
    pub(crate) fn pack<T: Compact>(&mut self, value: &T) -> Option<&[u8]> {
        let bytes = &mut *self.bytes;
        let mut packer = Packer { bytes, len: 0, rest: 0, count: 0, memory: Memory::new() };
        value.pack_any(&mut packer);
        let len = packer.len + usize::from(packer.count > 0);
        self.bytes.get(..len).filter(|_| len <= Self::BYTES)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl Packer<'_> {
    /// The most bits that are written in one step: so many fit into a word behind seven others.
    pub(super) const MOST: u32 = u64::BITS - u8::BITS;

    /// Adds so many bits, at most [`Packer::MOST`]; those above them must be zero.
    ///
    /// Perf: a whole word is stored, the next one over what is left of it, so that there is no branch.
    #[inline]
    pub(crate) fn put(&mut self, bits: u64, count: u32) {
        let word = self.rest | bits << self.count;
        let place = self.len % Room::BYTES;
        if let Some(place) = self.bytes.get_mut(place..place + WORD) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let count = self.count + count;
        self.len += (count / u8::BITS) as usize;
        (self.rest, self.count) = (word >> (count - count % u8::BITS), count % u8::BITS);
    }

    /// A number that is not zero.
    #[inline(never)]
    pub(crate) fn number(&mut self, number: u64) {
        if number >> Memory::SHORT != 0 {
            let place = Recent::place(number);
            if self.memory.numbers.at(place) == number {
                return self.put(place << 1, 1 + PLACE);
            }
            self.memory.numbers.set(place, number);
        }
        self.digits((1, 1), number);
    }

    /// A tag, how many bits the number has behind the highest, and those bits.
    #[inline]
    fn digits(&mut self, (tag, bits): (u64, u32), number: u64) {
        let behind = u64::BITS - 1 - number.leading_zeros();
        let digits = number ^ 1 << behind;
        let head = tag | u64::from(behind) << bits;
        let bits = bits + LENGTH;
        if bits + behind <= Self::MOST {
            return self.put(head | digits << bits, bits + behind);
        }
        self.put(head | (digits & u64::from(u32::MAX)) << bits, bits + u32::BITS);
        self.put(digits >> u32::BITS, behind - u32::BITS);
    }

    /// A zero, and a distance of either sign.
    #[inline]
    fn distance(&mut self, number: u64, last: u64) {
        match zigzag(number.wrapping_sub(last).cast_signed()) {
            0 => self.put(0b00, 2),
            distance => self.digits((0b10, 2), distance),
        }
    }

    /// A time in nanoseconds.
    #[inline(never)]
    pub(crate) fn time(&mut self, nanos: i64) {
        let time = nanos.cast_unsigned();
        let place = Recent::place(time);
        self.memory.place = place;
        if self.memory.times.at(place) == time {
            return self.put(place << 1 | 1, PLACE + 1);
        }
        self.memory.times.set(place, time);
        let last = std::mem::replace(&mut self.memory.time, time);
        self.distance(time, last);
    }

    /// A frame.
    #[inline(never)]
    pub(crate) fn frame(&mut self, frame: u64) {
        let place = self.memory.place;
        if self.memory.frames.at(place) == frame {
            return self.put(1, 1);
        }
        self.memory.frames.set(place, frame);
        let last = std::mem::replace(&mut self.memory.frame, frame);
        self.distance(frame, last);
    }

    /// The time and the frame of one segment: a bit says whether both were written before.
    #[inline(never)]
    pub(crate) fn mark(&mut self, nanos: i64, frame: u64) {
        let time = nanos.cast_unsigned();
        let place = Recent::place(time);
        if self.memory.times.at(place) == time && self.memory.frames.at(place) == frame {
            self.memory.place = place;
            return self.put(place << 1 | 1, 1 + PLACE);
        }
        self.put(0, 1);
        self.time(nanos);
        self.frame(frame);
    }
}
