//! `rutter config check FILE`: whether the agent would take a configuration.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::{self, OutputFormat};
use super::{Outcome, text};
use crate::config::{Config, Overrides};
use crate::files;

const DETAILS: &str = "\
Environment:
  RUTTER_ADVERTISE_CLUSTER_IPS, CALICO_ADVERTISE_CLUSTER_IPS
      replace advertise.service-cluster-cidrs, as they do for the agent

Exit codes:
  0  valid
  1  not valid, or not readable
  2  the command line is not understood";

/// Look at configuration files
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(CheckArgs),
}

/// Tell whether the agent would take a configuration file
///
/// Everything that is wrong with it is printed, with line and column. No agent is asked, and no file that the configuration names is opened.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
struct CheckArgs {
    /// The file; /dev/stdin for what is piped in
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What was found; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    file: String,
    valid: bool,
    /// Each with file, line, column and key; the last may say that there are more.
    errors: Vec<String>,
    #[serde(skip)]
    error_count: usize,
    warnings: Vec<String>,
}

/// Reads the file, checks it as the agent would with these overrides, and prints what is wrong.
///
/// # Errors
/// The file cannot be read, or `out` fails.
pub(super) fn run(
    args: &ConfigArgs,
    overrides: &Overrides,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let ConfigCommand::Check(CheckArgs { file }) = &args.command;
    let text = files::read_any_text(file, files::CONFIG_BYTES_MAX)
        .with_context(|| format!("cannot read the configuration {}", file.display()))?;
    let name = file.to_string_lossy();
    let report = match Config::refuse_empty(&text) {
        Ok(()) => check(&name, &text, overrides),
        Err(empty) => Report {
            file: name.to_string(),
            valid: false,
            errors: vec![format!("{name}: {empty}")],
            error_count: 1,
            warnings: Vec::new(),
        },
    };
    match format {
        OutputFormat::Text => print(&report, out)?,
        OutputFormat::Json => output::json(&report, out)?,
    }
    Ok(if report.valid {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

/// Checks a configuration's text.
pub(super) fn check(file: &str, text: &str, overrides: &Overrides) -> Report {
    let parsed = Config::parse(file, text, overrides);
    let valid = parsed.is_ok();
    let mut error_count = 0;
    let (errors, warnings) = match parsed {
        Ok(config) => (Vec::new(), config.warnings),
        Err(errors) => {
            let mut texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
            error_count = texts.len() + errors.more();
            if errors.more() > 0 {
                texts.push(format!("{file}: and {} more", errors.more()));
            }
            (texts, Vec::new())
        }
    };
    Report {
        file: file.to_owned(),
        valid,
        errors,
        error_count,
        warnings,
    }
}

/// Prints one line for each error and warning, then the verdict.
///
/// # Errors
/// Only those of `out`.
pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report {
        file,
        valid,
        errors,
        error_count,
        warnings,
    } = report;
    for error in errors {
        writeln!(out, "{}", text::printable(error))?;
    }
    for warning in warnings {
        writeln!(out, "warning: {}", text::printable(warning))?;
    }
    let file = text::printable(file);
    if *valid {
        writeln!(out, "{file} is valid")
    } else {
        let errors = u64::try_from(*error_count).unwrap_or(u64::MAX);
        writeln!(out, "{file} is not valid: {}", text::count(errors, "error"))
    }
}

#[cfg(test)]
mod tests;
