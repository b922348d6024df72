//! The one integration test binary.

mod architecture;
mod detect;
mod generated;
mod kernel_truth;
mod reference;
