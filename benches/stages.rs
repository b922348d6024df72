//! Benches of the stages.
fn main() {}
