//! The file that is printed is one that the agent takes, and says what the resources said.

use std::fs;

use super::*;
use crate::cli::testing::{Ran, run};
use crate::config::{Config, Overrides};
use crate::types::{ClusterId, ConnectMode, NextHopMode, Reflection, RestartTime};

const RESOURCES: &str = r#"
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata:
    name: master
    labels: {reflector: "true"}
    annotations:
      projectcalico.org/IPv4Address: 192.0.2.1/24
      projectcalico.org/IPv6Address: 2001:db8::1/64
      projectcalico.org/RouteReflectorClusterID: 244.0.0.1
- apiVersion: v1
  kind: Node
  metadata:
    name: worker
    annotations:
      projectcalico.org/IPv4Address: 192.0.2.2/24
      projectcalico.org/IPv6Address: 2001:db8::2/64
---
apiVersion: crd.projectcalico.org/v1
kind: BGPConfiguration
metadata: {name: default}
spec:
  nodeToNodeMeshEnabled: false
  asNumber: 64513
  listenPort: 1790
  serviceClusterIPs: [{cidr: 10.96.0.0/12}]
  serviceExternalIPs: [{cidr: 192.0.2.128/25}]
  serviceLoadBalancerIPs: [{cidr: 198.51.100.0/24}]
  communities: [{name: ours, value: "64513:1"}]
  prefixAdvertisements:
  - {cidr: 10.96.0.0/12, communities: [ours, "64513:2:3"]}
---
apiVersion: projectcalico.org/v3
kind: IPPoolList
items:
- {metadata: {name: a}, spec: {cidr: 10.1.0.0/16, ipipMode: CrossSubnet}}
- {metadata: {name: b}, spec: {cidr: 10.2.0.0/16, vxlanMode: Always}}
- {metadata: {name: c}, spec: {cidr: "fd00:10::/64"}}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: workers}
spec: {nodeSelector: "!has(reflector)", peerSelector: has(reflector)}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: tor}
spec:
  nodeSelector: has(reflector)
  peerIP: 192.0.2.254
  asNumber: 65000
  localASNumber: 65001
  nextHopMode: Keep
  numAllowedLocalASNumbers: 1
  ttlSecurity: 2
  keepaliveTime: 10s
  maxRestartTime: 3m
  reachableBy: 192.0.2.253
  sourceAddress: None
  password: {secretKeyRef: {name: bgp, key: tor}}
  filters: [some, other]
---
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: some}
spec:
  exportV4: [{action: Reject, cidr: 10.0.0.0/8, matchOperator: In, peerType: null}]
  importV6: [{action: Accept, interface: eth0}, {action: Reject}]
"#;

fn ran(arguments: &[&str]) -> (Outcome, String, String) {
    let Ran { outcome, out, err } = run("/nonexistent".into(), arguments);
    (outcome, out, err)
}

fn imported(text: &str, more: &[&str]) -> (Outcome, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resources.yaml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let (outcome, out, err) = ran(&[&["calico", "import", file], more].concat());
    (outcome, out, err.replace(file, "resources.yaml"))
}

#[test]
fn the_file_of_a_reflector_says_what_the_resources_do() {
    let (outcome, out, err) = imported(RESOURCES, &["--node", "master"]);
    assert_eq!(outcome, Outcome::Done, "{err}");
    insta::assert_snapshot!(format!("{out}\n{err}"));
    let config = Config::parse("rutter.toml", &out, &Overrides::default()).unwrap();
    assert_eq!(config.bgp.asn.0, 64513);
    let cluster_id = ClusterId("244.0.0.1".parse().unwrap());
    assert_eq!(config.bgp.cluster_id, Some(cluster_id));
    // Each as the topology has it.
    let mut resources = Resources::default();
    for document in documents(RESOURCES).unwrap() {
        for (kind, group, object) in objects_in(document) {
            resources.apply(kind, group, &object);
        }
    }
    let node = resources.node("master").unwrap();
    assert_eq!(config.bgp.listen, node.listen);
    assert_eq!(config.ip_pools, node.pools);
    assert_eq!(config.peers.len(), 3);
    for (peer, peering) in config.peers.iter().zip(&node.peerings.peers) {
        assert_eq!(
            (&peer.name, peer.address, peer.port),
            (&peering.name, peering.address, peering.port)
        );
        assert_eq!((peer.asn, peer.local_asn), (peering.asn, peering.local_asn));
        assert_eq!(peer.connect_mode, peering.connect_mode);
        assert_eq!(peer.local_address, peering.local_address);
        assert_eq!(peer.reflection, peering.reflection);
        assert_eq!(peer.next_hop_mode, peering.next_hop_mode);
        assert_eq!(peer.own_asn_allowed, peering.own_asn_allowed);
        assert_eq!(peer.ttl_security, peering.ttl_security);
        assert_eq!(peer.keepalive_time, peering.keepalive_time);
        let asked = peering.restart_time.map(RestartTime::nearest);
        assert_eq!(peer.restart_time, asked.or(Some(RestartTime::DEFAULT)));
        assert_eq!(peer.password_file.is_some(), peering.password.is_some());
    }
    let tor = &config.peers[1];
    assert_eq!(tor.next_hop_mode, NextHopMode::Keep);
    assert_eq!(config.peers[0].reflection, Reflection::Client);
    assert_eq!(tor.connect_mode, ConnectMode::Active);
}

#[test]
fn one_node_need_not_be_named_and_several_must_be() {
    let (outcome, _, err) = imported(RESOURCES, &[]);
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(
        err,
        "error: there are 2 Nodes; say which the file is for, such as --node master\n"
    );
    let one = "{apiVersion: v1, kind: Node, metadata: {name: a}}";
    let (outcome, out, err) = imported(one, &[]);
    assert_eq!((outcome, err.as_str()), (Outcome::Done, ""));
    let config = Config::parse("rutter.toml", &out, &Overrides::default()).unwrap();
    assert_eq!(config.peers, []);
}

#[test]
fn what_nothing_can_be_made_of_is_said() {
    let (outcome, out, err) = imported(RESOURCES, &["--node", "nobody"]);
    assert_eq!((outcome, out.as_str()), (Outcome::Failed, ""));
    assert!(
        err.contains("Node nobody; there are: master, worker"),
        "{err}"
    );
    let (_, _, err) = imported("kind: Service", &[]);
    assert!(err.contains("no resources in there"), "{err}");
    let (_, _, err) = imported("a: [", &[]);
    assert!(err.starts_with("error: resources.yaml: "), "{err}");
    let wrong = "{apiVersion: projectcalico.org/v3, kind: BGPConfiguration,
                  metadata: {name: default}, spec: {asNumber: x}}";
    let (outcome, _, err) = imported(&format!("{RESOURCES}\n---\n{wrong}"), &["--node", "worker"]);
    assert_eq!(outcome, Outcome::Failed);
    assert!(err.contains("spec.asNumber is \"x\""), "{err}");
}

#[test]
fn a_folder_is_read_as_its_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let node = "{apiVersion: v1, kind: Node, metadata: {name: a}}";
    fs::write(folder.path().join("a.yaml"), node).unwrap();
    fs::write(folder.path().join("b.json"), "{\"kind\": \"Other\"}").unwrap();
    fs::write(folder.path().join("README"), "[[[").unwrap();
    let path = folder.path().to_str().unwrap();
    let (outcome, out, err) = ran(&["calico", "import", path, "-o", "json"]);
    assert_eq!((outcome, err.as_str()), (Outcome::Done, ""));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["node"], "a");
}
