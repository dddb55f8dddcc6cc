//! The program `rutter`: the agent and the commands that ask it, by [`rutter::cli`].

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use rutter::cli::{Cli, Outcome, logging};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Neither stream is held locked: the agent's threads log to standard error meanwhile.
    if let Err(error) = logging::start(cli.log_format()) {
        // With standard error closed there is nobody left to tell; the exit code remains.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        return Outcome::Failed.into();
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line's one clock; commands take the time as an argument"
    )]
    let now = SystemTime::now();
    cli.run(now, &mut io::stdout(), &mut io::stderr()).into()
}
