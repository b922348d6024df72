//! Tests of the detectors as a whole.
