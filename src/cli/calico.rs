//! `rutter calico import FILE...`: a configuration file that says what Calico's resources do.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::output::{self, OutputFormat};
use super::{Outcome, text};
use crate::calico::{Kind, Resources, objects_in};
use crate::files;

/// The Nodes of a large cluster have some tens of kilobytes each.
const BYTES_MAX: usize = 256 << 20;

const DETAILS: &str = "\
Resources are those of crd.projectcalico.org/v1 and projectcalico.org/v3, and Kubernetes' Nodes:

  kubectl get nodes,bgpconfigurations,bgppeers,bgpfilters,ippools -o yaml > resources.yaml
  rutter calico import resources.yaml --node worker-1 > rutter.toml

What Calico takes from its environment (CALICO_ADVERTISE_CLUSTER_IPS, CALICO_ROUTER_ID) is not in them.

Exit codes:
  0  done; what the file does not say is told on standard error
  1  a file cannot be read, or nothing can be made of the resources
  2  the command line is not understood";

/// Move from Calico's resources
#[derive(Debug, Args)]
pub(super) struct CalicoArgs {
    #[command(subcommand)]
    command: CalicoCommand,
}

#[derive(Debug, Subcommand)]
enum CalicoCommand {
    Import(ImportArgs),
}

/// Print the configuration file that does for a node what Calico's resources say
///
/// Peers are written out one by one, as they are at present. No agent and no API server is asked.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
struct ImportArgs {
    /// The node that the file is for; may be left out where there is one only
    #[arg(long, value_name = "NAME", env = "NODE_NAME", hide_env = true)]
    node: Option<String>,

    /// Manifests in YAML or JSON, directories of such, or what `kubectl get -o yaml` prints; /dev/stdin for what is piped in
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// What was made of the resources; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
struct Imported {
    node: String,
    config: String,
    warnings: Vec<String>,
}

/// Reads the files and prints what they mean for a node; warnings go to `err`.
///
/// # Errors
/// A file cannot be read, the node is not known, or `out` fails.
pub(super) fn run(
    args: &CalicoArgs,
    format: OutputFormat,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let CalicoCommand::Import(ImportArgs { node, files }) = &args.command;
    let resources = read(files)?;
    let imported = import(&resources, node.as_deref())?;
    for warning in &imported.warnings {
        writeln!(err, "warning: {}", text::printable(warning))?;
    }
    match format {
        OutputFormat::Text => out.write_all(imported.config.as_bytes())?,
        OutputFormat::Json => output::json(&imported, out)?,
    }
    Ok(Outcome::Done)
}

fn import(resources: &Resources, node: Option<&str>) -> anyhow::Result<Imported> {
    let mut warnings: Vec<_> = resources.problems().map(ToString::to_string).collect();
    let known: Vec<&str> = resources.node_names().collect();
    let node = match (node, &known[..]) {
        (Some(node), _) => node,
        (None, [only]) => only,
        (None, []) => bail!("there is no Node among the resources; add the cluster's"),
        (None, [first, ..]) => bail!(
            "there are {} Nodes; say which the file is for, such as --node {first}",
            known.len()
        ),
    };
    let Some(config) = resources.node(node) else {
        for warning in &mut warnings {
            *warning = format!("\n{warning}");
        }
        bail!(
            "nothing is known of the peers of Node {node}; there are: {}{}",
            known.join(", "),
            warnings.concat()
        );
    };
    let toml = config.to_toml();
    warnings.extend(config.problems.iter().map(ToString::to_string));
    warnings.extend(config.peerings.conflicts.iter().map(ToString::to_string));
    warnings.extend(toml.notes);
    Ok(Imported {
        node: node.to_owned(),
        config: format!(
            "# What Calico's resources mean for the node {node}, by `rutter calico import`.\n\n{}",
            toml.text
        ),
        warnings,
    })
}

/// All resources in these files and directories.
fn read(paths: &[PathBuf]) -> anyhow::Result<Resources> {
    let mut resources = Resources::default();
    let mut count = 0;
    for path in paths {
        let files = match path.is_dir() {
            true => manifests_in(path)?,
            false => vec![path.clone()],
        };
        for file in files {
            let shown = file.display();
            let text = files::read_any_text(&file, BYTES_MAX)
                .with_context(|| format!("cannot read {shown}"))?;
            for document in documents(&text).map_err(|error| anyhow::anyhow!("{shown}: {error}"))? {
                for (kind, group, object) in objects_in(document) {
                    resources.apply(kind, group, &object);
                    count += 1;
                }
            }
        }
    }
    if count == 0 {
        let kinds = Kind::ALL.map(Kind::name).join(", ");
        bail!("there are no resources in there; what is looked for is {kinds}");
    }
    Ok(resources)
}

/// The manifests in a directory, in order of their names.
fn manifests_in(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = directory.display();
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| format!("cannot read {shown}"))?;
    let mut paths: Vec<_> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.retain(|path| {
        let extension = path.extension().and_then(std::ffi::OsStr::to_str);
        path.is_file() && matches!(extension, Some("yaml" | "yml" | "json"))
    });
    paths.sort();
    Ok(paths)
}

fn documents(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000_000,
            max_nodes: 10_000_000,
            max_documents: 100_000,
        },
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        error.render_with_formatter(&serde_saphyr::UserMessageFormatter)
    })
}

#[cfg(test)]
mod tests;
