//! Limits that separate a finding from ordinary traffic: their defaults, where those come from, and
//! what the user set instead.
//!
//! A threshold is a constant beside the rule that uses it, so that no other spelling of its name
//! exists. Knows nothing of what is compared with it.

use std::collections::BTreeMap;
use std::fmt;

use super::registry;
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

    fn parse(self, text: &str) -> Result<i64, &'static str> {
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

/// The values that the user set; the defaults hold for all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    set: BTreeMap<(Code, &'static str), i64>,
}

impl Thresholds {
    /// Sets one threshold as written on the command line: `TCP303.limit=60s`.
    ///
    /// # Errors
    /// When the form is wrong, the detector or its threshold does not exist, or the value does not
    /// fit the threshold's unit; the message names what would be right.
    pub fn set(&mut self, assignment: &str) -> Result<(), ThresholdError> {
        let form = || ThresholdError::Form(assignment.to_owned());
        let (target, value) = assignment.split_once('=').ok_or_else(form)?;
        let (code, name) = target.trim().split_once('.').ok_or_else(form)?;
        let rule =
            registry::rule(code).ok_or_else(|| ThresholdError::UnknownDetector(code.to_owned()))?;
        let threshold =
            rule.thresholds.iter().find(|threshold| threshold.name == name).ok_or_else(|| {
                ThresholdError::UnknownThreshold {
                    code: rule.code,
                    name: name.to_owned(),
                    known: names(rule.thresholds),
                }
            })?;
        let value = threshold.unit.parse(value.trim()).map_err(|expected| {
            ThresholdError::Value { target: target.to_owned(), value: value.to_owned(), expected }
        })?;
        self.set.insert((threshold.code, threshold.name), value);
        Ok(())
    }

    /// The value in force.
    #[must_use]
    pub fn of(&self, threshold: &Threshold) -> i64 {
        self.set.get(&(threshold.code, threshold.name)).copied().unwrap_or(threshold.default)
    }

    /// The value in force of a threshold that counts; a negative one counts as 0.
    #[must_use]
    pub fn count(&self, threshold: &Threshold) -> u64 {
        u64::try_from(self.of(threshold)).unwrap_or(0)
    }

    /// The value in force of a threshold that is a length of time.
    #[must_use]
    pub fn span(&self, threshold: &Threshold) -> crate::stamp::Span {
        crate::stamp::Span::from_nanos(self.of(threshold))
    }

    /// Every threshold with its value, by code and then as the rule lists them.
    #[must_use]
    pub fn in_force(&self) -> Vec<ThresholdInForce> {
        let all = registry::RULES.iter().flat_map(|rule| rule.thresholds);
        all.map(|threshold| ThresholdInForce { threshold, value: self.of(threshold) }).collect()
    }
}

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

/// Why a threshold could not be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// Not of the form `CODE.NAME=VALUE`.
    #[error("`{0}` is not of the form CODE.NAME=VALUE, such as TCP303.limit=60s")]
    Form(String),
    /// No detector has this code or name.
    #[error("no detector `{0}`; `tcpautopsy detectors` lists them")]
    UnknownDetector(String),
    /// The detector has no such threshold.
    #[error("{code} has no threshold `{name}`; it has {known}")]
    UnknownThreshold {
        /// The detector.
        code: Code,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The value does not fit the unit.
    #[error("`{value}` does not fit {target}: it wants {expected}")]
    Value {
        /// The threshold as typed.
        target: String,
        /// The value as typed.
        value: String,
        /// What would fit.
        expected: &'static str,
    },
}

fn names(thresholds: &[&Threshold]) -> String {
    if thresholds.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<_> = thresholds.iter().map(|threshold| threshold.name).collect();
    names.join(", ")
}

impl fmt::Display for ThresholdInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Threshold { code, name, unit, .. } = self.threshold;
        write!(f, "{code}.{name}={}", unit.text(self.value))
    }
}
