//! What the user set instead of a threshold's default: `CODE.NAME=VALUE`.
//!
//! Knows nothing of what is compared with a threshold.

use std::collections::BTreeMap;

use super::registry;
use crate::finding::Code;
use crate::stamp::Span;
pub use crate::threshold::{Threshold, ThresholdInForce, Unit};

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
    pub fn span(&self, threshold: &Threshold) -> Span {
        Span::from_nanos(self.of(threshold))
    }

    /// Every threshold with its value, by code and then as the rule lists them.
    #[must_use]
    pub fn in_force(&self) -> Vec<ThresholdInForce> {
        let all = registry::RULES.iter().flat_map(|rule| rule.thresholds);
        all.map(|threshold| ThresholdInForce { threshold, value: self.of(threshold) }).collect()
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
