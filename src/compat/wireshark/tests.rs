//! Rules of Wireshark that few captures show.

use super::{AnalysisFlags, Analyzer, Completeness};
use crate::stamp::{FrameId, Time};
use crate::tcp::{Extras, Flags, Segment, Seq};

const SYN: Flags = Flags::SYN;
const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
const FIN_ACK: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);

fn segment(micros: i64, flags: Flags, (seq, ack): (u32, u32), payload_len: u32) -> Segment {
    Segment {
        time: Time::from_nanos(micros * 1_000),
        frame: FrameId::new(0, 1),
        seq: Seq(seq),
        ack: Seq(ack),
        flags,
        payload_len,
        window: 64_000,
        ..Segment::default()
    }
}

fn named(name: &str) -> AnalysisFlags {
    AnalysisFlags::parse(name).unwrap()
}

#[test]
fn where_the_ip_header_claims_more_than_the_frame_holds_the_frame_counts() {
    let shown = |framed_len| {
        let mut analyzer = Analyzer::default();
        let extras = Extras { framed_len, ..Extras::NONE };
        analyzer.observe(true, &segment(1, SYN, (99, 0), 0), &Extras::NONE);
        analyzer.observe(true, &segment(2, Flags::ACK, (100, 500), 1_000), &extras);
        analyzer.observe(true, &segment(3, Flags::ACK, (1_100, 500), 10), &Extras::NONE)
    };
    assert_eq!(shown(None), AnalysisFlags::NONE);
    assert_eq!(shown(Some(40)), named("lost_segment"));
}

#[test]
fn a_syn_at_the_epoch_measures_no_round_trip() {
    let shown = |start| {
        let mut analyzer = Analyzer::default();
        analyzer.observe(true, &segment(start, SYN, (99, 0), 0), &Extras::NONE);
        analyzer.observe(true, &segment(start + 10, Flags::ACK, (200, 0), 10), &Extras::NONE);
        analyzer.observe(true, &segment(start + 60, Flags::ACK, (100, 0), 10), &Extras::NONE)
    };
    assert_eq!(shown(1), named("retransmission"), "later than the round trip of 10 microseconds");
    assert_eq!(shown(0), named("out_of_order"), "within 3 milliseconds");
}

#[test]
fn behind_ten_thousand_unacknowledged_segments_a_fin_takes_no_number() {
    let shown = |count: u32, acknowledged: bool| {
        let mut analyzer = Analyzer::default();
        analyzer.observe(true, &segment(1, SYN, (99, 0), 0), &Extras::NONE);
        analyzer.observe(false, &segment(2, SYN_ACK, (499, 100), 0), &Extras::NONE);
        for index in 0..count {
            let data = segment(3, Flags::ACK, (100 + index, 500), 1);
            analyzer.observe(true, &data, &Extras::NONE);
        }
        let end = 100 + count;
        if acknowledged {
            analyzer.observe(false, &segment(4, Flags::ACK, (500, end), 0), &Extras::NONE);
        }
        analyzer.observe(true, &segment(5, FIN_ACK, (end, 500), 0), &Extras::NONE);
        analyzer.observe(false, &segment(6, Flags::ACK, (500, end + 1), 10), &Extras::NONE)
    };
    assert_eq!(shown(9_000, false), AnalysisFlags::NONE);
    assert_eq!(shown(10_001, false), named("ack_lost_segment"));
    assert_eq!(shown(10_001, true), AnalysisFlags::NONE);
}

#[test]
fn an_acknowledgment_of_uncaptured_bytes_does_for_duplicate_acknowledgments() {
    let shown = |acknowledged: u32| {
        let mut analyzer = Analyzer::default();
        analyzer.observe(true, &segment(1, SYN, (99, 0), 0), &Extras::NONE);
        analyzer.observe(false, &segment(2, SYN_ACK, (499, 100), 0), &Extras::NONE);
        analyzer.observe(false, &segment(3, FIN_ACK, (500, 100), 0), &Extras::NONE);
        analyzer.observe(true, &segment(90_000, Flags::ACK, (100, 500), 10), &Extras::NONE);
        let again = segment(90_001, FIN_ACK, (500, acknowledged), 0);
        analyzer.observe(false, &again, &Extras::NONE)
    };
    assert_eq!(shown(110), named("retransmission"));
    assert_eq!(shown(118), named("fast_retransmission,retransmission,ack_lost_segment"));
}

#[test]
fn a_first_segment_that_is_no_syn_counts_when_another_one_follows() {
    let mut completeness = Completeness::default();
    completeness.observe(&segment(1, Flags::ACK, (100, 500), 10));
    assert_eq!(completeness.bits(), 0);
    completeness.observe(&segment(2, Flags::ACK, (500, 110), 0));
    assert_eq!(completeness.bits(), Completeness::DATA | Completeness::ACK);
    let mut completeness = Completeness::default();
    completeness.observe(&segment(1, SYN, (99, 0), 0));
    assert_eq!(completeness.bits(), Completeness::SYN);
}
