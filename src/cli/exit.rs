//! Exit codes and error messages: the one place that knows them.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Nothing to complain about.
    Clean,
    /// Findings that `--fail-on` names.
    Findings,
    /// An input could not be read, or not to its end.
    Damaged,
}

/// The exit code of a command; an error is printed with its causes.
pub(super) fn of(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Ok(Outcome::Damaged) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

/// The exit code when arguments could not be understood, or asked for help.
pub(super) fn of_usage(error: &clap::Error) -> ExitCode {
    // Help that nobody reads to its end is no failure.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Prints an error message; the command may go on.
pub(super) fn complain(message: impl Display) {
    print("error", &message.to_string());
}

/// Prints what is odd but no error.
pub(super) fn warn(message: impl Display) {
    print("warning", &message.to_string());
}

/// Names of files, and of members of archives, may hold anything: no control character of theirs
/// reaches the terminal.
fn print(kind: &str, message: &str) {
    let is_harmless = |c: char| !c.is_control() || c == '\n';
    let message: String =
        message.chars().map(|c| if is_harmless(c) { c } else { '\u{FFFD}' }).collect();
    let _ = writeln!(io::stderr().lock(), "tcpautopsy: {kind}: {message}");
}

/// Whoever read the output has gone: `tcpautopsy ... | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let direct = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let in_json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        direct.or(in_json) == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_broken_pipe_is_recognised_under_any_context() {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&Err::<(), _>(gone()).context("writing").unwrap_err()));
        let in_json = serde_json::Error::io(gone());
        assert!(is_broken_pipe(&anyhow::Error::from(in_json).context("writing")));
        assert!(!is_broken_pipe(&io::Error::from(io::ErrorKind::NotFound).into()));
    }
}
