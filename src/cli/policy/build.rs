//! `rutter policy build [DIR]`: a policy's sources made into a module that the agent takes.
//!
//! The scripts of `policies/` do the work, as they do for the policies of the checkout: which
//! language a directory is in, which tools that takes and how they are called is written there
//! alone. They are part of this program, so that no checkout of Rutter is needed, and a shell is all
//! that they take; in Rust the same would be longer, and `build.rs` could not call it. What they and
//! the compiler say goes to standard error as they say it. A module that the agent would refuse
//! never takes the place of one that it takes.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::scratch::Scratch;
use super::workbench::engine;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::wasm::{Module, digest};

const DETAILS: &str = "\
The language is that of the first of these files which is in DIR:
  Cargo.toml    Rust: a toolchain that compiles to WebAssembly is looked for, one with rustup's
                target wasm32-unknown-unknown, else Debian's packages rustc-web, cargo-web and
                rust-web-src, or the one whose prefix RUTTER_GUEST_TOOLCHAIN names
  package.json  JavaScript: node (18 or later) and npm, which fetches the packer that
                package-lock.json pins
  policy.c      C: clang and wasm-ld

Where a tool is missing, the commands that install it are told. A module in Rust or C has the same
bytes wherever the same tools compile the same sources; in one in JavaScript some octets differ.";

/// Compile a policy to a module, and check that the agent would take it
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct BuildArgs {
    /// The policy's directory, as `rutter policy new` makes it
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,

    /// Where to put the module [default: DIR/NAME.wasm, as the module calls itself]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,

    /// Where the tools keep what they have fetched and compiled; policies can share it [default:
    /// DIR/target/guest]
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
}

/// What was built; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
struct Report {
    module: PathBuf,
    /// What the module calls itself.
    name: String,
    version: String,
    bytes: usize,
    /// Of the bytes, as registries write it.
    digest: String,
}

/// Compiles the policy, checks the module and puts it where it was asked for.
///
/// # Errors
/// There is no policy in the directory, no toolchain, the policy does not compile, the agent would
/// refuse the module, its name is none of a file, or a file cannot be written.
pub(super) fn run(
    args: &BuildArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let BuildArgs {
        directory,
        to,
        target_dir,
    } = args;
    let target = match target_dir {
        Some(target) => target.clone(),
        None => directory.join("target/guest"),
    };
    let bytes = compile(directory, &target)?;
    let shown = directory.display();
    let module = Module::from_bytes(&engine()?, "module", &bytes).with_context(|| {
        format!("the policy in {shown} compiles, but the agent would refuse it")
    })?;
    let description = module.description();
    let to = match to {
        Some(to) => to.clone(),
        None => directory.join(file_name(&description.name)?),
    };
    put(&to, &bytes).with_context(|| format!("cannot write the module {}", to.display()))?;
    let report = Report {
        module: to,
        name: description.name.clone(),
        version: description.version.clone(),
        bytes: bytes.len(),
        digest: format!("sha256:{}", digest(&bytes)),
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

/// The file of a module that calls itself so.
fn file_name(name: &str) -> anyhow::Result<String> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = name.starts_with(char::is_alphanumeric) && name.chars().all(allowed);
    let shown = text::printable(name);
    anyhow::ensure!(
        good,
        "the module calls itself `{shown}`, which is no name for a file: name one with --to"
    );
    Ok(format!("{name}.wasm"))
}

/// The module's bytes.
fn compile(directory: &Path, target: &Path) -> anyhow::Result<Vec<u8>> {
    let temporary = std::env::temp_dir();
    let unusable = || format!("cannot write to the directory {}", temporary.display());
    let scratch = Scratch::inside(&temporary).with_context(unusable)?;
    unpack_scripts(scratch.path()).with_context(unusable)?;
    let module = scratch.path().join("module.wasm");
    let status = Command::new("sh")
        .arg(scratch.path().join("policies/build"))
        .arg("--target-dir")
        .args([target, directory, &module])
        .stdin(Stdio::null())
        .stdout(Stdio::null()) // it prints nothing there, and the answer is ours
        .status()
        .context("cannot start sh")?;
    anyhow::ensure!(
        status.success(),
        "the policy in {} was not built: see above",
        directory.display()
    );
    fs::read(&module).with_context(|| format!("cannot read {}", module.display()))
}

/// Puts the scripts of `policies/` into a directory, laid out as in a checkout.
fn unpack_scripts(to: &Path) -> io::Result<()> {
    let oldest = concat!("rust-version = \"", env!("CARGO_PKG_RUST_VERSION"), "\"\n");
    fs::write(to.join("Cargo.toml"), oldest)?;
    fs::create_dir(to.join("policies"))?;
    for (name, script) in SCRIPTS {
        fs::write(to.join("policies").join(name), script)?;
    }
    Ok(())
}

const SCRIPTS: [(&str, &str); 4] = [
    ("build", include_str!("../../../policies/build")),
    ("build-c", include_str!("../../../policies/build-c")),
    ("build-js", include_str!("../../../policies/build-js")),
    ("toolchain", include_str!("../../../policies/toolchain")),
];

/// Puts the whole file there at once: an agent may be watching the place.
fn put(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = to.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut unfinished = std::ffi::OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = to.with_file_name(unfinished);
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, to))
        .inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report {
        module,
        name,
        version,
        bytes,
        digest,
    } = report;
    let (module, name) = (module.display(), text::printable(name));
    let version = text::printable(version);
    writeln!(out, "{module}: {name} {version}, {bytes} bytes, {digest}")
}

#[cfg(test)]
mod tests;
