//! Every detector, one line each, by code.

use super::rule::Rule;
use super::rules;

/// Every detector, by code.
pub static RULES: &[&Rule] = &[
    &rules::syn_flood::RULE,
    &rules::half_open::RULE,
    &rules::syn_unanswered::RULE,
    &rules::connection_refused::RULE,
    &rules::handshake_aborted::RULE,
    &rules::unacknowledged_data::RULE,
    &rules::established_pressure::RULE,
    &rules::reset_abort::RULE,
    &rules::close_wait_leak::RULE,
    &rules::fin_wait_2_stuck::RULE,
    &rules::fin_unacknowledged::RULE,
    &rules::long_time_wait::RULE,
    &rules::time_wait_pressure::RULE,
    &rules::capture_loss::RULE,
    &rules::one_sided::RULE,
    &rules::duplicate_frames::RULE,
    &rules::clock_backwards::RULE,
    &rules::cut_headers::RULE,
    &rules::bad_checksums::RULE,
    &rules::cut_file::RULE,
    &rules::state_evicted::RULE,
];

/// The detector with this code (`TCP101`, in any case) or name (`syn_flood`).
#[must_use]
pub fn rule(text: &str) -> Option<&'static Rule> {
    let text = text.trim();
    let is_asked = |rule: &&&Rule| {
        rule.name.eq_ignore_ascii_case(text) || rule.code.to_string().eq_ignore_ascii_case(text)
    };
    RULES.iter().find(is_asked).copied()
}
