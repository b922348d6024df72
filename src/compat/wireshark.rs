//! The `tcp.analysis.*` fields and `tcp.completeness`, as Wireshark 4.0 shows them.
//!
//! The rules are those of Wireshark's `tcp_analyze_sequence_number` (epan/dissectors/packet-tcp.c,
//! 4.0.17, default preferences). They are heuristics: a flag here says what Wireshark says, not
//! what happened. `docs/compatibility.md` lists where the two part.

mod analyzer;
mod completeness;
mod direction;
mod flags;
#[cfg(test)]
mod tests;

pub use analyzer::Analyzer;
pub use completeness::Completeness;
pub use flags::AnalysisFlags;
