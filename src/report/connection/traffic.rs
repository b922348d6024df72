//! What an endpoint sent: the object `traffic`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::connection::Traffic;
use crate::report::value::Moment;

/// What one endpoint sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Traffic")]
pub(super) struct TrafficDoc {
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
    /// Payload that was sent again.
    retransmitted: Retransmitted,
    /// Payload bytes that were proved to exist and that no captured segment carried.
    missing_bytes: u64,
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
    /// Segments that advertised a window of zero.
    zero_windows: u64,
    /// Segments with a wrong TCP checksum, of those that could be verified.
    bad_checksums: u64,
}

/// Payload that was sent again.
#[derive(Debug, Serialize, JsonSchema)]
struct Retransmitted {
    /// Segments that carried payload seen before.
    segments: u64,
    /// Payload bytes seen before.
    bytes: u64,
}

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

impl From<&Traffic> for TrafficDoc {
    fn from(traffic: &Traffic) -> Self {
        Self {
            segments: traffic.segments,
            data_segments: traffic.data_segments,
            ip_bytes: traffic.ip_bytes,
            payload_bytes: traffic.payload_bytes,
            unique_bytes: traffic.unique_bytes,
            acknowledged_bytes: traffic.acknowledged_bytes,
            retransmitted: Retransmitted {
                segments: traffic.retransmitted_segments,
                bytes: traffic.retransmitted_bytes,
            },
            missing_bytes: traffic.missing_bytes,
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
            zero_windows: traffic.zero_windows,
            bad_checksums: traffic.bad_checksums,
        }
    }
}
