//! What the speaker is told about peers, from one configuration to the next.

use std::sync::Arc;

use super::*;
use crate::config::Overrides;
use crate::kube::fixtures::{HERE, node, object};
use crate::kube::{Index, SourceEvent};

const TWO: &str = "
[[peers]]
name = 'a'
address = '192.0.2.1'
asn = 64512
[[peers]]
name = 'b'
address = '192.0.2.2'
asn = 64600
";

fn config(text: &str) -> Config {
    Config::parse("rutter.toml", text, &Overrides::default()).unwrap()
}

fn facts(addresses: &[&str]) -> Arc<NodeFacts> {
    let mut node = node(HERE);
    let address = |address| serde_json::json!({ "type": "InternalIP", "address": address });
    node["status"]["addresses"] = addresses.iter().map(address).collect();
    let mut index = Index::new(HERE);
    index.handle(SourceEvent::Applied(object(node)));
    index.view().node.clone().unwrap()
}

fn told(peering: &mut Peering, text: &str, node: &NodeFacts) -> SpeakerConfig {
    let config = config(text);
    peering
        .speaker_config(&config, &Passwords::new(), Some(node))
        .unwrap()
}

#[test]
fn a_peer_keeps_its_id_whatever_else_changes() {
    let mut peering = Peering::default();
    let node = facts(&["10.0.0.1"]);
    let before = told(&mut peering, TWO, &node);
    let (_, b) = TWO.split_at(TWO.rfind("[[peers]]").unwrap());
    let alone = told(&mut peering, &b.replace("'b'", "'renamed'"), &node);
    assert_eq!(alone.peers[0].id, before.peers[1].id);
    assert_eq!(
        told(&mut peering, TWO, &node),
        before,
        "one that returns is who it was"
    );
    let moved = told(
        &mut peering,
        &TWO.replace("192.0.2.1'", "192.0.2.3'"),
        &node,
    );
    assert!(before.peers.iter().all(|peer| peer.id != moved.peers[0].id));
}

#[test]
fn the_router_id_outlives_the_address_it_was_taken_from() {
    let mut peering = Peering::default();
    let before = told(
        &mut peering,
        TWO,
        &facts(&["fd00::1", "10.0.0.1", "10.0.0.2"]),
    );
    assert_eq!(before.router_id.to_string(), "10.0.0.1");
    let after = told(&mut peering, TWO, &facts(&["10.0.0.2"]));
    assert_eq!(after.router_id, before.router_id);
    let fixed = told(
        &mut peering,
        &format!("[bgp]\nrouter-id = '10.9.9.9'\n{TWO}"),
        &facts(&[]),
    );
    assert_eq!(fixed.router_id.to_string(), "10.9.9.9");
}

#[test]
fn next_hops_are_the_first_internal_addresses_of_each_family() {
    let mut peering = Peering::default();
    let node = facts(&["10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2"]);
    let hops = told(&mut peering, TWO, &node).next_hops;
    assert_eq!(hops.ipv4, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(hops.ipv6, Some("fd00::1".parse().unwrap()));
}

#[test]
fn without_an_ipv4_address_the_error_says_what_to_set() {
    let mut peering = Peering::default();
    let config = config(TWO);
    let keys = Passwords::new();
    let unknown = peering.speaker_config(&config, &keys, None).unwrap_err();
    assert_eq!(unknown, NoRouterId::NodeUnknown);
    let node = facts(&["fd00::1"]);
    let missing = peering
        .speaker_config(&config, &keys, Some(&node))
        .unwrap_err();
    assert!(missing.to_string().contains("bgp.router-id"));
    let node = facts(&["10.0.0.1"]);
    peering.speaker_config(&config, &keys, Some(&node)).unwrap();
}

#[test]
fn each_peer_is_a_group_of_its_own_internal_if_in_our_as() {
    let mut peering = Peering::default();
    let groups = peering.groups(&config(TWO));
    let kinds: Vec<_> = groups
        .values()
        .map(|group| (&*group.name, group.kind))
        .collect();
    assert_eq!(kinds, [("a", PeerKind::Ibgp), ("b", PeerKind::Ebgp)]);
    let config = told(&mut peering, TWO, &facts(&["10.0.0.1"]));
    let ids: Vec<_> = config.peers.iter().map(|peer| peer.group).collect();
    assert_eq!(ids, groups.into_keys().collect::<Vec<_>>());
}
