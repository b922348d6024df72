//! What was read of one capture file: the quality of the ground that all findings stand on.
//!
//! Plain data. Filled while reading, judged by the detectors of the capture itself, printed by the
//! reports.

use crate::capture::{InterfaceStatistics, LinkType};
use crate::stamp::{Span, Time};

/// One capture file, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Path as the user gave it, or as the folder that the user gave was walked; `-` for stdin.
    pub path: String,
    /// `pcap`, `pcapng` or another format's name.
    pub format: &'static str,
    /// `none`, `gzip`, `zstd` or another compression's name.
    pub compression: &'static str,
    /// Link-layer types of its interfaces, ascending, without repetition.
    pub link_types: Vec<LinkType>,
    /// Length of the file in bytes, as it lies there.
    pub bytes: u64,
    /// Samples of it all lie outside the period that was to be looked at, so it was not read.
    pub not_read: bool,
    /// It begins before the end of what was read ahead of it, and could not be merged with that: a
    /// file in an archive that came through a pipe, or a capture whose first frames have no time.
    pub not_merged: bool,
    /// Frames read.
    pub frames: u64,
    /// Records that are no frames (a custom block, a system call) but are numbered as such, as
    /// Wireshark does.
    pub events: u64,
    /// Frames among them that lie outside the period that was to be looked at.
    pub outside_period: u64,
    /// TCP segments among them that were looked at.
    pub tcp_segments: u64,
    /// TCP segments that a filter left out.
    pub left_out: u64,
    /// TCP segments that another input had shown a moment before: two taps saw the same.
    pub seen_elsewhere: u64,
    /// Earliest capture time.
    pub first_time: Option<Time>,
    /// Latest capture time.
    pub last_time: Option<Time>,
    /// Time before its first frame that no input covers, where that is no mere pause.
    pub gap_before: Option<Span>,
    /// What its interfaces counted, where it says so, by section and interface.
    pub interfaces: Vec<CountedInterface>,
    /// Records that were odd but readable, by what was odd; only what occurred, in a fixed order.
    pub oddities: Vec<(&'static str, u64)>,
    /// Frames that are no TCP segment, by reason; only reasons that occurred, in a fixed order.
    pub skipped: Vec<(&'static str, u64)>,
    /// Damaged places, the first ones, at most [`Input::MAX_DAMAGE`].
    pub damage: Vec<InputDamage>,
    /// How many damaged places there were in all.
    pub damage_total: u64,
    /// What the file shows of how it was captured.
    pub quality: Quality,
}

/// An interface of a pcapng section and what it counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedInterface {
    /// Index of the section in the file, from 0.
    pub section: u32,
    /// Index of the interface in the section, from 0.
    pub interface: u32,
    /// Its name and counters, as the last statistics block has them.
    pub counted: InterfaceStatistics,
}

impl Input {
    /// How many damaged places of a file are listed.
    pub const MAX_DAMAGE: usize = 64;
}

/// What a file shows of how it was captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// What the interfaces counted, where the file says it.
    pub interfaces: Option<InterfaceCounters>,
    /// Times at which capture time ran backwards from one frame to the next.
    pub clock: ClockSteps,
    /// Segments of whose TCP header the snaplen cut something off; those of which too little was
    /// left are among the skipped frames.
    pub cut_headers: Sighting,
    /// TCP checksums, as far as they were verified.
    pub checksums: Checksums,
}

/// What capturing interfaces counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets received.
    pub received: u64,
    /// Packets that the interfaces or the operating system dropped.
    pub dropped: u64,
}

/// How often, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// How often.
    pub count: u64,
    /// The first frame, from 1; 0 for none.
    pub first_frame: u64,
}

impl Sighting {
    /// Counts one more, at frame `frame`; to be called in the order of the frames.
    pub const fn add(&mut self, frame: u64) {
        if self.count == 0 {
            self.first_frame = frame;
        }
        self.count += 1;
    }

    /// Adds what a later part of the file, behind `frames` frames, shows.
    pub const fn absorb(&mut self, later: Self, frames: u64) {
        if self.count == 0 && later.count > 0 {
            self.first_frame = frames + later.first_frame;
        }
        self.count += later.count;
    }
}

/// Steps of the capture's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockSteps {
    /// Frames whose time lies before that of the frame ahead of them.
    pub steps: u64,
    /// The largest step back.
    pub largest: Span,
    /// The frame behind it, from 1, and its time.
    pub at: Option<(u64, Time)>,
}

impl ClockSteps {
    /// Counts a step back by `span`, to the frame `frame` with the time `time`.
    pub fn add(&mut self, span: Span, frame: u64, time: Time) {
        self.steps += 1;
        if span > self.largest {
            (self.largest, self.at) = (span, Some((frame, time)));
        }
    }

    /// Adds what a later part of the file, behind `frames` frames, shows.
    pub fn absorb(&mut self, later: Self, frames: u64) {
        self.steps += later.steps;
        if later.largest > self.largest {
            self.largest = later.largest;
            self.at = later.at.map(|(frame, time)| (frames + frame, time));
        }
    }
}

/// TCP checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// Segments whose checksum was verified: all that were captured whole at the beginning of a
    /// file, and a fixed sample behind it.
    pub verified: u64,
    /// Wrong ones among them.
    pub wrong: Sighting,
    /// Wrong ones that hold what a host leaves to its network card: the sum of the pseudo-header
    /// alone, or nothing.
    pub unfinished: u64,
}

impl Checksums {
    /// Adds what a later part of the file, behind `frames` frames, shows.
    pub const fn absorb(&mut self, later: Self, frames: u64) {
        self.verified += later.verified;
        self.wrong.absorb(later.wrong, frames);
        self.unfinished += later.unfinished;
    }
}

/// A place in a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputDamage {
    /// What is wrong, `snake_case`.
    pub kind: &'static str,
    /// Byte offset in the uncompressed stream.
    pub offset: u64,
    /// Bytes that were passed over before reading went on; to the end where it did not.
    pub skipped_bytes: u64,
    /// Number of the last frame before it, 0 for none.
    pub after_frame: u64,
}
