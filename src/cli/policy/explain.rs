//! `rutter policy explain SUBJECT --batch FILE`: why a chain decides so about one prefix or Service
//! of a recording, module by module; and about routes of that prefix that were learned.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::chain::{self, ChainArgs, LearnedReport};
use super::decisions;
use super::workbench::{Heard, LogLine, listening};
use crate::api::{DecisionReport, ServiceReport, StepReport};
use crate::candidates::{Candidate, CandidateKey, Origin, addresses};
use crate::cases::{CaseFile, LearnedScene, Scene};
use crate::cli::explain::{Subject, print_service, step_text};
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::policy::{ImportLink, Link};
use crate::types::{Prefix, RouteAttributes};

/// Print why a chain decides so about a prefix or a Service of a recording
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// 172.16.0.0/16, 172.16.0.10 or default/web
    #[arg(value_name = "PREFIX|NAMESPACE/SERVICE")]
    subject: Subject,

    /// What `rutter policy record` printed
    #[arg(long, value_name = "FILE")]
    batch: PathBuf,

    #[command(flatten)]
    chain: ChainArgs,
}

/// What is known; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    subject: String,
    services: Vec<ServiceReport>,
    routes: Vec<RouteReport>,
    learned: Vec<FromPeer>,
    /// What the modules wrote to the log while they decided about these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<LogLine>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RouteReport {
    peer_group: String,
    prefix: Prefix,
    origin: Origin,
    decision: DecisionReport,
    /// What the route had after each policy that accepted it, by the policy's name.
    given: BTreeMap<String, RouteAttributes>,
}

/// A learned route.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FromPeer {
    peer: String,
    #[serde(flatten)]
    route: LearnedReport,
    /// What the route had after each policy that accepted it, by the policy's name.
    given: BTreeMap<String, RouteAttributes>,
}

/// Decides and prints.
///
/// # Errors
/// The file is not valid, a module does not load, or fails.
pub(super) fn run(
    args: &ExplainArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let file = chain::read(&args.batch)?;
    let (engine, heard) = listening()?;
    let chains = args.chain.chains(&engine, &file)?;
    let mut log = Vec::new();
    let mut routes = Vec::new();
    if !chains.announced.is_empty() {
        for scene in &file.scenes {
            let scene = concerned(scene, &args.subject);
            routes.extend(walk(&file, &chains.announced, &scene, &heard)?);
            log.extend(heard.take());
        }
    }
    let mut learned = Vec::new();
    if let (Subject::Prefix(prefix), false) = (&args.subject, chains.learned.is_empty()) {
        for scene in &file.learned {
            let walked = walk_learned(&file, &chains.learned, scene, *prefix, &heard)?;
            learned.extend(walked);
            log.extend(heard.take());
        }
    }
    let services = services(&file, &args.subject);
    if routes.is_empty() && services.is_empty() && learned.is_empty() {
        let subject = &args.subject;
        writeln!(
            out,
            "{subject} is no candidate in {}, no Service's, and not learned",
            file.name
        )?;
        return Ok(Outcome::Unknown);
    }
    // One candidate's decisions together, as the agent's explain has them.
    routes.sort_by(|a, b| (a.prefix, &a.origin).cmp(&(b.prefix, &b.origin)));
    let report = Report {
        subject: args.subject.to_string(),
        services,
        routes,
        learned,
        log,
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

/// The scene with nothing but the candidates that are asked about.
fn concerned(scene: &Scene, subject: &Subject) -> Scene {
    let concerned = |candidate: &&Candidate| match subject {
        Subject::Prefix(prefix) => candidate.key.prefix == *prefix,
        Subject::Service(service) => candidate.key.origin.service() == Some(service),
    };
    let candidates = scene.candidates.iter().filter(concerned).cloned().collect();
    Scene {
        candidates,
        ..scene.clone()
    }
}

/// Runs the chain up to its first policy, up to its second and so on: the steps of a decision do
/// not tell what each gave the route. What is heard in the end is of the whole chain's run.
fn walk(
    file: &CaseFile,
    links: &[Link],
    scene: &Scene,
    heard: &Heard,
) -> anyhow::Result<Vec<RouteReport>> {
    let mut given: BTreeMap<CandidateKey, BTreeMap<String, RouteAttributes>> = BTreeMap::new();
    for (index, link) in links.iter().enumerate() {
        let played = chain::play(file, &links[..=index], scene)?;
        for (key, decision) in played.decisions() {
            let accepts =
                |step: &StepReport| *step.policy == *link.name && step.verdict == "accept";
            if decision.accepted && decision.steps.iter().any(accepts) {
                let given = given.entry(key.clone()).or_default();
                given.insert(link.name.to_string(), decision.attributes);
            }
        }
    }
    heard.take();
    let played = chain::play(file, links, scene)?;
    let route = |(key, decision): (&CandidateKey, DecisionReport)| RouteReport {
        peer_group: scene.peer_group.name.clone(),
        prefix: key.prefix,
        origin: key.origin.clone(),
        decision,
        given: given.remove(key).unwrap_or_default(),
    };
    Ok(played.decisions().map(route).collect())
}

/// The same for a learned route of one peer, if it announced that.
fn walk_learned(
    file: &CaseFile,
    links: &[ImportLink],
    scene: &LearnedScene,
    prefix: Prefix,
    heard: &Heard,
) -> anyhow::Result<Option<FromPeer>> {
    let mut scene = scene.clone();
    scene.routes.retain(|route| route.prefix == prefix);
    let mut given = BTreeMap::new();
    for (index, link) in links.iter().enumerate() {
        for route in chain::play_learned(file, &links[..=index], &scene)? {
            let accepts =
                |step: &StepReport| *step.policy == *link.name && step.verdict == "accept";
            let decision = route.decision;
            if decision.accepted && decision.steps.iter().any(accepts) {
                given.insert(link.name.to_string(), decision.attributes);
            }
        }
    }
    heard.take();
    let played = chain::play_learned(file, links, &scene)?;
    Ok(played.into_iter().next().map(|route| FromPeer {
        peer: scene.peer.name,
        route,
        given,
    }))
}

/// The Services that a subject concerns; they are the same in every scene of a recording.
fn services(file: &CaseFile, subject: &Subject) -> Vec<ServiceReport> {
    let of = |scene: &Scene| {
        let services = scene.view.services.values();
        services
            .filter(|service| match subject {
                Subject::Prefix(prefix) => {
                    addresses(service).any(|(_, address)| Prefix::host(address) == *prefix)
                }
                Subject::Service(key) => service.key == *key,
            })
            .map(|service| ServiceReport::new(service, &scene.possible))
            .collect()
    };
    file.scenes.first().map(of).unwrap_or_default()
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut separator = "";
    for service in &report.services {
        write!(out, "{separator}")?;
        print_service(service, out)?;
        separator = "\n";
    }
    let mut last = None;
    for route in &report.routes {
        let RouteReport {
            peer_group,
            prefix,
            origin,
            decision,
            given,
        } = route;
        let key = CandidateKey {
            prefix: *prefix,
            origin: origin.clone(),
        };
        if last.as_ref() != Some(&key) {
            writeln!(out, "{separator}{}", decisions::shown(&key))?;
            separator = "\n";
            last = Some(key);
        }
        let verdict = if decision.accepted {
            with_attributes("accepted", &decision.attributes)
        } else {
            "rejected".to_owned()
        };
        let peers = text::printable(peer_group);
        writeln!(out, "  {verdict} towards {peers}")?;
        print_steps(&decision.steps, given, out)?;
    }
    for FromPeer { peer, route, given } in &report.learned {
        let title = format!("{}, learned from {peer}", route.prefix);
        writeln!(out, "{separator}{}", text::printable(&title))?;
        let received = with_attributes("received", &route.received);
        writeln!(out, "  {}", text::printable(&received))?;
        writeln!(out, "  {}", text::printable(&route.usage()))?;
        print_steps(&route.decision.steps, given, out)?;
        separator = "\n";
    }
    for line in &report.log {
        writeln!(out, "{separator}{}", line.told_with_module())?;
        separator = "";
    }
    Ok(())
}

fn print_steps(
    steps: &[StepReport],
    given: &BTreeMap<String, RouteAttributes>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for step in steps {
        let step = match given.get(&step.policy) {
            Some(attributes) => StepReport {
                verdict: with_attributes(&step.verdict, attributes),
                ..step.clone()
            },
            None => step.clone(),
        };
        writeln!(out, "    policy {}", text::printable(&step_text(&step)))?;
    }
    Ok(())
}

fn with_attributes(verdict: &str, attributes: &RouteAttributes) -> String {
    match text::attributes(attributes).as_str() {
        "" => verdict.to_owned(),
        attributes => format!("{verdict} with {attributes}"),
    }
}

#[cfg(test)]
mod tests;
