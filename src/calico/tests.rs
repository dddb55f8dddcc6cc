//! What is made of the resources, in either group, in any order, whole or wrong.

mod objects;
mod problems;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::topology::{ClusterId, PasswordSource};
use crate::types::{Asn, ConnectMode, PeerType, Prefix};
use objects::{applied, calico, node, spec_of_each_kind};

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// `ADDRESS:PORT AS TYPE` of each peer.
fn peers(resources: &Resources, node: &str) -> Vec<String> {
    let config = resources.node(node).unwrap();
    let peers = config.peerings.peers.into_iter();
    let line = peers.map(|peer| {
        let words = peer.peer_type.words();
        format!("{}:{} AS {} {words}", peer.address, peer.port, peer.asn)
    });
    line.collect()
}

#[test]
fn without_any_resource_there_is_a_mesh_of_as_64512() {
    let resources = applied(&[node("a", "192.0.2.1"), node("b", "192.0.2.2")]);
    assert_eq!(
        peers(&resources, "a"),
        ["192.0.2.2:179 AS 64512 node-to-node mesh"]
    );
    let config = resources.node("a").unwrap();
    let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:179", "[::]:179"]);
    assert_eq!(resources.problems().count(), 0);
    assert_eq!(resources.node("c"), None);
}

#[test]
fn the_default_configuration_is_heeded() {
    let configuration = calico(
        "BGPConfiguration",
        "default",
        json!({
            "logSeverityScreen": "Info",
            "asNumber": "1.10",
            "listenPort": 1790,
            "bindMode": "NodeIP",
            "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}],
            "serviceExternalIPs": [{"cidr": "192.0.2.128/25"}],
            "serviceLoadBalancerIPs": [{"cidr": "198.51.100.0/24"}, {"cidr": "2001:db8:1::/64"}],
            "serviceLoadBalancerAggregation": "Disabled",
            "communities": [{"name": "one", "value": "64512:1"}],
            "prefixAdvertisements": [
                {"cidr": "10.96.0.0/12", "communities": ["one", "64512:2:3"]},
                {"cidr": "10.0.0.0/8", "communities": []},
            ],
            "nodeMeshPassword": {"secretKeyRef": {"name": "bgp", "key": "mesh"}},
            "nodeMeshMaxRestartTime": "1m30s",
        }),
    );
    let resources = applied(&[
        configuration,
        node("a", "192.0.2.1"),
        node("b", "192.0.2.2"),
    ]);
    assert_eq!(
        resources.problems().collect::<Vec<_>>(),
        [] as [&Problem; 0]
    );
    let config = resources.node("a").unwrap();
    assert_eq!(config.peerings.asn, Asn(65546));
    let [peer] = &config.peerings.peers[..] else {
        panic!("{:?}", config.peerings);
    };
    assert_eq!((peer.asn, peer.port), (Asn(65546), 1790));
    assert_eq!(peer.restart_time.unwrap().as_secs(), 90);
    let password = PasswordSource::Secret {
        name: "bgp".into(),
        key: "mesh".into(),
    };
    assert_eq!(peer.password, Some(password));
    let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["192.0.2.1:1790"]);
    assert_eq!(config.service_cluster_cidrs, prefixes(&["10.96.0.0/12"]));
    assert_eq!(config.service_external_cidrs, prefixes(&["192.0.2.128/25"]));
    assert_eq!(
        config.service_load_balancer_cidrs,
        prefixes(&["198.51.100.0/24", "2001:db8:1::/64"])
    );
    let disabled = LoadBalancerAggregation::Disabled;
    assert_eq!(config.load_balancer_aggregation, disabled);
    let communities = ["64512:1", "64512:2:3"].map(str::to_owned);
    assert_eq!(
        config.prefix_communities,
        [PrefixCommunities {
            cidr: "10.96.0.0/12".parse().unwrap(),
            communities: communities.into(),
        }]
    );
}

#[test]
fn a_nodes_configuration_has_its_port_and_replaces_the_communities() {
    let communities = |of: &str| json!([{"cidr": "10.0.0.0/8", "communities": [of]}]);
    let default = json!({"prefixAdvertisements": communities("64512:1")});
    let of_a = json!({"listenPort": 1790, "prefixAdvertisements": communities("64512:2")});
    let resources = applied(&[
        calico("BGPConfiguration", "default", default),
        calico("BGPConfiguration", "node.a", of_a),
        node("a", "192.0.2.1"),
        node("b", "192.0.2.2"),
    ]);
    assert_eq!(
        peers(&resources, "b"),
        ["192.0.2.1:1790 AS 64512 node-to-node mesh"]
    );
    let first = |name| {
        let config = resources.node(name).unwrap();
        let communities = config.prefix_communities[0].communities.clone();
        (
            config.peerings.listen_port,
            communities.into_iter().next().unwrap(),
        )
    };
    assert_eq!(first("a"), (1790, "64512:2".to_owned()));
    assert_eq!(first("b"), (179, "64512:1".to_owned()));
}

#[test]
fn a_peer_has_every_option() {
    let peer = calico(
        "BGPPeer",
        "tor",
        json!({
            "node": "a",
            "peerIP": "[2001:db8::9]:1790",
            "asNumber": 65000,
            "localASNumber": "65001",
            "keepOriginalNextHop": true,
            "password": {"secretKeyRef": {"name": "bgp", "key": "tor"}},
            "sourceAddress": "None",
            "maxRestartTime": "2m",
            "keepaliveTime": "1.5s",
            "numAllowedLocalASNumbers": 2,
            "ttlSecurity": 3,
            "filters": ["one", "two"],
        }),
    );
    let filters = ["one", "two"].map(|name| calico("BGPFilter", name, json!({})));
    let node = {
        let mut node = node("a", "192.0.2.1");
        node["metadata"]["annotations"]["projectcalico.org/IPv6Address"] = json!("2001:db8::1/64");
        node
    };
    let [one, two] = filters;
    let resources = applied(&[peer, node, one, two]);
    let config = resources.node("a").unwrap();
    assert_eq!(resources.problems().count() + config.problems.len(), 0);
    insta::assert_debug_snapshot!(config.peerings.peers);
}

#[test]
fn nodes_are_told_by_annotations_and_by_calicos_own_objects() {
    let annotated = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "a",
            "labels": {"rack": "kubernetes"},
            "annotations": {
                "projectcalico.org/IPv4Address": "192.0.2.1/24",
                "projectcalico.org/IPv6Address": "2001:db8::1/64",
                "projectcalico.org/ASNumber": "65001",
                "projectcalico.org/RouteReflectorClusterID": "244.0.0.1",
                "projectcalico.org/labels": "{\"rack\": \"calico\", \"reflector\": \"\"}",
            },
        },
        "status": {"addresses": [{"type": "InternalIP", "address": "203.0.113.1"}]},
    });
    let resources = applied(std::slice::from_ref(&annotated));
    let node = &resources.node("a").unwrap().topology.nodes["a"];
    assert_eq!(node.ipv4, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(node.ipv6, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(node.asn, Some(Asn(65001)));
    assert_eq!(
        node.cluster_id,
        Some(ClusterId("244.0.0.1".parse().unwrap()))
    );
    let labels = [("rack", "kubernetes"), ("reflector", "")];
    assert!(node.labels.iter().map(|(k, v)| (&**k, &**v)).eq(labels));

    let own = json!({"bgp": {"asNumber": 65002, "routeReflectorClusterID": ""}});
    let resources = applied(&[annotated, calico("Node", "a", own)]);
    let node = &resources.node("a").unwrap().topology.nodes["a"];
    assert_eq!(
        (node.asn, node.cluster_id.is_some()),
        (Some(Asn(65002)), true)
    );
}

#[test]
fn a_node_without_calicos_addresses_is_at_its_internal_ones() {
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "a"},
        "status": {"addresses": [
            {"type": "ExternalIP", "address": "198.51.100.1"},
            {"type": "Hostname", "address": "a"},
            {"type": "InternalIP", "address": "2001:db8::1"},
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "InternalIP", "address": "192.0.2.9"},
        ]},
    });
    let topology = applied(&[node]).node("a").unwrap().topology;
    let node = &topology.nodes["a"];
    assert_eq!(node.ipv4, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(node.ipv6, Some("2001:db8::1".parse().unwrap()));
}

#[test]
fn blocks_are_those_that_the_node_really_has_in_either_group() {
    let block = |name, spec| calico("BlockAffinity", name, spec);
    let mut resources = applied(&[
        block(
            "1",
            json!({"node": "a", "cidr": "10.0.0.0/26", "state": "confirmed", "deleted": false}),
        ),
        block(
            "2",
            json!({"node": "a", "cidr": "10.0.0.64/26", "state": "", "type": "host"}),
        ),
        block(
            "3",
            json!({"node": "a", "cidr": "10.0.0.128/26", "state": "pending"}),
        ),
        block(
            "4",
            json!({"node": "a", "cidr": "10.0.0.192/26", "state": "pendingDeletion"}),
        ),
        block(
            "5",
            json!({"node": "a", "cidr": "10.0.1.0/26", "state": "confirmed", "deleted": true}),
        ),
        block(
            "6",
            json!({"node": "b", "cidr": "10.0.2.0/26", "state": "confirmed"}),
        ),
    ]);
    assert_eq!(resources.problems().count(), 0);
    let blocks: Vec<_> = resources.blocks("a").into_iter().collect();
    assert_eq!(blocks, prefixes(&["10.0.0.0/26", "10.0.0.64/26"]));

    // As the other group has it, where it is served alone.
    resources.absent(Kind::BlockAffinity, ApiGroup::V3);
    let stored = [("1", "false"), ("2", "true")].map(|(name, deleted)| {
        json!({
            "metadata": {"name": name},
            "spec": {"node": "a", "cidr": format!("10.1.{name}.0/26"), "state": "confirmed",
                     "deleted": deleted},
        })
    });
    resources.reset(Kind::BlockAffinity, ApiGroup::Crd, &stored);
    let blocks: Vec<_> = resources.blocks("a").into_iter().collect();
    assert_eq!(blocks, prefixes(&["10.1.1.0/26"]));
}

#[test]
fn pools_say_what_is_not_announced_and_how_packets_travel() {
    let pool = |name, spec| calico("IPPool", name, spec);
    let resources = applied(&[
        pool(
            "a",
            json!({"cidr": "10.1.0.0/16", "blockSize": 26, "natOutgoing": true}),
        ),
        pool(
            "b",
            json!({"cidr": "10.2.0.0/16", "ipipMode": "CrossSubnet", "vxlanMode": "Never"}),
        ),
        pool(
            "c",
            json!({"cidr": "10.3.0.0/16", "vxlanMode": "Always", "disableBGPExport": true}),
        ),
    ]);
    assert_eq!(resources.problems().count(), 0);
    let pools = resources.pools().map(|(name, pool)| {
        let IpPool {
            cidr,
            disable_bgp_export,
            encapsulation,
        } = pool;
        format!("{name} {cidr} {disable_bgp_export} {encapsulation:?}")
    });
    assert_eq!(
        pools.collect::<Vec<_>>(),
        [
            "a 10.1.0.0/16 false None",
            "b 10.2.0.0/16 false IpipCrossSubnet",
            "c 10.3.0.0/16 true Vxlan",
        ]
    );
}

#[test]
fn what_is_served_natively_is_read_from_there_alone() {
    let mut resources = applied(&[node("a", "192.0.2.1")]);
    let peer = |address: &str| json!({"metadata": {"name": address}, "spec": {"peerIP": address, "asNumber": 65000}});
    let off = json!({"metadata": {"name": "default"}, "spec": {"nodeToNodeMeshEnabled": false}});
    let stored = ApiGroup::Crd;
    resources.apply(Kind::BgpConfiguration, stored, &off);
    resources.reset(Kind::BgpPeer, stored, &[peer("192.0.2.8")]);
    assert_eq!(peers(&resources, "a"), ["192.0.2.8:179 AS 65000 global"]);
    let native = ApiGroup::V3;
    let effect = resources.reset(Kind::BgpPeer, native, &[peer("192.0.2.9")]);
    assert_eq!(effect, Effect::Changed);
    assert_eq!(peers(&resources, "a"), ["192.0.2.9:179 AS 65000 global"]);
    resources.delete(Kind::BgpPeer, native, "192.0.2.9");
    assert_eq!(peers(&resources, "a"), [""; 0]);
    resources.absent(Kind::BgpPeer, native);
    assert_eq!(peers(&resources, "a"), ["192.0.2.8:179 AS 65000 global"]);
}

#[test]
fn what_means_the_same_as_before_is_no_change() {
    let mut resources = Resources::default();
    let mut object = node("a", "192.0.2.1");
    let apply = |resources: &mut Resources, object: &Value| {
        resources.apply(Kind::Node, ApiGroup::Core, object)
    };
    assert_eq!(apply(&mut resources, &object), Effect::Changed);
    object["metadata"]["resourceVersion"] = json!("7");
    object["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    assert_eq!(apply(&mut resources, &object), Effect::Same);
    let list = std::slice::from_ref(&object);
    let effect = resources.reset(Kind::Node, ApiGroup::Core, list);
    assert_eq!(effect, Effect::Same);
    let effect = resources.delete(Kind::Node, ApiGroup::Core, "b");
    assert_eq!(effect, Effect::Same);
    // Whoever serves a kind hides what is stored of it, were it by serving none.
    let effect = resources.delete(Kind::BgpPeer, ApiGroup::V3, "b");
    assert_eq!(effect, Effect::Changed);
    let effect = resources.delete(Kind::Node, ApiGroup::Core, "a");
    assert_eq!(effect, Effect::Changed);
}

#[test]
fn a_reflector_of_the_resources_has_clients_and_no_mesh() {
    let mut reflector = node("m", "192.0.2.1");
    reflector["metadata"]["labels"] = json!({"reflector": "true"});
    reflector["metadata"]["annotations"]["projectcalico.org/RouteReflectorClusterID"] =
        json!("244.0.0.1");
    let resources = applied(&[
        reflector,
        node("w", "192.0.2.2"),
        calico(
            "BGPConfiguration",
            "default",
            json!({"nodeToNodeMeshEnabled": false}),
        ),
        calico(
            "BGPPeer",
            "workers",
            json!({"nodeSelector": "!has(reflector)", "peerSelector": "has(reflector)"}),
        ),
    ]);
    let of = |name| resources.node(name).unwrap().peerings;
    let (m, w) = (of("m"), of("w"));
    assert_eq!(m.cluster_id, Some(ClusterId("244.0.0.1".parse().unwrap())));
    assert_eq!(m.peers[0].reflection, crate::topology::Reflection::Client);
    assert_eq!(
        w.peers[0].reflection,
        crate::topology::Reflection::NonClient
    );
    for peers in [&m.peers, &w.peers] {
        assert_eq!(peers[0].peer_type, PeerType::NodePeer);
        assert_eq!(peers[0].connect_mode, ConnectMode::Active);
    }
}

/// A step in the life of an object: there it is, or there it is no more.
type Step = (usize, bool);

proptest! {
    #[test]
    fn the_order_of_events_does_not_matter(
        steps in proptest::collection::vec((0..24_usize, any::<bool>()), 0..40),
        seed in any::<u64>(),
    ) {
        let objects = spec_of_each_kind();
        let run = |steps: &[Step]| {
            let mut resources = Resources::default();
            for (index, there) in steps {
                let (kind, group, object) = &objects[index % objects.len()];
                if *there {
                    resources.apply(*kind, *group, object);
                } else {
                    let name = object["metadata"]["name"].as_str().unwrap();
                    resources.delete(*kind, *group, name);
                }
            }
            resources
        };
        // The same objects are there in the end, whatever happened to them and others before.
        let mut last = std::collections::BTreeMap::new();
        for (index, there) in &steps {
            let index = index % objects.len();
            let (kind, group, object) = &objects[index];
            let name = object["metadata"]["name"].as_str();
            last.insert((*kind, *group, name), (index, *there));
        }
        let mut lasting: Vec<Step> = last.into_values().collect();
        let turns = usize::try_from(seed % 64).unwrap() % lasting.len().max(1);
        lasting.rotate_left(turns);
        let (one, other) = (run(&steps), run(&lasting));
        for name in ["a", "b", "c"] {
            prop_assert_eq!(one.node(name), other.node(name));
            prop_assert_eq!(one.blocks(name), other.blocks(name));
        }
        prop_assert!(one.problems().eq(other.problems()));
        prop_assert!(one.pools().eq(other.pools()));
    }
}
