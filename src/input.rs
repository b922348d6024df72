//! What was read of one capture file: the quality of the ground that all findings stand on.
//!
//! Plain data. Filled while reading, judged by the detectors of the capture itself, printed by the
//! reports.

use crate::capture::LinkType;
use crate::stamp::Time;

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
    /// Frames read.
    pub frames: u64,
    /// TCP segments among them.
    pub tcp_segments: u64,
    /// Earliest capture time.
    pub first_time: Option<Time>,
    /// Latest capture time.
    pub last_time: Option<Time>,
    /// Frames that are no TCP segment, by reason; only reasons that occurred, in a fixed order.
    pub skipped: Vec<(&'static str, u64)>,
    /// Damaged places, the first ones, at most [`Input::MAX_DAMAGE`].
    pub damage: Vec<InputDamage>,
    /// How many damaged places there were in all.
    pub damage_total: u64,
}

impl Input {
    /// How many damaged places of a file are listed.
    pub const MAX_DAMAGE: usize = 64;
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
