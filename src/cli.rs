//! The command line: arguments as typed, the settings they resolve to, one file per sub-command.
//!
//! The only part of the program that opens outputs, prints, and decides on an exit code.

mod analyze;
mod completions;
mod conn_log;
mod detectors;
mod exit;
mod explain;
mod inputs;
mod outputs;
mod progress;
mod schema;
mod selection;
mod settings;
mod size;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::Outcome;
use self::terminal::Color;

/// Reads packet captures after the fact and tells what happened to every TCP connection in them.
#[derive(Debug, Parser)]
#[command(name = "tcpautopsy", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 clean; 1 findings at or above --fail-on; \
                        2 usage error, or an unreadable or damaged input.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Analyse captures: summary on stdout, reports with -o
    Analyze(Box<analyze::Arguments>),
    /// Print a detector's page: what it sees, its thresholds, what to check
    Explain(explain::Arguments),
    /// List the detectors
    Detectors,
    /// Print the JSON Schema of a report, a connection, a finding or a segment
    Schema(schema::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// Runs the program with these arguments, the first of which is its name.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return exit::of_usage(&error),
    };
    let color = arguments.color;
    exit::of(match arguments.command {
        Command::Analyze(arguments) => analyze::run(&arguments, color),
        Command::Explain(arguments) => explain::run(&arguments, color).map(|()| Outcome::Clean),
        Command::Detectors => detectors::run(color).map(|()| Outcome::Clean),
        Command::Schema(arguments) => schema::run(&arguments).map(|()| Outcome::Clean),
        Command::Completions(arguments) => completions::run(&arguments).map(|()| Outcome::Clean),
    })
}
