//! What one endpoint sent, as the record tells it: volumes, repetitions, round trips, windows.
//!
//! Plain data.

use crate::compact::compact;

use super::rtt::RttSummary;
use super::window::Episodes;
use super::{Mark, RepeatCause, RepeatCounts};
use crate::stamp::{FrameId, Span};

/// What one endpoint sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Segments captured.
    pub segments: u64,
    /// Segments with payload.
    pub data_segments: u64,
    /// Bytes of IP packets.
    pub ip_bytes: u64,
    /// Payload bytes, repeated ones counted each time.
    pub payload_bytes: u64,
    /// Payload bytes of the stream that were seen at least once.
    pub unique_bytes: u64,
    /// Payload bytes of the stream that the peer acknowledged.
    pub acknowledged_bytes: u64,
    /// Segments with payload that their sender transmitted again.
    pub retransmitted_segments: u64,
    /// Payload bytes in them that the tap had seen before.
    pub retransmitted_bytes: u64,
    /// Segments that repeat something, or look so, by cause.
    pub repeats: RepeatCounts,
    /// What those now counted as spurious had counted as before it was proved.
    pub needless: RepeatCounts,
    /// The first and the last retransmission.
    pub retransmissions: Option<(Mark, Mark)>,
    /// The first frame that the tap delivered twice, the second time.
    pub first_copy: Option<FrameId>,
    /// The longest time without progress.
    pub stall: Option<Stall>,
    /// How the retransmission timer ran.
    pub rto: Rto,
    /// From the tap to the peer and back.
    pub rtt: Option<RttSummary>,
    /// Payload bytes that the peer acknowledged or later bytes skipped, and no captured segment
    /// carried.
    pub missing_bytes: u64,
    /// Payload bytes that the peer reported as received behind a hole (SACK).
    pub sacked_bytes: u64,
    /// Ranges of the coverage that did not fit its bound.
    pub ranges_dropped: u32,
    /// First payload.
    pub first_data: Option<Mark>,
    /// Last segment with new payload.
    pub last_data: Option<Mark>,
    /// The last segment of any kind.
    pub last_segment: Option<Mark>,
    /// Payload bytes sent and unacknowledged at the end, and since when they wait.
    pub unacknowledged: Option<Unacknowledged>,
    /// Largest number of bytes in flight, as the tap saw it.
    pub max_in_flight: u64,
    /// Acknowledged payload bytes a second, from the first payload to its last acknowledgment.
    pub goodput: Option<u64>,
    /// The windows that this endpoint advertised.
    pub window: Option<WindowRange>,
    /// Segments that advertised a window of zero.
    pub zero_windows: u64,
    /// Periods in which this endpoint advertised a window of zero.
    pub closed_window: Episodes,
    /// Periods in which this endpoint had used all of its peer's window.
    pub full_window: Episodes,
    /// Segments with a wrong TCP checksum, of those that could be verified.
    pub bad_checksums: u64,
}

/// Payload that was sent and never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unacknowledged {
    /// How many bytes.
    pub bytes: u64,
    /// The first transmission of the first of them.
    pub first_sent: Mark,
    /// The last transmission of any of them.
    pub last_sent: Mark,
    /// How often bytes among them were sent again.
    pub retransmissions: u32,
}

/// A time in which a direction made no progress though it had something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The last progress before it, or the first transmission of what was waiting.
    pub from: Mark,
    /// The acknowledgment, or the window, that ended it; none when nothing did.
    pub until: Option<Mark>,
    /// How long it lasted; without an end, up to the last retransmission.
    pub length: Span,
    /// The cause of the last retransmission in it; [`RepeatCause::ZeroWindow`] for a closed window.
    pub cause: RepeatCause,
    /// Retransmissions in it.
    pub retransmissions: u32,
}

compact!(struct Stall { from, until, length, cause, retransmissions });

/// How a sender's retransmission timer ran, as far as its segments show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rto {
    /// How often it ran out.
    pub timeouts: u32,
    /// The shortest wait before a first timeout: the timer in force, without backoff.
    pub observed: Option<Span>,
    /// The longest wait, backoff included.
    pub longest: Option<Span>,
    /// What RFC 6298 gives for the round trips seen, with a variation of at least 200 ms (Linux).
    pub estimated: Option<Span>,
}

/// The windows that an endpoint advertised outside SYNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowRange {
    /// The smallest, in bytes.
    pub min: u64,
    /// The largest, in bytes.
    pub max: u64,
    /// Whether the scale is known; without the handshake the numbers are as sent.
    pub scaled: bool,
}
