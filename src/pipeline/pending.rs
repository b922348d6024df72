//! Formatted lines that wait in a shard until no earlier one can come.

use std::io;

use crate::summary::{Order, is_due};

/// The lines of one shard, in the order of their times.
#[derive(Debug)]
pub(super) struct Pending {
    lines: Vec<Line>,
    bytes: Vec<u8>,
    /// Bytes that wait before it is better to write them.
    room: usize,
}

/// A line, and where it stands among all lines. Of those in the same place a shard has the order.
#[derive(Clone, Copy, Debug)]
struct Line {
    order: Order,
    /// Where it ends in the bytes.
    end: usize,
}

impl Pending {
    /// Bytes of memory that are made ahead, for a line: a list that doubles would take twice what it holds.
    const STEP: usize = 8 << 10;

    /// One in which `room` bytes may wait before it is better to write them.
    pub(super) const fn with_room(room: usize) -> Self {
        Self { lines: Vec::new(), bytes: Vec::new(), room }
    }

    /// Whether it is better to write what waits before there is more of it.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= self.room
    }

    /// Appends a line, which `format` appends to the bytes.
    pub(super) fn push(&mut self, order: Order, format: impl FnOnce(&mut Vec<u8>)) {
        let length = self.bytes.len();
        if self.bytes.capacity() - length < Self::STEP {
            // Perf: each time what waits is copied, sixteen times in all if it grew by the same each time, a
            // twelfth of the instructions of a run over 20,000 connections. Half as much again copies it
            // three times, and takes no more than the room in the end.
            let left = (self.room + Self::STEP).saturating_sub(length);
            self.bytes.reserve_exact((length / 2).min(left).max(Self::STEP));
        }
        format(&mut self.bytes);
        self.lines.push(Line { order, end: self.bytes.len() });
    }

    /// Forgets what is due: the first lines as a rule. Of those that ended at the same time a later one
    /// may stand before an earlier one.
    fn forget(&mut self, mark: Option<Order>) {
        let Self { lines, bytes, room } = self;
        let (mut start, mut kept) = (0, 0);
        lines.retain_mut(|line| {
            let place = std::mem::replace(&mut start, line.end)..line.end;
            let stays = !is_due(line.order, mark);
            if stays {
                let length = place.len();
                // Where nothing before it left, it is there already.
                if place.start > kept {
                    bytes.copy_within(place, kept);
                }
                kept += length;
                line.end = kept;
            }
            stays
        });
        bytes.truncate(kept);
        // A single moment, or a single line, may have taken more.
        if bytes.len() <= *room && bytes.capacity() > 2 * (*room + Self::STEP) {
            bytes.shrink_to(*room);
            lines.shrink_to(*room / size_of::<Line>());
        }
    }
}

/// Writes what stands before `mark`, in order, whichever shard it is of; everything
/// where there is no mark any more.
pub(super) fn flush(
    mut of_shards: Vec<&mut Pending>,
    mark: Option<Order>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut due = Vec::new();
    for pending in &of_shards {
        let mut start = 0;
        for line in &pending.lines {
            let place = std::mem::replace(&mut start, line.end)..line.end;
            if is_due(line.order, mark) {
                due.push((line.order, pending.bytes.get(place).unwrap_or_default()));
            }
        }
    }
    due.sort_by_key(|(order, _)| *order);
    due.into_iter().try_for_each(|(_, formatted)| write(formatted))?;
    for pending in &mut of_shards {
        pending.forget(mark);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Time;

    #[test]
    fn lines_of_one_time_come_by_age_and_none_is_lost_in_whatever_order_they_ended() {
        let (mut one, mut other) = (Pending::with_room(64), Pending::with_room(64));
        let push = |pending: &mut Pending, at: i64, id: u64| {
            pending.push((Time::from_nanos(at), id), |bytes| {
                bytes.extend_from_slice(format!("{at}.{id} ").as_bytes());
            });
        };
        for (at, id) in [(1, 7), (5, 9), (5, 2), (5, 30), (5, 4)] {
            push(&mut one, at, id);
        }
        push(&mut other, 5, 3);
        let mut written = Vec::new();
        for mark in [Some((5, 0)), Some((5, 5)), Some((5, 10)), None] {
            let mark = mark.map(|(at, id)| (Time::from_nanos(at), id));
            let take = |line: &[u8]| {
                written.extend_from_slice(line);
                Ok(())
            };
            flush(vec![&mut one, &mut other], mark, take).unwrap();
        }
        assert_eq!(String::from_utf8(written).unwrap(), "1.7 5.2 5.3 5.4 5.9 5.30 ");
        assert!(one.bytes.is_empty() && one.lines.is_empty());
    }
}
