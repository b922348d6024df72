//! How sure a statement is: a tap sees segments, not sockets.
//!
//! Every state entry and every finding carries one of these, so that a reader can tell what was
//! seen from what was concluded.

use crate::compact::compact;

/// How sure a statement is. Orders from the weakest to the strongest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The capture does not tell: midstream start, one direction only, capture loss.
    Assumed,
    /// A later segment proves it, or a timer says so.
    Inferred,
    /// The causing segment is in the capture, and its effect is certain.
    Observed,
}

compact!(
    enum Certainty {
        Assumed,
        Inferred,
        Observed,
    }
);

impl Certainty {
    /// One step weaker.
    #[must_use]
    pub const fn lowered(self) -> Self {
        match self {
            Self::Observed => Self::Inferred,
            Self::Inferred | Self::Assumed => Self::Assumed,
        }
    }

    /// `assumed`, `inferred` or `observed`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Inferred => "inferred",
            Self::Observed => "observed",
        }
    }
}
