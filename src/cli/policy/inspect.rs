//! `rutter policy inspect MODULE`: what a module is, whether the agent would take it or not.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::module::ModuleArg;
use super::workbench::engine;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::wasm::{Engine, Inspection, Module, ModuleKind, digest};

const DETAILS: &str = "\
A module that the agent would refuse is inspected all the same, and why it would be refused is part
of the answer; `rutter policy validate` fails for it.";

/// Tell what a module is: its description, contract, imports, size and digest
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct InspectArgs {
    #[command(flatten)]
    module: ModuleArg,
}

/// What was found; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    module: String,
    /// `component`, `core-module`; absent where it is no WebAssembly.
    kind: Option<&'static str>,
    bytes: usize,
    /// Of the bytes, as registries write it.
    digest: String,
    /// Interfaces of the contract that it exports.
    interfaces: Vec<Interface>,
    /// The world of the contract that it is of, and what it decides on; absent where the agent
    /// would refuse it.
    world: Option<World>,
    imports: Vec<Import>,
    /// What it says about itself; absent where the agent would refuse it.
    description: Option<Description>,
    /// Why the agent would refuse it.
    refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    version: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct World {
    name: &'static str,
    decides_on: String,
}

#[derive(Debug, Serialize)]
struct Import {
    name: String,
    refused: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Description {
    name: String,
    version: String,
    summary: String,
    /// As JSON where it is JSON, else as text.
    settings_schema: Option<serde_json::Value>,
}

/// Reads the module, and loads it if it can be loaded.
///
/// # Errors
/// The file cannot be read, the engine does not start, or `out` fails.
pub(super) fn run(
    args: &InspectArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let bytes = args.module.bytes()?;
    let report = inspect(args.module.text(), &bytes, &engine()?);
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

fn inspect(name: &str, bytes: &[u8], engine: &Engine) -> Report {
    let Inspection {
        kind,
        imports,
        interfaces,
        damage: _, // is the reason of the refusal
    } = Inspection::of(bytes);
    let (world, description, refusal) = match Module::from_bytes(engine, name, bytes) {
        Ok(module) => (Some(world(&module)), Some(describe(&module)), None),
        Err(refusal) => {
            let refusal = format!("{:#}", anyhow::Error::from(refusal));
            (None, None, Some(refusal))
        }
    };
    let import = |name: String| Import {
        refused: refusal.is_some() && !name.starts_with("rutter:policy/"),
        name,
    };
    Report {
        module: name.to_owned(),
        kind: kind.map(|kind| match kind {
            ModuleKind::Core => "core-module",
            ModuleKind::Component => "component",
        }),
        bytes: bytes.len(),
        digest: format!("sha256:{}", digest(bytes)),
        interfaces: interfaces
            .into_iter()
            .map(|(name, version)| Interface { name, version })
            .collect(),
        world,
        imports: imports.into_iter().map(import).collect(),
        description,
        refusal,
    }
}

fn world(module: &Module) -> World {
    let purpose = module.purpose();
    World {
        name: purpose.world(),
        decides_on: purpose.to_string(),
    }
}

fn describe(module: &Module) -> Description {
    let description = module.description().clone();
    let schema = |text: String| serde_json::from_str(&text).unwrap_or(text.into());
    Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        settings_schema: description.settings_schema.map(schema),
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report {
        module,
        kind,
        bytes,
        digest,
        interfaces,
        world,
        imports,
        description,
        refusal,
    } = report;
    field("Module", module, out)?;
    let kind = match *kind {
        Some("core-module") => "core module, made into a component when it is loaded",
        Some(other) => other,
        None => "not WebAssembly",
    };
    field("Kind", kind, out)?;
    field("Size", &format!("{bytes} bytes"), out)?;
    field("Digest", digest, out)?;
    let contract = |interface: &Interface| {
        let Interface { name, version } = interface;
        format!("rutter:policy/{name}@{version}")
    };
    list("Exports", interfaces.iter().map(contract), out)?;
    if let Some(World { name, decides_on }) = world {
        field("World", &format!("{name}: decides on {decides_on}"), out)?;
    }
    let import = |import: &Import| {
        let note = if import.refused { ": refused" } else { "" };
        format!("{}{note}", import.name)
    };
    list("Imports", imports.iter().map(import), out)?;
    if let Some(description) = description {
        print_description(description, out)?;
    }
    match refusal {
        Some(refusal) => field("Refused", refusal, out),
        None => Ok(()),
    }
}

fn print_description(description: &Description, out: &mut dyn Write) -> io::Result<()> {
    let Description {
        name,
        version,
        summary,
        settings_schema,
    } = description;
    field("Name", name, out)?;
    field("Version", version, out)?;
    field("Summary", summary, out)?;
    match settings_schema {
        None => field("Settings", "no schema", out),
        Some(schema) => {
            field("Settings", "", out)?;
            let schema = serde_json::to_string_pretty(schema)?;
            schema.lines().try_for_each(|line| {
                let indent = line.len() - line.trim_start().len();
                writeln!(out, "  {:indent$}{}", "", text::printable(line))
            })
        }
    }
}

/// Width of the longest name with its colon and a space.
const FIELD_WIDTH: usize = 10;

fn field(name: &str, value: &str, out: &mut dyn Write) -> io::Result<()> {
    let line = format!(
        "{:FIELD_WIDTH$}{}",
        format!("{name}:"),
        text::printable(value)
    );
    writeln!(out, "{}", line.trim_end())
}

fn list(name: &str, items: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let items: Vec<String> = items.collect();
    field(name, items.first().map_or("nothing", String::as_str), out)?;
    let mut rest = items.iter().skip(1);
    rest.try_for_each(|item| writeln!(out, "{:FIELD_WIDTH$}{}", "", text::printable(item)))
}

#[cfg(test)]
mod tests;
