//! A connection of which one direction was seen so far: what would the other one look like?

use super::Connection;
use super::stream::Stream;
use crate::tcp::{Control, Segment, TunnelLayer};

/// How far from the last acknowledgment the missing direction may go on: twice the largest window
/// that hosts use as a rule (Linux `tcp_rmem`, 6 MiB).
const MOST_IN_FLIGHT: i64 = 12 << 20;

impl Connection {
    /// Whether `segment`, in the direction `forward`, is of the direction of which nothing was seen:
    /// it acknowledges what the other one sent, and stands where that one's acknowledgments do.
    #[must_use]
    pub fn lacks(&self, forward: bool, segment: &Segment) -> bool {
        let from = self.side_of(forward);
        let (missing, seen) = (&self.sides.of(from).stream, &self.sides.of(from.peer()).stream);
        if missing.traffic.segments > 0 || seen.traffic.segments == 0 || !segment.flags.ack() {
            return false;
        }
        let acknowledged = seen.offset(segment.ack);
        match segment.control() {
            Control::SynAck => seen.syn_seen && acknowledged == 1,
            Control::Rst if !missing.is_started() => seen.syn_seen && acknowledged == 1,
            Control::Rst | Control::Fin | Control::None => {
                let is_of_it = acknowledged > seen.end - MOST_IN_FLIGHT && acknowledged <= seen.end;
                is_of_it && goes_on(missing, segment)
            }
            Control::Syn => false,
        }
    }

    /// Notes that the other direction travels in another tunnel.
    pub fn returns_in(&mut self, other_tunnel: &[TunnelLayer]) {
        self.other_tunnel.get_or_insert_with(|| other_tunnel.into());
    }
}

/// Whether the segment stands near what its receiver acknowledged.
fn goes_on(missing: &Stream, segment: &Segment) -> bool {
    let ahead = missing.offset(segment.seq) - missing.acknowledged;
    missing.is_started() && ahead.abs() <= MOST_IN_FLIGHT
}
