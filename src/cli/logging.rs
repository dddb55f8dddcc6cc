//! Logs: to standard error, filtered by the environment variable `RUTTER_LOG`.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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

/// Starts logging for the whole process. Without a filter, what a user would notice is logged.
///
/// # Errors
/// The filter is not understood, or logging was started before.
pub fn start(format: LogFormat) -> anyhow::Result<()> {
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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started
        .map_err(anyhow::Error::from_boxed)
        .context("cannot start logging")
}
