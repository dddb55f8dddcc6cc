//! The program `rutter`: the agent and the commands that ask it, by [`rutter::cli`].

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use rutter::cli::{Cli, Outcome, logging};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = match logging::start(cli.logged_by()) {
        Ok(log) => log,
        Err(error) => {
            // With standard error closed there is nobody left to tell; the exit code remains.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            return Outcome::Failed.into();
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line's one clock; commands take the time as an argument"
    )]
    let now = SystemTime::now();
    let lost_lines = log.lost_lines();
    cli.run(now, lost_lines, &mut io::stdout(), &mut log.stderr())
        .into()
}
