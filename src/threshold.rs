//! Limits that separate a finding from ordinary traffic: their defaults, and where those come from.
//!
//! Plain data. A threshold is a constant beside the rule that uses it, so that no other spelling of its
//! name exists. Knows nothing of what is compared with it.

use std::fmt;

use crate::finding::Code;

/// One limit of one detector.
#[derive(Debug, PartialEq, Eq)]
pub struct Threshold {
    /// The detector.
    pub code: Code,
    /// Its name within the detector, `snake_case`.
    pub name: &'static str,
    /// The value while nobody sets another; ns for a duration.
    pub default: i64,
    /// What the value measures.
    pub unit: Unit,
    /// What is compared with it, in one sentence.
    pub meaning: &'static str,
    /// Where the default comes from.
    pub source: &'static str,
}

impl Threshold {
    /// The default as a user would type it.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.unit.text(self.default)
    }
}

/// What a threshold measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// How many.
    Count,
    /// A length of time, kept in ns.
    Duration,
    /// Hundredths.
    Percent,
}

impl Unit {
    /// `count`, `ns` or `percent`, as reports print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Duration => "ns",
            Self::Percent => "percent",
        }
    }

    /// The value as a user would type it: `15`, `60s`, `25%`.
    #[must_use]
    pub fn text(self, value: i64) -> String {
        match self {
            Self::Count => value.to_string(),
            Self::Percent => format!("{value}%"),
            Self::Duration => {
                let fits = SUFFIXES.iter().find(|(_, nanos)| value != 0 && value % nanos == 0);
                fits.map_or_else(
                    || "0s".to_owned(),
                    |(name, nanos)| format!("{}{name}", value / nanos),
                )
            }
        }
    }

    /// Reads what a user typed; the error says what would be right.
    pub(crate) fn parse(self, text: &str) -> Result<i64, &'static str> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let scale = match (self, suffix) {
            (Self::Count, "") | (Self::Percent, "" | "%") => Some(1),
            (Self::Duration, suffix) => {
                SUFFIXES.iter().find(|(name, _)| *name == suffix).map(|(_, nanos)| *nanos)
            }
            _ => None,
        };
        let value =
            number.parse::<i64>().ok().zip(scale).and_then(|(n, scale)| n.checked_mul(scale));
        value.ok_or(match self {
            Self::Count => "a whole number, such as 15",
            Self::Percent => "a percentage, such as 25%",
            Self::Duration => "a duration with its unit, such as 60s, 250ms or 5m",
        })
    }
}

/// Suffixes of durations, the longest unit first.
const SUFFIXES: [(&str, i64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A threshold and the value it had in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThresholdInForce {
    /// The threshold: code, name, default, unit, source.
    pub threshold: &'static Threshold,
    /// The value; ns for a duration.
    pub value: i64,
}

impl ThresholdInForce {
    /// Whether the user set another value than the default.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.value != self.threshold.default
    }
}

impl fmt::Display for ThresholdInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Threshold { code, name, unit, .. } = self.threshold;
        write!(f, "{code}.{name}={}", unit.text(self.value))
    }
}
