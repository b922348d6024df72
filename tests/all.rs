//! The one integration test binary.

mod architecture;
mod cli;
mod generated;
mod kernel_truth;
mod pipeline;
mod reference;
