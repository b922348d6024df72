//! Captures made to order: scenario text compiled to bytes, and seeded captures of any size.
//!
//! For this project's tests, benches and fuzzing seeds only, behind a private feature. It makes
//! captures and must not know the code that reads them: only times, TCP values and link types.
//! Its output is checked by other parsers, not by this crate's own.

mod cursor;
mod expand;
mod file;
mod frame;
pub mod generate;
mod icmp;
mod parse;
mod random;
mod render;
mod scenario;
mod split;

pub use cursor::ScenarioError;
pub use file::Format;
pub use frame::Link;
pub use generate::{Shape, Totals, Traffic, generate};
pub use scenario::{Observation, Scenario};
pub use split::split;

#[cfg(test)]
mod tests;
