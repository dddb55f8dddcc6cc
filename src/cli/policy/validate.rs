//! `rutter policy validate MODULE`: whether the agent would take a module with these settings.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::module::{ModuleArg, SettingsArg};
use super::workbench::engine;
use crate::cli::output::{self, OutputFormat};
use crate::cli::policy::purpose;
use crate::cli::{Outcome, text};
use crate::wasm::Limits;

/// Tell whether the agent would take a module with these settings
///
/// The module is compiled, asked to describe itself, and given the settings to check: all that the agent does before it puts a module into use.
#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    module: ModuleArg,

    #[command(flatten)]
    settings: SettingsArg,
}

/// What was found; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    valid: bool,
    name: Option<String>,
    version: Option<String>,
    /// Announced routes, learned ones, or both.
    decides_on: Option<String>,
    /// Why the agent would refuse it.
    error: Option<String>,
}

/// Loads the module and lets it check the settings.
///
/// # Errors
/// The engine does not start, or `out` fails; that a module is refused is an answer.
pub(super) fn run(
    args: &ValidateArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let engine = engine()?;
    let checked = args.module.load(&engine).and_then(|module| {
        purpose::check_settings(&module, &args.settings.read()?, Limits::default())?;
        Ok(module)
    });
    let report = match checked {
        Ok(module) => {
            let description = module.description();
            Report {
                valid: true,
                name: Some(description.name.clone()),
                version: Some(description.version.clone()),
                decides_on: Some(module.purpose().to_string()),
                error: None,
            }
        }
        Err(refusal) => Report {
            valid: false,
            name: None,
            version: None,
            decides_on: None,
            error: Some(format!("{refusal:#}")),
        },
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(if report.valid {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    match report {
        Report {
            error: Some(error), ..
        } => writeln!(out, "not valid: {}", text::printable(error)),
        Report {
            name,
            version,
            decides_on,
            ..
        } => writeln!(
            out,
            "{} {} is valid with these settings; it decides on {}",
            text::printable(name.as_deref().unwrap_or_default()),
            text::printable(version.as_deref().unwrap_or_default()),
            decides_on.as_deref().unwrap_or_default()
        ),
    }
}
