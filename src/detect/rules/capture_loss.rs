//! The capture lacks packets that were on the wire.
//!
//! # What it detects
//! Set when at least one of these is true:
//! * in a connection of which both sides were captured, bytes were acknowledged, or skipped by later
//!   ones, that no captured segment carried;
//! * the capture file says that interfaces or the operating system dropped packets.
//!
//! # Why it matters
//! What the tap missed looks like loss, silence or a late answer, and a state may rest on a segment that
//! nobody saw. Findings about the connections concerned are less certain, and say so.
//!
//! # Evidence
//! Connections with missing bytes, the bytes and their share of all bytes, and the drop counters of the
//! file.
//!
//! # Thresholds
//!
//! # What to check
//! * `tcpdump` prints "packets dropped by kernel": a larger buffer (`-B`), a snaplen (`-s 96`), a filter,
//!   or writing to a faster disk.
//! * A mirror port that sums both directions of a link is oversubscribed above half of its rate.
//!
//! # False positives
//! * Traffic that takes another path for a time, as with multipath or after a failover: the tap works, and
//!   sees a part.
//!
//! # References
//! `pcap_stats(3PCAP)`; draft-ietf-opsawg-pcapng 4.6 (`isb_ifdrop`, `isb_osdrop`).

use crate::certainty::Certainty;
use crate::detect::advice::{number, setting, share};
use crate::detect::rule::{Check, Draft, Reach, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity};

const CODE: Code = Code(901);

const MIN_BYTES: Threshold = Threshold {
    code: CODE,
    name: "min_bytes",
    default: 1,
    unit: Unit::Count,
    meaning: "missing bytes, or dropped packets, from which on it is a notice",
    source: "one missing byte proves that a packet is missing",
};

const WARNING_SHARE: Threshold = Threshold {
    code: CODE,
    name: "warning_share",
    default: 1,
    unit: Unit::Percent,
    meaning: "share of bytes missing, or of packets dropped, from which on it is a warning",
    source: "TCP itself rarely loses one packet in a hundred, so more of it hides the network's own loss",
};

/// TCP901.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "capture_loss",
    scope: Scope::Capture,
    variants: &[""],
    thresholds: &[&MIN_BYTES, &WARNING_SHARE],
    source: include_str!("capture_loss.rs"),
    check: Check::Capture { judge, reach: |_| Some(Reach::Touched) },
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let ground = &whole.summary.totals.ground;
    let counters: Vec<_> =
        whole.inputs.iter().filter_map(|input| input.quality.interfaces).collect();
    let dropped: u64 = counters.iter().map(|told| told.dropped).sum();
    let received: u64 = counters.iter().map(|told| told.received).sum();
    let thresholds = whole.context.thresholds;
    let least = thresholds.count(&MIN_BYTES);
    if ground.lossy_bytes < least && dropped < least {
        return Vec::new();
    }
    let missing = words::thousandths(ground.lossy_bytes, ground.stream_bytes);
    let lost = words::thousandths(dropped, received.max(dropped));
    let limit = thresholds.count(&WARNING_SHARE).saturating_mul(10);
    let warned = missing >= limit || lost >= limit;
    let frames: Vec<_> = ground.lossy.first.map(|(_, frame)| frame).into_iter().collect();
    let count = ground.lossy.connections.max(u64::from(dropped > 0));
    let mut facts = Vec::new();
    if ground.lossy_bytes > 0 {
        facts.push(format!(
            "{} of {} lack {} that were sent ({})",
            words::count(ground.lossy.connections),
            words::counted(whole.summary.totals.connections, "connection"),
            words::counted(ground.lossy_bytes, "byte"),
            words::share(ground.lossy_bytes, ground.stream_bytes),
        ));
    }
    if dropped > 0 {
        facts.push(format!("the interfaces dropped {}", words::counted(dropped, "packet")));
    }
    let mut evidence = vec![
        number("lossy_connections", ground.lossy.connections),
        number("missing_bytes", ground.lossy_bytes),
        share("missing_share", missing),
    ];
    if !counters.is_empty() {
        evidence.push(number("interface_received", received));
        evidence.push(number("interface_drops", dropped));
    }
    let draft = Draft {
        severity: if warned { Severity::Warning } else { Severity::Notice },
        certainty: Certainty::Observed,
        title: "the capture lacks packets".to_owned(),
        summary: format!("{}.", facts.join("; ")),
        evidence,
        explanation:
            "Packets that were on the wire are not in the capture. They can look like loss, \
                      silence or a late answer; findings about the connections concerned are less \
                      certain."
                .to_owned(),
        advice: vec![setting(
            "capture buffer and snaplen (tcpdump -B, -s)",
            "raise",
            None,
            "A larger buffer, a shorter snaplen or a filter keeps up with more packets; look for \
             \"dropped by kernel\" when tcpdump ends.",
        )],
        display_filter: words::filter_with(
            "tcp.analysis.ack_lost_segment || tcp.analysis.lost_segment",
            &frames,
        ),
        caveat: String::new(),
    };
    vec![(whole.spot("", count, frames), draft)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::input::{Input, InterfaceCounters, Quality};
    use crate::summary::samples::graceful;

    #[test]
    fn bytes_that_nobody_captured_are_a_notice_and_many_a_warning() {
        let lossy = |missing| {
            let mut record = graceful(1, 0, 90_000);
            record.traffic.client.segments = 9;
            record.traffic.server.segments = 9;
            record.traffic.server.unique_bytes = 100_000;
            record.traffic.server.missing_bytes = missing;
            record
        };
        assert!(Run::of([lossy(0)]).none(CODE));
        assert_eq!(Run::of([lossy(1)]).only(CODE).severity, Severity::Notice);
        assert_eq!(Run::of([lossy(2_000)]).only(CODE).severity, Severity::Warning);
    }

    #[test]
    fn drop_counters_speak_for_themselves() {
        let counters = |dropped| Input {
            quality: Quality {
                interfaces: Some(InterfaceCounters { received: 10_000, dropped }),
                ..Quality::default()
            },
            ..Input::default()
        };
        assert!(Run::inputs(&[counters(0)]).none(CODE));
        let finding = Run::inputs(&[counters(7)]).only(CODE);
        assert_eq!(finding.summary, "the interfaces dropped 7 packets.");
    }
}
