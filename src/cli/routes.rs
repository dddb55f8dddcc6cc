//! `rutter routes`: what each peer is sent, with `--rejected` what policy keeps from it, or with
//! `--received` what it announced.

mod received;

use std::io::{self, Write};

use clap::Args;

use super::client::Client;
use super::output::{self, OutputFormat};
use super::{Outcome, text};
use crate::api::{KernelPath, Route, Routes, Sent, StepReport, Usage};
use crate::types::Installation;
use received::Detail;

/// Print the routes that policy accepted, peer by peer
///
/// An accepted route that a peer was not sent is listed with the reason.
#[derive(Debug, Args)]
pub(super) struct RoutesArgs {
    /// Print what policy rejected instead, with its reasons
    #[arg(long)]
    rejected: bool,

    /// Print what the peers announced instead, and what became of it
    #[arg(long, conflicts_with = "rejected")]
    received: bool,

    /// Print all that is known of each: what its peer said, what policies made of that, and in which
    /// step of the decision process it was behind another path
    #[arg(long, requires = "received")]
    all: bool,

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
    if args.received {
        let detail = if args.all { Detail::All } else { Detail::Line };
        return received::run(client, args.peer.as_deref(), detail, format, out).await;
    }
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
            let Routes {
                routes,
                waiting_for,
            } = answer.read()?;
            if let (true, Some(missing)) = (routes.is_empty(), waiting_for) {
                let missing = text::printable(&missing);
                writeln!(out, "Nothing is decided yet: waiting for {missing}")?;
            } else if args.rejected {
                print_rejected(&routes, out)?;
            } else {
                print_accepted(&routes, out)?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// What became of a received route, in words.
pub(super) fn usage_text(usage: &Usage, kernel: Option<&KernelPath>) -> String {
    let kernel = |installation: &Installation| match (installation, kernel) {
        (Installation::Keep, _) => ", not for the kernel".to_owned(),
        (Installation::Install, None) => String::new(),
        (Installation::Install, Some(KernelPath::Installed)) => ", in the kernel".to_owned(),
        (Installation::Install, Some(KernelPath::Pending)) => ", not in the kernel yet".to_owned(),
        (Installation::Install, Some(KernelPath::Unfit { reason })) => {
            format!(", not in the kernel: {reason}")
        }
        (Installation::Install, Some(KernelPath::Refused { reason })) => {
            format!(", refused by the kernel: {reason}")
        }
    };
    match usage {
        Usage::Best { installation } => format!("best{}", kernel(installation)),
        Usage::Multipath { installation } => format!("multipath{}", kernel(installation)),
        Usage::Unused { reason } => format!("no: {reason}"),
        Usage::Undecided => "not decided yet".to_owned(),
    }
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
            Some(step) => (decider(step), step.reason.clone().unwrap_or_default()),
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

/// The policy of a step.
fn decider(step: &StepReport) -> String {
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
