//! How completely the connections were captured.

use super::brief::Brief;
use super::totals::earliest;
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
    /// Id of the earliest, and the frame that shows it best.
    pub first: Option<(u64, FrameId)>,
}

impl Ground {
    pub(super) fn add(&mut self, brief: &Brief) {
        if brief.copies > 0 {
            self.copies += brief.copies;
            self.copied.add(brief, brief.first_copy);
        }
        let absent = Side::BOTH.into_iter().find(|side| brief.sent.of(*side).segments == 0);
        self.conversations += u64::from(brief.converses.client || brief.converses.server);
        if let Some(absent) = absent {
            if *brief.converses.of(absent.peer()) {
                self.one_sided.add(brief, None);
            }
            return;
        }
        let (client, server) = (&brief.sent.client, &brief.sent.server);
        let missing = client.missing_bytes + server.missing_bytes;
        self.stream_bytes += client.unique_bytes + server.unique_bytes + missing;
        if missing > 0 {
            self.lossy.add(brief, None);
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
    fn add(&mut self, brief: &Brief, frame: Option<FrameId>) {
        let frame = frame.unwrap_or(brief.first_frame);
        self.merge(&Self { connections: 1, first: Some((brief.id, frame)) });
    }

    fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.first = earliest(self.first, other.first);
    }
}
