//! A detector's page: the head of its source file, with the table of its thresholds.
//!
//! `explain` prints it and `docs/detectors` holds it, so that neither can drift from the code.

use std::fmt::Write as _;

use super::registry::RULES;
use super::rule::Rule;

/// The headings of every page, in this order.
pub const HEADINGS: [&str; 7] = [
    "What it detects",
    "Why it matters",
    "Evidence",
    "Thresholds",
    "What to check",
    "False positives",
    "References",
];

impl Rule {
    /// The detector's page in Markdown.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = format!("# {} {}\n\n", self.code, self.name);
        for line in self.source.lines().map_while(|line| line.strip_prefix("//!")) {
            let line = line.strip_prefix(' ').unwrap_or(line);
            if let Some(heading) = line.strip_prefix("# ") {
                let _ = writeln!(page, "## {heading}");
                if heading == "Thresholds" {
                    let _ = write!(page, "\n{}", self.threshold_table());
                }
            } else {
                let _ = writeln!(page, "{line}");
            }
        }
        page
    }

    /// The first line of the page's text: the detector in one sentence.
    #[must_use]
    pub fn gist(&self) -> &'static str {
        self.source.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default()
    }

    fn threshold_table(&self) -> String {
        if self.thresholds.is_empty() {
            return "None.\n".to_owned();
        }
        let mut table = String::from("| name | default | meaning | source |\n|---|---|---|---|\n");
        for threshold in self.thresholds {
            let (name, default) = (threshold.name, threshold.default_text());
            let (meaning, source) = (threshold.meaning, threshold.source);
            let _ = writeln!(table, "| `{name}` | {default} | {meaning} | {source} |");
        }
        table
    }
}

/// Every file of `docs/detectors`: its name and what it has to hold.
#[must_use]
pub fn pages() -> Vec<(String, String)> {
    let head = "# Detectors\n\nWritten from the code; a test fails when a page is stale.\n\n";
    let page = |rule: &&'static Rule| (format!("{}.md", rule.code), rule.page());
    let mut pages: Vec<_> = RULES.iter().map(page).collect();
    pages.push(("README.md".to_owned(), format!("{head}{}", table(""))));
    pages
}

/// The table of all detectors in Markdown; `folder` leads to their pages.
#[must_use]
pub fn table(folder: &str) -> String {
    let mut table = String::from("| code | name | scope | what it sees |\n|---|---|---|---|\n");
    for rule in RULES {
        let (code, name, scope, gist) = (rule.code, rule.name, rule.scope.name(), rule.gist());
        let _ = writeln!(table, "| [{code}]({folder}{code}.md) | `{name}` | {scope} | {gist} |");
    }
    table
}
