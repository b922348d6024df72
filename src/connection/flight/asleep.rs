//! A flight in few bits: nearly all of a connection that rests are a few segments in a row, and of each
//! most follows from the one before.

use super::super::Mark;
use super::{Flight, Sent};
use crate::compact::{Compact, Packer, Unpacker, compact};

/// The parts of a ring of which many places are needed, as they are.
struct Ring {
    many: Vec<Sent>,
    more: u16,
    head: usize,
    len: usize,
    acknowledged: usize,
}

compact!(struct Ring { many, more, head, len, acknowledged });

/// Bits that count the places of a flight of few.
const COUNT: u32 = Flight::FEW.ilog2() + 1;

/// What differs from what is to be expected of a segment behind another one, as bits.
mod differs {
    pub(super) const START: u64 = 1;
    pub(super) const LEN: u64 = 2;
    pub(super) const TIMESTAMP: u64 = 4;
    pub(super) const IP_ID: u64 = 8;
    pub(super) const PLACE: u64 = 16;
    pub(super) const BITS: u32 = 5;
}

/// Perf: whole runs, mix of short connections: 112 numbers of a connection instead of 135.
impl Compact for Flight {
    const TELLS_EMPTY: bool = true;

    fn empty() -> Self {
        Self::default()
    }

    fn is_empty(&self) -> bool {
        self.len == 0 && self.more == 0
    }

    fn pack(&self, to: &mut Packer<'_>) {
        to.put(u64::from(self.more > 0), 1);
        if self.more > 0 {
            let Self { more, head, len, acknowledged, .. } = *self;
            return Ring { many: self.many.clone(), more, head, len, acknowledged }.pack(to);
        }
        to.put((self.len | self.acknowledged << COUNT) as u64, 2 * COUNT);
        let mut before = Sent::default();
        for sent in (0..self.len).filter_map(|index| self.get(index)) {
            sent.pack_behind(before, to);
            before = sent;
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        if from.take(1) == 1 {
            let Ring { many, more, head, len, acknowledged } = Ring::unpack(from);
            return Self { head, len, acknowledged, more, many, ..Self::default() };
        }
        let mut count = || usize::try_from(from.take(COUNT)).unwrap_or(0).min(Self::FEW);
        let (len, acknowledged) = (count(), count());
        let mut flight = Self { len, acknowledged, ..Self::default() };
        let mut before = Sent::default();
        for place in flight.few.iter_mut().take(len) {
            before = Sent::unpack_behind(before, from);
            *place = before;
        }
        flight
    }
}

impl Sent {
    /// What is to be expected behind it, but for its time and its checksum.
    fn next(self) -> Self {
        let start = self.start.wrapping_add(self.len.into());
        Self { start, ip_id: self.ip_id.wrapping_add(1), ..self }
    }

    fn pack_behind(self, before: Self, to: &mut Packer<'_>) {
        let expected = before.next();
        let bit = |differs: bool, bit: u64| if differs { bit } else { 0 };
        let some = bit(self.start != expected.start, differs::START)
            | bit(self.len != expected.len, differs::LEN)
            | bit(self.timestamp != expected.timestamp, differs::TIMESTAMP)
            | bit(self.ip_id != expected.ip_id, differs::IP_ID)
            | bit(self.place != expected.place, differs::PLACE);
        to.put(some | u64::from(self.checksum) << differs::BITS, differs::BITS + u16::BITS);
        self.mark().pack(to);
        if some & differs::START != 0 {
            self.start.pack_any(to);
        }
        if some & differs::LEN != 0 {
            self.len.pack_any(to);
        }
        if some & differs::TIMESTAMP != 0 {
            self.timestamp.pack_any(to);
        }
        if some & differs::IP_ID != 0 {
            to.put(self.ip_id.into(), u16::BITS);
        }
        if some & differs::PLACE != 0 {
            self.place.pack_any(to);
        }
    }

    fn unpack_behind(before: Self, from: &mut Unpacker<'_>) -> Self {
        let short = |bits: u64| u16::try_from(bits).unwrap_or_default();
        let mut sent = before.next();
        let some = from.take(differs::BITS);
        sent.checksum = short(from.take(u16::BITS));
        Mark { time: sent.time, frame: sent.frame } = Mark::unpack(from);
        if some & differs::START != 0 {
            sent.start = Compact::unpack_any(from);
        }
        if some & differs::LEN != 0 {
            sent.len = Compact::unpack_any(from);
        }
        if some & differs::TIMESTAMP != 0 {
            sent.timestamp = Compact::unpack_any(from);
        }
        if some & differs::IP_ID != 0 {
            sent.ip_id = short(from.take(u16::BITS));
        }
        if some & differs::PLACE != 0 {
            sent.place = Compact::unpack_any(from);
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compact::Room;
    use crate::stamp::Time;
    use crate::tcp::Segment;

    proptest! {
        #[test]
        fn a_flight_wakes_with_all_that_it_knew(
            all in prop::collection::vec((0_u32..3_000, any::<u16>(), 0_u8..40), 0..40),
            acknowledged in 0_i64..60_000,
        ) {
            let (mut flight, mut start, mut ip_id) = (Flight::default(), 1, 7_u16);
            for (time, (len, number, odd)) in (1..).zip(all) {
                ip_id = if odd == 0 { number } else { ip_id.wrapping_add(1) };
                start += if odd == 1 { i64::from(number) } else { 0 };
                let segment = Segment {
                    time: Time::from_nanos(time * 1_000_000),
                    payload_len: if odd > 20 { 1_448 } else { len },
                    checksum: number,
                    interface: u8::from(odd == 2),
                    ip_id,
                    ..Segment::default()
                };
                let sent = Sent { timestamp: u32::from(odd / 4), ..Sent::new(start, &segment) };
                flight.push(sent, odd == 3);
                start = sent.end();
                flight.acknowledge(acknowledged.min(start));
            }
            let bytes: Box<[u8]> = Room::new().pack(&flight).unwrap().into();
            let woken: Flight = Room::new().unpack(&bytes).unwrap();
            let sent = |flight: &Flight| (0..flight.len).map(|it| flight.get(it)).collect::<Vec<_>>();
            prop_assert_eq!(sent(&woken), sent(&flight));
            prop_assert_eq!(woken.acknowledged, flight.acknowledged);
            prop_assert_eq!(woken.places(), flight.places());
        }
    }
}
