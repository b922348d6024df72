//! Tests of the totals as a whole.
