//! Repetitions, timers, round trips and closed windows of one endpoint, inside `traffic`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::connection::Traffic;
use crate::connection::{Episode, Episodes, RepeatCause, RepeatCounts, Rto, RttSummary, Stall};
use crate::report::usual::usual;
use crate::report::value::{Moment, nanos};

/// What was sent again, or looks so.
// Perf: the causes are no structure of their own: serde flattens one by way of a map, which took a sixth
// of the instructions of a connection's line.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Retransmitted {
    /// Segments with payload that their sender transmitted again.
    segments: u64,
    /// Payload bytes in them that the tap had seen before.
    bytes: u64,
    /// The first retransmission of any kind.
    first: Option<Moment>,
    /// The last retransmission of any kind.
    last: Option<Moment>,
    /// The sender's timer ran out, or it works off what it gave up then.
    rto: u32,
    /// Duplicate acknowledgments or SACK reported a hole.
    fast: u32,
    /// The last segment again, to provoke a report.
    tail_loss_probe: u32,
    /// Nothing was lost, as D-SACK, a timestamp echo or an earlier acknowledgment proves.
    spurious: u32,
    /// SYNs after the first one.
    syn: u32,
    /// SYN-ACKs after the first one.
    syn_ack: u32,
    /// FINs without payload after the first one.
    fin: u32,
    /// Sent again while the peer's window was closed.
    zero_window: u32,
    /// Sent again for a cause that no rule finds.
    unknown: u32,
    /// No retransmission: sent once, and overtaken before the tap.
    reordering: u32,
    /// No retransmission: asks for a sign of life.
    keep_alive: u32,
    /// No retransmission: asks whether a closed window has opened.
    window_probe: u32,
    /// No retransmission: the tap delivered the packet twice.
    capture_duplicate: u32,
    /// No retransmission: the network delivered the packet twice.
    path_duplicate: u32,
    /// What the spurious ones had counted as, until it was proved that nothing was lost.
    spurious_from: SpuriousFrom,
}

usual!(Retransmitted: Traffic, is_repeated_alike);
usual!(RtoDoc: Rto);
usual!(EpisodesDoc: Episodes);

/// Spurious retransmissions by what they had counted as.
#[derive(Debug, Serialize, JsonSchema)]
struct SpuriousFrom {
    /// As timeouts.
    rto: u32,
    /// As fast retransmissions.
    fast: u32,
    /// As probes.
    tail_loss_probe: u32,
    /// As sent while the window was closed.
    zero_window: u32,
    /// As unexplained.
    unknown: u32,
}

impl From<&Traffic> for Retransmitted {
    fn from(traffic: &Traffic) -> Self {
        let span = traffic.retransmissions;
        let of = |cause| traffic.repeats.of(cause);
        Self {
            segments: traffic.retransmitted_segments,
            bytes: traffic.retransmitted_bytes,
            first: span.map(|(first, _)| first.into()),
            last: span.map(|(_, last)| last.into()),
            rto: of(RepeatCause::Rto),
            fast: of(RepeatCause::Fast),
            tail_loss_probe: of(RepeatCause::TailLossProbe),
            spurious: of(RepeatCause::Spurious),
            syn: of(RepeatCause::Syn),
            syn_ack: of(RepeatCause::SynAck),
            fin: of(RepeatCause::Fin),
            zero_window: of(RepeatCause::ZeroWindow),
            unknown: of(RepeatCause::Unknown),
            reordering: of(RepeatCause::Reordering),
            keep_alive: of(RepeatCause::KeepAlive),
            window_probe: of(RepeatCause::WindowProbe),
            capture_duplicate: of(RepeatCause::CaptureDuplicate),
            path_duplicate: of(RepeatCause::PathDuplicate),
            spurious_from: traffic.needless.into(),
        }
    }
}

/// Whether all that [`Retransmitted`] tells of both is the same.
#[inline]
fn is_repeated_alike(one: &Traffic, other: &Traffic) -> bool {
    let of = |traffic: &Traffic| {
        let Traffic { retransmitted_segments, retransmitted_bytes, retransmissions, .. } = *traffic;
        (retransmitted_segments, retransmitted_bytes, retransmissions)
    };
    of(one) == of(other) && one.repeats == other.repeats && one.needless == other.needless
}

impl From<RepeatCounts> for SpuriousFrom {
    fn from(counts: RepeatCounts) -> Self {
        Self {
            rto: counts.of(RepeatCause::Rto),
            fast: counts.of(RepeatCause::Fast),
            tail_loss_probe: counts.of(RepeatCause::TailLossProbe),
            zero_window: counts.of(RepeatCause::ZeroWindow),
            unknown: counts.of(RepeatCause::Unknown),
        }
    }
}

/// How a sender's retransmission timer ran, as far as its segments show.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rto")]
pub(super) struct RtoDoc {
    /// How often it ran out on payload.
    timeouts: u32,
    /// The shortest wait before a first timeout: the timer in force, without backoff.
    observed_ns: Option<i64>,
    /// The longest wait, backoff included.
    longest_ns: Option<i64>,
    /// What RFC 6298 gives for the round trips seen, with at least 200 ms for their variation.
    estimated_ns: Option<i64>,
}

impl From<&Rto> for RtoDoc {
    fn from(rto: &Rto) -> Self {
        Self {
            timeouts: rto.timeouts,
            observed_ns: rto.observed.map(nanos),
            longest_ns: rto.longest.map(nanos),
            estimated_ns: rto.estimated.map(nanos),
        }
    }
}

/// A distribution of round trips, in nanoseconds.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rtt")]
pub(super) struct RttDoc {
    /// Measurements.
    samples: u32,
    /// The shortest, exact.
    min: i64,
    /// Half took at most this long; within 3 %.
    median: i64,
    /// 95 % took at most this long; within 3 %.
    p95: i64,
    /// The longest, exact.
    max: i64,
}

impl From<RttSummary> for RttDoc {
    fn from(rtt: RttSummary) -> Self {
        Self {
            samples: rtt.samples,
            min: nanos(rtt.min),
            median: nanos(rtt.median),
            p95: nanos(rtt.p95),
            max: nanos(rtt.max),
        }
    }
}

/// A time without progress.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Stall")]
pub(super) struct StallDoc {
    /// The last progress before it, or the first transmission of what was waiting.
    from: Moment,
    /// What ended it; null when nothing did.
    until: Option<Moment>,
    /// How long it lasted; without an end, up to the last retransmission.
    duration_ns: i64,
    /// The cause of the last retransmission in it; `zero_window` for a closed window.
    cause: &'static str,
    /// Retransmissions in it.
    retransmissions: u32,
}

impl From<Stall> for StallDoc {
    fn from(stall: Stall) -> Self {
        Self {
            from: stall.from.into(),
            until: stall.until.map(Moment::from),
            duration_ns: nanos(stall.length),
            cause: stall.cause.name(),
            retransmissions: stall.retransmissions,
        }
    }
}

/// Periods of one kind.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Episodes")]
pub(super) struct EpisodesDoc {
    /// How many.
    count: u32,
    /// How long they lasted together.
    total_ns: i64,
    /// The longest one.
    longest: Option<EpisodeDoc>,
}

/// One period.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Episode")]
struct EpisodeDoc {
    /// The segment that began it.
    from: Moment,
    /// The segment that ended it; null when it lasted to the end of what is known.
    until: Option<Moment>,
    /// How long it lasted.
    duration_ns: i64,
}

impl From<&Episodes> for EpisodesDoc {
    fn from(episodes: &Episodes) -> Self {
        let Episodes { count, total, longest } = *episodes;
        let longest = longest.map(|Episode { from, until, length }| EpisodeDoc {
            from: from.into(),
            until: until.map(Moment::from),
            duration_ns: nanos(length),
        });
        Self { count, total_ns: nanos(total), longest }
    }
}
