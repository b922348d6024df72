//! The one integration test binary.

mod architecture;
mod cli;
mod detect;
mod generated;
mod kernel_truth;
mod pipeline;
mod reference;
