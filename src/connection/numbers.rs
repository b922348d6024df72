//! The IP identifications of a side: what it sent that the tap never saw.
//!
//! Linux counts them for each socket (`inet_id`), beginning anywhere: a gap is something that was lost
//! before the tap, or comes late. What no socket sends, but what is left of one in TIME-WAIT, of an
//! orphan in FIN-WAIT-2, or the port alone, carries 0. Other systems count otherwise: whether a side
//! does shows in what it sent so far. IPv6 has none.

use crate::compact::compact;

use super::stream::Stream;
use crate::tcp::Segment;

/// Further apart than this, and by more than was seen, they are not counted by the socket.
const UNSEEN: u16 = 16;

/// So many sightings of one packet a capture has at most: on each interface of a host that passes it on.
const COPIES: u8 = 4;

/// Hosts that count for all connections together begin with a higher time to live (128, 255).
pub(super) const LIMIT: u8 = 64;

/// Those of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The first one, and how many segments came before it (modulo 2^16, as identifications count).
    first: u16,
    before: u16,
    /// The highest one of segments before the last.
    latest: u16,
    /// That of the last one that was not overtaken.
    last: u16,
    /// The last one is larger than what the wire carries: it becomes several, which are counted each.
    is_large: bool,
    /// How many segments in a row had the last one as well.
    again: u8,
}

compact!(struct Numbers { first, before, latest, last, is_large, again });

/// What the usual frame carries at most.
const FRAME: u32 = 1_500;

/// Who sent a segment, as its IP identification tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// The socket, and so many segments between the latest that was seen and this one that were not.
    Socket { unseen: u16 },
    /// What is left of it.
    Rest,
}

impl Stream {
    /// Takes the last segment's, before another one is counted.
    pub(super) fn read_number(&mut self) {
        let segments = self.segments();
        self.numbers.read(segments);
    }

    /// Who sent `segment`, the next one of this side; none where its identification does not tell.
    pub(super) fn sender(&self, segment: &Segment) -> Option<Sender> {
        self.numbers.sender(segment, self.segments())
    }

    /// Whether what was seen before `segment` was sent behind it, as far as its identification tells.
    pub(super) fn has_overtaken(&self, segment: &Segment) -> bool {
        let is_told = segment.ttl <= LIMIT && self.numbers.are_counted(self.segments());
        is_told && self.numbers.has_overtaken(segment.ip_id)
    }

    /// The identification of `segment`, if this side counts them for the connection.
    pub(super) fn number(&self, segment: &Segment) -> Option<u16> {
        let is_told = segment.ttl <= LIMIT && self.numbers.are_counted(self.segments());
        (is_told && segment.ip_id != 0).then_some(segment.ip_id)
    }

    /// Whether the identification of `segment` tells it from others that look like it: it has one, and
    /// this side does not give the same to all.
    #[cold]
    pub(super) fn is_numbered(&self, segment: &Segment) -> bool {
        segment.ip_id != 0 && !self.numbers.stand_still(segment.ip_id)
    }

    /// How many segments were seen.
    #[expect(clippy::cast_possible_truncation, reason = "identifications count modulo 2^16")]
    const fn segments(&self) -> u16 {
        self.traffic.segments as u16
    }
}

impl Numbers {
    /// Keeps that of the segment that becomes the last one, unless it was overtaken.
    #[inline]
    pub(super) const fn take(&mut self, segment: &Segment) {
        self.again = if segment.ip_id == self.last { self.again.saturating_add(1) } else { 0 };
        if !self.has_overtaken(segment.ip_id) {
            (self.last, self.is_large) = (segment.ip_id, segment.payload_len > FRAME);
        }
    }

    /// Takes the last one, before which `segments` were seen with it.
    fn read(&mut self, segments: u16) {
        let last = self.last;
        if self.is_large {
            // How many it becomes, nothing says: they are counted from the next one on.
            self.first = 0;
            return;
        }
        if last == 0 {
            return;
        }
        if self.first == 0 {
            (self.first, self.before, self.latest) = (last, segments.wrapping_sub(1), last);
        }
        // After long calm it is far ahead.
        let behind = self.latest.wrapping_sub(last);
        if behind == 0 || behind > UNSEEN * 4 {
            self.latest = last;
        }
    }

    /// Whether what was seen was sent behind one that has this identification.
    #[inline]
    pub(super) const fn has_overtaken(self, ip_id: u16) -> bool {
        let behind = self.last.wrapping_sub(ip_id);
        ip_id != 0 && self.last != 0 && behind != 0 && behind <= UNSEEN * 4
    }

    /// Whether more segments in a row had this identification than a tap makes of one.
    const fn stand_still(self, ip_id: u16) -> bool {
        ip_id == self.last && self.again >= COPIES
    }

    fn sender(self, segment: &Segment, segments: u16) -> Option<Sender> {
        if self.first == 0 || segment.ttl > LIMIT || !self.are_counted(segments) {
            return None;
        }
        if segment.ip_id == 0 {
            return Some(Sender::Rest);
        }
        let ahead = segment.ip_id.wrapping_sub(self.latest);
        (1..=UNSEEN).contains(&ahead).then(|| Sender::Socket { unseen: ahead - 1 })
    }

    /// Whether they rose by about as many as segments were seen: more were sent, and copies made.
    fn are_counted(self, segments: u16) -> bool {
        let seen = segments.wrapping_sub(self.before);
        let few = seen.min(1_000);
        let unseen = self.latest.wrapping_sub(self.first).wrapping_add(1).wrapping_sub(seen);
        unseen <= few + UNSEEN || unseen.wrapping_neg() <= few / 4 + 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Flags;

    /// What the last of these identifications tells, after the others were seen.
    fn sender(ip_ids: &[u16], ttl: u8) -> Option<Sender> {
        let mut stream = Stream::default();
        let mut told = None;
        for ip_id in ip_ids {
            let segment = Segment { ip_id: *ip_id, ttl, flags: Flags::ACK, ..Segment::default() };
            stream.read_number();
            told = stream.sender(&segment);
            stream.count(&segment);
        }
        told
    }

    #[test]
    fn a_gap_is_what_the_tap_never_saw() {
        assert_eq!(sender(&[65_534, 65_535, 1], 64), Some(Sender::Socket { unseen: 1 }));
        assert_eq!(sender(&[7, 8, 11, 10, 12], 63), Some(Sender::Socket { unseen: 0 }));
        assert_eq!(sender(&[7, 8, 11, 10], 63), None, "it was overtaken");
        assert_eq!(sender(&[0, 7, 8, 0], 64), Some(Sender::Rest));
    }

    #[test]
    fn what_was_overtaken_hides_no_later_one_that_took_the_short_way() {
        let mut stream = Stream::default();
        let of = |ip_id| Segment { ip_id, ttl: 64, flags: Flags::ACK, ..Segment::default() };
        stream.count(&of(7));
        stream.read_number();
        for ip_id in [8, 11, 9, 10] {
            stream.count(&of(ip_id));
        }
        stream.read_number();
        assert_eq!(stream.sender(&of(12)), Some(Sender::Socket { unseen: 0 }));
    }

    #[test]
    fn what_is_larger_than_a_frame_becomes_several() {
        let mut stream = Stream::default();
        let of = |ip_id, payload_len| Segment { ip_id, payload_len, ttl: 64, ..Segment::default() };
        for segment in [of(7, 100), of(8, 7_240)] {
            stream.read_number();
            stream.count(&segment);
        }
        stream.read_number();
        assert_eq!(stream.sender(&of(13, 0)), None);
        for ip_id in 13..=14 {
            stream.count(&of(ip_id, 0));
            stream.read_number();
        }
        assert_eq!(stream.sender(&of(16, 0)), Some(Sender::Socket { unseen: 1 }));
    }

    #[test]
    fn what_no_socket_counts_tells_nothing() {
        assert_eq!(sender(&[0, 0, 0], 64), None, "no identifications");
        assert_eq!(sender(&[9_000, 200, 40_000, 40_001], 64), None, "drawn at random");
        assert_eq!(sender(&[7, 8, 9], 128), None, "another system");
    }
}
