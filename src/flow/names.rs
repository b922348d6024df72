//! The names of frames in a run: what connections are numbered by.
//!
//! Frames count from 1 over all inputs where inputs follow one another. Where they overlap, an
//! input's names begin behind all that the inputs before it may need.

use super::strip::Strip;
use crate::stamp::FrameId;

/// What a frame's number is added to, for each file that had a segment for a shard; by file.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(u32, u64)>);

impl Names {
    /// Learns of the file of a range that holds a segment.
    pub(super) fn note(&mut self, strip: &Strip) {
        let file = strip.first.file();
        if self.0.last().is_some_and(|last| last.0 == file) {
            return;
        }
        if let Err(at) = self.0.binary_search_by_key(&file, |known| known.0) {
            let before = (strip.frames_before + 1).saturating_sub(strip.first.number());
            self.0.insert(at, (file, before));
        }
    }

    /// The name of a frame in a file that was noted.
    pub(super) fn of(&self, frame: FrameId) -> u64 {
        let at = self.0.binary_search_by_key(&frame.file(), |known| known.0);
        let known = at.ok().and_then(|at| self.0.get(at));
        known.map_or(0, |(_, before)| before + frame.number())
    }
}
