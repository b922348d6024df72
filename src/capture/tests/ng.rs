//! pcapng, feature by feature.

use super::build::{BIG, LITTLE, payload};
use super::*;

const MICROS: u64 = 1_500_000_000_000_000;
const AT: i64 = 1_500_000_000_000_000_000;

fn start() -> Vec<u8> {
    [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat()
}

fn good(second: u64) -> Vec<u8> {
    LITTLE.packet(0, MICROS + second * 1_000_000, 61, 61)
}

#[test]
fn packets_in_both_byte_orders_have_time_length_and_link() {
    for order in [LITTLE, BIG] {
        let blocks =
            [order.section(), order.interface(113, 96, &[]), order.packet(0, MICROS, 61, 99)];
        let seen = serial(&blocks.concat());
        assert_eq!((seen.times(), seen.lengths()), (vec![Some(AT)], vec![(61, 99)]));
        assert_eq!((seen.records[0].link, seen.records[0].offset), (113, 48));
        assert_eq!(seen.records[0].data, payload(61));
        assert!(seen.damage.is_empty());
    }
}

#[test]
fn each_section_has_its_own_byte_order_and_interfaces() {
    let nanos = BIG.option(9, &[9]);
    let blocks = [
        start(),
        LITTLE.interface(101, 0, &[]),
        LITTLE.packet(1, MICROS, 60, 60),
        BIG.section(),
        BIG.interface(113, 0, &nanos),
        BIG.packet(0, MICROS * 1_000, 60, 60),
        BIG.packet(1, MICROS, 60, 60),
    ];
    let seen = serial(&blocks.concat());
    assert_eq!(seen.times()[..2], [Some(AT), Some(AT)]);
    let links: Vec<u32> = seen.records.iter().map(|record| record.link).collect();
    assert_eq!(links, [101, 113, LinkType::UNKNOWN.0]);
    let offset = seen.records[2].offset;
    assert_eq!(seen.harm(), [(DamageKind::UnknownInterface, offset, 0, 2)]);
}

#[test]
fn simple_packets_have_no_time_and_are_cut_at_the_snapshot_length() {
    let simple = |wire: u32, kept| [&LITTLE.word(wire)[..], &payload(kept)].concat();
    let blocks = [
        LITTLE.section(),
        LITTLE.interface(1, 61, &[]),
        LITTLE.block(3, &simple(1514, 61)),
        LITTLE.block(3, &simple(42, 42)),
    ];
    let seen = serial(&blocks.concat());
    assert_eq!((seen.times(), seen.lengths()), (vec![None, None], vec![(61, 1514), (42, 42)]));
}

#[test]
fn obsolete_packet_blocks_have_a_short_interface_number() {
    let mut body = LITTLE.half(1).to_vec();
    body.extend(LITTLE.half(999));
    let ticks = [u32::try_from(MICROS >> 32).unwrap(), (MICROS & 0xffff_ffff) as u32];
    body.extend(LITTLE.words(&[ticks[0], ticks[1], 60, 90]));
    body.extend(payload(60));
    let blocks = [start(), LITTLE.interface(113, 0, &[]), LITTLE.block(2, &body)];
    let seen = serial(&blocks.concat());
    assert_eq!((seen.times(), seen.lengths()), (vec![Some(AT)], vec![(60, 90)]));
    assert_eq!((seen.records[0].link, seen.records[0].interface), (113, 1));
}

#[test]
fn flags_tell_direction_and_frame_check_sequence() {
    let flags = |bits: u32| LITTLE.option(2, &LITTLE.word(bits));
    let blocks = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &LITTLE.option(13, &[4])),
        LITTLE.packet_with(0, MICROS, 61, 61, &flags(1)),
        LITTLE.packet_with(0, MICROS, 61, 61, &flags(2 | 8 << 5)),
        LITTLE.packet(0, MICROS, 61, 61),
    ];
    let seen = serial(&blocks.concat());
    let told: Vec<_> = seen.records.iter().map(|it| (it.direction, it.fcs_len)).collect();
    assert_eq!(told, [(Direction::Inbound, 4), (Direction::Outbound, 8), (Direction::Unknown, 4)]);
}

#[test]
fn drops_are_told_by_interface_and_section_and_the_last_word_counts() {
    let stats = |interface: u32, dropped: u64| {
        let mut body = LITTLE.words(&[interface, 0, 0]);
        body.extend(LITTLE.option(5, &LITTLE.long(dropped)));
        LITTLE.block(5, &body)
    };
    let named = LITTLE.interface(1, 0, &LITTLE.option(2, b"eth0"));
    let section = [LITTLE.section(), named].concat();
    let seen = serial(&[&section[..], &stats(0, 3), &stats(0, 5), &section, &stats(0, 1)].concat());
    let told: Vec<_> = seen.statistics.iter().map(|(at, it)| (*at, it.dropped)).collect();
    assert_eq!(told, [((0, 0), Some(5)), ((1, 0), Some(1))]);
    assert_eq!(seen.statistics[&(0, 0)].name, "eth0");
}

#[test]
fn what_wireshark_numbers_is_numbered_and_all_else_is_passed_over() {
    let blocks = [
        start(),
        good(0),
        LITTLE.block(4, &[0; 4]),
        LITTLE.block(10, b"LSKT\x04\0\0\0abcd"),
        LITTLE.block(0x7777, b"whatever"),
        LITTLE.block(9, b"__REALTIME_TIMESTAMP=1\n"),
        LITTLE.block(0xbad, &[1; 8]),
        good(1),
    ];
    let seen = serial(&blocks.concat());
    let links: Vec<u32> = seen.records.iter().map(|record| record.link).collect();
    assert_eq!(links, [1, LinkType::EVENT.0, LinkType::EVENT.0, 1]);
    assert_eq!((seen.events, seen.damage.is_empty()), (2, true));
}

#[test]
fn malformed_options_cost_the_option_only() {
    let bad = [LITTLE.option(2, &[1, 2]), LITTLE.option(2, &LITTLE.word(1))].concat();
    let long = [&LITTLE.half(1)[..], &LITTLE.half(999), b"abcd"].concat();
    let blocks = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[LITTLE.option(9, &[9, 9]), LITTLE.option(3, &[0xff])].concat()),
        LITTLE.packet_with(0, MICROS, 61, 61, &bad),
        LITTLE.packet_with(0, MICROS, 61, 61, &long),
    ];
    let seen = serial(&blocks.concat());
    assert_eq!(seen.times(), [Some(AT), Some(AT)]);
    assert_eq!(seen.records[0].direction, Direction::Inbound);
    assert_eq!((seen.oddities.bad_options, seen.damage.is_empty()), (3, true));
}

#[test]
fn a_packet_longer_than_its_block_gives_what_is_there() {
    let mut body = LITTLE.words(&[0, 0, 0, 5000, 5000]);
    body.extend(payload(40));
    let seen = serial(&[start(), LITTLE.block(6, &body), good(0)].concat());
    assert_eq!(seen.lengths(), [(40, 5000), (61, 61)]);
    assert_eq!(seen.harm(), [(DamageKind::ShortBlock, 48, 0, 0)]);
}

#[test]
fn blocks_too_short_for_their_fields_are_passed_over_and_numbers_stay() {
    let blocks = [start(), LITTLE.block(1, &[1, 0, 0, 0]), LITTLE.interface(113, 0, &[]), good(0)];
    let last = [LITTLE.block(6, &[0; 8]), LITTLE.packet(2, MICROS, 60, 60)];
    let seen = serial(&[blocks.concat(), last.concat()].concat());
    assert_eq!(seen.records[1].link, 113);
    let kinds: Vec<_> = seen.harm().iter().map(|it| (it.0, it.2)).collect();
    assert_eq!(kinds, [(DamageKind::ShortBlock, 16), (DamageKind::ShortBlock, 20)]);
}

#[test]
fn lengths_that_leave_out_the_padding_are_understood() {
    let mut odd = good(1);
    let len = odd.len();
    odd[4] -= 3;
    odd[len - 4] -= 3;
    let seen = serial(&[start(), good(0), odd, good(2)].concat());
    assert_eq!(seen.lengths(), [(61, 61); 3]);
    assert!(seen.damage.is_empty());
}

#[test]
fn a_wrong_trailing_length_is_told_and_the_block_used() {
    let mut odd = good(1);
    let len = odd.len();
    odd[len - 4] ^= 0x40;
    let seen = serial(&[start(), good(0), odd, good(2)].concat());
    assert_eq!(seen.records.len(), 3);
    assert_eq!(seen.harm(), [(DamageKind::TrailerMismatch, 48 + 96, 0, 1)]);
}

#[test]
fn a_section_with_a_wrong_trailing_length_counts() {
    let mut section = BIG.section();
    section[27] = 9;
    let blocks = [section, BIG.interface(113, 0, &[]), BIG.packet(0, MICROS, 60, 60)];
    let seen = serial(&blocks.concat());
    assert_eq!(seen.records[0].link, 113);
    assert_eq!(seen.harm(), [(DamageKind::TrailerMismatch, 0, 0, 0)]);
}

#[test]
fn the_walk_goes_on_behind_destroyed_blocks() {
    for lost in [0, 1, 7] {
        let mut bytes = [start(), (0..20).flat_map(good).collect()].concat();
        let hit = 48 + 5 * 96;
        bytes[hit..hit + 40].fill(0xee);
        bytes.drain(hit + 40..hit + 40 + lost);
        let seen = serial(&bytes);
        let skipped = 96 - lost as u64;
        assert_eq!(seen.records.len(), 19);
        assert_eq!(seen.harm(), [(DamageKind::BadRecord, hit as u64, skipped, 5)]);
    }
}

#[test]
fn a_file_that_ends_inside_a_block_gives_all_blocks_before_it() {
    let whole = [start(), good(0), good(1), good(2)].concat();
    for cut in 1..96 {
        let seen = serial(&whole[..whole.len() - cut]);
        assert_eq!(seen.records.len(), 2);
        let left = 96 - u64::try_from(cut).unwrap();
        assert_eq!(seen.harm(), [(DamageKind::CutRecord, 48 + 2 * 96, left, 2)]);
    }
}

#[test]
fn interfaces_beyond_the_limit_are_damage_and_take_no_memory() {
    let mut bytes = LITTLE.section();
    for _ in 0..=MAX_INTERFACES {
        bytes.extend(LITTLE.interface(1, 0, &[]));
    }
    let last = u32::try_from(MAX_INTERFACES).unwrap();
    bytes.extend(LITTLE.packet(last - 1, MICROS, 60, 60));
    bytes.extend(LITTLE.packet(last, MICROS, 60, 60));
    let seen = serial(&bytes);
    assert_eq!((seen.records[0].link, seen.records[1].link), (1, LinkType::UNKNOWN.0));
    assert_eq!(seen.damage.places(), 1);
}

#[test]
fn leading_interfaces_belong_to_the_header() {
    let bytes = [start(), LITTLE.interface(113, 0, &[]), good(0)].concat();
    let (mut context, used) = Context::open(&bytes).unwrap();
    assert_eq!((used, context.interfaces().0, context.interfaces().1.len()), (68, 0, 2));
    let window = Window { bytes: &bytes, base: 0, at_end: true };
    assert!(!context.walk(window, used..bytes.len(), &mut |_| {}).context_changed);
}
