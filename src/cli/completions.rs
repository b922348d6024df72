//! `tcpautopsy completions SHELL`: a completion script.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

/// What `completions` was asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell that is to complete
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Into memory first: the generator panics where a pipe is broken.
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(())
}
