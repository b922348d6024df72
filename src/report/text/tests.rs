//! Tests of the summary as people see it.
