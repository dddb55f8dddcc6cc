//! `rutter policy replay FILE`: what a chain, or a module, decides about a recording.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::chain::{self, ChainArgs, LearnedReport, Played};
use super::decisions;
use super::workbench::engine;
use crate::api::{DecisionReport, StepReport};
use crate::candidates::{CandidateKey, Origin};
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::policy::PeerKind;
use crate::types::{Asn, Prefix};

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
    /// The same about learned routes.
    import_policies: Vec<String>,
    peers: Vec<PeerReport>,
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct PeerReport {
    peer: String,
    asn: Asn,
    kind: PeerKind,
    routes: Vec<LearnedReport>,
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
    let chains = args.chain.chains(&engine()?, &file)?;
    let mut report = Report {
        policies: names(chains.announced.iter().map(|link| &link.name)),
        groups: Vec::new(),
        import_policies: names(chains.learned.iter().map(|link| &link.name)),
        peers: Vec::new(),
    };
    if !chains.announced.is_empty() {
        for scene in &file.scenes {
            let played = chain::play(&file, &chains.announced, scene)?;
            report.groups.push(group(&played));
        }
    }
    if !chains.learned.is_empty() {
        for scene in &file.learned {
            report.peers.push(PeerReport {
                peer: scene.peer.name.clone(),
                asn: scene.peer_group.asn,
                kind: scene.peer_group.kind,
                routes: chain::play_learned(&file, &chains.learned, scene)?,
            });
        }
    }
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

fn names<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<String> {
    names.map(ToString::to_string).collect()
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
    for peer in &report.peers {
        let PeerReport {
            peer,
            asn,
            kind,
            routes,
        } = peer;
        let from = format!("learned from {peer} ({kind}, AS {asn})");
        writeln!(out, "{separator}{}", text::printable(&from))?;
        for route in routes {
            writeln!(out, "  {}: {}", route.prefix, route.words())?;
        }
        separator = "\n";
    }
    Ok(())
}

/// `accepted with MED 10 (default, because: ...)`: the end of the chain, and who made it so.
pub(super) fn decided(decision: &DecisionReport) -> String {
    let verdict = match (
        decision.accepted,
        text::attributes(&decision.attributes).as_str(),
    ) {
        (true, "") => "accepted".to_owned(),
        (true, attributes) => format!("accepted with {attributes}"),
        (false, _) => "rejected".to_owned(),
    };
    text::printable(&format!("{verdict}{}", by(decision)))
}

/// ` (default, because: ...)`: who made the end of the chain what it is.
pub(super) fn by(decision: &DecisionReport) -> String {
    let wanted = if decision.accepted {
        "accept"
    } else {
        "reject"
    };
    let mut steps = decision.steps.iter();
    let by = steps.rfind(|step| step.verdict == wanted);
    by.map_or_else(String::new, |step| {
        let StepReport { policy, reason, .. } = step;
        match reason {
            Some(reason) => format!(" ({policy}, because: {reason})"),
            None => format!(" ({policy})"),
        }
    })
}

#[cfg(test)]
mod tests;
