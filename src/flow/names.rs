//! The names of frames in a run: what connections are numbered by.
//!
//! Frames count from 1 over all inputs where inputs follow one another. Where they overlap, an
//! input's names begin behind all that the inputs before it may need.

use crate::stamp::FrameId;

/// What a frame's number is added to, by file. There is one list of them for all shards.
#[derive(Debug, Default)]
pub struct Names(Vec<u64>);

impl Names {
    /// Learns that frames of a file are named by their number and `before`.
    pub fn learn(&mut self, file: u32, before: u64) {
        let at = file as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        if let Some(known) = self.0.get_mut(at) {
            *known = before;
        }
    }

    /// The name of a frame in a file that was learnt of.
    #[must_use]
    pub fn of(&self, frame: FrameId) -> u64 {
        self.0.get(frame.file() as usize).map_or(0, |before| before + frame.number())
    }
}
