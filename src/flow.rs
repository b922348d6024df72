//! From a segment's tuple to the live connection it belongs to.
//!
//! Flows are dealt to [`SHARDS`] shards by a fixed symmetric hash of their tuple, so that what a
//! shard sees never depends on how many threads there are. A [`Batch`] carries the segments of a
//! range of a capture, sorted by shard; a [`Shard`] owns the connections of its flows and gives
//! them away as records when they end. Time is the capture clock alone: the highest time of all
//! frames of the run so far. Knows nothing of files, threads or findings.

mod answers;
mod arrival;
mod attempt;
mod backlog;
mod batch;
mod bucket;
mod buckets;
mod deal;
mod embryo;
mod halves;
mod horizon;
mod identity;
mod left_out;
mod limits;
mod lives;
mod names;
mod neighbours;
mod observer;
mod options;
mod packed;
mod per_tuple;
mod places;
mod queues;
mod quote;
mod repeats;
mod shard;
mod shelf;
mod sightings;
mod slab;
mod start;
mod strip;
mod table;
#[cfg(test)]
mod tests;
mod together;
mod turns;
mod wide;
mod zeek;

pub use answers::Answers;
pub use batch::Batch;
pub use deal::SHARDS;
pub use horizon::Horizon;
pub use limits::Limits;
pub use names::Names;
pub use neighbours::Neighbours;
pub use observer::{Ending, Finished, Observer, Placed};
pub use packed::Packed;
pub use per_tuple::PerTuple;
pub use shard::{Portion, Shard};
pub use sightings::WINDOW as SIGHTING_WINDOW;
pub use start::Start;
pub use strip::Strip;
pub use turns::Turn;
pub use zeek::{ZeekRow, ZeekRules, ZeekShard};
