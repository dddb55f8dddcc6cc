//! `rutter policy ...`: policy modules on the workbench. Each command is a file.
//!
//! They run a module exactly as the agent does, with its limits, but need neither an agent nor a
//! cluster unless they say so.

mod approve;
mod diff;
mod inspect;
mod module;
mod pull;
mod push;
mod validate;

#[cfg(test)]
mod tests;

use std::io::Write;

use clap::{Args, Subcommand};

use super::client::Client;
use super::output::OutputFormat;
use super::{Outcome, wait_for};

pub(super) use diff::summary as shadow_summary;

/// Write, check and compare policy modules
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Approve(approve::ApproveArgs),
    Diff(diff::DiffArgs),
    Inspect(inspect::InspectArgs),
    Pull(pull::PullArgs),
    Push(push::PushArgs),
    Validate(validate::ValidateArgs),
}

/// Runs one of them.
///
/// # Errors
/// Its own.
pub(super) fn run(
    args: &PolicyArgs,
    client: &Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    match &args.command {
        PolicyCommand::Approve(args) => wait_for(approve::run(args, client, format, out)),
        PolicyCommand::Diff(args) => wait_for(diff::run(args, client, format, out)),
        PolicyCommand::Inspect(args) => inspect::run(args, format, out),
        PolicyCommand::Pull(args) => pull::run(args, format, out),
        PolicyCommand::Push(args) => push::run(args, format, out),
        PolicyCommand::Validate(args) => validate::run(args, format, out),
    }
}
