//! `rutter policy ...`: policy modules on the workbench. Each command is a file.
//!
//! They run a module exactly as the agent does, with its limits, but for time, in place of which all
//! but [`bench`] count instructions (see [`workbench`]). They need neither an agent nor a cluster unless
//! they say so.

mod approve;
mod bench;
mod build;
mod chain;
mod conformance;
mod decisions;
mod diff;
mod explain;
mod inspect;
mod learned;
mod module;
mod new;
mod pull;
mod purpose;
mod push;
mod record;
mod replay;
mod scratch;
mod test;
mod validate;
mod workbench;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use super::client::Client;
use super::output::OutputFormat;
use super::{Outcome, timestamp, wait_for};

pub(super) use diff::shadow_summary;

/// Write, check and compare policy modules
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Approve(approve::ApproveArgs),
    Bench(bench::BenchArgs),
    Build(build::BuildArgs),
    Conformance(conformance::ConformanceArgs),
    Diff(diff::DiffArgs),
    Explain(explain::ExplainArgs),
    Inspect(inspect::InspectArgs),
    New(new::NewArgs),
    Pull(pull::PullArgs),
    Push(push::PushArgs),
    Record(record::RecordArgs),
    Replay(replay::ReplayArgs),
    Test(test::TestArgs),
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
    now: SystemTime,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    match &args.command {
        PolicyCommand::Approve(args) => wait_for(approve::run(args, client, format, out)),
        PolicyCommand::Bench(args) => bench::run(args, format, out),
        PolicyCommand::Build(args) => build::run(args, format, out),
        PolicyCommand::Conformance(args) => conformance::run(args, format, out),
        PolicyCommand::Diff(args) => diff::run(args, client, format, out),
        PolicyCommand::Explain(args) => explain::run(args, format, out),
        PolicyCommand::Inspect(args) => inspect::run(args, format, out),
        PolicyCommand::New(args) => new::run(args, format, out),
        PolicyCommand::Pull(args) => pull::run(args, format, out),
        PolicyCommand::Push(args) => push::run(args, format, out),
        PolicyCommand::Record(args) => {
            wait_for(record::run(args, client, format, timestamp(now)?, out))
        }
        PolicyCommand::Replay(args) => replay::run(args, format, out),
        PolicyCommand::Test(args) => test::run(args, format, out),
        PolicyCommand::Validate(args) => validate::run(args, format, out),
    }
}
