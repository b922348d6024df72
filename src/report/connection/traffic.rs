//! What an endpoint sent: the object `traffic`.

use schemars::JsonSchema;
use serde::Serialize;

use super::repair::{EpisodesDoc, Retransmitted, RtoDoc, RttDoc, StallDoc};
use crate::connection::{Episodes, Rto, Traffic, WindowRange};
use crate::report::usual::{Part, usual};
use crate::report::value::Moment;

/// What one endpoint sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Traffic")]
pub(super) struct TrafficDoc<'a> {
    /// Segments captured.
    segments: u64,
    /// Segments with payload.
    data_segments: u64,
    /// Bytes of IP packets.
    ip_bytes: u64,
    /// Payload bytes, repeated ones counted each time.
    payload_bytes: u64,
    /// Payload bytes of the stream that were seen at least once.
    unique_bytes: u64,
    /// Payload bytes of the stream that the peer acknowledged.
    acknowledged_bytes: u64,
    /// What was sent again, or looks so.
    retransmitted: Part<'a, Retransmitted, Traffic>,
    /// The longest time in which this direction had something to send and made no progress.
    worst_stall: Option<StallDoc>,
    /// How the retransmission timer ran.
    rto: Part<'a, RtoDoc, Rto>,
    /// From the tap to the peer and back, from a segment with payload to its acknowledgment.
    rtt_ns: Option<RttDoc>,
    /// Payload bytes that were proved to exist and that no captured segment carried: lost by the
    /// tap, not in the network.
    missing_bytes: u64,
    /// Payload bytes that the peer reported as received behind a hole (SACK).
    sacked_bytes: u64,
    /// Ranges of the stream that did not fit the bound of what is remembered.
    ranges_dropped: u32,
    /// First payload.
    first_data: Option<Moment>,
    /// Last segment with new payload.
    last_data: Option<Moment>,
    /// The last segment of any kind.
    last_segment: Option<Moment>,
    /// Payload sent and never acknowledged.
    unacknowledged: Option<UnacknowledgedDoc>,
    /// Largest number of bytes in flight, as the tap saw it.
    max_in_flight_bytes: u64,
    /// Acknowledged payload bytes a second, from the first payload to its last acknowledgment.
    goodput_bytes_per_second: Option<u64>,
    /// The windows that this endpoint advertised outside SYNs.
    window: Option<WindowDoc>,
    /// Segments that advertised a window of zero.
    zero_windows: u64,
    /// Periods in which this endpoint advertised a window of zero.
    closed_window: Part<'a, EpisodesDoc, Episodes>,
    /// Periods in which this endpoint had used all of its peer's window.
    full_window: Part<'a, EpisodesDoc, Episodes>,
    /// Segments with a wrong TCP checksum, of those that could be verified.
    bad_checksums: u64,
}

usual!(TrafficDoc<'_>: Traffic);

/// Payload that was sent and never acknowledged.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Unacknowledged")]
struct UnacknowledgedDoc {
    /// How many bytes.
    bytes: u64,
    /// The first transmission of the first of them.
    first_sent: Moment,
    /// The last transmission of any of them.
    last_sent: Moment,
    /// How often bytes among them were sent again.
    retransmissions: u32,
}

/// The windows that an endpoint advertised outside SYNs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Window")]
struct WindowDoc {
    /// The smallest.
    min_bytes: u64,
    /// The largest.
    max_bytes: u64,
    /// Whether the scale is known; without the handshake the numbers are as sent.
    scaled: bool,
}

impl From<WindowRange> for WindowDoc {
    fn from(window: WindowRange) -> Self {
        Self { min_bytes: window.min, max_bytes: window.max, scaled: window.scaled }
    }
}

impl<'a> From<&'a Traffic> for TrafficDoc<'a> {
    fn from(traffic: &'a Traffic) -> Self {
        Self {
            segments: traffic.segments,
            data_segments: traffic.data_segments,
            ip_bytes: traffic.ip_bytes,
            payload_bytes: traffic.payload_bytes,
            unique_bytes: traffic.unique_bytes,
            acknowledged_bytes: traffic.acknowledged_bytes,
            retransmitted: traffic.into(),
            worst_stall: traffic.stall.map(StallDoc::from),
            rto: (&traffic.rto).into(),
            rtt_ns: traffic.rtt.map(RttDoc::from),
            missing_bytes: traffic.missing_bytes,
            sacked_bytes: traffic.sacked_bytes,
            ranges_dropped: traffic.ranges_dropped,
            first_data: traffic.first_data.map(Moment::from),
            last_data: traffic.last_data.map(Moment::from),
            last_segment: traffic.last_segment.map(Moment::from),
            unacknowledged: traffic.unacknowledged.map(|unacknowledged| UnacknowledgedDoc {
                bytes: unacknowledged.bytes,
                first_sent: unacknowledged.first_sent.into(),
                last_sent: unacknowledged.last_sent.into(),
                retransmissions: unacknowledged.retransmissions,
            }),
            max_in_flight_bytes: traffic.max_in_flight,
            goodput_bytes_per_second: traffic.goodput,
            window: traffic.window.map(WindowDoc::from),
            zero_windows: traffic.zero_windows,
            closed_window: (&traffic.closed_window).into(),
            full_window: (&traffic.full_window).into(),
            bad_checksums: traffic.bad_checksums,
        }
    }
}
