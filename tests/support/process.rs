//! Child processes that end with the test: daemons, with a log each, and commands.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

/// How much of a log is shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A running program. Dropping it ends it; when that happens because the test failed, its log
/// is printed.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What is sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Stop,
    Continue,
}

impl Process {
    /// Starts `command` with its output in `log`, to which it is added.
    pub(crate) fn spawn(name: &str, command: &mut Command, log: PathBuf) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {name} ({command:?}): {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let option = match signal {
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let sent = Command::new("kill")
            .args([option, &self.child.id().to_string()])
            .status()
            .unwrap_or_else(|error| panic!("cannot run kill: {error}"));
        assert!(sent.success(), "cannot signal {}", self.name);
    }

    /// Ends it at once, with no chance to say goodbye.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        // Fails only when it has ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap()
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Everything it printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            println!(
                "--- end of the log of {} ---\n{}",
                self.name,
                shown.join("\n")
            );
        }
    }
}

/// A program that `tests/setup` provides, by the variable it writes.
///
/// # Panics
/// The variable is not set.
pub(crate) fn program(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run tests/run, or `. \"$(tests/setup)\"` before cargo test")
    })
}
