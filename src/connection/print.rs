//! Whether a segment is the packet before it, delivered twice by the tap.

use super::stream::Stream;
use super::{ELSEWHERE, SAME_FRAME};
use crate::tcp::Segment;

impl Stream {
    /// Whether `segment` is the packet that this side sent last, delivered twice by the tap: the same
    /// headers, almost the same time.
    pub(super) fn is_same_packet(&self, segment: &Segment) -> bool {
        let within = if self.place == segment.place() { SAME_FRAME } else { ELSEWHERE };
        self.resembles_last(segment)
            && self.last_time().is_some_and(|last| segment.time.since(last).abs() < within)
    }

    /// Whether `segment` has what tells packets apart from this side's last one: where no IP
    /// identification tells, only at another place, or, of one that all have, at the very same time.
    #[inline]
    pub(super) fn resembles_last(&self, segment: &Segment) -> bool {
        self.print == print(segment)
            && (self.place != segment.place()
                || self.is_numbered(segment)
                || (segment.ip_id != 0 && self.last_time() == Some(segment.time)))
    }
}

/// What tells a packet from others: what is in its headers. An identification need not (some systems give
/// the same to all), nor a checksum that is left to the network card, the same for all of one length.
#[inline]
pub(super) fn print(segment: &Segment) -> u64 {
    let stamps = segment.timestamps;
    let low = (u32::from(segment.ip_id) << 16 | u32::from(segment.checksum))
        ^ segment.ack.0.wrapping_mul(0x9e37_79b1)
        ^ stamps.value.rotate_left(8)
        ^ stamps.echo.rotate_left(20)
        ^ u32::from(segment.window) << 16
        ^ segment.payload_len.rotate_left(11);
    u64::from(segment.seq.0) << 32 | u64::from(low)
}
