//! What the user sees while a run is reading: the only place that looks at a clock.

use std::io::{self, IsTerminal as _};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline;
use crate::stamp::Span;

/// A bar on standard error, where that is a terminal, and a stopwatch.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// Starts the stopwatch, and shows the bar if it is wanted.
    #[expect(clippy::disallowed_methods, reason = "the progress display may read a clock")]
    pub(super) fn start(wanted: bool) -> Self {
        let target = if wanted && io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now() }
    }

    /// Moves the bar.
    pub(super) fn show(&self, progress: pipeline::Progress) {
        self.bar.set_length(progress.total.max(progress.bytes));
        self.bar.set_position(progress.bytes);
    }

    /// Takes the bar away, and tells how long it took.
    pub(super) fn finish(&self) -> Span {
        self.bar.finish_and_clear();
        let nanos = self.started.elapsed().as_nanos();
        Span::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}
