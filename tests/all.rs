//! The one integration test binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by panicking, and tables are for its reader"
)]

mod architecture;
mod cli;
mod compat;
mod detect;
mod generated;
mod kernel_truth;
mod model;
mod pipeline;
mod public_segments;
mod reference;
mod retransmissions;
mod segment_lines;
mod sequences;
