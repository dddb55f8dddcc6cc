//! `rutter status`: the sessions, as `calicoctl node status` prints them, and the agent's health.

mod faults;
mod held;
mod held_routes;
mod kernel;
mod services;
mod sessions;
mod shadow;

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Args;
use jiff::Timestamp;

use super::client::Client;
use super::output::{self, OutputFormat};
use super::{Outcome, text};
use crate::api::{
    ConfigStatus, PeerStatus, PolicyStatus, Readiness, SourceStatus, StandIn, Status,
};
use crate::policy::{Mode, OnError};
use crate::types::Family;

/// RFC 4271's port; a peer on it is named by its address alone.
const BGP_PORT: u16 = 179;

const DETAILS: &str = "\
PEER TYPE is `node specific` for a peer of this node, as all that its file names are, `global` for
one of every node, and `node-to-node mesh` for another node of the mesh.

STATE is `up` while the session is Established, `start` while it is being opened, `down` while no
attempt is made. SINCE is in UTC: a time within the last day, else a date.

Exit codes:
  0  ready to announce, every session Established, nothing failing
  1  the request failed
  2  the command line is not understood
  3  degraded: not ready, a session not Established, the source of facts or a policy failing,
     a newer configuration or module refused or waiting for a restart, a change held back, or the
     kernel refusing learned routes";

/// Print the BGP sessions and the agent's health
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct StatusArgs {}

/// Asks and prints.
///
/// # Errors
/// There is no answer, or `out` fails.
pub(super) async fn run(
    client: &Client,
    format: OutputFormat,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let answer = client.ask("/v1/status", &[]).await?;
    let status: Status = answer.read()?;
    match format {
        OutputFormat::Text => print(&status, now, out)?,
        OutputFormat::Json => output::json(answer.document(), out)?,
    }
    Ok(outcome(&status))
}

/// Prints the tables, then the agent's own state.
///
/// # Errors
/// Only those of `out`.
pub(super) fn print(status: &Status, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Rutter process is running.")?;
    for (family, name) in [(Family::Ipv4Unicast, "IPv4"), (Family::Ipv6Unicast, "IPv6")] {
        writeln!(out, "\n{name} BGP status")?;
        let peers: Vec<&PeerStatus> = status
            .peers
            .iter()
            .filter(|peer| Family::of(peer.address) == family)
            .collect();
        if peers.is_empty() {
            writeln!(out, "No {name} peers found.")?;
        } else {
            print_peers(&peers, now, out)?;
            sessions::print(&peers, now, out)?;
        }
    }
    writeln!(out)?;
    print_health(status, now, out)
}

/// What a script should make of it.
pub(super) fn outcome(status: &Status) -> Outcome {
    let well = status.readiness == Readiness::Ready
        && status.source.error.is_none()
        && status.config.error.is_none()
        && status.held.is_none()
        && status.policies.iter().all(is_well)
        && status.import_policies.iter().all(is_well)
        && status.peers.iter().all(is_established)
        && status.kernel.as_ref().is_none_or(kernel::is_well);
    if well {
        Outcome::Done
    } else {
        Outcome::Degraded
    }
}

/// Nothing depends on a policy in shadow mode.
fn is_well(policy: &PolicyStatus) -> bool {
    policy.mode == Mode::Shadow
        || (policy.error.is_none() && policy.refused.is_none() && policy.held == 0)
}

fn print_peers(peers: &[&PeerStatus], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    // The first five columns are calicoctl's, in its order.
    let header = [
        "PEER ADDRESS",
        "PEER TYPE",
        "STATE",
        "SINCE",
        "INFO",
        "SENT",
        "RECEIVED",
    ];
    let rows = peers.iter().map(|peer| {
        [
            address(peer),
            peer.peer_type.clone(),
            state(peer).to_owned(),
            text::since(peer.since, now),
            info(peer),
            peer.prefixes_sent.to_string(),
            peer.prefixes_received.to_string(),
        ]
    });
    writeln!(out, "{}", text::table(header, rows))
}

fn address(peer: &PeerStatus) -> String {
    if peer.port == BGP_PORT {
        peer.address.to_string()
    } else {
        SocketAddr::new(peer.address, peer.port).to_string()
    }
}

fn is_established(peer: &PeerStatus) -> bool {
    peer.state == "Established"
}

/// calicoctl's word for a state of the FSM.
fn state(peer: &PeerStatus) -> &'static str {
    match peer.state.as_str() {
        "Established" => "up",
        "Connect" | "Active" | "OpenSent" | "OpenConfirm" => "start",
        // `Idle`, and whatever an agent of another version may say.
        _ => "down",
    }
}

fn info(peer: &PeerStatus) -> String {
    match &peer.last_error {
        Some(error) if !is_established(peer) => format!("{}: {error}", peer.state),
        Some(_) | None => peer.state.clone(),
    }
}

fn print_health(status: &Status, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let router_id = match (status.router_id, status.router_id_origin) {
        (Some(id), Some(origin)) => format!("{id} ({origin})"),
        (Some(id), None) => id.to_string(),
        (None, _) => "not known yet".to_owned(),
    };
    field("Node", &status.node, out)?;
    field("AS", &status.asn.to_string(), out)?;
    field("Router ID", &router_id, out)?;
    if let Some(problem) = &status.router_id_problem {
        detail(&format!("warning: {problem}"), out)?;
    }
    let started = text::since(status.started_at, now);
    field(
        "Version",
        &format!("{}, started {started}", status.version),
        out,
    )?;
    field("Ready", &readiness(&status.readiness), out)?;
    print_source(&status.source, out)?;
    print_config(&status.config, now, out)?;
    for peer in &status.peers {
        faults::print(peer, now, out)?;
    }
    services::print(&status.service_routes, out)?;
    for policy in &status.policies {
        print_policy("Policy", policy, now, out)?;
    }
    for policy in &status.import_policies {
        print_policy("Import", policy, now, out)?;
    }
    if let Some(kernel) = &status.kernel {
        kernel::print(kernel, out)?;
    }
    match &status.held {
        Some(held) => held::print(held, now, out),
        None => Ok(()),
    }
}

fn readiness(readiness: &Readiness) -> String {
    match readiness {
        Readiness::Ready => "yes".to_owned(),
        Readiness::Waiting { waiting_for } => {
            format!("no, nothing is announced yet: waiting for {waiting_for}")
        }
        Readiness::Closed { reason } => format!("no, a policy is missing: {reason}"),
    }
}

fn print_source(source: &SourceStatus, out: &mut dyn Write) -> io::Result<()> {
    let services = text::count(source.services, "Service");
    field("Source", &format!("{}, {services}", source.kind), out)?;
    match &source.error {
        Some(error) => detail(&format!("failing, last state kept: {error}"), out),
        None => Ok(()),
    }
}

fn print_config(config: &ConfigStatus, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let loaded = text::since(config.loaded_at, now);
    field(
        "Config",
        &format!("{}, in force since {loaded}", config.path),
        out,
    )?;
    if let Some(error) = &config.error {
        // One line for each thing that is wrong with the file.
        detail("the file as it is on disk is not in force:", out)?;
        error.lines().try_for_each(|line| detail(line, out))?;
    }
    let mut warnings = config.warnings.iter();
    warnings.try_for_each(|warning| detail(&format!("warning: {warning}"), out))
}

fn print_policy(
    kind: &str,
    policy: &PolicyStatus,
    now: Timestamp,
    out: &mut dyn Write,
) -> io::Result<()> {
    let PolicyStatus {
        name,
        module,
        digest,
        loaded_at,
        refused,
        stand_in,
        on_error,
        limits: _,
        mode,
        shadow: _,
        error,
        failures,
        retry_in,
        held,
        held_routes,
    } = policy;
    if *mode == Mode::Shadow {
        shadow::print(kind, policy, out)?;
    } else if let (Some(error), Some(StandIn::Closed)) = (error, stand_in) {
        field(
            kind,
            &format!("{name} ({module}), CLOSED since the start"),
            out,
        )?;
        detail(error, out)?;
    } else if let Some(error) = error {
        let retry = retry_in.map_or_else(String::new, |seconds| format!(", retry in {seconds} s"));
        let failures = text::count(*failures, "failure");
        let failing = format!(
            "{name} ({module}), FAILING: {failures}, {}{retry}",
            effect(*on_error)
        );
        field(kind, &failing, out)?;
        detail(error, out)?;
    } else {
        let past = match failures {
            0 => String::new(),
            failures => format!(", {} since start", text::count(*failures, "failure")),
        };
        field(kind, &format!("{name} ({module}), working{past}"), out)?;
    }
    if *held > 0 {
        held_routes::print(*held, held_routes, *on_error, out)?;
    }
    if let (Some(digest), Some(loaded_at)) = (digest, loaded_at) {
        let loaded = text::since(*loaded_at, now);
        let since = match mode {
            Mode::Enforce => "in force since",
            Mode::Shadow => "loaded",
        };
        detail(&format!("{digest}, {since} {loaded}"), out)?;
    }
    match refused {
        Some(refused) => {
            let what = match stand_in {
                Some(StandIn::Last) => "stands in as the one that decided last on this node:",
                None | Some(StandIn::Closed | StandIn::Builtin) => {
                    "a newer version is refused, this one stays:"
                }
            };
            detail(what, out)?;
            detail(refused, out)
        }
        None => Ok(()),
    }
}

/// What becomes of a failing policy's routes.
fn effect(on_error: OnError) -> &'static str {
    match on_error {
        OnError::KeepLast => "last decisions kept",
        OnError::Withdraw => "its routes withdrawn",
        OnError::Skip => "skipped",
    }
}

/// Width of the longest name with its colon and a space.
const FIELD_WIDTH: usize = 11;

fn field(name: &str, value: &str, out: &mut dyn Write) -> io::Result<()> {
    let name = format!("{name}:");
    writeln!(out, "{name:FIELD_WIDTH$}{}", text::printable(value))
}

/// A line that belongs to the field above it.
fn detail(value: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:FIELD_WIDTH$}{}", "", text::printable(value))
}

#[cfg(test)]
mod tests;
