//! `rutter completions SHELL`: a script that completes this command line.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Outcome};

const INSTALL: &str = "\
For bash, now and at every login:
  source <(rutter completions bash)
  rutter completions bash > ~/.local/share/bash-completion/completions/rutter";

/// Print a script that completes this command line in a shell
#[derive(Debug, Args)]
#[command(after_help = INSTALL)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Only those of `out`.
pub(super) fn run(args: &CompletionsArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    // Collected first: the generator panics when its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rutter", &mut script);
    out.write_all(&script)?;
    Ok(Outcome::Done)
}
