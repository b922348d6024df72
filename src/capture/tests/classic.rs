//! Classic pcap, feature by feature.

use super::build::{BIG, LITTLE, Order, payload};
use super::*;

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;
const SEC: u32 = 1_500_000_000;
const AT: i64 = SEC as i64 * 1_000_000_000;

fn file(records: &[Vec<u8>]) -> Vec<u8> {
    [LITTLE.pcap(MICROS, 65_535, 1), records.concat()].concat()
}

fn good(second: u32) -> Vec<u8> {
    LITTLE.record(SEC + second, 0, 60, 60)
}

#[test]
fn both_resolutions_in_both_byte_orders_give_the_same_times() {
    for order in [LITTLE, BIG] {
        for (magic, frac) in [(MICROS, 5), (NANOS, 5_000)] {
            let bytes = [order.pcap(magic, 65_535, 1), order.record(SEC, frac, 60, 60)].concat();
            let seen = serial(&bytes);
            assert_eq!(seen.times(), [Some(AT + 5_000)], "{order:?} {magic:x}");
            assert_eq!((seen.records[0].link, seen.records[0].offset), (1, 24));
            assert_eq!(seen.records[0].data, payload(60));
            assert!(seen.damage.is_empty());
        }
    }
}

#[test]
fn packets_cut_by_the_snapshot_length_keep_their_length_on_the_wire() {
    let bytes = [LITTLE.pcap(MICROS, 96, 1), LITTLE.record(SEC, 0, 96, 1514)].concat();
    let seen = serial(&bytes);
    assert_eq!((seen.lengths(), seen.oddities), (vec![(96, 1514)], Oddities::default()));
}

#[test]
fn empty_records_count_as_frames() {
    let seen = serial(&file(&[good(0), LITTLE.record(SEC, 1, 0, 0), good(1)]));
    assert_eq!(seen.lengths(), [(60, 60), (0, 0), (60, 60)]);
    assert!(seen.damage.is_empty());
}

#[test]
fn a_file_without_records_is_sound() {
    assert_eq!(serial(&file(&[])), Seen::default());
}

#[test]
fn a_file_that_ends_inside_a_record_gives_all_records_before_it() {
    let whole = file(&[good(0), good(1), good(2)]);
    for cut in 1..76 {
        let seen = serial(&whole[..whole.len() - cut]);
        assert_eq!(seen.records.len(), 2);
        let left = 76 - u64::try_from(cut).unwrap();
        assert_eq!(seen.harm(), [(DamageKind::CutRecord, 24 + 2 * 76, left, 2)]);
    }
}

#[test]
fn fractions_beyond_the_second_are_carried_and_counted() {
    let seen = serial(&file(&[good(0), LITTLE.record(SEC, 1_500_000, 4, 4), good(1)]));
    assert_eq!(seen.times()[1], Some(AT + 1_500_000_000));
    assert_eq!((seen.records.len(), seen.oddities.fraction_overflow), (3, 1));
}

#[test]
fn fractions_that_can_only_be_nanoseconds_are_read_so() {
    let records = (0..40).map(|at| LITTLE.record(SEC, at * 25_000_000 + 7, 60, 60));
    let seen = serial(&file(&records.collect::<Vec<_>>()));
    assert_eq!(seen.times()[39], Some(AT + 39 * 25_000_000 + 7));
    assert_eq!(seen.oddities, Oddities::default());
}

#[test]
fn records_longer_than_the_snapshot_length_or_the_wire_are_taken_and_counted() {
    let bytes =
        [LITTLE.pcap(MICROS, 50, 1), good(0), LITTLE.record(SEC, 0, 40, 20), good(1)].concat();
    let seen = serial(&bytes);
    assert_eq!(seen.lengths(), [(60, 60), (40, 40), (60, 60)]);
    assert_eq!((seen.oddities.longer_than_snaplen, seen.oddities.longer_than_wire), (2, 1));
    assert!(seen.damage.is_empty());
}

#[test]
fn snapshot_length_zero_means_no_limit() {
    let seen = serial(&[LITTLE.pcap(MICROS, 0, 1), good(0)].concat());
    assert_eq!((seen.records.len(), seen.oddities), (1, Oddities::default()));
}

#[test]
fn the_link_field_also_holds_the_length_of_the_frame_check_sequence() {
    let seen = serial(&[LITTLE.pcap(MICROS, 96, 0x2400_0001), good(0)].concat());
    assert_eq!((seen.records[0].link, seen.records[0].fcs_len), (1, 4));
    let seen = serial(&[LITTLE.pcap(MICROS, 96, 0x2000_0071), good(0)].concat());
    assert_eq!((seen.records[0].link, seen.records[0].fcs_len), (113, 0));
}

/// Records whose header has `extra` bytes behind the usual ones.
fn long_headers(order: Order, magic: u32, extra: usize) -> Vec<u8> {
    let mut bytes = order.pcap(magic, 65_535, 1);
    for second in 0..6 {
        bytes.extend(order.words(&[SEC + second, 0, 60, 60]));
        bytes.extend(vec![7; extra]);
        bytes.extend(payload(60));
    }
    bytes
}

#[test]
fn longer_record_headers_are_recognised_by_magic_and_by_the_records() {
    for order in [LITTLE, BIG] {
        for (magic, extra) in [(MODIFIED, 8), (MODIFIED, 12), (MICROS, 8), (MICROS, 4)] {
            let bytes = long_headers(order, magic, extra);
            let seen = serial(&bytes);
            assert_eq!(seen.records.len(), 6, "{order:?} {magic:x} {extra}");
            assert!(seen.records.iter().all(|record| record.data == payload(60)));
            assert!(seen.damage.is_empty());
            let (context, _) = Context::open(&bytes).unwrap();
            assert_eq!(context.format().to_string(), "pcap-modified");
        }
    }
}

#[test]
fn files_of_ixia_have_a_longer_file_header_and_nanoseconds() {
    let mut bytes = BIG.pcap(0x1c00_01ac, 65_535, 1);
    bytes.extend(BIG.word(76));
    bytes.extend(BIG.record(SEC, 5, 60, 60));
    assert_eq!(serial(&bytes).times(), [Some(AT + 5)]);
}

#[test]
fn old_versions_have_their_lengths_swapped() {
    for (minor, first, second) in [(2, 1514, 60), (3, 1514, 60), (3, 60, 1514), (4, 60, 1514)] {
        let mut bytes = LITTLE.pcap_version(MICROS, minor, 65_535, 1);
        bytes.extend(LITTLE.words(&[SEC, 0, first, second]));
        bytes.extend(payload(60));
        assert_eq!(serial(&bytes).lengths(), [(60, 1514)], "2.{minor}");
    }
}

#[test]
fn the_walk_goes_on_behind_a_destroyed_record() {
    let mut bytes = file(&(0..20).map(good).collect::<Vec<_>>());
    let hit = 24 + 5 * 76;
    bytes[hit..hit + 40].fill(0xee);
    let seen = serial(&bytes);
    assert_eq!(seen.records.len(), 19);
    assert_eq!(seen.harm(), [(DamageKind::BadRecord, hit as u64, 76, 5)]);
    assert_eq!(seen.records[5].time, Some(AT + 6_000_000_000));
}

#[test]
fn a_few_empty_records_without_a_time_are_frames_as_wireshark_has_it() {
    let zeros = vec![0; 16 * 37];
    let seen = serial(&file(&[good(0), zeros.clone(), good(1)]));
    assert_eq!((seen.records.len(), seen.damage.is_empty()), (39, true));
    let seen = serial(&file(&[good(0), zeros]));
    assert_eq!((seen.records.len(), seen.damage.is_empty()), (38, true));
}

#[test]
fn an_odd_record_before_damage_counts_unless_it_leads_over_records() {
    let odd = LITTLE.record(SEC, 0, 100, 7);
    let seen = serial(&file(&[good(0), odd.clone(), vec![0xff; 50], good(1), good(2)]));
    assert_eq!(seen.lengths()[1], (100, 100));
    assert_eq!(seen.harm(), [(DamageKind::BadRecord, 24 + 76 + 116, 50, 2)]);
    let mut over = LITTLE.words(&[SEC, 2_000_000, 470, 470]);
    over.extend(payload(60));
    let records = (1..10).map(good).collect::<Vec<_>>().concat();
    let seen = serial(&file(&[good(0), over, records]));
    assert_eq!(seen.records.len(), 10);
    assert_eq!(seen.harm(), [(DamageKind::BadRecord, 100, 76, 1)]);
}

#[test]
fn a_block_of_zeros_is_damage_and_no_frames() {
    let mut bytes = file(&[good(0), good(1)]);
    bytes.extend([0; 4096]);
    bytes.extend([good(2), good(3), good(4)].concat());
    let seen = serial(&bytes);
    assert_eq!(seen.records.len(), 5);
    assert_eq!(seen.harm(), [(DamageKind::BadRecord, 24 + 2 * 76, 4096, 2)]);
}

#[test]
fn lost_bytes_cost_the_records_that_they_belong_to() {
    let mut bytes = file(&(0..20).map(good).collect::<Vec<_>>());
    bytes.drain(24 + 5 * 76 + 30..24 + 7 * 76 + 30);
    let seen = serial(&bytes);
    // The record with the hole swallows a part of its neighbour: as long as it says it is.
    assert_eq!(seen.records.len(), 18);
    assert!(seen.damage.is_empty());
    bytes.drain(24 + 10 * 76 + 30..24 + 10 * 76 + 50);
    let seen = serial(&bytes);
    assert_eq!(seen.harm(), [(DamageKind::BadRecord, 24 + 11 * 76, 56, 11)]);
    assert_eq!(seen.records.len(), 17);
}

#[test]
fn a_length_beyond_all_limits_is_damage_at_its_place() {
    let mut huge = LITTLE.words(&[SEC, 0, u32::try_from(MAX_RECORD).unwrap() + 1, 60]);
    huge.extend(payload(60));
    let seen = serial(&file(&[good(0), huge.clone(), good(1), good(2)]));
    assert_eq!(seen.records.len(), 3);
    assert_eq!(seen.harm(), [(DamageKind::BadRecord, 100, 76, 1)]);
    let alone = serial(&file(&[good(0), huge]));
    assert_eq!(alone.harm(), [(DamageKind::BadRecord, 100, 76, 1)]);
}

#[test]
fn a_wrong_length_that_leads_out_of_the_file_costs_one_record() {
    let mut wrong = LITTLE.words(&[SEC, 0, 200_000, 60]);
    wrong.extend(payload(60));
    let seen = serial(&file(&[good(0), wrong, good(1), good(2)]));
    assert_eq!(seen.records.len(), 3);
    assert_eq!(seen.harm(), [(DamageKind::BadRecord, 100, 76, 1)]);
}

#[test]
fn link_types_with_large_packets_have_their_own_limit() {
    let large = LITTLE.record(SEC, 0, 300_000, 300_000);
    let bytes = [LITTLE.pcap(MICROS, 0, 249), good(0), large.clone(), good(1)].concat();
    assert_eq!(serial(&bytes).records.len(), 3);
    let seen = serial(&file(&[good(0), large, good(1), good(2)]));
    assert_eq!(seen.records.len(), 3, "an Ethernet frame of 300,000 bytes is damage");
}

#[test]
fn what_is_no_capture_is_refused_with_its_first_bytes() {
    assert!(matches!(Context::open(b""), Err(CaptureError::Empty)));
    let error = Context::open(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap_err();
    assert_eq!(error.to_string(), "not a capture file (it starts with 89504e470d0a1a0a)");
    let error = Context::open(b"GMBU\0\x02\x01\0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "not a capture file that can be read here, but a Microsoft Network Monitor 2 capture: convert \
         it with editcap -F pcapng IN OUT.pcapng"
    );
    let cut = &LITTLE.pcap(MICROS, 0, 1)[..20];
    assert!(matches!(Context::open(cut), Err(CaptureError::CutHeader { bytes: 20 })));
}

#[test]
fn aix_numbers_links_and_counts_nanoseconds_in_its_own_way() {
    let swapped = |sec, nanos| {
        let mut record = BIG.words(&[sec, nanos, 90, 60]);
        record.extend(payload(60));
        record
    };
    for (network, link) in [(6, 1), (9, 6), (24, 0), (1, 1)] {
        let head = BIG.pcap_version(MICROS, 2, 65_535, network);
        let seen = serial(&[head, swapped(SEC, 7_000), swapped(SEC + 1, 9_000)].concat());
        assert_eq!(seen.lengths(), [(60, 90), (60, 90)]);
        assert_eq!(seen.records[0].link, link);
        let nanos = if network == 1 { 7_000_000 } else { 7_000 };
        assert_eq!(seen.records[0].time, Some(AT + nanos));
    }
}
