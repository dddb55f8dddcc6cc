//! `rutter policy new NAME`: a policy to start from, which compiles, and its tests, which pass.
//!
//! What it writes needs this program and the language's own tools, with what they fetch from their
//! registry, but no checkout of Rutter. It never writes into a directory that has something in it.

mod example;
mod kit;
mod language;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cli::Outcome;
use crate::cli::output::{self, OutputFormat};
use example::Example;
use language::Language;

const DETAILS: &str = "\
What is written compiles, and its tests pass: a policy that rejects the Services without a label, or
with --learned one that takes routes of peers inside known prefixes, for [[import-policies]].
`cargo test`, `sh rutter-policy/test` or `node --test` runs it natively, `rutter policy build` makes
the module, and `rutter policy test` asks that about the cases in cases/. Everything a build takes
beside the language's own tools is in the directory.";

/// Start a policy: an example in Rust, C or JavaScript, its tests, and the kit it is written with
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct NewArgs {
    /// What the policy is called: lower-case letters, digits and `-`
    name: PolicyName,

    /// Where to put it; must not exist, or be empty [default: ./NAME]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Start an import policy, which decides on the routes that peers announce to the node
    #[arg(long)]
    learned: bool,

    /// What to write it in
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t)]
    lang: Language,
}

/// A name that is good for a crate, a package, a file and the configuration, whichever language the
/// policy is started in: it may move to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct PolicyName(String);

const NAME_BYTES_MAX: usize = 64;

/// Crates and packages that a policy is built from, and names that cargo or the compiler refuse in
/// its manifest or mean something else by.
const TAKEN: &[&str] = &[
    "alloc",
    "build",
    "componentize-qjs",
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
            Err(
                "a crate or a package cannot be called so, or one already is; choose another"
                    .to_owned(),
            )
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
    let NewArgs {
        name,
        directory,
        learned,
        lang,
    } = args;
    let directory = directory.clone().unwrap_or_else(|| PathBuf::from(&name.0));
    let example = if *learned {
        Example::LEARNED
    } else {
        Example::ANNOUNCED
    };
    let files = lang.files(&name.0, &example);
    claim(&directory)?;
    for (path, contents) in &files {
        let path = directory.join(path);
        write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let report = Report {
        name: name.clone(),
        directory,
        files: files.into_iter().map(|(path, _)| path).collect(),
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, *lang, out)?,
    }
    Ok(Outcome::Done)
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

fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::File::create_new(path)?.write_all(contents)
}

fn print(report: &Report, language: Language, out: &mut dyn Write) -> io::Result<()> {
    let Report {
        name: PolicyName(name),
        directory,
        files,
    } = report;
    let directory = directory.display();
    writeln!(out, "{directory}: the policy {name}, {} files", files.len())?;
    writeln!(out, "\nNext:\n  cd {directory}")?;
    writeln!(out, "  {}", language.native_test())?;
    writeln!(out, "  rutter policy build")?;
    writeln!(out, "  rutter policy test --module {name}.wasm")
}

#[cfg(test)]
mod tests;
