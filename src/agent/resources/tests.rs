//! What files and resources are together, rule by rule.

use serde_json::{Value, json};

use super::*;
use crate::calico::Kind;
use crate::config::{CalicoResources, Config, Overrides};
use crate::types::{Asn, ClusterId};

/// What these say of a node, which is a reflector.
fn said(objects: &[Value]) -> Said {
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": "worker-1", "annotations": {
            "projectcalico.org/IPv4Address": "10.0.0.1/24",
            "projectcalico.org/RouteReflectorClusterID": "244.0.0.1",
        } },
    });
    let mut resources = Resources::default();
    for object in objects.iter().chain([&node]) {
        let text = |field: &str| object[field].as_str().unwrap();
        let (kind, group) = Kind::of(text("apiVersion"), text("kind")).unwrap();
        resources.apply(kind, group, object);
    }
    Said::of(&resources, "worker-1")
}

fn configuration(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPConfiguration",
        "metadata": { "name": "default" },
    });
    object["spec"] = spec;
    object
}

fn merge(text: &str, said: &Said, overrides: &Overrides) -> Merged {
    let text = format!("[calico]\nresources = true\n{text}");
    let file = Config::parse("rutter.toml", &text, overrides).unwrap();
    assert_eq!(file.calico.resources, CalicoResources::Awaited);
    merged(&file, said, Environment::of(overrides))
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn the_as_is_the_resources_and_another_in_the_file_is_told() {
    let said = said(&[configuration(json!({ "asNumber": 64600 }))]);
    let silent = merge("", &said, &Overrides::default());
    assert_eq!(silent.config.bgp.asn, Asn(64600));
    assert_eq!(silent.config.calico.resources, CalicoResources::Merged);
    assert_eq!(silent.conflicts, [""; 0]);
    let other = merge("[bgp]\nasn = 64700", &said, &Overrides::default());
    assert_eq!(other.config.bgp.asn, Asn(64600));
    assert!(
        other.conflicts[0].contains("64700"),
        "{:?}",
        other.conflicts
    );
}

#[test]
fn without_an_as_that_can_be_read_nothing_is_merged() {
    let said = said(&[configuration(json!({ "asNumber": "what" }))]);
    let merged = merge("", &said, &Overrides::default());
    assert_eq!(merged.config.calico.resources, CalicoResources::Awaited);
    assert_eq!(merged.conflicts.len(), 1);
    assert!(said.problems.iter().any(|it| it.words.contains("asNumber")));
}

#[test]
fn where_we_listen_and_our_cluster_id_are_the_files_if_it_has_them() {
    let said = said(&[configuration(json!({ "listenPort": 1790 }))]);
    let silent = merge("", &said, &Overrides::default()).config.bgp;
    assert_eq!(texts(&silent.listen), ["0.0.0.0:1790", "[::]:1790"]);
    let id = |text: &str| Some(ClusterId(text.parse().unwrap()));
    assert_eq!(silent.cluster_id, id("244.0.0.1"));
    let text = "[bgp]\nlisten = ['10.0.0.1:179']\ncluster-id = '244.0.0.9'";
    let said_both = merge(text, &said, &Overrides::default());
    assert_eq!(texts(&said_both.config.bgp.listen), ["10.0.0.1:179"]);
    assert_eq!(said_both.config.bgp.cluster_id, id("244.0.0.9"));
    assert_eq!(said_both.conflicts.len(), 2, "{:?}", said_both.conflicts);
}

#[test]
fn ranges_of_both_count_and_the_environments_replace_either() {
    let said = said(&[configuration(json!({
        "serviceClusterIPs": [{ "cidr": "10.96.0.0/16" }],
        "serviceExternalIPs": [{ "cidr": "198.51.100.0/24" }],
    }))]);
    let text = "[advertise]\nservice-cluster-cidrs = ['172.16.0.0/16']";
    let both = merge(text, &said, &Overrides::default()).config.advertise;
    let ranges = texts(&both.service_cluster_cidrs);
    assert_eq!(ranges, ["172.16.0.0/16", "10.96.0.0/16"]);
    assert_eq!(texts(&both.service_external_cidrs), ["198.51.100.0/24"]);
    let overrides = Overrides {
        calico_advertise_cluster_ips: Some("172.17.0.0/16".to_owned()),
        ..Overrides::default()
    };
    let environment = merge(text, &said, &overrides).config.advertise;
    assert_eq!(texts(&environment.service_cluster_cidrs), ["172.17.0.0/16"]);
}

#[test]
fn peers_of_one_template_are_one_group_and_no_name_is_taken_twice() {
    let peer = |name: &str, spec: Value| {
        json!({
            "apiVersion": "projectcalico.org/v3",
            "kind": "BGPPeer",
            "metadata": { "name": name },
            "spec": spec,
        })
    };
    let said = said(&[
        configuration(json!({ "nodeToNodeMeshEnabled": false })),
        peer("tor", json!({ "peerIP": "10.0.0.9", "asNumber": 64513 })),
        peer("spine", json!({ "peerIP": "10.0.0.8", "asNumber": 64513 })),
    ]);
    let text = "[[peers]]\nname = 'tor'\naddress = '10.0.0.7'\nasn = 64513";
    let merged = merge(text, &said, &Overrides::default());
    let peers = merged.config.peers.iter();
    let names: Vec<_> = peers
        .map(|peer| (peer.name.as_str(), peer.group_name()))
        .collect();
    let expected = [
        ("tor", "tor"),
        ("spine", "spine"),
        ("tor-calico", "tor-calico"),
    ];
    assert_eq!(names, expected);
    let addresses = &merged.config.advertise.peer_addresses;
    assert_eq!(addresses.len(), 3, "no Service may take one");
}
