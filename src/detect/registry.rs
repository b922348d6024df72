//! Every detector, one line each, by code.

use super::rule::Rule;
use super::rules;

/// Every detector, by code.
pub static RULES: &[&Rule] = &[];

/// The detector with this code (`TCP101`, in any case) or name (`syn_flood`).
#[must_use]
pub fn rule(text: &str) -> Option<&'static Rule> {
    let is_asked =
        |rule: &&&Rule| rule.name == text || rule.code.to_string().eq_ignore_ascii_case(text);
    RULES.iter().find(is_asked).copied()
}
