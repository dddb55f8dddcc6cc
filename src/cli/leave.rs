//! `rutter leave` and `rutter join`: the node goes from its peers, and comes back.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::Outcome;
use super::client::Client;
use super::output::{self, OutputFormat};
use super::text;
use crate::api::Membership;

/// More than what the agent waits for: the API server's word, and then the peers.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Withdraw every route and end every session, until `rutter join` or a restart
///
/// For a node that goes for good. An agent that is only restarted or upgraded must not leave: its peers keep its routes meanwhile.
#[derive(Debug, Args)]
pub(super) struct LeaveArgs {
    /// Only if this DaemonSet is gone or about to be; every doubt keeps the routes
    #[arg(long, value_name = "NAMESPACE/NAME")]
    if_removed: Option<String>,
}

/// Begin sessions again after `rutter leave`
#[derive(Debug, Args)]
pub(super) struct JoinArgs {}

/// Asks, and prints what was done.
///
/// # Errors
/// There is no answer, or `out` fails.
pub(super) async fn leave(
    args: &LeaveArgs,
    client: &Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let if_removed = args.if_removed.as_deref();
    let query: Vec<_> = if_removed
        .map(|set| ("if-removed", set))
        .into_iter()
        .collect();
    ask(client, "/v1/leave", &query, format, out).await
}

/// Asks, and prints what was done.
///
/// # Errors
/// There is no answer, or `out` fails.
pub(super) async fn join(
    client: &Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    ask(client, "/v1/join", &[], format, out).await
}

async fn ask(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    // The sessions have their time to end, and the API server its own before.
    let client = client.clone().with_timeout(TIMEOUT);
    let answer = client.post(path, query).await?;
    let membership: Membership = answer.read()?;
    match format {
        OutputFormat::Text => writeln!(out, "{}", text::printable(&membership.reason))?,
        OutputFormat::Json => output::json(answer.document(), out)?,
    }
    Ok(Outcome::Done)
}
