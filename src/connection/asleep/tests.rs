//! The compact form gives back what was put in, and says when it cannot.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::form::seldom;
use super::pack::Room;
use super::unpack::unpack;
use crate::stamp::{FrameId, Time};

/// One of every kind of value that a connection is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    flags: (bool, bool),
    small: [u8; 3],
    numbers: (u16, u32, u64, i8, i16, i32, i64),
    times: Vec<Time>,
    frames: Vec<Option<FrameId>>,
    text: String,
    share: f64,
    letter: char,
    choice: Choice,
    boxed: Option<Box<Choice>>,
    #[serde(with = "seldom")]
    places: [u16; 4],
    many: Many,
}

/// More of them than a few bits tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Many {
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    A8,
    A9,
    A10,
    A11,
    A12,
    A13,
    A14,
    A15,
    A16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(i64),
    Two(u8, Time),
    Named { time: Time, frame: FrameId },
}

fn times() -> impl Strategy<Value = Time> {
    let far = any::<i64>().prop_map(|nanos| Time::from_nanos(nanos / 4));
    let near =
        (1_767_323_045_000_000_000..1_767_323_046_000_000_000_i64).prop_map(Time::from_nanos);
    prop_oneof![Just(Time::MAX), Just(Time::MIN), Just(Time::from_nanos(0)), far, near]
}

fn frames() -> impl Strategy<Value = FrameId> {
    (0..1_u32 << 24, 0..1_u64 << 40).prop_map(|(file, number)| FrameId::new(file, number))
}

fn choices() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<i64>().prop_map(Choice::One),
        (any::<u8>(), times()).prop_map(|(byte, time)| Choice::Two(byte, time)),
        (times(), frames()).prop_map(|(time, frame)| Choice::Named { time, frame }),
    ]
}

prop_compose! {
    fn everything()(
        flags in any::<(bool, bool)>(),
        small in any::<[u8; 3]>(),
        numbers in any::<(u16, u32, u64, i8, i16, i32, i64)>(),
        times in prop::collection::vec(times(), 0..20),
        frames in prop::collection::vec(prop::option::of(frames()), 0..20),
        text in ".{0,20}",
        share in prop::num::f64::NORMAL,
        letter in any::<char>(),
        choice in choices(),
        boxed in prop::option::of(choices().prop_map(Box::new)),
        places in prop::array::uniform4(prop_oneof![Just(0), any::<u16>()]),
        many in prop::sample::select(vec![Many::A0, Many::A14, Many::A15, Many::A16]),
    ) -> Everything {
        Everything {
            flags, small, numbers, times, frames, text, share, letter, choice, boxed, places, many,
        }
    }
}

fn packed<T: Serialize>(value: &T) -> Box<[u8]> {
    Room::new(4096).pack(value).expect("there is room").to_bytes()
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(value in everything()) {
        prop_assert_eq!(unpack::<Everything>(&packed(&value)), Ok(value));
    }

    #[test]
    fn too_little_room_is_said(value in everything(), cut in 0_usize..4096) {
        let mut room = Room::new(4096);
        let needed = room.pack(&value).expect("there is room").numbers.len();
        prop_assert!(Room::new(cut % needed).pack(&value).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = unpack::<Everything>(&bytes);
    }

    #[test]
    fn bytes_that_are_cut_short_are_refused(value in everything(), cut in 0_usize..4096) {
        let bytes = packed(&value);
        prop_assert!(unpack::<Everything>(&bytes[..cut % bytes.len()]).is_err());
    }
}

#[test]
fn more_bits_than_there_is_room_for_are_said() {
    let mut room = Room::new(4096);
    assert!(room.pack(&vec![true; 255 * 64]).is_ok());
    assert!(room.pack(&vec![true; 255 * 64 + 1]).is_err());
}

#[test]
fn times_and_frames_close_to_one_another_take_few_bytes() {
    let at = |micros: i64| Time::from_nanos(1_767_323_045_000_000_000 + micros * 1_000);
    let near: Vec<_> =
        (0..10_u8).map(|n| (at(n.into()), FrameId::new(7, 900 + u64::from(n)))).collect();
    // How many words of bits, and one; two words of lengths, and the length of the list; the first of
    // each in full, and nine of 2 bytes and of 1.
    let len = packed(&near).len();
    assert!(len <= 1 + 8 + 2 * 8 + 1 + 8 + 6 + 9 * 3, "{len} bytes");
    let again = packed(&[near.clone(), near]).len();
    assert!(again <= len + 1 + 20 * 7 / 8 + 8, "{again} bytes");
}

#[test]
fn zeros_take_few_bits() {
    assert_eq!(packed(&[0_u64; 16]).len(), 1 + 8 + 8);
    assert_eq!(packed(&[[None::<u8>; 32]; 2]).len(), 1 + 8);
    assert_eq!(packed(&[0_u8; 32]).len(), 1 + 8);
}
