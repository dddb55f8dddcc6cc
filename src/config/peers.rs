//! `[[peers]]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::raw::{Report, Section, Value};
use super::{BgpConfig, Peer, bgp, unusable};
use crate::types::{ConnectMode, Family};

pub(super) const KEYS: &[&str] = &[
    "name",
    "address",
    "port",
    "asn",
    "local-address",
    "password-file",
    "passive",
];

pub(super) fn read(
    top: &Section<'_>,
    directory: &Path,
    bgp: &BgpConfig,
    report: &mut Report,
) -> Vec<Peer> {
    let tables = top
        .value("peers")
        .and_then(|value| value.list("[[peers]], with two brackets", report));
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    let mut peers = Vec::new();
    for table in tables.into_iter().flatten() {
        let section = Section::of(Some(&table), KEYS, report);
        let Some(peer) = peer(&section, directory, bgp, report) else {
            continue;
        };
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
        peers.push(peer);
    }
    peers
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
    let address = address?;
    Some(Peer {
        name: match name {
            Some(name) => name?.to_owned(),
            None => address.to_string(),
        },
        address,
        port: match port {
            Some(port) => u16::try_from(port?).ok()?,
            None => bgp::PORT,
        },
        asn: asn?,
        local_address,
        password_file,
        connect_mode,
    })
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
