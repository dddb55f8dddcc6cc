//! `[[peers]]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::peer_options::{self, SessionOptions};
use super::raw::{Report, Section, Value};
use super::{BgpConfig, Peer, bgp, max_received, restart_time, unusable};
use crate::types::{BGP_PORT, ConnectMode, Family, FirstAs, PeerType, Reflection};

/// Its own; those of [`peer_options`] are keys of it, too.
pub(super) const KEYS: &[&str] = &[
    "name",
    "address",
    "port",
    "asn",
    "local-address",
    "password-file",
    "passive",
    "group",
    "labels",
    "enforce-first-as",
    "max-received",
    "route-reflector-client",
    "restart-time",
];

/// Each table's peer; nothing for one that is not valid.
pub(super) fn read(
    top: &Section<'_>,
    directory: &Path,
    bgp: &BgpConfig,
    report: &mut Report,
) -> Vec<Option<Peer>> {
    let tables = top
        .value("peers")
        .and_then(|value| value.list("[[peers]], with two brackets", report));
    let keys = [KEYS, peer_options::KEYS].concat();
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    let mut peers = Vec::new();
    let mut groups = Vec::new();
    for table in tables.into_iter().flatten() {
        let section = Section::of(Some(&table), &keys, report);
        let Some(peer) = peer(&section, directory, bgp, report) else {
            peers.push(None);
            continue;
        };
        groups.extend(section.value("group"));
        let path = table.key_path().to_owned();
        if let Some(before) = names.insert(peer.name.clone(), path.clone()) {
            // A name that was not written is the address, which is reported anyway.
            if let Some(value) = section.value("name") {
                let problem = format!("is {:?}, the name of {before}, too", peer.name);
                value.problem(problem, report);
            }
        }
        if let Some(before) = addresses.insert(peer.address, path)
            && let Some(value) = section.value("address")
        {
            let address = peer.address;
            let problem = format!(
                "is {address}, which {before} has, too; two sessions with one address are impossible"
            );
            value.problem(problem, report);
        }
        peers.push(Some(peer));
    }
    check_groups(&groups, peers.iter().flatten(), report);
    peers
}

/// A peer without a group is a group by its own name, which no other may have.
fn check_groups<'p>(
    groups: &[Value<'_>],
    peers: impl Iterator<Item = &'p Peer>,
    report: &mut Report,
) {
    for peer in peers.filter(|peer| peer.group.is_none()) {
        if let Some(value) = groups.iter().find(|value| value.is_text(&peer.name)) {
            let name = &peer.name;
            let problem = format!(
                "is {name:?}, the name of a peer that is in no group; give that peer this group, \
                 too, or choose another name"
            );
            value.problem(problem, report);
        }
    }
}

fn peer(
    section: &Section<'_>,
    directory: &Path,
    bgp: &BgpConfig,
    report: &mut Report,
) -> Option<Peer> {
    // All of it is read before any of it is given up, so that every error is found.
    let address = section
        .required("address", "the peer's IP address", report)
        .and_then(|value| host(&value, report));
    let asn = section
        .required("asn", "the peer's AS number", report)
        .and_then(|value| bgp::asn(&value, report));
    let name = section.value("name").map(|value| value.name(report));
    let port = section.value("port");
    let port = port.map(|value| value.integer(1, u16::MAX.into(), report));
    let local_address = section
        .value("local-address")
        .and_then(|value| local_address(&value, address, report));
    let password_file = section
        .value("password-file")
        .and_then(|value| value.path(directory, report));
    let connect_mode = connect_mode(section, bgp, report);
    let group = section.value("group").map(|value| value.name(report));
    let labels = section
        .value("labels")
        .and_then(|value| value.strings(report));
    let first_as = section.value("enforce-first-as");
    let first_as = match first_as.and_then(|value| value.boolean(report)) {
        Some(true) | None => FirstAs::Peers,
        Some(false) => FirstAs::Any,
    };
    let limits = max_received::read(section.value("max-received").as_ref(), report);
    let SessionOptions {
        next_hop_mode,
        local_asn,
        own_asn_allowed,
        ttl_security,
        keepalive_time,
    } = peer_options::read(section, bgp, report);
    let is_internal = asn.map(|asn| asn == local_asn.unwrap_or(bgp.asn));
    let reflection = reflection(section, bgp, is_internal, report);
    let restart_time = section
        .value("restart-time")
        .and_then(|value| restart_time::read(&value, report));
    let address = address?;
    Some(Peer {
        name: match name {
            Some(name) => name?.to_owned(),
            None => address.to_string(),
        },
        peer_type: PeerType::NodePeer,
        address,
        port: match port {
            Some(port) => u16::try_from(port?).ok()?,
            None => BGP_PORT,
        },
        asn: asn?,
        local_address,
        password_file,
        connect_mode,
        group: match group {
            Some(group) => Some(group?.to_owned()),
            None => None,
        },
        labels: labels.unwrap_or_default(),
        first_as,
        limits,
        reflection,
        next_hop_mode,
        local_asn,
        own_asn_allowed,
        ttl_security,
        keepalive_time,
        restart_time: restart_time.unwrap_or(bgp.restart_time),
    })
}

fn reflection(
    section: &Section<'_>,
    bgp: &BgpConfig,
    is_internal: Option<bool>,
    report: &mut Report,
) -> Reflection {
    let Some(value) = section.value("route-reflector-client") else {
        return Reflection::NonClient;
    };
    match value.boolean(report) {
        Some(true) => {
            if bgp.cluster_id.is_none() {
                let problem = "is true, but bgp.cluster-id is missing: only a node that has one \
                               reflects routes; set it, or remove this";
                value.problem(problem, report);
            } else if is_internal == Some(false) {
                let problem = "is true, but the peer is in another AS: only peers in ours can be \
                               clients (RFC 4456 6); remove this";
                value.problem(problem, report);
            }
            Reflection::Client
        }
        Some(false) | None => Reflection::NonClient,
    }
}

fn connect_mode(section: &Section<'_>, bgp: &BgpConfig, report: &mut Report) -> ConnectMode {
    let Some(value) = section.value("passive") else {
        return ConnectMode::Active;
    };
    match value.boolean(report) {
        Some(true) => {
            if bgp.listen.is_empty() {
                let problem = "is true, but bgp.listen is empty: neither end could dial";
                value.problem(problem, report);
            }
            ConnectMode::Passive
        }
        Some(false) | None => ConnectMode::Active,
    }
}

/// An address that a session can be held with, or from.
fn host(value: &Value<'_>, report: &mut Report) -> Option<IpAddr> {
    let address = value.ip_address(report)?;
    if let Some(reason) = unusable(address) {
        value.problem(format!("is {address}, {reason}"), report);
        return None;
    }
    Some(address)
}

fn local_address(value: &Value<'_>, peer: Option<IpAddr>, report: &mut Report) -> Option<IpAddr> {
    let address = host(value, report)?;
    let peer = peer?;
    if Family::of(peer) != Family::of(address) {
        let problem = format!("is {address}, which is not of the family of the peer's {peer}");
        value.problem(problem, report);
    } else if peer == address {
        value.problem(format!("is {address}, the peer's own address"), report);
    }
    Some(address)
}
