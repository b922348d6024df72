//! Tests of the detectors as a whole, and what the tests of single rules share.

use super::*;
use crate::connection::ConnectionRecord;
use crate::finding::{Code, Finding, Severity};
use crate::input::Input;
use crate::settings::Settings;
use crate::summary::Summary;
use crate::summary::samples::{aborted, graceful, half_open, open, refused, unanswered};

/// A whole run over records: what a test of a rule looks at.
pub(super) struct Run {
    pub(super) findings: Vec<Finding>,
}

impl Run {
    /// With the default settings and thresholds.
    pub(super) fn of(records: impl IntoIterator<Item = ConnectionRecord>) -> Self {
        Self::with(Settings::default(), records)
    }

    pub(super) fn with(
        settings: Settings,
        records: impl IntoIterator<Item = ConnectionRecord>,
    ) -> Self {
        Self::configured(settings, &[], records, &[])
    }

    pub(super) fn set(
        assignments: &[&str],
        records: impl IntoIterator<Item = ConnectionRecord>,
    ) -> Self {
        Self::configured(Settings::default(), assignments, records, &[])
    }

    pub(super) fn inputs(inputs: &[Input]) -> Self {
        Self::configured(Settings::default(), &[], [], inputs)
    }

    fn configured(
        settings: Settings,
        assignments: &[&str],
        records: impl IntoIterator<Item = ConnectionRecord>,
        inputs: &[Input],
    ) -> Self {
        let mut thresholds = Thresholds::default();
        assignments.iter().for_each(|assignment| thresholds.set(assignment).unwrap());
        let detectors = Detectors::new(settings, thresholds, &Selection::default());
        let (mut summary, mut accumulator) = (Summary::default(), Accumulator::default());
        for record in records {
            detectors.connection(&record, &mut accumulator);
            summary.add(&record);
        }
        Self { findings: detectors.conclude(&accumulator, &summary, inputs) }
    }

    /// The one finding with `code`.
    pub(super) fn only(&self, code: Code) -> Finding {
        let mut found: Vec<_> = self.all(code);
        assert_eq!(found.len(), 1, "{:#?}", self.findings);
        found.remove(0)
    }

    pub(super) fn all(&self, code: Code) -> Vec<Finding> {
        self.findings.iter().filter(|finding| finding.code == code).cloned().collect()
    }

    pub(super) fn none(&self, code: Code) -> bool {
        self.all(code).is_empty()
    }
}
