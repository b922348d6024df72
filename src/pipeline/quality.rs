//! What a range of an input shows of how it was captured: its clock, cut headers, checksums, and
//! what the interfaces counted.
//!
//! Collected while a chunk is read, with frames counted within the chunk, and added up in the order
//! of the file. Whether a checksum is verified depends on the record's offset and the file's place
//! alone, so that it is the same however the file was cut.

use crate::capture::Statistics;
use crate::input::{InterfaceCounters, Quality};
use crate::stamp::Time;
use crate::tcp::Marks;

/// Bytes at the beginning of an input in which every checksum is verified.
const ALL_VERIFIED: u64 = 256 << 10;

/// So many inputs have as many. Those behind them are an archive of files, where that would be most
/// of each: 10,000 files of 100 packets took a third more CPU time.
const WELL_VERIFIED: u32 = 16;

/// Bytes at the beginning of each further input.
const FEW_VERIFIED: u64 = 16 << 10;

/// So many inputs have that. Those behind them are pieces of the same captures as a rule, and what is
/// verified goes the long way: with 2 KiB, a fifth of what a file of 100 packets costs beside its packets.
const VERIFIED: u32 = 512;

/// Bytes at the beginning of each input behind those.
const LEAST_VERIFIED: u64 = 512;

/// Behind them, one segment in so many: the sum over a payload costs as much as all the rest of its
/// decoding, and offload or a broken link shows in any sample.
const SAMPLE: u32 = 6;

/// Bytes at the beginning of the input with this index in which every checksum is verified.
pub(super) const fn all_verified(input: u32) -> u64 {
    match input {
        ..WELL_VERIFIED => ALL_VERIFIED,
        WELL_VERIFIED..VERIFIED => FEW_VERIFIED,
        VERIFIED.. => LEAST_VERIFIED,
    }
}

/// Whether the checksum of the segment in the record at `offset` is to be verified, of an input in
/// which those before `all` are.
#[inline]
pub(super) const fn is_verified(offset: u64, all: u64) -> bool {
    // Multiplied with 2^64 over the golden ratio: the highest bits are spread evenly.
    offset < all || offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SAMPLE) == 0
}

/// What was seen of a range.
#[derive(Debug, Default)]
pub(super) struct Seen {
    quality: Quality,
    /// Time of the first frame that has one.
    first: Option<(u64, Time)>,
    last: Option<Time>,
    statistics: Statistics,
}

impl Seen {
    /// A frame with its time; `frame` counts from 1.
    #[inline]
    pub(super) fn tick(&mut self, frame: u64, time: Time) {
        match self.last {
            Some(last) if time < last => self.quality.clock.add(last.since(time), frame, time),
            Some(_) => {}
            None => self.first = Some((frame, time)),
        }
        self.last = Some(time);
    }

    /// A segment that did not go the short way.
    pub(super) fn segment(&mut self, frame: u64, marks: Marks) {
        if marks.contains(Marks::CUT_HEADER) {
            self.quality.cut_headers.add(frame);
        }
        if marks.contains(Marks::CHECKSUM_VERIFIED) {
            let checksums = &mut self.quality.checksums;
            checksums.verified += 1;
            if marks.contains(Marks::BAD_CHECKSUM) {
                checksums.wrong.add(frame);
                checksums.unfinished += u64::from(marks.contains(Marks::UNFINISHED_CHECKSUM));
            }
        }
    }

    /// What the interfaces told.
    pub(super) fn told(&mut self, statistics: Statistics) {
        if !statistics.is_empty() {
            self.statistics.extend(statistics);
        }
    }

    /// Adds what the next range shows, which begins behind `frames` frames.
    pub(super) fn absorb(&mut self, later: &Self, frames: u64) {
        if let (Some(last), Some((frame, time))) = (self.last, later.first)
            && time < last
        {
            self.quality.clock.add(last.since(time), frames + frame, time);
        }
        let (own, other) = (&mut self.quality, &later.quality);
        own.clock.absorb(other.clock, frames);
        own.cut_headers.absorb(other.cut_headers, frames);
        own.checksums.absorb(other.checksums, frames);
        self.first = self.first.or(later.first.map(|(frame, time)| (frames + frame, time)));
        self.last = later.last.or(self.last);
        for (interface, told) in &later.statistics {
            self.statistics.insert(*interface, told.clone());
        }
    }

    /// All of it.
    pub(super) fn finish(self) -> Quality {
        let counted =
            self.statistics.values().fold(None, |sum: Option<InterfaceCounters>, told| {
                let lost =
                    [told.dropped, told.os_dropped].into_iter().flatten().reduce(|a, b| a + b);
                if lost.is_none() && told.received.is_none() {
                    return sum;
                }
                let sum = sum.unwrap_or_default();
                Some(InterfaceCounters {
                    received: sum.received.saturating_add(told.received.unwrap_or(0)),
                    dropped: sum.dropped.saturating_add(lost.unwrap_or(0)),
                })
            });
        Quality { interfaces: counted, ..self.quality }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn seen(times: &[i64]) -> Seen {
        let mut seen = Seen::default();
        for (time, frame) in times.iter().zip(1..) {
            seen.tick(frame, at(*time));
        }
        seen
    }

    #[test]
    fn steps_of_the_clock_are_the_same_however_the_file_is_cut() {
        let times = [10, 20, 15, 15, 40, 5, 6];
        let whole = seen(&times).finish();
        assert_eq!((whole.clock.steps, whole.clock.at), (2, Some((6, at(5)))));
        for cut in 0..=times.len() {
            let (one, other) = times.split_at(cut);
            let mut both = seen(one);
            both.absorb(&seen(other), one.len() as u64);
            assert_eq!(both.finish(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn the_sample_behind_the_beginning_is_about_one_in_64() {
        let offsets = (ALL_VERIFIED..ALL_VERIFIED + 90_000_000).step_by(90);
        let count = offsets.filter(|offset| is_verified(*offset, ALL_VERIFIED)).count();
        assert!((12_000..20_000).contains(&count), "{count} of 1,000,000");
        assert!(is_verified(24, all_verified(0)) && is_verified(24, all_verified(9_999)));
    }
}
