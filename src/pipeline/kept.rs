//! The connections that an analysis will list, bounded.
//!
//! Of the connections that a detector marked, the earliest are kept, so many for each detector. The
//! same ones are kept whatever the order in which they come, so the shards can collect them apart.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};

use rayon::prelude::*;

use super::Keep;
use crate::analysis::JudgedConnection;
use crate::finding::Code;

/// Connections that are to be listed, by id.
#[derive(Debug, Default)]
pub(super) struct Kept {
    by_id: BTreeMap<u64, Box<Held>>,
    /// For each detector the ids of the earliest connections that it marked.
    earliest: BTreeMap<Code, BinaryHeap<u64>>,
    /// For each detector of which the run has as many as it will list, the latest of their ids.
    full: BTreeMap<Code, u64>,
}

/// A connection, and for how many detectors it is among the earliest.
#[derive(Debug)]
struct Held {
    judged: JudgedConnection,
    marks: usize,
}

impl Kept {
    /// Marked connections of one shard that wait before it is better to pick the earliest of all
    /// shards.
    const MANY: usize = 16;

    /// Whether it is better to hand over what is kept before there is more of it.
    pub(super) fn is_full(&self, keep: Keep) -> bool {
        keep == Keep::Flagged && self.by_id.len() >= Self::MANY
    }

    /// Whether a connection that these detectors marked would be kept; `limit` is how many of one
    /// detector are.
    pub(super) fn wants(&self, keep: Keep, id: u64, marks: &[Code], limit: usize) -> bool {
        match keep {
            Keep::All => true,
            Keep::None => false,
            Keep::Flagged => marks.iter().any(|code| {
                let of_run = self.full.get(code).copied();
                [of_run, self.latest(*code, limit)].into_iter().flatten().all(|latest| id < latest)
            }),
        }
    }

    /// The last id of a detector of which there are as many as are kept.
    fn latest(&self, code: Code, limit: usize) -> Option<u64> {
        let full = self.earliest.get(&code).filter(|ids| ids.len() >= limit)?;
        Some(full.peek().copied().unwrap_or_default())
    }

    /// Keeps a connection that is wanted, and lets go of those that are not among the earliest any
    /// more.
    pub(super) fn add(&mut self, keep: Keep, judged: JudgedConnection, limit: usize) {
        let id = judged.record.id;
        if keep == Keep::All {
            self.by_id.insert(id, Box::new(Held { judged, marks: 1 }));
            return;
        }
        let mut marks = 0;
        let mut over = Vec::new();
        for code in &judged.findings {
            let ids = self.earliest.entry(*code).or_default();
            ids.push(id);
            marks += 1;
            if ids.len() > limit {
                over.extend(ids.pop());
            }
        }
        self.by_id.insert(id, Box::new(Held { judged, marks }));
        for id in over {
            if let Entry::Occupied(mut held) = self.by_id.entry(id) {
                held.get_mut().marks -= 1;
                if held.get().marks == 0 {
                    held.remove();
                }
            }
        }
    }

    /// Takes over what a shard keeps, and tells it for which detectors there are enough.
    pub(super) fn absorb(&mut self, other: &mut Self, keep: Keep, limit: usize) {
        other.earliest.clear();
        for (id, held) in std::mem::take(&mut other.by_id) {
            if self.wants(keep, id, &held.judged.findings, limit) {
                self.add(keep, held.judged, limit);
            }
        }
        let full = self.earliest.keys();
        other.full = full.filter_map(|code| Some((*code, self.latest(*code, limit)?))).collect();
    }

    /// The connections in the order in which they began.
    pub(super) fn into_connections(self) -> Vec<JudgedConnection> {
        // Perf: moved by all threads, the memory of the list being new: 6 ms of 300 at 16 threads.
        let held: Vec<Box<Held>> = self.by_id.into_values().collect();
        held.into_par_iter().map(|held| held.judged).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::samples::open;

    fn judged(id: u64, codes: &[u16]) -> JudgedConnection {
        let findings = codes.iter().map(|code| Code(*code)).collect();
        JudgedConnection { record: open(id, 0, 9_000), findings }
    }

    fn ids(kept: Kept) -> Vec<u64> {
        kept.into_connections().iter().map(|judged| judged.record.id).collect()
    }

    #[test]
    fn the_earliest_of_every_detector_are_kept_in_whatever_order_they_come() {
        let all =
            [(9, vec![101]), (4, vec![101, 202]), (7, vec![202]), (1, vec![101]), (8, vec![])];
        for turn in 0..all.len() {
            let mut kept = Kept::default();
            for (id, codes) in all.iter().cycle().skip(turn).take(all.len()) {
                if kept.wants(Keep::Flagged, *id, &judged(*id, codes).findings, 1) {
                    kept.add(Keep::Flagged, judged(*id, codes), 1);
                }
            }
            assert_eq!(ids(kept), [1, 4]);
        }
    }

    #[test]
    fn parts_make_the_same_whole() {
        let mut whole = Kept::default();
        for part in [[5_u64, 2], [3, 8]] {
            let mut kept = Kept::default();
            for id in part {
                kept.add(Keep::Flagged, judged(id, &[101]), 2);
            }
            whole.absorb(&mut kept, Keep::Flagged, 2);
        }
        assert_eq!(ids(whole), [2, 3]);
    }

    #[test]
    fn a_shard_does_not_keep_what_comes_after_enough_of_other_shards() {
        let (mut whole, mut shard) = (Kept::default(), Kept::default());
        for id in [2, 5] {
            shard.add(Keep::Flagged, judged(id, &[101]), 2);
        }
        whole.absorb(&mut shard, Keep::Flagged, 2);
        assert!(shard.wants(Keep::Flagged, 4, &[Code(101)], 2));
        assert!(!shard.wants(Keep::Flagged, 6, &[Code(101)], 2));
        assert!(shard.wants(Keep::Flagged, 6, &[Code(101), Code(202)], 2));
    }

    #[test]
    fn a_shard_hands_over_before_it_keeps_many() {
        let mut kept = Kept::default();
        for id in 0..Kept::MANY as u64 {
            assert!(!kept.is_full(Keep::Flagged));
            kept.add(Keep::Flagged, judged(id, &[101]), 1_000);
        }
        assert!(kept.is_full(Keep::Flagged));
        assert!(!kept.is_full(Keep::All), "all of them stay, whoever keeps them");
    }

    #[test]
    fn all_and_none_are_what_they_say() {
        let mut kept = Kept::default();
        assert!(!kept.wants(Keep::None, 1, &[Code(101)], 9));
        for id in [3, 1, 2] {
            assert!(kept.wants(Keep::All, id, &[], 1));
            kept.add(Keep::All, judged(id, &[]), 1);
        }
        assert_eq!(ids(kept), [1, 2, 3]);
    }
}
