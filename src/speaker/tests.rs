//! Speakers joined by a network in perfect condition, and one speaker against octets made by
//! hand.

mod configure;
mod export;
mod import;
mod learn;
mod limits;
#[expect(dead_code, reason = "the simulation uses the rest")]
#[path = "../../tests/sim/network.rs"]
mod network;
mod next_hops;
mod reflection;
mod restart;
mod sessions;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::bgp::wire::{Message, Update};
use crate::types::{
    Asn, ConnectMode, Family, FirstAs, GroupId, HoldTime, Prefix, ReceiveLimits, RouteAttributes,
    RouterId,
};
use network::{Conditions, HostId, Network};

const A: HostId = 0;
const B: HostId = 1;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Host 0 is 10.0.0.1, and so on.
fn address(host: HostId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(host + 1).unwrap()))
}

fn router_id(host: HostId) -> RouterId {
    RouterId::try_from(Ipv4Addr::new(10, 0, 0, u8::try_from(host + 1).unwrap())).unwrap()
}

/// The peer that another host is, in group 0.
fn peer(host: HostId, asn: u32) -> PeerConfig {
    let id = PeerId(u32::try_from(host).unwrap());
    PeerConfig {
        name: format!("host {host}"),
        ..PeerConfig::new(id, address(host), Asn(asn))
    }
}

fn config(host: HostId, asn: u32, peers: Vec<PeerConfig>) -> SpeakerConfig {
    SpeakerConfig {
        next_hops: NextHops {
            ipv4: None,
            ipv6: Some("fd00::1".parse().unwrap()),
        },
        peers,
        ..SpeakerConfig::new(Asn(asn), router_id(host))
    }
}

/// Hosts A and B, without configuration.
fn two_hosts() -> Network {
    let mut network = Network::new(1, Conditions::perfect());
    network.add(Speaker::new(1), address(A));
    network.add(Speaker::new(2), address(B));
    network
}

fn configure(network: &mut Network, host: HostId, config: SpeakerConfig) {
    network.input(host, Input::Configure(config));
}

/// A and B with a session in one AS, A exporting nothing yet, B done with exporting nothing.
fn pair() -> Network {
    pair_in(64512, 64512)
}

fn pair_in(asn_a: u32, asn_b: u32) -> Network {
    let mut network = two_hosts();
    configure(&mut network, A, config(A, asn_a, vec![peer(B, asn_b)]));
    configure(&mut network, B, config(B, asn_b, vec![peer(A, asn_a)]));
    network.input(A, Input::ExportsComplete);
    network.input(B, Input::ExportsComplete);
    network.run_until(seconds(10), "both established", both_established);
    network.run(seconds(1));
    network.sent.clear();
    network
}

fn state(network: &Network, host: HostId) -> SessionState {
    network.hosts[host].speaker.peers().next().unwrap().state
}

fn view(network: &Network, host: HostId) -> PeerView {
    network.hosts[host].speaker.peers().next().unwrap()
}

fn both_established(network: &Network) -> bool {
    [A, B]
        .into_iter()
        .all(|host| state(network, host) == SessionState::Established)
}

fn events(network: &Network, host: HostId) -> Vec<Event> {
    network.hosts[host]
        .events
        .iter()
        .map(|(_, event)| event.clone())
        .collect()
}

fn route(change: impl FnOnce(&mut RouteAttributes)) -> Option<Arc<RouteAttributes>> {
    let mut attributes = RouteAttributes::default();
    change(&mut attributes);
    Some(Arc::new(attributes))
}

fn plain() -> Option<Arc<RouteAttributes>> {
    route(|_| ())
}

fn export(prefixes: &[&str], attributes: &Option<Arc<RouteAttributes>>) -> Input {
    export_to(GroupId(0), prefixes, attributes)
}

fn export_to(
    group: GroupId,
    prefixes: &[&str],
    attributes: &Option<Arc<RouteAttributes>>,
) -> Input {
    Input::Export {
        group,
        changes: prefixes
            .iter()
            .map(|text| (prefix(text), attributes.clone()))
            .collect(),
    }
}

/// What A has sent since the log was cleared, KEEPALIVEs aside.
fn sent_by(network: &Network, host: HostId) -> Vec<Message> {
    let by_host = network.sent.iter().filter(|sent| sent.from == host);
    let messages = by_host.map(|sent| sent.message.clone());
    messages
        .filter(|message| *message != Message::Keepalive)
        .collect()
}

fn updates_by(network: &Network, host: HostId) -> Vec<Update> {
    let mut updates = Vec::new();
    for message in sent_by(network, host) {
        if let Message::Update(update) = message {
            updates.push(update);
        }
    }
    updates
}

/// The prefixes B has of A's.
fn received_by_b(network: &Network) -> Vec<String> {
    let routes = network.hosts[B].speaker.received(PeerId(0));
    routes.map(|(prefix, ..)| prefix.to_string()).collect()
}
