//! `rutter explain`: everything the agent knows of one prefix or Service, from the facts to what
//! each peer was sent; and of routes to a prefix that peers announced, what became of them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use clap::Args;
use hyper::StatusCode;

use super::client::{Client, ClientError};
use super::output::{self, OutputFormat};
use super::{Outcome, learned, text};
use crate::api::{
    DecisionReport, ExcludedAddress, Explanation, PassedOn, Route, Sent, ServiceReport, StepReport,
};
use crate::candidates::Origin;
use crate::facts::{EndpointCounts, FamilyCounts, ServiceKey, ServiceType, TrafficPolicy};
use crate::types::Prefix;

/// Longest name of a namespace or Service (RFC 1123 label).
const LABEL_LENGTH_MAX: usize = 63;

const EXIT_CODES: &str = "\
Exit codes:
  0  printed
  1  the request failed
  2  the command line is not understood
  4  nothing is known by that name";

/// Print why a prefix or a Service is announced, or a learned route used, or why not
///
/// The facts about the Service, each address that could be announced, what each policy said to
/// it and why, and what each peer was sent. Then what each peer announced for the prefix, what
/// each import policy said to that and why, and what became of it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ExplainArgs {
    /// 172.16.0.0/16, 172.16.0.10 or default/web
    #[arg(value_name = "PREFIX|NAMESPACE/SERVICE")]
    subject: Subject,
}

/// What can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Prefix(Prefix),
    Service(ServiceKey),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a prefix (172.16.0.0/16), an address (172.16.0.10) nor a Service (default/web)"
)]
pub(super) struct InvalidSubject(String);

/// Asks and prints.
///
/// # Errors
/// There is no answer, or `out` fails.
pub(super) async fn run(
    client: &Client,
    args: &ExplainArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let subject = args.subject.to_string();
    let answer = match client.ask("/v1/explain", &[("subject", &subject)]).await {
        Ok(answer) => answer,
        Err(ClientError::Refused { status, error }) if status == StatusCode::NOT_FOUND => {
            writeln!(out, "{}", text::printable(&error))?;
            return Ok(Outcome::Unknown);
        }
        Err(error) => return Err(error.into()),
    };
    let explanation: Explanation = answer.read()?;
    match format {
        OutputFormat::Text => print(&explanation, out)?,
        OutputFormat::Json => output::json(answer.document(), out)?,
    }
    Ok(outcome(&explanation))
}

/// Whether anything is known of the subject.
pub(super) fn outcome(explanation: &Explanation) -> Outcome {
    let Explanation {
        subject: _,
        services,
        routes,
        covered_by,
        learned,
        passed_on: _,
    } = explanation;
    let announced = services.is_empty() && routes.is_empty() && covered_by.is_empty();
    if announced && learned.is_empty() {
        Outcome::Unknown
    } else {
        Outcome::Done
    }
}

/// Prints Services first, then candidates with their decisions, then what covers the subject.
///
/// # Errors
/// Only those of `out`.
pub(super) fn print(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    let Explanation {
        subject,
        services,
        routes,
        covered_by,
        learned,
        passed_on,
    } = explanation;
    let subject = text::printable(subject);
    if outcome(explanation) == Outcome::Unknown {
        return writeln!(
            out,
            "Nothing is known of {subject}: it is no Service the agent has seen, no address of \
             one, no prefix this node could announce, and none that a peer announced."
        );
    }
    for service in services {
        print_service(service, out)?;
        writeln!(out)?;
    }
    if routes.is_empty() {
        writeln!(
            out,
            "{subject} is no candidate: this node announces no route of its own for it."
        )?;
    }
    let mut separator = "";
    for ((prefix, origin), routes) in by_candidate(routes) {
        write!(out, "{separator}")?;
        print_candidate(prefix, origin, &routes, out)?;
        separator = "\n";
    }
    if !covered_by.is_empty() {
        writeln!(out)?;
    }
    for aggregate in covered_by {
        writeln!(
            out,
            "{aggregate} covers it: wherever that route is announced, it draws this traffic too."
        )?;
    }
    for route in learned {
        writeln!(out)?;
        learned::print(route, out)?;
    }
    if !passed_on.is_empty() {
        writeln!(
            out,
            "\nThis node is a route reflector, and passes the best path on:"
        )?;
    }
    for PassedOn { peer, sent } in passed_on {
        let sent = format!("{peer}: {}", sent_words(sent));
        writeln!(out, "  {}", text::printable(&sent))?;
    }
    Ok(())
}

/// A Service's facts.
pub(super) fn print_service(report: &ServiceReport, out: &mut dyn Write) -> io::Result<()> {
    let ServiceReport {
        service,
        service_type,
        external_traffic_policy,
        internal_traffic_policy,
        service_proxy_name,
        node_endpoints,
        cluster_endpoints,
        unplaced_endpoints,
        excluded,
        concerns,
    } = report;
    writeln!(out, "Service {service}")?;
    writeln!(
        out,
        "  type {}, externalTrafficPolicy {}, internalTrafficPolicy {}",
        type_name(*service_type),
        traffic_policy_name(*external_traffic_policy),
        traffic_policy_name(*internal_traffic_policy)
    )?;
    if let Some(proxy) = service_proxy_name {
        let proxy = text::printable(proxy);
        writeln!(out, "  served by the service proxy {proxy} alone")?;
    }
    match external_traffic_policy {
        TrafficPolicy::Local => {
            writeln!(
                out,
                "  only nodes with a usable endpoint take its outside traffic"
            )?;
        }
        TrafficPolicy::Cluster => writeln!(out, "  any node takes its outside traffic")?,
    }
    match internal_traffic_policy {
        TrafficPolicy::Local => writeln!(
            out,
            "  only nodes with a usable endpoint take traffic for its cluster IPs, from wherever it comes"
        )?,
        TrafficPolicy::Cluster => {}
    }
    print_endpoints("on this node", *node_endpoints, out)?;
    print_endpoints("in the cluster", *cluster_endpoints, out)?;
    if *unplaced_endpoints != FamilyCounts::default() {
        print_endpoints("that name no node", *unplaced_endpoints, out)?;
    }
    for ExcludedAddress {
        address,
        kind,
        reason,
    } in excluded
    {
        writeln!(out, "  {kind} IP {address} is no candidate: {reason}")?;
    }
    for concern in concerns {
        writeln!(out, "  note: {concern}")?;
    }
    Ok(())
}

fn type_name(service_type: ServiceType) -> &'static str {
    match service_type {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
        ServiceType::ExternalName => "ExternalName",
    }
}

fn traffic_policy_name(policy: TrafficPolicy) -> &'static str {
    match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    }
}

fn print_endpoints(place: &str, counts: FamilyCounts, out: &mut dyn Write) -> io::Result<()> {
    let FamilyCounts { ipv4, ipv6 } = counts;
    writeln!(
        out,
        "  endpoints {place}: IPv4 {}; IPv6 {}",
        endpoints(ipv4),
        endpoints(ipv6)
    )
}

fn endpoints(counts: EndpointCounts) -> String {
    let EndpointCounts {
        ready,
        serving_terminating,
        unready,
    } = counts;
    let classes: Vec<String> = [
        (ready, "ready"),
        (serving_terminating, "serving while terminating"),
        (unready, "unready"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, class)| format!("{count} {class}"))
    .collect();
    if classes.is_empty() {
        "none".to_owned()
    } else {
        format!("{} usable ({})", counts.usable(), classes.join(", "))
    }
}

type Candidates<'a> = BTreeMap<(&'a Prefix, &'a Origin), Vec<&'a Route>>;

/// One entry for each candidate, with its routes in the agent's order of peers.
fn by_candidate(routes: &[Route]) -> Candidates<'_> {
    let mut candidates = Candidates::new();
    for route in routes {
        candidates
            .entry((&route.prefix, &route.origin))
            .or_default()
            .push(route);
    }
    candidates
}

fn print_candidate(
    prefix: &Prefix,
    origin: &Origin,
    routes: &[&Route],
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{prefix}, {origin}")?;
    // Peers of one group share their decision: it is printed once for all of them.
    let mut remaining: &[&Route] = routes;
    while let [first, ..] = remaining {
        let shared = remaining
            .iter()
            .take_while(|route| route.decision == first.decision)
            .count();
        let (group, rest) = remaining.split_at(shared);
        print_decision(&first.decision, group, out)?;
        remaining = rest;
    }
    Ok(())
}

fn print_decision(
    decision: &DecisionReport,
    group: &[&Route],
    out: &mut dyn Write,
) -> io::Result<()> {
    let DecisionReport {
        accepted,
        attributes,
        steps,
    } = decision;
    let peers: Vec<&str> = group.iter().map(|route| route.peer.as_str()).collect();
    let peers = text::printable(&peers.join(", "));
    let attributes = text::attributes(attributes);
    let verdict = match (accepted, attributes.as_str()) {
        (true, "") => "accepted".to_owned(),
        (true, attributes) => format!("accepted with {attributes}"),
        (false, _) => "rejected".to_owned(),
    };
    writeln!(out, "  {verdict} towards {peers}")?;
    for step in steps {
        writeln!(out, "    policy {}", text::printable(&step_text(step)))?;
    }
    for route in group {
        let sent = format!("{}: {}", route.peer, sent_words(&route.sent));
        writeln!(out, "    {}", text::printable(&sent))?;
    }
    Ok(())
}

/// One step in words: `default says accept, because: ...`.
pub(super) fn step_text(step: &StepReport) -> String {
    let StepReport {
        policy,
        verdict,
        installation,
        reason,
        kept,
    } = step;
    let kernel = installation.map_or_else(String::new, |word| format!(", kernel: {word}"));
    let reason = reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(", because: {reason}"));
    let kept = if *kept {
        " (its last good decision, kept while it fails)"
    } else {
        ""
    };
    match verdict.as_str() {
        "not asked" => format!("{policy} is not asked{reason}"),
        verdict => format!("{policy} says {verdict}{kernel}{kept}{reason}"),
    }
}

fn sent_words(sent: &Sent) -> String {
    match sent {
        Sent::Announced { next_hop } => format!("announced with next hop {next_hop}"),
        Sent::Pending => "to be announced as soon as the connection takes it".to_owned(),
        Sent::NotSent { reason } => format!("not announced: {reason}"),
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(prefix) = text.parse() {
            return Ok(Self::Prefix(prefix));
        }
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_label(name) => {
                Ok(Self::Service(ServiceKey::new(namespace, name)))
            }
            Some(_) | None => Err(InvalidSubject(text.to_owned())),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Service(service) => service.fmt(f),
        }
    }
}

/// Whether text can name a namespace or a Service (RFC 1123 label).
fn is_label(text: &str) -> bool {
    (1..=LABEL_LENGTH_MAX).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests;
