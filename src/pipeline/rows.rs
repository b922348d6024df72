//! Rows of Zeek's conn.log: cut out of the flows and formatted in the shards, beside what becomes
//! of their connections.

use std::ops::Range;

use foldhash::fast::RandomState;

use super::Sink;
use super::pending::Pending;
use crate::flow::{Batch, ZeekRow, ZeekRules, ZeekShard};
use crate::stamp::Time;

/// What a shard keeps for the sake of rows.
#[derive(Debug)]
pub(super) struct Rows {
    shard: ZeekShard,
    collected: Collected,
}

#[derive(Debug)]
struct Collected {
    pending: Pending,
    evicted: u64,
}

impl Rows {
    /// `room` is how many bytes of rows may wait.
    pub(super) fn new(index: usize, rules: ZeekRules, room: usize, hasher: RandomState) -> Self {
        let collected = Collected { pending: Pending::with_room(room), evicted: 0 };
        Self { shard: ZeekShard::new(index, rules, hasher), collected }
    }

    pub(super) fn take(&mut self, batch: &Batch, part: Range<usize>, sink: &dyn Sink) {
        let Self { shard, collected } = self;
        shard.take(batch, part, &mut |row| collected.add(&row, sink));
    }

    pub(super) fn expire(&mut self, clock: Time, sink: &dyn Sink) {
        let Self { shard, collected } = self;
        shard.expire(clock, &mut |row| collected.add(&row, sink));
    }

    pub(super) fn end(&mut self, clock: Time, sink: &dyn Sink) {
        let Self { shard, collected } = self;
        shard.end(clock, &mut |row| collected.add(&row, sink));
    }

    /// Whether it is better to write what waits before there is more of it.
    pub(super) const fn is_full(&self) -> bool {
        self.collected.pending.is_full()
    }

    /// The formatted rows.
    pub(super) const fn pending(&mut self) -> &mut Pending {
        &mut self.collected.pending
    }

    /// Rows that left early for want of room.
    pub(super) const fn evicted(&self) -> u64 {
        self.collected.evicted
    }
}

impl Collected {
    fn add(&mut self, row: &ZeekRow, sink: &dyn Sink) {
        self.evicted += u64::from(row.is_evicted);
        self.pending.push((row.at, row.id), |bytes| sink.format_zeek_row(row, bytes));
    }
}
