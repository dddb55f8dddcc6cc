//! `rutter policy record`: what policies are given on a live node, as a case file.

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;

use crate::cases::Document;
use crate::cli::Outcome;
use crate::cli::client::Client;
use crate::cli::output::{self, OutputFormat};

const DETAILS: &str = "\
Prints a case file: the node, the Services of the cluster with their endpoints counted, the peer \
groups, and the policies with their settings. `rutter policy test`, replay, diff, explain and \
conformance take it, on any machine. It has no keys and no addresses of peers. Labels, annotations \
and settings are in it as they are: read it before you give it away.

With --learned it has what import policies are given, too: the peers with their addresses, and every \
route that they announced.

  rutter policy record > live.toml";

/// Print what policies are given on this node, as a case file
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct RecordArgs {
    /// Record learned routes, too, with the peers that they come from and the import policies
    #[arg(long)]
    learned: bool,
}

/// Asks the agent and prints what it answers: TOML, or with `-o json` the agent's document.
///
/// # Errors
/// There is no answer, or writing fails.
pub(super) async fn run(
    args: &RecordArgs,
    client: &Client,
    format: OutputFormat,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let query: &[_] = if args.learned {
        &[("learned", "true")]
    } else {
        &[]
    };
    let answer = client.ask("/v1/policy/batch", query).await?;
    match format {
        OutputFormat::Json => output::json(answer.document(), out)?,
        OutputFormat::Text => {
            let document: Document = answer.read()?;
            let node = document.node.name.as_deref().unwrap_or_default();
            let document = Document {
                recorded: Some(format!("{node}, {}", now.strftime("%Y-%m-%d %H:%M:%S UTC"))),
                ..document
            };
            let text = toml::to_string_pretty(&document)
                .context("the agent's facts cannot be written as TOML")?;
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests;
