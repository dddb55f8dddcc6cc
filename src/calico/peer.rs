//! BGPPeer.

use std::num::NonZeroU8;

use super::object::{Reader, Unreadable};
use super::scalar::{self, AsNumber};
use crate::selector::Selector;
use crate::topology::{
    NextHop, NextHopMode, Nodes, PasswordSource, PeerOptions, PeerTemplate, Reverse, SourceAddress,
    Target,
};
use crate::types::Asn;

/// The template that it is.
pub(super) fn read(name: &str, reader: &mut Reader<'_>) -> Result<PeerTemplate, Unreadable> {
    if reader.text("localWorkloadSelector", |_| Ok(()))?.is_some() {
        let words = "asks for a peering with workloads, of which there are none; it is left out";
        reader.problem("localWorkloadSelector", words);
        return Err(Unreadable);
    }
    // All of it is read before any of it is given up, so that every problem is told.
    let nodes = nodes(reader);
    let target = target(reader);
    let reverse = reader.choice(
        "reversePeering",
        &[("Auto", Reverse::Auto), ("Manual", Reverse::Manual)],
    );
    let options = options(reader);
    Ok(PeerTemplate {
        name: name.to_owned(),
        origin: format!("BGPPeer {name}"),
        nodes: nodes?,
        target: target?,
        reverse: reverse?.unwrap_or_default(),
        options: options?,
    })
}

fn nodes(reader: &mut Reader<'_>) -> Result<Nodes, Unreadable> {
    let node = reader.text("node", |name| Ok(name.to_owned()));
    let selector = reader.text("nodeSelector", selector);
    match (node?, selector?) {
        (None, None) => Ok(Nodes::All),
        (Some(name), None) => Ok(Nodes::Named(name)),
        (None, Some(selector)) => Ok(Nodes::Selected(selector)),
        (Some(_), Some(_)) => {
            reader.problem("node", "is set beside nodeSelector; remove one of them");
            Err(Unreadable)
        }
    }
}

fn target(reader: &mut Reader<'_>) -> Result<Target, Unreadable> {
    let address = reader.text("peerIP", |text| {
        let (address, port) = scalar::address_and_port(text)?;
        match crate::config::unusable(address) {
            Some(reason) => Err(format!("is {address}, {reason}")),
            None => Ok((address, port)),
        }
    });
    let asn = as_number("asNumber", reader);
    let selector = reader.text("peerSelector", selector);
    match (address?, asn?, selector?) {
        (Some((address, port)), asn, None) => Ok(Target::Address { address, port, asn }),
        (None, None, Some(selector)) => Ok(Target::Nodes(selector)),
        (None, _, None) => {
            reader.problem(
                "peerIP",
                "is missing, and so is peerSelector; set one of them",
            );
            Err(Unreadable)
        }
        (Some(_), _, Some(_)) => {
            reader.problem("peerSelector", "is set beside peerIP; remove one of them");
            Err(Unreadable)
        }
        (None, Some(_), Some(_)) => {
            let words = "is set beside peerSelector, and nodes have an AS of their own; remove it";
            reader.problem("asNumber", words);
            Err(Unreadable)
        }
    }
}

fn options(reader: &mut Reader<'_>) -> Result<PeerOptions, Unreadable> {
    let next_hop = next_hop(reader);
    let local_asn = as_number("localASNumber", reader);
    let own_asn_allowed = reader.field("numAllowedLocalASNumbers");
    let ttl_security = reader.field::<u8>("ttlSecurity");
    let keepalive_time = reader.text("keepaliveTime", scalar::duration);
    let restart_time = reader.text("maxRestartTime", scalar::duration);
    let source_address = reader.choice(
        "sourceAddress",
        &[
            ("UseNodeIP", SourceAddress::Node),
            ("None", SourceAddress::Kernel),
        ],
    );
    let password = password("password", reader);
    let filters = reader.field::<Vec<String>>("filters");
    Ok(PeerOptions {
        next_hop: next_hop?,
        local_asn: local_asn?,
        own_asn_allowed: own_asn_allowed?.unwrap_or_default(),
        ttl_security: ttl_security?.and_then(NonZeroU8::new),
        keepalive_time: keepalive_time?,
        restart_time: restart_time?,
        source_address: source_address?.unwrap_or_default(),
        password: password?,
        filters: filters?.unwrap_or_default(),
    })
}

fn next_hop(reader: &mut Reader<'_>) -> Result<NextHop, Unreadable> {
    let mode = reader.choice(
        "nextHopMode",
        &[
            ("Auto", NextHopMode::Auto),
            ("Self", NextHopMode::SelfAddress),
            ("Keep", NextHopMode::Keep),
        ],
    );
    let keep = reader.field("keepOriginalNextHop");
    Ok(match (mode?, keep?.unwrap_or(false)) {
        // The older field says no more than that of one mode.
        (None | Some(NextHopMode::Auto), true) => NextHop::KeepToExternal,
        (Some(mode), true | false) => NextHop::Mode(mode),
        (None, false) => NextHop::default(),
    })
}

fn as_number(path: &str, reader: &mut Reader<'_>) -> Result<Option<Asn>, Unreadable> {
    match reader.field::<AsNumber>(path)? {
        Some(number) => reader.checked(path, number.read()),
        None => Ok(None),
    }
}

/// The reference to a Secret below a path.
pub(super) fn password(
    path: &str,
    reader: &mut Reader<'_>,
) -> Result<Option<PasswordSource>, Unreadable> {
    let path = format!("{path}.secretKeyRef");
    let mut text = |key| reader.text(&format!("{path}.{key}"), |text| Ok(text.to_owned()));
    match (text("name")?, text("key")?) {
        (Some(name), Some(key)) => Ok(Some(PasswordSource::Secret { name, key })),
        (None, None) if reader.value(&path).is_null() => Ok(None),
        (Some(_), None) | (None, Some(_) | None) => {
            reader.problem(
                &path,
                "names no Secret with one of its keys: set name and key",
            );
            Err(Unreadable)
        }
    }
}

fn selector(text: &str) -> Result<Selector, String> {
    text.parse()
        .map_err(|error| format!("is {text:?}: {error}"))
}
