//! The traffic of both endpoints, added up when a connection is over.

use super::path::Legs;
use super::stream::Stream;
use super::{Connection, Idle, Mark, Rto, Traffic, WindowRange};
use crate::stamp::{Span, Time};
use crate::tcp::Sides;

impl Connection {
    /// The longest time without any segment.
    pub(super) fn longest_idle(&self) -> Option<Idle> {
        let (from, until) = self.longest_idle;
        (until.time > from.time).then_some(Idle { from, until })
    }
}

/// What both endpoints sent; `legs` are the times from the tap to the client and to the server.
pub(super) fn tally(
    client: &Stream,
    server: &Stream,
    known_until: Time,
    [to_client, to_server]: [Span; 2],
) -> Sides<Traffic> {
    let legs = Sides {
        client: Legs { own: to_client, peer: to_server },
        server: Legs { own: to_server, peer: to_client },
    };
    Sides {
        client: traffic(client, server, known_until, legs.client),
        server: traffic(server, client, known_until, legs.server),
    }
}

/// What the endpoint with the stream `sent` sent; `peer` is its peer's stream.
fn traffic(sent: &Stream, peer: &Stream, known_until: Time, legs: Legs) -> Traffic {
    let counted = &sent.traffic;
    let acknowledged_bytes = sent.acknowledged_bytes();
    let mut traffic = Traffic {
        segments: counted.segments,
        data_segments: counted.data_segments,
        ip_bytes: counted.ip_bytes,
        payload_bytes: counted.payload_bytes,
        unique_bytes: counted.unique_bytes,
        acknowledged_bytes,
        missing_bytes: sent.coverage.missing(),
        ranges_dropped: sent.coverage.dropped(),
        first_data: counted.first_data,
        last_data: counted.last_data,
        last_segment: counted.last_segment,
        unacknowledged: sent.unacknowledged(),
        max_in_flight: counted.max_in_flight,
        goodput: goodput(counted.first_data, sent.advanced, acknowledged_bytes),
        window: window(sent.windows, peer.peer_shift),
        zero_windows: counted.zero_windows,
        bad_checksums: counted.bad_checksums,
        ..Traffic::default()
    };
    if let Some(sending) = &sent.sending {
        traffic.rtt = sending.rtt.summary();
        traffic.rto.estimated = sent.expected_timeout(legs);
    }
    if let Some(repair) = &sent.repair {
        traffic.retransmitted_segments = repair.segments;
        traffic.retransmitted_bytes = repair.bytes;
        traffic.repeats = repair.counts;
        traffic.needless = repair.needless;
        traffic.retransmissions = repair.first.zip(repair.last);
        traffic.first_copy = repair.first_copy;
        traffic.stall = repair.worst_stall();
        traffic.sacked_bytes = repair.sacked_bytes;
        traffic.rto = Rto {
            timeouts: repair.timeouts,
            observed: repair.shortest_timeout,
            longest: repair.longest_timeout,
            ..traffic.rto
        };
        let window = &repair.window;
        traffic.full_window = window.fillings.with_open(window.full, known_until);
    }
    if let Some(repair) = &peer.repair {
        let window = &repair.window;
        traffic.closed_window = window.closures.with_open(window.closed, known_until);
    }
    traffic
}

/// Acknowledged bytes a second, from the first payload to the last progress.
fn goodput(first: Option<Mark>, progress: Mark, bytes: u64) -> Option<u64> {
    let nanos = u128::try_from(progress.time.since(first?.time).nanos()).ok()?;
    let per_second = (u128::from(bytes) * 1_000_000_000).checked_div(nanos)?;
    u64::try_from(per_second).ok().filter(|_| bytes > 0)
}

fn window((low, high): (u16, u16), shift: Option<u8>) -> Option<WindowRange> {
    let scale = |window: u16| u64::from(window) << shift.unwrap_or(0);
    let scaled = shift.is_some();
    (low <= high).then(|| WindowRange { min: scale(low), max: scale(high), scaled })
}
