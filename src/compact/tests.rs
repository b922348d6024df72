//! The compact form gives back what was put in, and says when it cannot.

use std::collections::VecDeque;
use std::net::IpAddr;

use proptest::prelude::*;

use super::{Compact, Room};
use crate::connection::Mark;
use crate::stamp::{FrameId, Time};

/// One of every kind of value that is written.
#[derive(Clone, Debug, Default, PartialEq)]
struct Everything {
    flags: (bool, bool),
    small: [u8; 3],
    numbers: (u16, u32),
    long: (u64, i64),
    size: usize,
    times: Vec<Time>,
    frames: VecDeque<Option<FrameId>>,
    address: Option<IpAddr>,
    choice: Choice,
    boxed: Option<Box<Choice>>,
    places: [Place; 4],
    apart: u32,
}

compact!(struct Everything {
    flags, small, numbers, long, size, times, frames, address, choice, boxed, places; apart
});

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Choice {
    #[default]
    Nothing,
    One(i64),
    Two(u8),
    Time(Time),
    Frame(FrameId),
}

compact!(
    enum Choice {
        Nothing,
        One(number),
        Two(byte),
        Time(time),
        Frame(frame),
    }
);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Place(u16, Wrapped<bool>);

compact!(struct Place as (number, wrapped));

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Wrapped<T> {
    value: T,
}

compact!([T: Compact] struct Wrapped<T> { value });

fn times() -> impl Strategy<Value = Time> {
    let near =
        (1_767_323_045_000_000_000..1_767_323_046_000_000_000_i64).prop_map(Time::from_nanos);
    let far = any::<i64>().prop_map(Time::from_nanos);
    prop_oneof![Just(Time::MAX), Just(Time::MIN), Just(Time::from_nanos(0)), far, near]
}

fn frames() -> impl Strategy<Value = FrameId> {
    (0..1_u32 << 24, 0..1_u64 << 40).prop_map(|(file, number)| FrameId::new(file, number))
}

/// Numbers of all lengths.
fn numbers() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(number, fewer)| number >> fewer)
}

fn choices() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<i64>().prop_map(Choice::One),
        any::<u8>().prop_map(Choice::Two),
        times().prop_map(Choice::Time),
        frames().prop_map(Choice::Frame),
    ]
}

prop_compose! {
    fn everything()(
        flags in any::<(bool, bool)>(),
        small in any::<[u8; 3]>(),
        numbers in any::<(u16, u32)>(),
        long in (numbers(), any::<i64>()),
        size in 0..1_usize << 40,
        times in prop::collection::vec(times(), 0..20),
        frames in prop::collection::vec_deque(prop::option::of(frames()), 0..20),
        address in prop::option::of(any::<IpAddr>()),
        choice in choices(),
        boxed in prop::option::of(choices().prop_map(Box::new)),
        places in prop::array::uniform4((any::<u16>(), any::<bool>())),
    ) -> Everything {
        let places = places.map(|(number, value)| Place(number, Wrapped { value }));
        Everything { flags, small, numbers, long, size, times, frames, address, choice, boxed, places, apart: 0 }
    }
}

fn packed<T: Compact>(value: &T) -> Box<[u8]> {
    Room::new().pack(value).expect("there is room").into()
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(value in everything()) {
        prop_assert_eq!(Room::new().unpack::<Everything>(&packed(&value)), Some(value));
    }

    #[test]
    fn numbers_of_all_lengths_are_unpacked(numbers in prop::collection::vec(numbers(), 0..300)) {
        let bytes = packed(&numbers);
        prop_assert_eq!(Room::new().unpack::<Vec<u64>>(&bytes), Some(numbers));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Room::new().unpack::<Everything>(&bytes);
    }

    #[test]
    fn bytes_that_are_cut_short_are_refused(value in everything(), cut in 0_usize..4096) {
        let bytes = packed(&value);
        prop_assert_eq!(Room::new().unpack::<Everything>(&bytes[..cut % bytes.len()]), None);
    }
}

#[test]
fn more_than_there_is_room_for_is_said() {
    let bits = |count: usize| vec![true; count];
    // That there is one takes a bit, its length 1 + 6 + 15.
    let most = 8 * Room::BYTES - 23;
    assert_eq!(packed(&bits(most)).len(), Room::BYTES);
    assert_eq!(Room::new().unpack::<Vec<bool>>(&packed(&bits(most))), Some(bits(most)));
    assert_eq!(Room::new().pack(&bits(most + 1)), None);
    assert_eq!(Room::new().pack(&bits(3 * most)), None);
    assert_eq!(Room::new().unpack::<Vec<bool>>(&[0xff; 1 + Room::BYTES]), None);
}

#[test]
fn what_is_left_out_comes_back_empty() {
    let value = Everything { apart: 7, ..Everything::default() };
    let unpacked = Room::new().unpack(&packed(&value));
    assert_eq!(unpacked, Some(Everything::default()));
}

#[test]
fn times_and_frames_close_to_one_another_take_few_bytes() {
    let at = |micros: i64| Time::from_nanos(1_767_323_045_000_000_000 + micros * 1_000);
    let mark = |n: u8| Mark { time: at(n.into()), frame: FrameId::new(7, 900 + u64::from(n)) };
    let near: Vec<_> = (0..10).map(mark).collect();
    // The length of the list; the first of each in full, and nine of 2 + 6 + 10 and of 2 + 6 + 1 bits.
    let bits = 11 + 1 + 69 + 51 + 9 * (1 + 18 + 9_usize);
    assert_eq!(packed(&near).len(), bits.div_ceil(8));
    assert_eq!(packed(&(near.clone(), near)).len(), (bits + 1 + 10 + 10 * 7).div_ceil(8));
}

#[test]
fn what_is_empty_takes_a_bit() {
    assert_eq!(packed(&Everything::default()).len(), 2);
    assert_eq!(packed(&[0_u64; 16]).len(), 2);
    assert_eq!(packed(&[[None::<u8>; 32]; 32]).len(), 4);
    assert_eq!(packed(&[[0_u8; 32], [1; 32]]).len(), 1 + 4 + 32);
}
