//! Tests of all formats over analyses built by hand.
