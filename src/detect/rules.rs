//! The detectors, one file each.

pub(super) mod bad_checksums;
pub(super) mod capture_loss;
pub(super) mod clock_backwards;
pub(super) mod close_wait_leak;
pub(super) mod connection_refused;
pub(super) mod cut_file;
pub(super) mod cut_headers;
pub(super) mod duplicate_frames;
pub(super) mod established_pressure;
pub(super) mod fin_unacknowledged;
pub(super) mod fin_wait_2_stuck;
pub(super) mod half_open;
pub(super) mod handshake_aborted;
pub(super) mod long_time_wait;
pub(super) mod one_sided;
pub(super) mod reset_abort;
pub(super) mod state_evicted;
pub(super) mod syn_flood;
pub(super) mod syn_unanswered;
pub(super) mod time_wait_pressure;
pub(super) mod unacknowledged_data;
