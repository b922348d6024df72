//! The engine, driven with segments.
