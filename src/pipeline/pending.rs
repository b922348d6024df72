//! Formatted lines that wait in a shard until no earlier one can come.

use std::io;

use crate::stamp::Time;

/// The lines of one shard, in the order of their times.
#[derive(Debug, Default)]
pub(super) struct Pending {
    lines: Vec<Line>,
    bytes: Vec<u8>,
}

/// A line: orders by the time at which what it speaks of ended, then by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    at: Time,
    id: u64,
    /// Where it ends in the bytes.
    end: usize,
}

impl Pending {
    /// Bytes of one shard that wait before it is better to write them.
    const MANY: usize = 256 << 10;
    /// Bytes of memory that an empty one keeps.
    const SPARE: usize = 256 << 10;

    /// Whether it is better to write what waits before there is more of it.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= Self::MANY
    }

    /// Appends a line, which `format` appends to the bytes.
    pub(super) fn push(&mut self, at: Time, id: u64, format: impl FnOnce(&mut Vec<u8>)) {
        format(&mut self.bytes);
        self.lines.push(Line { at, id, end: self.bytes.len() });
    }

    /// Forgets the first `count` lines.
    fn forget(&mut self, count: usize) {
        let Some(end) = count.checked_sub(1).and_then(|last| self.lines.get(last)).map(|it| it.end)
        else {
            return;
        };
        self.bytes.drain(..end);
        self.lines.drain(..count);
        self.lines.iter_mut().for_each(|line| line.end -= end);
        if self.bytes.len() < Self::SPARE && self.bytes.capacity() > 4 * Self::SPARE {
            self.bytes.shrink_to(Self::SPARE);
            self.lines.shrink_to(Self::SPARE / size_of::<Line>());
        }
    }
}

/// Writes what stands before `mark`, a time and an id, in order, whichever shard it is of; everything
/// where there is no mark any more.
pub(super) fn flush(
    mut of_shards: Vec<&mut Pending>,
    mark: Option<(Time, u64)>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let is_due = |line: &Line| mark.is_none_or(|mark| (line.at, line.id) < mark);
    let mut due = Vec::new();
    for pending in &of_shards {
        let mut start = 0;
        for line in pending.lines.iter().take_while(|line| is_due(line)) {
            due.push((line.at, line.id, pending.bytes.get(start..line.end).unwrap_or_default()));
            start = line.end;
        }
    }
    due.sort_unstable_by_key(|(at, id, _)| (*at, *id));
    due.into_iter().try_for_each(|(_, _, formatted)| write(formatted))?;
    for pending in &mut of_shards {
        let count = pending.lines.partition_point(is_due);
        pending.forget(count);
    }
    Ok(())
}
