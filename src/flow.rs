//! From a segment's tuple to the live connection it belongs to.
//!
//! Flows are dealt to [`SHARDS`] shards by a fixed symmetric hash of their tuple, so that what a
//! shard sees never depends on how many threads there are. A [`Batch`] carries the segments of a
//! range of a capture, sorted by shard; a [`Shard`] owns the connections of its flows and gives
//! them away as records when they end. Time is the capture clock alone: the highest time of all
//! frames of the run so far. Knows nothing of files, threads or findings.
//!
//! Where to look:
//!
//! | question | parts |
//! |---|---|
//! | which flow, and which shard | `identity`, `deal`, `table`, `together`, `halves`, `per_tuple` |
//! | segments on their way to a shard | `batch`, `bucket`, `packed`, `wide`, `options`, `strip`, `quote`, `horizon`, `names` |
//! | a shard, and how a segment comes into its connection | `shard`, `arrival`, `start`, `sightings`, `zeek` |
//! | what a shard holds, and how much of it | `embryo`, `lives`, `slab`, `shelf`, `limits` |
//! | who takes what a shard gives away | `observer`, `lone` |
//! | what connections cannot know of one another | `neighbours`, `answers` |

mod answers;
mod arrival;
mod batch;
mod bucket;
mod deal;
mod embryo;
mod halves;
mod horizon;
mod identity;
mod limits;
mod lives;
mod lone;
mod names;
mod neighbours;
mod observer;
mod options;
mod packed;
mod per_tuple;
mod quote;
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
mod wide;
mod zeek;

pub use answers::Answers;
pub use batch::Batch;
pub use deal::SHARDS;
pub use horizon::Horizon;
pub use limits::Limits;
pub use lone::{Lone, LoneKind};
pub use names::Names;
pub use neighbours::{Neighbours, Turn};
pub use observer::{Ending, Finished, LATER, Moment, Observer, Placed};
pub use packed::Packed;
pub use per_tuple::PerTuple;
pub use shard::{Portion, Shard};
pub use sightings::WINDOW as SIGHTING_WINDOW;
pub use start::Start;
pub use strip::Strip;
pub use zeek::{ZeekRow, ZeekRules, ZeekShard};
