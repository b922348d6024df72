//! The detectors, one file each.

pub(super) mod connection_refused;
pub(super) mod half_open;
pub(super) mod handshake_aborted;
pub(super) mod syn_flood;
pub(super) mod syn_unanswered;
