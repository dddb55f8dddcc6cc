//! `rutter policy ...`: policy modules on the workbench. Each command is a file.
//!
//! They run a module exactly as the agent does, with its limits, but need neither an agent nor a
//! cluster unless they say so.

mod inspect;
mod module;
mod validate;

#[cfg(test)]
mod tests;

use std::io::Write;

use clap::{Args, Subcommand};

use super::Outcome;
use super::output::OutputFormat;

/// Write, check and compare policy modules
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Inspect(inspect::InspectArgs),
    Validate(validate::ValidateArgs),
}

/// Runs one of them.
///
/// # Errors
/// Its own.
pub(super) fn run(
    args: &PolicyArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    match &args.command {
        PolicyCommand::Inspect(args) => inspect::run(args, format, out),
        PolicyCommand::Validate(args) => validate::run(args, format, out),
    }
}
