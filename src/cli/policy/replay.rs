//! `rutter policy replay FILE`: what a chain, or a module, decides about a recording.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::chain::{self, ChainArgs, Played};
use super::decisions;
use crate::api::{DecisionReport, StepReport};
use crate::candidates::{CandidateKey, Origin};
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::policy::PeerKind;
use crate::types::{Asn, Prefix};
use crate::wasm::Engine;

/// Print what a chain decides about a recording
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// What `rutter policy record` printed
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    chain: ChainArgs,
}

/// What was decided; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    /// The names of the policies that decided, in order.
    policies: Vec<String>,
    groups: Vec<GroupReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct GroupReport {
    peer_group: String,
    asn: Asn,
    kind: PeerKind,
    routes: Vec<RouteReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RouteReport {
    prefix: Prefix,
    origin: Origin,
    decision: DecisionReport,
}

/// Decides and prints.
///
/// # Errors
/// The file is not valid, a module does not load, or fails.
pub(super) fn run(
    args: &ReplayArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let file = chain::read(&args.file)?;
    let links = args.chain.links(&Engine::new()?, &file)?;
    let mut groups = Vec::new();
    for scene in &file.scenes {
        groups.push(group(&chain::play(&file, &links, scene)?));
    }
    let report = Report {
        policies: links.iter().map(|link| link.name.to_string()).collect(),
        groups,
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

fn group(played: &Played<'_>) -> GroupReport {
    let route = |(key, decision): (&CandidateKey, DecisionReport)| RouteReport {
        prefix: key.prefix,
        origin: key.origin.clone(),
        decision,
    };
    let group = &played.scene.peer_group;
    GroupReport {
        peer_group: group.name.clone(),
        asn: group.asn,
        kind: group.kind,
        routes: played.decisions().map(route).collect(),
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut separator = "";
    for group in &report.groups {
        let GroupReport {
            peer_group,
            asn,
            kind,
            routes,
        } = group;
        let peers = format!("towards {peer_group} ({kind}, AS {asn})");
        writeln!(out, "{separator}{}", text::printable(&peers))?;
        for route in routes {
            let key = CandidateKey {
                prefix: route.prefix,
                origin: route.origin.clone(),
            };
            let decision = decided(&route.decision);
            writeln!(out, "  {}: {decision}", decisions::shown(&key))?;
        }
        separator = "\n";
    }
    Ok(())
}

/// `accepted with MED 10 (default, because: ...)`: the end of the chain, and who made it so.
pub(super) fn decided(decision: &DecisionReport) -> String {
    let DecisionReport {
        accepted,
        attributes,
        steps,
    } = decision;
    let verdict = match (accepted, text::attributes(attributes).as_str()) {
        (true, "") => "accepted".to_owned(),
        (true, attributes) => format!("accepted with {attributes}"),
        (false, _) => "rejected".to_owned(),
    };
    let wanted = if *accepted { "accept" } else { "reject" };
    let by = steps.iter().rfind(|step| step.verdict == wanted);
    let by = by.map(|StepReport { policy, reason, .. }| match reason {
        Some(reason) => format!(" ({policy}, because: {reason})"),
        None => format!(" ({policy})"),
    });
    text::printable(&format!("{verdict}{}", by.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
