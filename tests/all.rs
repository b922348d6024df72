//! The one integration test binary.

mod detect;
