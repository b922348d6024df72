//! `tcpautopsy explain CODE`: a detector's page.

use std::io::Write as _;

use anstyle::Style;
use anyhow::bail;

use super::terminal::Color;
use crate::detect::{RULES, Rule, rule};

/// What `explain` was asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Code or name of a detector, such as TCP101 or `syn_flood`
    #[arg(value_name = "CODE")]
    detector: String,
}

pub(super) fn run(arguments: &Arguments, color: Color) -> anyhow::Result<()> {
    let rule = find(&arguments.detector)?;
    let (mut out, colored) = color.stdout();
    let heading = if colored { Style::new().bold() } else { Style::new() };
    for line in rule.page().lines() {
        let style = if line.starts_with('#') { heading } else { Style::new() };
        writeln!(out, "{style}{line}{style:#}")?;
    }
    Ok(())
}

/// The detector with this code or name, in any case, with `-` for `_` as well.
fn find(asked: &str) -> anyhow::Result<&'static Rule> {
    let written = asked.to_ascii_lowercase().replace('-', "_");
    if let Some(rule) = rule(&written) {
        return Ok(rule);
    }
    match nearest(&written) {
        Some(near) => {
            bail!("no detector {asked:?}; did you mean {near}? `tcpautopsy detectors` lists all")
        }
        None => bail!("no detector {asked:?}; `tcpautopsy detectors` lists all"),
    }
}

/// The code or name that is the fewest changes away, if they are few.
fn nearest(written: &str) -> Option<String> {
    let names = RULES.iter().flat_map(|rule| [rule.code.to_string(), rule.name.to_owned()]);
    let distances = names.map(|name| {
        let distance = strsim::damerau_levenshtein(written, &name.to_ascii_lowercase());
        (distance, name)
    });
    distances.min().filter(|(distance, name)| *distance <= name.len() / 2).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_is_found_by_code_and_name_in_any_case() {
        for asked in ["TCP101", "tcp101", "syn_flood", "SYN-Flood"] {
            assert_eq!(find(asked).unwrap().name, "syn_flood", "{asked}");
        }
    }

    #[test]
    fn what_is_nearly_right_is_suggested_and_nonsense_is_not() {
        let message = |asked| find(asked).unwrap_err().to_string();
        assert!(message("syn_flod").contains("did you mean syn_flood?"));
        assert!(message("TCP1O2").contains("did you mean TCP102?"));
        assert!(!message("xyzzy").contains("did you mean"));
    }
}
