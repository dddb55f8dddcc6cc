//! `rutter policy pull MODULE [FILE]`: a module from wherever it is into a file, checked.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::module::{ModuleArg, RegistryArg};
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::config::RepositoryName;
use crate::source::Demands;
use crate::types::Digest;

const DETAILS: &str = "\
Without FILE it only tells what a configuration would have to write to pin the module. Whether the \
module is a policy is not looked at: see rutter policy inspect.";

/// Get a module from a registry or web server, check it, and print its digests
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct PullArgs {
    #[command(flatten)]
    module: ModuleArg,

    /// Where to put it; what is there is replaced
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Take nothing but a module of this digest
    #[arg(long, value_name = "sha256:...")]
    digest: Option<Digest>,

    /// Take nothing that the owner of this public key has not signed
    #[arg(long, value_name = "FILE")]
    require_signature: Option<PathBuf>,

    /// The repository that the signature was made for, where the module is in a mirror of it
    #[arg(
        long,
        value_name = "REGISTRY/REPOSITORY",
        requires = "require_signature"
    )]
    #[arg(value_parser = RepositoryName::parse)]
    signed_for: Option<RepositoryName>,

    #[command(flatten)]
    registry: RegistryArg,
}

/// What came; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    /// With the digest of the artifact, where it is one.
    reference: String,
    /// Of the module.
    digest: String,
    bytes: usize,
}

/// Pulls the module.
///
/// # Errors
/// It cannot be had, is not what was demanded, or cannot be written.
pub(super) fn run(
    args: &PullArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let demands = Demands {
        digest: args.digest,
        signed_by: args.require_signature.clone(),
        signed_for: args.signed_for.clone(),
    };
    let obtained = args.module.obtain(&demands, args.registry.auth())?;
    if let Some(file) = &args.file {
        std::fs::write(file, &obtained.bytes)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let report = Report {
        reference: obtained.source.to_string(),
        digest: obtained.digest.to_string(),
        bytes: obtained.bytes.len(),
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => {
            writeln!(out, "{}", text::printable(&report.reference))?;
            writeln!(
                out,
                "module digest {}, {} bytes",
                report.digest, report.bytes
            )?;
        }
    }
    Ok(Outcome::Done)
}
