//! Logs: to standard error, filtered by the environment variable `RUTTER_LOG`.
//!
//! The agent does not wait for whoever reads its log; other commands do, for they have nothing
//! else to do.

mod queue;

use std::fs::File;
use std::io::{self, IsTerminal as _, LineWriter, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::agent::LostLines;
use queue::Queue;

/// What holds the filter: `debug`, or `info,rutter::bgp=trace`.
const FILTER_VARIABLE: &str = "RUTTER_LOG";

/// The form of each line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line, for collectors
    Json,
}

/// Who logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedBy {
    /// The agent, in this form.
    Agent(LogFormat),
    /// A command that somebody waits for. It logs next to nothing, as text.
    Command,
}

/// The log of the process. The last lines leave when it is dropped.
#[derive(Debug)]
pub struct Log {
    /// The agent's.
    queue: Option<Queue>,
    lost: LostLines,
}

impl Log {
    /// How much of it was lost.
    #[must_use]
    pub fn lost_lines(&self) -> LostLines {
        self.lost.clone()
    }

    /// Where words go that are no part of the log: to standard error, too, behind the log.
    #[must_use]
    pub fn stderr(&self) -> Box<dyn Write> {
        match &self.queue {
            Some(queue) => Box::new(LineWriter::new(queue.lines())),
            None => Box::new(io::stderr()),
        }
    }
}

/// Starts logging for the whole process. Without a filter, what a user would notice is logged.
///
/// # Errors
/// The filter is not understood, or logging was started before.
pub fn start(logged_by: LoggedBy) -> anyhow::Result<Log> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(FILTER_VARIABLE)
        .from_env()
        .map_err(|error| {
            anyhow!("{FILTER_VARIABLE} is no log filter, as info or debug are: {error}")
        })?;
    let quiet = crate::kube::LOG_DIRECTIVES.split(',').map(str::parse);
    let filter = quiet.into_iter().try_fold(filter, |filter, directive| {
        anyhow::Ok(filter.add_directive(directive?))
    })?;
    let lost = LostLines::default();
    let (queue, format) = match logged_by {
        LoggedBy::Agent(format) => (Some(agents_queue(&lost)?), format),
        LoggedBy::Command => (None, LogFormat::Text),
    };
    let writer = match &queue {
        Some(queue) => {
            let lines = queue.lines();
            BoxMakeWriter::new(move || lines.clone())
        }
        None => BoxMakeWriter::new(io::stderr),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(writer);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started
        .map_err(anyhow::Error::from_boxed)
        .context("cannot start logging")?;
    Ok(Log { queue, lost })
}

fn agents_queue(lost: &LostLines) -> anyhow::Result<Queue> {
    // Not the library's own, which others would have to wait for.
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let stderr = File::from(stderr.context("cannot write to standard error")?);
    let queue = Queue::start(stderr, lost.clone())?;
    // By itself it would be written to standard error at once, however long that takes.
    std::panic::set_hook(Box::new(log_panic));
    Ok(queue)
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("no words");
    let place = panic.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("no place");
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("no name");
    error!(
        place,
        thread,
        backtrace = %std::backtrace::Backtrace::capture(),
        "panicked, which is a mistake in the program: {what}"
    );
}
