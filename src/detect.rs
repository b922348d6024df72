//! Detectors: what is wrong, on what evidence, and which setting it points to.
//!
//! A detector is one file under `detect/rules`, and one line in the registry. Connection detectors
//! run when a connection is over, in every shard, and gather what they find in an [`Accumulator`];
//! the accumulators are merged, and [`Detectors::conclude`] turns groups and summaries into
//! findings. The order of connections and merges leaves no trace in them.
//!
//! Knows nothing of segments, of files, or of how a finding is printed.

mod accumulate;
mod advice;
mod doubt;
mod fold;
mod page;
mod registry;
mod retries;
mod rule;
mod rules;
mod run;
mod stuck;
mod thresholds;
pub(crate) mod words;

#[cfg(test)]
mod tests;

pub use accumulate::Accumulator;
pub use page::{HEADINGS, pages, table};
pub use registry::{RULES, rule};
pub use rule::{Rule, Scope};
pub use run::{Detectors, Selection, UnknownDetector};
pub use thresholds::{Threshold, ThresholdError, ThresholdInForce, Thresholds, Unit};
