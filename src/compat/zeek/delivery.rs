//! How far a stream was delivered, as Zeek's reassembler counts it: what waits behind a hole, and
//! which bytes an acknowledgment proved lost.
//!
//! Offsets are relative to the SYN, so that the first byte of payload has offset 1.

use crate::compact::compact;

/// One direction's payload.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Delivery {
    /// Everything below was delivered or given up.
    next: u64,
    /// Everything below was acknowledged and let go.
    trimmed: u64,
    /// The end of the last payload that is still held.
    top: u64,
    /// Payload behind holes, where there is any.
    ahead: Option<Box<Ahead>>,
    /// Zeek has given up on this stream.
    pub(super) skipping: bool,
}

compact!(struct Delivery { next, trimmed, top, ahead, skipping });

/// Ranges in ascending order that do not touch.
#[derive(Clone, Debug, Default)]
struct Ahead {
    ranges: Vec<(u64, u64)>,
}

compact!(struct Ahead { ranges });

impl Default for Delivery {
    fn default() -> Self {
        Self { next: 1, trimmed: 1, top: 1, ahead: None, skipping: false }
    }
}

impl Delivery {
    /// Bytes above a hole of which none was acknowledged, beyond which Zeek takes the capture for
    /// one-sided (`tcp_max_above_hole_without_any_acks`).
    const MAX_ABOVE_HOLE: u64 = 16_384;
    /// Bytes sent without any acknowledgment, beyond which delivered ones are let go
    /// (`tcp_max_initial_window`).
    const MAX_INITIAL_WINDOW: u64 = 16_384;
    /// Bytes held, beyond which Zeek gives up (`tcp_excessive_data_without_further_acks`).
    const MAX_HELD: u64 = 10 << 20;
    /// Ranges behind holes that are remembered; the payload of further ones is taken for lost.
    const MAX_RANGES: usize = 1024;

    /// The offset up to which everything was delivered or given up.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether payload is held that was not acknowledged.
    pub(super) const fn holds(&self) -> bool {
        self.top > self.trimmed
    }

    /// Takes `[start, end)`. `unacknowledged` is the size of the stream where not a byte of it was
    /// acknowledged.
    pub(super) fn push(&mut self, start: u64, end: u64, unacknowledged: Option<u64>) {
        if self.skipping || start >= end {
            return;
        }
        if end > self.trimmed {
            self.insert(start.max(self.trimmed), end);
            if unacknowledged.is_some_and(|size| size > Self::MAX_INITIAL_WINDOW)
                && start <= self.next
                && end > self.trimmed
            {
                self.trimmed = self.trimmed.max(self.next);
            }
        }
        let above = if self.holds() { self.top.saturating_sub(self.next) } else { 0 };
        let is_one_sided = unacknowledged.is_some() && above > Self::MAX_ABOVE_HOLE;
        let is_excessive =
            self.top.saturating_sub(self.trimmed) > Self::MAX_HELD && self.held() > Self::MAX_HELD;
        if is_one_sided || is_excessive {
            (self.ahead, self.top, self.skipping) = (None, self.trimmed, true);
        }
    }

    /// Takes `length` bytes at `start` if these are the next ones and nothing waits; says whether it
    /// did. `unacknowledged` says whether not a byte of the stream was acknowledged.
    #[inline]
    pub(super) fn push_expected(&mut self, start: u64, length: u32, unacknowledged: bool) -> bool {
        let end = start + u64::from(length);
        let is_next = start == self.next && self.top <= start && self.ahead.is_none();
        if !is_next || self.skipping || end.saturating_sub(self.trimmed) > Self::MAX_HELD {
            return false;
        }
        (self.next, self.top) = (end, end);
        // The size of the stream does not count the SYN.
        if unacknowledged && end > Self::MAX_INITIAL_WINDOW + 1 {
            self.trimmed = end;
        }
        true
    }

    /// Everything below `offset`, which was delivered, was acknowledged.
    #[inline]
    pub(super) const fn acknowledge_delivered(&mut self, offset: u64) {
        if offset > self.trimmed {
            self.trimmed = offset;
        }
    }

    /// Whether nothing is held behind a hole, and holes still count.
    #[inline]
    pub(super) const fn waits_for_nothing(&self) -> bool {
        self.ahead.is_none() && !self.skipping && self.trimmed <= self.next
    }

    /// The next `length` bytes were acknowledged and never delivered.
    #[inline]
    pub(super) const fn skip_lost(&mut self, length: u64) {
        self.next = self.next.wrapping_add(length);
    }

    /// Everything below `offset` was acknowledged; tells `gap` the length of every hole below it.
    /// `tolerates` is set where a hole at the very beginning proves nothing.
    pub(super) fn acknowledge(&mut self, offset: u64, tolerates: bool, mut gap: impl FnMut(u64)) {
        if offset <= self.trimmed {
            return;
        }
        if offset > self.next && !(tolerates && offset <= 2) {
            self.give_up(offset, &mut gap);
        }
        self.trimmed = offset;
        self.absorb();
    }

    fn give_up(&mut self, offset: u64, gap: &mut impl FnMut(u64)) {
        while !self.skipping
            && let Some(start) = self.first_ahead().filter(|start| *start < offset)
        {
            gap(start.saturating_sub(self.next));
            self.next = start;
            self.absorb();
        }
        if offset > self.next {
            if !self.skipping {
                gap(offset - self.next);
            }
            self.next = offset;
        }
    }

    fn insert(&mut self, start: u64, end: u64) {
        self.top = self.top.max(end);
        if start <= self.next {
            if end > self.next {
                self.next = end;
                self.absorb();
            }
            return;
        }
        let ahead = &mut self.ahead.get_or_insert_default().ranges;
        let from = ahead.partition_point(|range| range.1 < start);
        let until = ahead.partition_point(|range| range.0 <= end);
        if from == until {
            if ahead.len() < Self::MAX_RANGES {
                ahead.insert(from, (start, end));
            }
            return;
        }
        let touched = ahead.get(from..until).unwrap_or_default();
        let low = touched.first().map_or(start, |range| range.0.min(start));
        let high = touched.last().map_or(end, |range| range.1.max(end));
        ahead.splice(from..until, [(low, high)]);
    }

    /// Delivers what is no longer behind a hole.
    fn absorb(&mut self) {
        let Some(ahead) = &mut self.ahead else { return };
        let next = &mut self.next;
        let count = ahead.ranges.iter().take_while(|range| {
            let delivered = range.0 <= *next;
            if delivered {
                *next = range.1.max(*next);
            }
            delivered
        });
        let count = count.count();
        ahead.ranges.drain(..count);
        if ahead.ranges.is_empty() {
            self.ahead = None;
        }
    }

    fn first_ahead(&self) -> Option<u64> {
        self.ahead.as_ref()?.ranges.first().map(|range| range.0)
    }

    /// Bytes held: delivered and not acknowledged, or behind holes.
    fn held(&self) -> u64 {
        let ranges = self.ahead.iter().flat_map(|ahead| &ahead.ranges);
        let ahead: u64 = ranges.map(|range| range.1.saturating_sub(range.0)).sum();
        self.next.min(self.top).saturating_sub(self.trimmed) + ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(delivery: &mut Delivery, offset: u64) -> Vec<u64> {
        let mut gaps = Vec::new();
        delivery.acknowledge(offset, false, |length| gaps.push(length));
        gaps
    }

    #[test]
    fn an_acknowledgment_shows_every_hole_below_it() {
        let mut delivery = Delivery::default();
        delivery.push(1, 11, None);
        delivery.push(21, 31, None);
        delivery.push(41, 51, None);
        assert_eq!(gaps(&mut delivery, 11), [0; 0]);
        assert_eq!(gaps(&mut delivery, 61), [10, 10, 10]);
        assert_eq!((delivery.next(), delivery.holds()), (61, false));
    }

    #[test]
    fn late_payload_closes_the_hole() {
        let mut delivery = Delivery::default();
        delivery.push(11, 21, None);
        delivery.push(31, 41, None);
        delivery.push(21, 31, None);
        delivery.push(1, 12, None);
        assert_eq!((delivery.next(), delivery.holds()), (41, true));
        assert_eq!(gaps(&mut delivery, 41), [0; 0]);
    }

    #[test]
    fn much_payload_behind_a_hole_without_an_acknowledgment_ends_the_search_for_gaps() {
        let mut delivery = Delivery::default();
        delivery.push(1_000, 1_000 + 16_384, Some(17_383));
        assert!(delivery.skipping);
        assert_eq!(gaps(&mut delivery, 20_000), [0; 0]);
        assert_eq!(delivery.next(), 20_000);
    }
}
