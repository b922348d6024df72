//! What standard output is: how wide, and whether it takes colours.

use std::io::{self, IsTerminal as _};

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// Where standard output is a terminal, and `NO_COLOR` is not set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Standard output that understands, or drops, colours; and whether to send it any.
    pub(super) fn stdout(self) -> (AutoStream<io::StdoutLock<'static>>, bool) {
        let choice = match self {
            Self::Auto => AutoStream::choice(&io::stdout()),
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        (AutoStream::new(io::stdout().lock(), choice), choice != ColorChoice::Never)
    }
}

/// Columns where nothing tells how many there are, as in the log of a CI job.
const PLAIN_WIDTH: usize = 80;

/// Columns of standard output.
pub(super) fn width() -> usize {
    let size = if io::stdout().is_terminal() { terminal_size::terminal_size() } else { None };
    size.map_or(PLAIN_WIDTH, |(width, _)| usize::from(width.0))
}
