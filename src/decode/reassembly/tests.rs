//! Fragments in every order, and what contradicts itself.

use super::*;
use crate::capture::LinkType;
use crate::decode::decode;

/// A TCP header and 12 bytes of payload: four pieces of 8 bytes.
fn payload() -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
    bytes.extend(1..=12);
    bytes
}

/// A piece of an IPv4 packet: offset in units of 8 bytes.
fn piece(id: u16, offset: u16, more: bool, bytes: &[u8]) -> Fragment {
    let total = u16::try_from(20 + bytes.len()).unwrap().to_be_bytes();
    let place = (offset | if more { 0x2000 } else { 0 }).to_be_bytes();
    let id = id.to_be_bytes();
    let mut packet = vec![0x45, 0, total[0], total[1], id[0], id[1], place[0], place[1], 64, 6];
    packet.extend([0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(bytes);
    let length = u32::try_from(packet.len()).unwrap();
    let mut out = Decoded::default();
    match decode(LinkType(101), &packet, length, &Settings::default(), &mut out) {
        Outcome::Fragment(fragment) => fragment,
        other => panic!("{other:?}"),
    }
}

fn pieces(id: u16) -> Vec<Fragment> {
    let bytes = payload();
    (0..4_u16)
        .map(|n| piece(id, n, n < 3, &bytes[usize::from(n) * 8..usize::from(n) * 8 + 8]))
        .collect()
}

struct Test {
    reassembler: Reassembler,
    frame: u64,
    out: Decoded,
}

impl Test {
    fn new() -> Self {
        Self { reassembler: Reassembler::new(), frame: 0, out: Decoded::default() }
    }

    fn push(&mut self, fragment: &Fragment, secs: i64) -> Pushed {
        self.frame += 1;
        let time = Time::from_nanos(secs * 1_000_000_000);
        let id = FrameId::new(0, self.frame);
        self.reassembler.push(fragment, time, id, &Settings::default(), &mut self.out)
    }

    fn skipped(mut self, skip: Skip) -> u64 {
        self.reassembler.finish();
        self.reassembler.skipped().get(&0).map_or(0, |counts| counts.of(skip))
    }
}

#[test]
fn pieces_in_any_order_make_the_whole() {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    for order in orders {
        let mut test = Test::new();
        let pieces = pieces(7);
        let pushed = order.map(|index| test.push(&pieces[index], 1));
        assert_eq!(pushed[..3], [Pushed::Held, Pushed::Held, Pushed::Held]);
        assert_eq!(pushed[3], Pushed::Complete(Outcome::Segment), "{order:?}");
        assert_eq!((test.out.segment.payload_len, test.out.tuple.source.port), (12, 40_000));
        assert!(test.out.segment.marks.contains(Marks::REASSEMBLED));
        assert_eq!(test.skipped(Skip::Fragment), 3);
    }
}

#[test]
fn a_piece_seen_twice_changes_nothing() {
    let mut test = Test::new();
    for piece in &pieces(7)[..3] {
        assert_eq!(test.push(piece, 1), Pushed::Held);
        assert_eq!(test.push(piece, 1), Pushed::Held);
    }
    assert_eq!(test.push(&pieces(7)[3], 1), Pushed::Complete(Outcome::Segment));
}

#[test]
fn overlapping_pieces_that_disagree_give_the_packet_up() {
    let mut test = Test::new();
    test.push(&pieces(7)[0], 1);
    test.push(&piece(7, 0, true, &[9; 8]), 1);
    for piece in &pieces(7)[1..] {
        assert_eq!(test.push(piece, 1), Pushed::Held, "nothing can come of it any more");
    }
    assert_eq!(test.skipped(Skip::FragmentConflict), 5);
}

#[test]
fn two_ends_that_disagree_give_the_packet_up() {
    let mut test = Test::new();
    test.push(&pieces(7)[3], 1);
    test.push(&piece(7, 5, false, &[1; 8]), 1);
    assert_eq!(test.skipped(Skip::FragmentConflict), 2);
}

#[test]
fn packets_that_are_not_complete_in_time_expire_on_the_capture_clock() {
    let mut test = Test::new();
    for piece in &pieces(7)[..3] {
        test.push(piece, 1);
    }
    assert_eq!(test.push(&pieces(7)[3], 40), Pushed::Held, "the others have expired");
    assert_eq!(test.skipped(Skip::FragmentIncomplete), 4);
}

#[test]
fn ids_keep_packets_apart() {
    let mut test = Test::new();
    for (one, other) in pieces(7).iter().zip(&pieces(8)).take(3) {
        test.push(one, 1);
        test.push(other, 1);
    }
    assert_eq!(test.push(&pieces(8)[3], 1), Pushed::Complete(Outcome::Segment));
    assert_eq!(test.skipped(Skip::FragmentIncomplete), 3);
}

#[test]
fn a_flood_of_first_pieces_stays_within_its_bound() {
    let mut test = Test::new();
    let count = u16::try_from(MAX_PACKETS).unwrap() + 1_000;
    for id in 0..count {
        test.push(&pieces(id)[0], 1);
    }
    assert!(test.reassembler.packets.len() <= MAX_PACKETS);
    assert_eq!(test.skipped(Skip::FragmentEvicted), 1_000);
}
