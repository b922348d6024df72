//! The kernel as the judge: its sockets' states against the reconstruction, run by run.
//!
//! A run is a folder that the laboratory (`tests/kernel/lab.py`) wrote: `truth.json`, and for each
//! of two hosts a capture and its settings. Each kernel transition is looked for in the states of
//! that endpoint, once in the capture taken at its own host and once in the one from the other
//! end. The rules stand in `score`, what cannot be known in `known`.
//!
//! By hand, on any folder of runs: `KERNEL_RUNS=DIR cargo test --test all kernel -- --nocapture`.

mod known;
mod run;
mod score;
mod table;

use std::path::{Path, PathBuf};

use known::Known;
use score::{Fault, Score};
use table::{Line, Place};

/// Compares the runs below `root`, prints the table, and returns it.
fn compared(root: &Path) -> Vec<Line> {
    let lines = table::compare(root);
    println!("{}", table::render(&lines));
    assert!(!lines.is_empty(), "no runs below {}", root.display());
    lines
}

/// The bar: what share of the transitions that a segment triggered must be found, in thousandths.
fn assert_bar(lines: &[Line]) {
    let at = |place, deterministic| {
        table::sum(lines, |line| line.place == place && line.deterministic == deterministic)
    };
    let permille = |score: &Score| (score.wire_found * 1_000).checked_div(score.wire);
    let bars = [
        (Place::Own, true, 995),
        (Place::Own, false, 999),
        (Place::Other, true, 990),
        (Place::Other, false, 990),
    ];
    for (place, deterministic, bar) in bars {
        let found = permille(&at(place, deterministic)).unwrap_or(1_000);
        assert!(found >= bar, "{found} of 1000 found at the {}, not {bar}", place.name());
    }
    let dishonest: usize = lines.iter().map(|line| line.score.count(Fault::Dishonest)).sum();
    assert_eq!(dishonest, 0, "invisible changes claimed as observed");
}

/// Every fault in a recorded run is one that the list of what cannot be known names, and each that
/// it names is still there.
#[test]
fn recorded_kernel_runs_confirm_the_states() {
    let lines = compared(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kernel"));
    for line in &lines {
        let known = Known::of(&line.run, line.place).map_or(0, |it| it.faults);
        let place = line.place.name();
        assert_eq!(line.score.complaints.len(), known, "{}, {place}: see the table", line.run);
    }
    let runs: Vec<&str> = lines.iter().map(|line| line.run.as_str()).collect();
    assert_eq!(Known::without_run(&runs), Vec::<&str>::new(), "listed, and not recorded");
    assert_bar(&lines);
}

/// The same by hand, on runs that somebody else made.
#[test]
fn kernel_runs_of_a_folder_confirm_the_states() {
    let Some(root) = std::env::var_os("KERNEL_RUNS").map(PathBuf::from) else {
        println!("skipped: KERNEL_RUNS names no folder of runs");
        return;
    };
    let lines = compared(&root);
    for line in lines.iter().filter(|line| line.deterministic && line.place == Place::Own) {
        let known = Known::of(&line.run, line.place).map_or(0, |it| it.faults);
        let never_there = line.score.count(Fault::NeverThere);
        assert!(never_there <= known, "{}: states never there, see the table", line.run);
    }
    assert_bar(&lines);
}
