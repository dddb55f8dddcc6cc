//! `rutter routes`: what each peer is sent, or with `--rejected` what policy keeps from it.

use std::io::{self, Write};

use clap::Args;

use super::client::Client;
use super::output::{self, OutputFormat};
use super::{Outcome, text};
use crate::api::{Route, Routes, Sent, StepReport};

/// Print the routes that policy accepted, peer by peer
///
/// An accepted route that a peer was not sent is listed with the reason.
#[derive(Debug, Args)]
pub(super) struct RoutesArgs {
    /// Print what policy rejected instead, with its reasons
    #[arg(long)]
    rejected: bool,

    /// Only towards the peer of this name in the configuration
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
}

/// Asks and prints.
///
/// # Errors
/// There is no answer, the agent knows no such peer, or `out` fails.
pub(super) async fn run(
    client: &Client,
    args: &RoutesArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let mut query = Vec::new();
    if args.rejected {
        query.push(("rejected", "true"));
    }
    if let Some(peer) = &args.peer {
        query.push(("peer", peer));
    }
    let answer = client.ask("/v1/routes", &query).await?;
    match format {
        OutputFormat::Json => output::json(answer.document(), out)?,
        OutputFormat::Text => {
            let Routes { routes } = answer.read()?;
            if args.rejected {
                print_rejected(&routes, out)?;
            } else {
                print_accepted(&routes, out)?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// Prints routes with what became of them.
///
/// # Errors
/// Only those of `out`.
pub(super) fn print_accepted(routes: &[Route], out: &mut dyn Write) -> io::Result<()> {
    if routes.is_empty() {
        return writeln!(out, "No routes are accepted.");
    }
    let header = ["PEER", "PREFIX", "ORIGIN", "SENT", "NEXT HOP", "ATTRIBUTES"];
    let rows = routes.iter().map(|route| {
        let (sent, next_hop) = match &route.sent {
            Sent::Announced { next_hop } => ("announced".to_owned(), next_hop.to_string()),
            Sent::Pending => ("pending".to_owned(), text::NOTHING.to_owned()),
            Sent::NotSent { reason } => (format!("no: {reason}"), text::NOTHING.to_owned()),
        };
        [
            route.peer.clone(),
            route.prefix.to_string(),
            route.origin.to_string(),
            sent,
            next_hop,
            text::or_nothing(text::attributes(&route.decision.attributes)),
        ]
    });
    writeln!(out, "{}", text::table(header, rows))
}

/// Prints routes with who rejected them and why.
///
/// # Errors
/// Only those of `out`.
pub(super) fn print_rejected(routes: &[Route], out: &mut dyn Write) -> io::Result<()> {
    if routes.is_empty() {
        return writeln!(out, "No routes are rejected.");
    }
    let header = ["PEER", "PREFIX", "ORIGIN", "REJECTED BY", "REASON"];
    let rows = routes.iter().map(|route| {
        // A chain ends at the first policy that rejects.
        let (policy, reason) = match route.decision.steps.last() {
            Some(step) => (rejecter(step), step.reason.clone().unwrap_or_default()),
            None => (text::NOTHING.to_owned(), not_sent(&route.sent)),
        };
        [
            route.peer.clone(),
            route.prefix.to_string(),
            route.origin.to_string(),
            policy,
            text::or_nothing(reason),
        ]
    });
    writeln!(out, "{}", text::table(header, rows))
}

fn rejecter(step: &StepReport) -> String {
    if step.kept {
        format!("{} (kept)", step.policy)
    } else {
        step.policy.clone()
    }
}

/// The reason of a route that no policy was asked about.
fn not_sent(sent: &Sent) -> String {
    match sent {
        Sent::NotSent { reason } => reason.clone(),
        Sent::Announced { .. } | Sent::Pending => String::new(),
    }
}

#[cfg(test)]
mod tests;
