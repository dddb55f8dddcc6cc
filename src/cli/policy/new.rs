//! `rutter policy new NAME`: a policy to start from, which compiles, and its test, which passes.
//!
//! What it writes needs this program and a Rust toolchain with crates from its registry, but no
//! checkout of Rutter. It never writes into a directory that has something in it.

mod kit;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cli::Outcome;
use crate::cli::output::{self, OutputFormat};

const DETAILS: &str = "\
What is written compiles, and its test passes: a policy that rejects the Services without a label.
`cargo test` runs it natively, `rutter policy build` makes the module.";

/// Start a policy: a crate with an example, its test, and the kit it is written with
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct NewArgs {
    /// What the policy is called: lower-case letters, digits and `-`
    name: PolicyName,

    /// Where to put it; must not exist, or be empty [default: ./NAME]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// A name that is good for a crate, a file and the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct PolicyName(String);

const NAME_BYTES_MAX: usize = 64;

/// Crates that a policy is built from, and names that cargo or the compiler refuse in its manifest
/// or mean something else by.
const TAKEN: &[&str] = &[
    "alloc",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "proc-macro",
    "rutter-policy",
    "serde",
    "serde-json",
    "serde-path-to-error",
    "std",
    "test",
    "wit-bindgen",
];

/// Rust's, of those that are lower-case letters: a crate cannot be called so.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

impl FromStr for PolicyName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let taken = TAKEN.contains(&name) || KEYWORDS.contains(&name);
        if name.len() > NAME_BYTES_MAX {
            Err(format!("longer than {NAME_BYTES_MAX} characters"))
        } else if !name.chars().all(allowed) {
            Err("write lower-case letters, digits and `-`".to_owned())
        } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') {
            Err("it starts with a letter and ends with a letter or a digit".to_owned())
        } else if taken {
            Err("a crate cannot be called so, or another one already is; choose another".to_owned())
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

/// What was written; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
struct Report {
    name: PolicyName,
    directory: PathBuf,
    /// Paths in the directory.
    files: Vec<String>,
}

/// Writes the policy.
///
/// # Errors
/// The directory has something in it, or a file cannot be written.
pub(super) fn run(
    args: &NewArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let NewArgs { name, directory } = args;
    let directory = directory.clone().unwrap_or_else(|| PathBuf::from(&name.0));
    let files = files(name);
    claim(&directory)?;
    for (path, text) in &files {
        let path = directory.join(path);
        write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let report = Report {
        name: name.clone(),
        directory,
        files: files.into_iter().map(|(path, _)| path).collect(),
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

/// All of the policy's files, by their paths in its directory.
fn files(PolicyName(name): &PolicyName) -> Vec<(String, String)> {
    let templates = [
        (".gitignore", include_str!("new/rust/gitignore")),
        ("Cargo.toml", include_str!("new/rust/manifest.toml")),
        ("README.md", include_str!("new/rust/README.md")),
        ("src/lib.rs", include_str!("new/rust/lib.rs")),
    ];
    let fill = |text: &str| {
        text.replace("RUST_VERSION", env!("CARGO_PKG_RUST_VERSION"))
            .replace("NAME", name)
    };
    let own = templates.map(|(path, text)| (path.to_owned(), fill(text)));
    let kit = kit::files().map(|(path, text)| (format!("rutter-policy/{path}"), text));
    own.into_iter().chain(kit).collect()
}

/// Makes sure that there is an empty directory.
fn claim(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {shown}"))?;
    let mut entries =
        fs::read_dir(directory).with_context(|| format!("cannot read the directory {shown}"))?;
    anyhow::ensure!(
        entries.next().is_none(),
        "{shown} is not empty: name another directory, or take away what is in it"
    );
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report {
        name: PolicyName(name),
        directory,
        files,
    } = report;
    let directory = directory.display();
    writeln!(out, "{directory}: the policy {name}, {} files", files.len())?;
    writeln!(out, "\nNext:\n  cd {directory}")?;
    for (command, what) in [
        ("cargo test", "run its test"),
        ("rutter policy build", &format!("make {name}.wasm")),
    ] {
        writeln!(out, "  {command:<20} # {what}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
