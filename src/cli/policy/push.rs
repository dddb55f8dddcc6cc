//! `rutter policy push MODULE oci://...`: a module into a registry.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::module::{DOWNLOAD_TIME_MAX, ModuleArg, RegistryArg};
use super::workbench::engine;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text, wait_for};
use crate::config::PolicyModule;
use crate::source::{Demands, SigningKey, push};
use crate::wasm::Module;

const DETAILS: &str = "\
The artifact is in the CNCF layout for WebAssembly. What is printed is what to write as the module \
of a policy. A module that the agent would refuse is not pushed.";

/// Put a module into a registry, and print the reference that pins it
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct PushArgs {
    #[command(flatten)]
    module: ModuleArg,

    /// Where to: oci://REGISTRY/REPOSITORY:TAG
    #[arg(value_name = "REFERENCE")]
    reference: String,

    /// Sign it with this private key, as cosign does: ECDSA on P-256, PKCS #8 in PEM, not encrypted
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,

    #[command(flatten)]
    registry: RegistryArg,
}

/// What is in the registry now; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    /// With the digest of the artifact.
    reference: String,
    /// Of the module.
    digest: String,
    signed: bool,
}

/// Pushes the module.
///
/// # Errors
/// The module cannot be read or used, the registry does not take it, or `out` fails.
pub(super) fn run(
    args: &PushArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let reference = match PolicyModule::parse(&args.reference, Path::new("")) {
        Ok(PolicyModule::Oci(reference)) => reference,
        Ok(PolicyModule::Builtin(_) | PolicyModule::File(_) | PolicyModule::Http(_)) => {
            anyhow::bail!(
                "the reference is {:?}; write oci://REGISTRY/REPOSITORY:TAG",
                args.reference
            )
        }
        Err(problem) => anyhow::bail!("the reference {problem}"),
    };
    let key = args.sign_key.as_deref().map(SigningKey::read).transpose()?;
    let auth = args.registry.auth();
    let module = args.module.obtain(&Demands::default(), auth)?.bytes;
    Module::from_bytes(&engine()?, args.module.text(), &module)?;
    let pushed = wait_for(async {
        let pushed = push(&module, &reference, key.as_ref(), auth, DOWNLOAD_TIME_MAX).await;
        pushed.with_context(|| format!("cannot push to {reference}"))
    })?;
    let report = Report {
        reference: pushed.reference.to_string(),
        digest: pushed.module.to_string(),
        signed: key.is_some(),
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => {
            let signed = if report.signed { ", signed" } else { "" };
            writeln!(out, "{}", text::printable(&report.reference))?;
            writeln!(out, "module digest {}{signed}", report.digest)?;
        }
    }
    Ok(Outcome::Done)
}
