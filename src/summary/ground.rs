//! How completely the connections were captured.

use super::totals::earliest;
use crate::connection::{ConnectionRecord, RepeatCause};
use crate::stamp::FrameId;
use crate::tcp::Side;

/// Connections of which the capture lacks something, and the first of each kind: id and frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// Connections in which somebody sent more than SYNs, SYN-ACKs and RSTs.
    pub conversations: u64,
    /// Those among them of which only one side was captured.
    pub one_sided: Lacking,
    /// Connections with both sides in which bytes are missing.
    pub lossy: Lacking,
    /// The bytes that are missing in them.
    pub lossy_bytes: u64,
    /// Payload bytes of the streams of connections with both sides, captured or not.
    pub stream_bytes: u64,
    /// Segments that the tap delivered more than once, every time after the first.
    pub copies: u64,
    /// Connections with such segments.
    pub copied: Lacking,
}

/// How many connections, and the earliest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// How many.
    pub connections: u64,
    /// Id and first frame of the earliest.
    pub first: Option<(u64, FrameId)>,
}

impl Ground {
    pub(super) fn add(&mut self, record: &ConnectionRecord) {
        let copies: u64 = Side::BOTH
            .iter()
            .map(|side| record.traffic.of(*side).repeats.of(RepeatCause::CaptureDuplicate))
            .map(u64::from)
            .sum();
        if copies > 0 {
            self.copies += copies;
            self.copied.add(record);
        }
        let absent = Side::BOTH.into_iter().find(|side| record.traffic.of(*side).segments == 0);
        self.conversations += u64::from(Side::BOTH.iter().any(|side| converses(record, *side)));
        if let Some(absent) = absent {
            if converses(record, absent.peer()) {
                self.one_sided.add(record);
            }
            return;
        }
        let (client, server) = (&record.traffic.client, &record.traffic.server);
        let missing = client.missing_bytes + server.missing_bytes;
        self.stream_bytes += client.unique_bytes + server.unique_bytes + missing;
        if missing > 0 {
            self.lossy.add(record);
            self.lossy_bytes += missing;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.conversations += other.conversations;
        self.one_sided.merge(&other.one_sided);
        self.lossy.merge(&other.lossy);
        self.lossy_bytes += other.lossy_bytes;
        self.stream_bytes += other.stream_bytes;
        self.copies += other.copies;
        self.copied.merge(&other.copied);
    }
}

impl Lacking {
    fn add(&mut self, record: &ConnectionRecord) {
        self.merge(&Self { connections: 1, first: Some((record.id, record.first_frame)) });
    }

    fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.first = earliest(self.first, other.first);
    }
}

/// Whether `side` sent more than opens or refuses a connection.
fn converses(record: &ConnectionRecord, side: Side) -> bool {
    let handshake = &record.handshake;
    let opening = match side {
        Side::Client => {
            u64::from(handshake.syn.is_some()) + u64::from(handshake.syn_retransmissions)
        }
        Side::Server => {
            u64::from(handshake.syn_ack.is_some()) + u64::from(handshake.syn_ack_retransmissions)
        }
    };
    record.traffic.of(side).segments > opening + u64::from(*record.close.resets.of(side))
}
