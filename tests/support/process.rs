//! Child processes that end with the test: daemons, with a log each, and commands.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::memory;

/// How long a process may take to end after SIGTERM; GoBGP takes 1.5 s.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// How often an ending process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

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

/// What a process has of the machine's memory, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

/// What is sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Stop,
    Continue,
    Terminate,
    Hangup,
}

impl Process {
    /// Starts `command` with its output in `log`, to which it is added.
    pub(crate) fn spawn(name: &str, command: &mut Command, log: PathBuf) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let stderr = file.try_clone().unwrap();
        Self::run(name, command.stdout(file).stderr(stderr), log)
    }

    /// The same with another standard error than its log, which nothing goes into then.
    pub(crate) fn spawn_telling(
        name: &str,
        command: &mut Command,
        log: PathBuf,
        stderr: Stdio,
    ) -> Self {
        Self::run(name, command.stdout(Stdio::null()).stderr(stderr), log)
    }

    fn run(name: &str, command: &mut Command, log: PathBuf) -> Self {
        let child = command
            .stdin(Stdio::null())
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
            Signal::Terminate => "-TERM",
            Signal::Hangup => "-HUP",
        };
        run(Command::new("kill").args([option, &self.child.id().to_string()]))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Ends it by SIGTERM, or by SIGKILL where that does not help.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        if let Some(status) = self.exit_status() {
            return status;
        }
        // A stopped process does not see SIGTERM.
        self.signal(Signal::Terminate);
        self.signal(Signal::Continue);
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.exit_status() {
                return status;
            }
            thread::sleep(POLL_INTERVAL);
        }
        self.kill()
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

    /// How much memory it has, and the most it had since [`Self::forget_peak`].
    pub(crate) fn memory(&self) -> Memory {
        let process = self.child.id();
        Memory {
            resident: memory::of(process, "VmRSS"),
            peak: memory::of(process, "VmHWM"),
        }
    }

    /// Starts to look for the peak of its memory anew.
    pub(crate) fn forget_peak(&self) {
        // See `clear_refs` in proc(5).
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Everything it printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            println!(
                "--- end of the log of {} ---\n{}",
                self.name,
                shown.join("\n")
            );
            self.kill();
        } else {
            self.stop();
        }
    }
}

/// Runs a command to its end and returns what it printed to standard output.
///
/// # Errors
/// It does not start, or fails; the text has its standard error.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(printed)
    } else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "{command:?}: {}: {complaint}{printed}",
            output.status
        ))
    }
}

/// A command that is ended when it takes too long, because what it asks may be stopped.
pub(crate) fn impatient(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["10", program]);
    command
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
