//! The summary on the terminal: the first screen has to be the answer.
//!
//! What was read, how connections were opened and closed, what is wrong and where to look. Fits the
//! given width, needs neither colours nor a terminal. Knows nothing of the command line except what
//! it is told to suggest.

mod findings;
mod heading;
mod human;
mod page;
mod story;
mod tables;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use self::page::Page;
use crate::analysis::Analysis;
use crate::stamp::Span;
use crate::summary::Hands;

/// How much the summary tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Findings only, without remarks; nothing when there are none.
    Quiet,
    /// The answer, and where to find the rest.
    #[default]
    Normal,
    /// Everything.
    Full,
}

/// How the summary is to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// How much it tells.
    pub detail: Detail,
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to write ANSI colours.
    pub color: bool,
    /// How long reading took, where that is to be told.
    pub elapsed: Option<Span>,
    /// The inputs as the user typed them, for suggestions.
    pub typed: Vec<String>,
}

/// Writes the summary; `hands` look for what it is to name.
///
/// # Errors
/// Whatever the writer says.
pub fn write_text(
    analysis: &Analysis,
    options: &TextOptions,
    hands: &impl Hands,
    mut out: impl Write,
) -> io::Result<()> {
    let mut page = Page::new(options.width, options.color);
    if options.detail > Detail::Quiet {
        heading::write(&mut page, analysis, options, hands);
    }
    findings::write(&mut page, analysis, options);
    if options.detail == Detail::Full {
        tables::write(&mut page, analysis, hands);
    }
    if options.detail > Detail::Quiet {
        suggest(&mut page, analysis, options);
    }
    out.write_all(page.text().as_bytes())
}

/// What to type next.
fn suggest(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    if analysis.summary.totals.connections == 0 || options.typed.is_empty() {
        return;
    }
    let inputs = human::shell(&options.typed);
    let mut next = Vec::new();
    if options.detail < Detail::Full && !analysis.findings.is_empty() {
        next.push(format!("tcpautopsy analyze -v {inputs}"));
    }
    next.push(format!("tcpautopsy analyze -o report.json --connections all {inputs}"));
    page.blank();
    page.items(
        &page.dim("next   "),
        &next.into_iter().map(|item| page.plain(item)).collect::<Vec<_>>(),
    );
}
