//! What the speaker is told about peers, from one configuration to the next.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::api::RouterIdOrigin;
use crate::config::Overrides;
use crate::kube::fixtures::{HERE, node, object};
use crate::kube::{Index, SourceEvent};
use crate::types::{Asn, NextHopMode, Reflection};

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
    let own = peering.router_id(&config, Some(node)).unwrap();
    peering.speaker_config(&config, &Passwords::default(), Some(node), own.id)
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
fn the_router_id_waits_for_the_node_only() {
    let mut peering = Peering::default();
    let auto = config(TWO);
    assert_eq!(peering.router_id(&auto, None), None);
    let fixed = config("[bgp]\nrouter-id = '10.9.9.9'");
    let configured = peering.router_id(&fixed, None).unwrap();
    assert_eq!(configured.origin, RouterIdOrigin::Configuration);
    let node = facts(&["fd00::1"]);
    let derived = peering.router_id(&auto, Some(&node)).unwrap();
    assert_eq!(derived.origin, RouterIdOrigin::NodeName);
    // And is kept, whatever becomes of the Node.
    let node = facts(&["10.0.0.1"]);
    let later = peering.router_id(&auto, Some(&node)).unwrap();
    assert_eq!(later, derived);
    assert_eq!(peering.router_id(&auto, None), Some(derived));
}

#[test]
fn a_peer_without_a_group_is_one_of_its_own_internal_if_in_our_as() {
    let mut peering = Peering::default();
    let taken = peering.take_groups(&config(TWO));
    let kinds: Vec<_> = taken
        .groups
        .values()
        .map(|group| (&*group.name, group.kind))
        .collect();
    assert_eq!(kinds, [("a", PeerKind::Ibgp), ("b", PeerKind::Ebgp)]);
    let config = told(&mut peering, TWO, &facts(&["10.0.0.1"]));
    let ids: Vec<_> = config.peers.iter().map(|peer| peer.group).collect();
    assert_eq!(ids, taken.groups.into_keys().collect::<Vec<_>>());
}

/// Peers `a`, `b`, ... each with its AS and more.
fn peers(peers: &[(u32, &str)]) -> Config {
    let table = |(n, (asn, more)): (u8, &(u32, &str))| {
        let name = char::from(b'a' + n);
        format!("[[peers]]\nname = '{name}'\naddress = '192.0.2.{n}'\nasn = {asn}\n{more}\n")
    };
    config(&(0..).zip(peers).map(table).collect::<String>())
}

/// The group of each peer.
fn groups(peering: &mut Peering, config: &Config) -> Vec<u32> {
    peering.take_groups(config);
    let ids = config.peers.iter().map(|peer| peering.known_id(peer));
    ids.map(|id| peering.group_of(id.unwrap()).unwrap().0)
        .collect()
}

#[test]
fn peers_share_a_group_where_policies_cannot_tell_them_apart() {
    let mut peering = Peering::default();
    let tors = "group = 'tors'";
    let config = peers(&[
        (64600, tors),
        (64600, tors),
        (64601, tors),
        (64600, "group = 'tors'\nlabels = { site = 'a' }"),
        (64600, "group = 'spines'"),
        (64600, ""),
    ]);
    assert_eq!(groups(&mut peering, &config), [0, 0, 1, 2, 3, 4]);
    let taken = peering.take_groups(&config);
    let labelled = &taken.groups[&GroupId(2)];
    assert_eq!(labelled.name, "tors");
    assert_eq!(labelled.labels["site"], "a");
}

#[test]
fn a_group_keeps_its_id_for_as_long_as_the_process_lives() {
    let mut peering = Peering::default();
    let apart = peers(&[(64600, ""), (64600, "")]);
    let together = peers(&[(64600, "group = 'tors'"), (64600, "group = 'tors'")]);
    assert_eq!(groups(&mut peering, &apart), [0, 1]);
    assert_eq!(groups(&mut peering, &together), [2, 2]);
    assert_eq!(groups(&mut peering, &apart), [0, 1]);
    assert_eq!(groups(&mut peering, &together), [2, 2]);
    // Alone, it stays who it is, however it is labelled.
    let labelled = peers(&[(64600, "labels = { site = 'a' }"), (64600, "")]);
    assert_eq!(groups(&mut peering, &labelled), [0, 1]);
}

#[test]
fn a_new_group_inherits_from_the_group_that_its_peers_leave() {
    let mut peering = Peering::default();
    let mut heirs = |config: &Config| peering.take_groups(config).heirs;
    let none = BTreeMap::new();
    let apart = peers(&[(64600, ""), (64600, "")]);
    assert_eq!(heirs(&apart), none, "new peers leave none");
    let together = peers(&[(64600, "group = 'tors'"), (64600, "group = 'tors'")]);
    assert_eq!(heirs(&together), [(GroupId(2), GroupId(0))].into());
    assert_eq!(heirs(&together), none);
    let one = peers(&[(64600, "group = 'tors'"), (64600, "")]);
    assert_eq!(heirs(&one), [(GroupId(1), GroupId(2))].into());
    assert_eq!(heirs(&together), none, "it joins a group that there is");
}

#[test]
fn what_a_peer_is_to_a_reflector_reaches_the_speaker() {
    let text = "
[bgp]
cluster-id = '244.0.0.1'
[[peers]]
name = 'worker'
address = '192.0.2.1'
asn = 64512
route-reflector-client = true
next-hop = 'self'
allow-own-asn = 1
ttl-security = 2
keepalive-time = '5s'
[[peers]]
name = 'rack'
address = '192.0.2.2'
asn = 64999
local-asn = 64999
";
    let speaker = told(&mut Peering::default(), text, &facts(&["10.0.0.1"]));
    assert_eq!(speaker.cluster_id.unwrap().to_string(), "244.0.0.1");
    let [worker, rack] = &speaker.peers[..] else {
        panic!("{:?}", speaker.peers);
    };
    assert_eq!(worker.reflection, Reflection::Client);
    assert_eq!(worker.next_hop_mode, NextHopMode::SelfAddress);
    assert_eq!(worker.own_asn_allowed, 1);
    assert_eq!(worker.ttl_security, NonZeroU8::new(2));
    assert_eq!(worker.keepalive_time, Some(Duration::from_secs(5)));
    assert_eq!(rack.local_asn, Some(Asn(64999)));
    // By the AS that we are to it, it is in ours.
    let config = config(text);
    assert_eq!(peer_kind(&config, &config.peers[1]), PeerKind::Ibgp);
}
