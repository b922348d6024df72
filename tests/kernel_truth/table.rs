//! The comparison as a table: a line per run and place, then what went wrong, then the sums.

use std::fmt::Write as _;
use std::path::Path;

use super::known::Known;
use super::run::{self, HOSTS};
use super::score::{Fault, Score, score};

/// Where the capture was taken that the states were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the endpoint's own host.
    Own,
    /// At the host of its peer.
    Other,
}

impl Place {
    pub(crate) const BOTH: [Self; 2] = [Self::Own, Self::Other];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Own => "own end",
            Self::Other => "other end",
        }
    }
}

/// One run, read from one place: both hosts' states.
pub(crate) struct Line {
    pub(crate) run: String,
    pub(crate) place: Place,
    pub(crate) deterministic: bool,
    pub(crate) score: Score,
}

/// Compares every run below `root`.
pub(crate) fn compare(root: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    for run in run::runs(root) {
        let captures = HOSTS.map(|host| run.capture(host));
        for place in Place::BOTH {
            let mut sum = Score::default();
            for (index, host) in HOSTS.into_iter().enumerate() {
                let own = &captures[index];
                let seen = match place {
                    Place::Own => own,
                    Place::Other => &captures[1 - index],
                };
                sum.add(&score(&run, host, own, seen));
            }
            let deterministic = run.is_deterministic();
            lines.push(Line { run: run.name.clone(), place, deterministic, score: sum });
        }
    }
    lines
}

/// The sum of the lines that `wanted` picks.
pub(crate) fn sum(lines: &[Line], wanted: impl Fn(&Line) -> bool) -> Score {
    let mut sum = Score::default();
    lines.iter().filter(|line| wanted(line)).for_each(|line| sum.add(&line.score));
    sum
}

/// The table.
pub(crate) fn render(lines: &[Line]) -> String {
    let mut text = format!(
        "{:<42} {:<9} {:>11} {:>7} {:>7} {:>6} {:>7} {:>6} {:>9}\n",
        "run", "place", "wire", "timer", "beyond", "false", "dishon.", "known", "worst us"
    );
    for line in lines {
        let known = Known::of(&line.run, line.place);
        text += &row(&line.run, line.place.name(), &line.score, known.map_or(0, |it| it.faults));
        for complaint in &line.score.complaints {
            let mark = if known.is_some() { "known" } else { "FAULT" };
            writeln!(text, "    {mark}: {}", complaint.text).unwrap();
        }
        if let Some(known) = known {
            writeln!(text, "    because {}", known.reason).unwrap();
        }
    }
    for place in Place::BOTH {
        for (deterministic, name) in [(true, "all deterministic"), (false, "all random")] {
            let all = sum(lines, |line| line.place == place && line.deterministic == deterministic);
            let known: usize = lines
                .iter()
                .filter(|line| line.place == place && line.deterministic == deterministic)
                .filter_map(|line| Known::of(&line.run, place))
                .map(|it| it.faults)
                .sum();
            text += &row(name, place.name(), &all, known);
        }
    }
    text
}

fn row(name: &str, place: &str, score: &Score, known: usize) -> String {
    format!(
        "{name:<42} {place:<9} {:>11} {:>7} {:>7} {:>6} {:>7} {known:>6} {:>9}\n",
        format!("{}/{}", score.wire_found, score.wire),
        format!("{}/{}", score.timers_found, score.timers),
        score.beyond,
        score.count(Fault::NeverThere),
        score.count(Fault::Dishonest),
        score.worst_ns / 1_000,
    )
}
