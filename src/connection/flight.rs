//! The segments that one side sent lately, one by one: what a repetition is compared with.
//!
//! A ring that grows only while bytes wait for their acknowledgment; acknowledged segments stay in
//! it until their place is needed, so that a late repetition still finds its original. When the
//! bound is reached, neighbours are merged: originals become less precise, nothing is lost.

mod asleep;

use crate::compact::compact;

use super::Mark;
use crate::near;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::Segment;

/// One transmission of new bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Offset of the first byte.
    pub(super) start: i64,
    time: Time,
    frame: FrameId,
    len: u32,
    /// Timestamp value; 0 where there was none.
    pub(super) timestamp: u32,
    // Perf: not side by side as in a segment, or both are read at once from where they were just
    // written one by one, for which the core waits.
    pub(super) ip_id: u16,
    pub(super) place: u16,
    pub(super) checksum: u16,
}

compact!(struct Sent { start, time, frame, len, timestamp, ip_id, place, checksum });

impl Sent {
    pub(super) const fn new(start: i64, segment: &Segment) -> Self {
        Self {
            start,
            time: segment.time,
            frame: segment.frame,
            len: segment.payload_len,
            timestamp: match segment.timestamps() {
                Some(stamps) => stamps.value,
                None => 0,
            },
            ip_id: segment.ip_id,
            checksum: segment.checksum,
            place: segment.place(),
        }
    }

    /// The offset after the last byte.
    pub(super) fn end(&self) -> i64 {
        self.start + i64::from(self.len)
    }

    /// The part of it from `offset` on.
    pub(super) fn after(self, offset: i64) -> Self {
        let start = self.start.max(offset);
        let len = u32::try_from(self.end() - start).unwrap_or(0);
        Self { start, len, ..self }
    }

    pub(super) const fn mark(&self) -> Mark {
        Mark { time: self.time, frame: self.frame }
    }
}

/// Transmissions in the order of the stream.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Flight {
    /// Where the oldest is.
    head: usize,
    len: usize,
    /// How many of the oldest are acknowledged.
    acknowledged: usize,
    /// How many places `many` stands for; 0 while few are needed.
    more: u16,
    /// The ring's places once more are needed, as far as they were ever used: the ring turns only
    /// when all of them are.
    many: Vec<Sent>,
    /// The ring's places while few are needed.
    few: [Sent; Self::FEW],
}

impl Flight {
    // Perf: most directions have at most this many segments under way; they allocate nothing.
    const FEW: usize = 4;
    /// Acknowledged transmissions that are kept while they are recent.
    const KEPT: usize = 16;
    const KEPT_IN_TROUBLE: usize = 64;
    /// How many times more places there are after growing.
    const GROWTH: usize = 4;
    /// How many transmissions are kept one by one: `FEW` times a power of `GROWTH`.
    pub(super) const MAX: usize = 256;

    /// Asks the memory for what the next transmission will need.
    #[inline]
    pub(super) fn prefetch(&self) {
        // Each in another line; what is behind them is asked for with the round trips.
        let [_, second, third, _] = &self.few;
        near::value(&self.head);
        near::value(second);
        near::value(third);
    }

    /// Adds a transmission of bytes beyond all that were sent before. Of a direction in trouble,
    /// more acknowledged ones are remembered.
    #[inline]
    pub(super) fn push(&mut self, sent: Sent, troubled: bool) {
        self.push_made(sent.time, troubled, || sent);
    }

    /// Adds a transmission at `time` that is yet to be made.
    ///
    /// Perf: made where it stays. Copied right after it was written field by field, it makes the core
    /// wait until all that was written before has left it.
    #[expect(clippy::inline_always, reason = "measured; see `Connection::observe_expected`")]
    #[inline(always)]
    pub(super) fn push_made(&mut self, time: Time, troubled: bool, make: impl FnOnce() -> Sent) {
        if self.len == self.places() {
            self.free_place(time, troubled);
        }
        let at = self.index(self.len);
        let place = if self.more == 0 { self.few.get_mut(at) } else { self.many.get_mut(at) };
        match place {
            Some(place) => *place = make(),
            None => self.many.push(make()),
        }
        self.len += 1;
    }

    /// Frees a place for a transmission at `time`.
    fn free_place(&mut self, time: Time, troubled: bool) {
        let places = self.places();
        let kept = if troubled { Self::KEPT_IN_TROUBLE } else { Self::KEPT };
        let recent = |first: &Sent| time.since(first.time) < RECENT;
        let keep = places < kept && self.place(0).is_some_and(recent);
        if self.acknowledged > 0 && !keep {
            self.head = (self.head + 1) & (places - 1);
            self.len -= 1;
            self.acknowledged -= 1;
        } else {
            self.make_room();
        }
    }

    /// The bytes before `offset` are acknowledged: the last transmission among them that was not
    /// before; part of it may still be outstanding.
    pub(super) fn acknowledge(&mut self, offset: i64) -> Option<&Sent> {
        let mut newest = None;
        while let Some(sent) = self.place(self.acknowledged).filter(|sent| sent.start < offset) {
            newest = Some(self.acknowledged);
            if sent.end() > offset {
                break;
            }
            self.acknowledged += 1;
        }
        self.place(newest?)
    }

    /// Gives memory back once nothing more is expected: the latest transmissions stay, and all that
    /// are not acknowledged.
    pub(super) fn rest(&mut self) {
        let wanted = (self.len - self.acknowledged).max(Self::FEW);
        let mut places = Self::FEW;
        while places < wanted {
            places *= Self::GROWTH;
        }
        if places >= self.places() {
            return;
        }
        let forgotten = self.len.saturating_sub(places);
        let rest: Vec<Sent> = (forgotten..self.len).filter_map(|index| self.get(index)).collect();
        (self.head, self.len) = (0, rest.len());
        self.acknowledged = self.acknowledged.saturating_sub(forgotten);
        if places > Self::FEW {
            (self.more, self.many) = (u16::try_from(places).unwrap_or(u16::MAX), rest);
            return;
        }
        (self.more, self.many) = (0, Vec::new());
        for (place, sent) in self.few.iter_mut().zip(rest) {
            *place = sent;
        }
    }

    /// The oldest transmission with unacknowledged bytes.
    pub(super) fn oldest(&self) -> Option<Sent> {
        self.get(self.acknowledged)
    }

    /// The latest transmission.
    pub(super) fn newest(&self) -> Option<Sent> {
        self.get(self.len.checked_sub(1)?)
    }

    /// The transmission with the byte at `offset`.
    pub(super) fn at(&self, offset: i64) -> Option<Sent> {
        let after = self.count_before(offset + 1);
        self.get(after.checked_sub(1)?).filter(|sent| sent.end() > offset)
    }

    /// The first transmission that starts at or after `offset`.
    pub(super) fn after(&self, offset: i64) -> Option<Sent> {
        self.get(self.count_before(offset))
    }

    /// How many transmissions start before `offset`.
    fn count_before(&self, offset: i64) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle).is_some_and(|sent| sent.start < offset) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn get(&self, index: usize) -> Option<Sent> {
        self.place(index).copied()
    }

    #[inline]
    fn place(&self, index: usize) -> Option<&Sent> {
        let at = self.index(index);
        if index >= self.len {
            return None;
        }
        if self.more == 0 { self.few.get(at) } else { self.many.get(at) }
    }

    /// How many places there are, always a power of two.
    const fn places(&self) -> usize {
        if self.more == 0 { Self::FEW } else { self.more as usize }
    }

    /// The place of the `index`-th transmission.
    const fn index(&self, index: usize) -> usize {
        (self.head + index) & (self.places() - 1)
    }

    /// Makes more places, or merges neighbours where they reach the bound.
    #[cold]
    fn make_room(&mut self) {
        let places = self.places();
        let more = if places < Self::MAX { places * Self::GROWTH } else { places };
        // Twice as many at first: not every ring that outgrows its places needs all that follow.
        let mut grown = Vec::with_capacity(2 * places.min(more / 2));
        let used = if self.more == 0 { &self.few[..] } else { &self.many };
        let (late, early) = used.split_at_checked(self.head).unwrap_or_default();
        grown.extend_from_slice(early);
        grown.extend_from_slice(late);
        if places >= Self::MAX {
            self.acknowledged /= 2;
            grown = grown
                .chunks(2)
                .filter_map(|pair| {
                    let (first, last) = (pair.first()?, pair.last()?);
                    let len = u32::try_from(last.end() - first.start).unwrap_or(u32::MAX);
                    Some(Sent { len, ..*first })
                })
                .collect();
        }
        self.len = grown.len();
        self.head = 0;
        self.more = u16::try_from(more).unwrap_or(u16::MAX);
        self.many = grown;
    }
}

/// A copy of a packet, or a repetition that crosses its acknowledgment, comes within this time.
const RECENT: Span = Span::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(start: i64, len: u32) -> Sent {
        let time = Time::from_nanos(start);
        Sent::new(start, &Segment { time, payload_len: len, ..Segment::default() })
    }

    #[test]
    fn an_acknowledged_segment_is_found_until_its_place_is_needed() {
        let mut flight = Flight::default();
        for at in 0..4 {
            flight.push(sent(at * 10, 10), false);
        }
        assert_eq!(flight.acknowledge(25).map(|sent| sent.start), Some(20));
        assert_eq!(flight.oldest().map(|sent| sent.start), Some(20));
        assert_eq!(flight.at(5).map(|sent| sent.start), Some(0));
        flight.push(Sent { time: Time::from_nanos(1 << 40), ..sent(40, 10) }, false);
        assert_eq!(flight.at(5).map(|sent| sent.start), None);
        assert_eq!(flight.acknowledge(50).map(|sent| sent.start), Some(40));
        assert_eq!(flight.oldest().map(|sent| sent.start), None);
    }

    #[test]
    fn at_rest_the_latest_are_kept_and_all_that_wait() {
        for (count, acknowledged, places) in [(60, 60, 4), (60, 50, 16), (60, 0, 64), (3, 0, 4)] {
            let mut flight = Flight::default();
            for at in 0..count {
                flight.push(sent(at * 10, 10), false);
            }
            flight.acknowledge(acknowledged * 10);
            let oldest = flight.oldest().map(|sent| sent.start);
            flight.rest();
            assert_eq!(flight.places(), places);
            assert_eq!(flight.oldest().map(|sent| sent.start), oldest);
            assert_eq!(flight.newest().map(|sent| sent.start), Some((count - 1) * 10));
            assert_eq!(flight.at((count - 2) * 10 + 5).unwrap().start, (count - 2) * 10);
            flight.push(sent(count * 10, 10), false);
            assert_eq!(flight.newest().map(|sent| sent.start), Some(count * 10));
        }
    }

    #[test]
    fn neighbours_of_an_offset_are_found_around_a_gap() {
        let mut flight = Flight::default();
        for (at, len) in [(0, 10), (30, 10), (40, 10)] {
            flight.push(sent(at, len), false);
        }
        assert_eq!(flight.at(15).map(|sent| sent.start), None);
        assert_eq!(flight.after(20).map(|sent| sent.start), Some(30));
        assert_eq!(flight.newest().map(|sent| sent.start), Some(40));
    }

    #[test]
    fn beyond_the_bound_neighbours_merge_and_nothing_is_lost() {
        let mut flight = Flight::default();
        for at in 0..5_000 {
            flight.push(sent(at * 10, 10), false);
        }
        assert!(flight.places() <= Flight::MAX && flight.many.len() <= Flight::MAX);
        for at in (0..50_000).step_by(97) {
            let found = flight.at(at).unwrap();
            assert!(found.start <= at && at < found.end());
        }
        assert_eq!(flight.acknowledge(50_000).map(Sent::end), Some(50_000));
    }
}
