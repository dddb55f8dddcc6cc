//! `rutter policy build [DIR]`: a policy's sources made into a module that the agent takes.
//!
//! The scripts of `policies/` do the work, as they do for the default policy; they are part of this
//! program, so that no checkout of Rutter is needed. What the compiler says goes to standard error
//! as it says it. A module that the agent would refuse never takes the place of one that it takes.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use toml::Table;

use super::scratch::Scratch;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::wasm::{Engine, Module, digest};

const DETAILS: &str = "\
A Rust toolchain that compiles to WebAssembly is looked for: one with rustup's target
wasm32-unknown-unknown, else Debian's packages rustc-web, cargo-web and rust-web-src, or the one
whose prefix RUTTER_GUEST_TOOLCHAIN names. Where there is none, the commands that install one are
told. The module's bytes are the same wherever the same toolchain compiles the same sources.";

/// Compile a policy to a module, and check that the agent would take it
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct BuildArgs {
    /// The policy's directory, as `rutter policy new` makes it
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,

    /// Where to put the module [default: DIR/NAME.wasm]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,

    /// Where the compiler keeps what it has compiled; policies can share it [default:
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
/// refuse the module, or a file cannot be written.
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
    let name = package_name(directory)?;
    let target = match target_dir {
        Some(target) => target.clone(),
        None => directory.join("target/guest"),
    };
    let bytes = compile(directory, &target)?;
    let module = Module::from_bytes(&Engine::new()?, &name, &bytes).with_context(|| {
        let directory = directory.display();
        format!("the policy in {directory} compiles, but the agent would refuse it")
    })?;
    let to = match to {
        Some(to) => to.clone(),
        None => directory.join(format!("{name}.wasm")),
    };
    put(&to, &bytes).with_context(|| format!("cannot write the module {}", to.display()))?;
    let description = module.description();
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

/// The name of the crate in the directory.
fn package_name(directory: &Path) -> anyhow::Result<String> {
    let shown = directory.display();
    anyhow::ensure!(directory.is_dir(), "there is no directory {shown}");
    let manifest = directory.join("Cargo.toml");
    let shown = manifest.display();
    anyhow::ensure!(
        manifest.is_file(),
        "there is no {shown}; `rutter policy new` starts a policy"
    );
    let manifest = fs::read_to_string(&manifest).with_context(|| format!("cannot read {shown}"))?;
    let manifest: Table = manifest.parse().with_context(|| shown.to_string())?;
    manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("{shown} is of no crate: it has no package.name"))
}

/// The module's bytes.
fn compile(directory: &Path, target: &Path) -> anyhow::Result<Vec<u8>> {
    let unusable = || format!("cannot write to the directory {}", target.display());
    let scratch = fs::create_dir_all(target)
        .and_then(|()| Scratch::inside(target))
        .with_context(unusable)?;
    unpack_scripts(scratch.path()).with_context(unusable)?;
    let module = scratch.path().join("module.wasm");
    let status = Command::new("sh")
        .arg(scratch.path().join(BUILD))
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
    fs::create_dir(to.join("policies"))?;
    let oldest = concat!("rust-version = \"", env!("CARGO_PKG_RUST_VERSION"), "\"\n");
    let toolchain = include_str!("../../../policies/toolchain");
    fs::write(to.join("Cargo.toml"), oldest)?;
    fs::write(to.join(BUILD), include_str!("../../../policies/build"))?;
    fs::write(to.join("policies/toolchain"), toolchain)
}

const BUILD: &str = "policies/build";

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
