//! The command line: what `rutter` accepts, and how its commands end.
//!
//! `main` parses a [`Cli`] and runs it. The agent's command starts the daemon; all others ask a
//! running agent over its Unix socket, or read files, and never touch the agent's insides. Each
//! command is a file that turns a document into text; the clock and both streams are arguments.

mod agent;
mod calico;
mod client;
mod completions;
mod config;
mod environment;
mod explain;
mod learned;
mod leave;
pub mod logging;
mod output;
mod policy;
mod routes;
mod status;
mod text;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::agent::LostLines;
use client::Client;
use leave::{JoinArgs, LeaveArgs};
use logging::LoggedBy;
use output::OutputFormat;
use status::StatusArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the request failed, or what was checked or tested is not as it should be
  2  the command line is not understood
  3  status: something is degraded (see `rutter status --help`)
  4  explain: nothing is known by that name";

/// Announces a Kubernetes node's pod and Service routes over BGP, by WebAssembly policy.
#[derive(Debug, Parser)]
#[command(name = "rutter", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// The Unix socket of the agent that status, routes and explain ask
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        env = "RUTTER_SOCKET",
        hide_env_values = true,
        value_name = "PATH",
        default_value = "/run/rutter/rutter.sock"
    )]
    socket: PathBuf,

    /// How to print the answer
    #[arg(
        short,
        long,
        global = true,
        help_heading = "Global options",
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    output: OutputFormat,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(agent::AgentArgs),
    Status(StatusArgs),
    Routes(routes::RoutesArgs),
    Explain(explain::ExplainArgs),
    Leave(LeaveArgs),
    Join(JoinArgs),
    Config(config::ConfigArgs),
    Policy(policy::PolicyArgs),
    Calico(calico::CalicoArgs),
    Completions(completions::CompletionsArgs),
}

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; of `status`: all is well.
    Done,
    /// The request failed, or a file that was to be checked is not valid.
    Failed,
    /// The agent answered that something is not as it should be.
    Degraded,
    /// The agent answered that it knows nothing by that name.
    Unknown,
}

impl Outcome {
    /// The process's exit code. 2 is left to usage errors, which end the process in the parser.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Degraded => 3,
            Self::Unknown => 4,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        outcome.code().into()
    }
}

impl Cli {
    /// Who is going to log.
    #[must_use]
    pub fn logged_by(&self) -> LoggedBy {
        match &self.command {
            Command::Agent(args) => LoggedBy::Agent(args.log_format()),
            Command::Status(_)
            | Command::Routes(_)
            | Command::Explain(_)
            | Command::Leave(_)
            | Command::Join(_)
            | Command::Config(_)
            | Command::Policy(_)
            | Command::Calico(_)
            | Command::Completions(_) => LoggedBy::Command,
        }
    }

    /// Runs the command: answers go to `out`, what went wrong to `err`.
    ///
    /// A reader that closed `out` has what it wanted (`rutter routes | head`): that is no failure.
    pub fn run(
        self,
        now: SystemTime,
        lost_lines: LostLines,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Outcome {
        // Standard output flushes at each line by itself: a long answer would take a call for each.
        let mut out = io::BufWriter::new(out);
        let outcome = self
            .dispatch(now, lost_lines, &mut out, err)
            .and_then(|outcome| {
                out.flush()?;
                Ok(outcome)
            });
        match outcome {
            Ok(outcome) => outcome,
            Err(error) if is_broken_pipe(&error) => Outcome::Done,
            Err(error) => {
                // With standard error closed there is nobody left to tell; the exit code remains.
                // A line for each of several mistakes, as in a configuration file.
                for line in format!("{error:#}").lines() {
                    let _ = writeln!(err, "error: {}", text::printable(line));
                }
                Outcome::Failed
            }
        }
    }

    fn dispatch(
        self,
        now: SystemTime,
        lost_lines: LostLines,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> anyhow::Result<Outcome> {
        let Self {
            socket,
            output: format,
            command,
        } = self;
        let client = Client::new(socket);
        let overrides = || environment::overrides(std::env::var_os);
        match command {
            Command::Agent(args) => agent::run(args, overrides(), lost_lines),
            Command::Status(StatusArgs {}) => {
                wait_for(status::run(&client, format, timestamp(now)?, out))
            }
            Command::Routes(args) => wait_for(routes::run(&client, &args, format, out)),
            Command::Explain(args) => wait_for(explain::run(&client, &args, format, out)),
            Command::Leave(args) => wait_for(leave::leave(&args, &client, format, out)),
            Command::Join(JoinArgs {}) => wait_for(leave::join(&client, format, out)),
            Command::Config(args) => config::run(&args, &overrides(), format, out),
            Command::Policy(args) => policy::run(&args, &client, format, now, out),
            Command::Calico(args) => calico::run(&args, format, out, err),
            Command::Completions(args) => completions::run(&args, out),
        }
    }
}

fn timestamp(now: SystemTime) -> anyhow::Result<Timestamp> {
    Timestamp::try_from(now).context("the system clock is out of range")
}

/// Runs a request to its end; one thread is plenty for one connection.
fn wait_for<T>(request: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(request)
}

/// Whether writing the answer failed because its reader went away. Errors of the agent's socket
/// are wrapped by the client and never match.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
