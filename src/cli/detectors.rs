//! `tcpautopsy detectors`: the list.

use std::io::Write as _;

use anstyle::Style;

use super::terminal::{self, Color};
use crate::detect::RULES;

/// Width of a code and the space behind it.
const CODE: usize = 8;

pub(super) fn run(color: Color) -> anyhow::Result<()> {
    let width = terminal::width().clamp(60, 120);
    let (mut out, colored) = color.stdout();
    let bold = if colored { Style::new().bold() } else { Style::new() };
    let longest = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for rule in RULES {
        let (code, name, scope) = (rule.code, rule.name, rule.scope.name());
        write!(out, "{bold}{code}{bold:#}  {name:<longest$}  {scope:<10}  ")?;
        let indent = CODE + longest + 2 + 12;
        let mut column = indent;
        for word in rule.gist().split_whitespace() {
            if column > indent && column + 1 + word.len() > width {
                write!(out, "\n{:indent$}", "")?;
                column = indent;
            }
            let space = if column == indent { "" } else { " " };
            write!(out, "{space}{word}")?;
            column += space.len() + word.len();
        }
        writeln!(out)?;
    }
    Ok(())
}
