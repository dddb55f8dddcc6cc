//! Where the pods of a node are, by what an IPAM says; and what Nodes are to their peers.

use super::*;
use crate::facts::PodBlocks;
use crate::kube::fixtures::{block, pod, pool};
use crate::types::Prefix;

const OTHER: &str = "worker-2";

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What changed in the view; that resources mean something else is another thing.
fn seen(outcome: Outcome) -> Vec<ClusterChange> {
    let mut changes = outcome.changes;
    changes.retain(|change| *change != ClusterChange::Peerings);
    changes
}

fn blocks(index: &Index) -> Option<(Vec<Prefix>, Vec<Prefix>)> {
    let blocks = index.view().node.as_ref().unwrap().blocks.clone()?;
    let PodBlocks { own, announced } = blocks;
    Some((own, announced))
}

#[test]
fn blocks_that_are_confirmed_take_the_place_of_pod_cidrs() {
    let mut index = index_with([]);
    assert_eq!(blocks(&index), None);
    let mut pending = block(HERE, "10.244.7.0/26");
    pending["spec"]["state"] = "pending".into();
    assert_eq!(seen(index.handle(applied(pending))), []);

    // Also where only another node has one: this cluster's pods are not in pod CIDRs.
    let outcome = index.handle(applied(block(OTHER, "10.244.2.0/26")));
    assert_eq!(
        seen(outcome),
        [ClusterChange::Node, ClusterChange::Networks]
    );
    assert_eq!(blocks(&index), Some((Vec::new(), Vec::new())));
    let known: Vec<_> = index
        .view()
        .blocks
        .iter()
        .map(|(cidr, node)| format!("{cidr} {node}"))
        .collect();
    assert_eq!(known, ["10.244.2.0/26 worker-2"]);

    index.handle(applied(block(HERE, "10.244.7.0/26")));
    let mut stateless = block(HERE, "fd00:10:244::/122");
    stateless["spec"]["state"] = "".into();
    index.handle(applied(stateless));
    let own = prefixes(&["10.244.7.0/26", "fd00:10:244::/122"]);
    assert_eq!(blocks(&index), Some((own.clone(), own)));
}

#[test]
fn a_block_that_is_given_up_goes_in_either_way_of_writing_it() {
    for (field, value) in [
        ("deleted", json!("true")),
        ("deleted", json!(true)),
        ("state", json!("pendingDeletion")),
    ] {
        let mut index = index_with([]);
        index.handle(applied(block(OTHER, "10.244.2.0/26")));
        index.handle(applied(block(HERE, "10.244.7.0/26")));
        assert_eq!(blocks(&index).unwrap().0.len(), 1);
        let mut gone = block(HERE, "10.244.7.0/26");
        gone["spec"][field] = value;
        index.handle(applied(gone));
        assert_eq!(blocks(&index), Some((Vec::new(), Vec::new())), "{field}");
    }
}

#[test]
fn of_two_groups_the_newer_counts_even_with_no_objects() {
    let mut index = index_with([]);
    let older = block(HERE, "10.244.7.0/26");
    let mut newer = older.clone();
    newer["apiVersion"] = "projectcalico.org/v3".into();
    newer["spec"]["deleted"] = false.into();
    let kind = object(newer.clone()).object_ref().kind;
    index.handle(applied(older));
    assert_eq!(seen(index.handle(applied(newer.clone()))), []);
    // What is left in the older group is none of the cluster's.
    let gone = SourceEvent::Deleted(object(newer).object_ref());
    let outcome = index.handle(gone);
    assert_eq!(
        seen(outcome),
        [ClusterChange::Node, ClusterChange::Networks]
    );
    assert_eq!(blocks(&index), None);
    // But for a group that is not there.
    let outcome = index.handle(SourceEvent::NotServed(kind));
    assert_eq!(
        seen(outcome),
        [ClusterChange::Node, ClusterChange::Networks]
    );
}

#[test]
fn the_smallest_pool_around_says_whether_a_block_is_announced() {
    let mut index = index_with([]);
    index.handle(applied(block(HERE, "10.244.7.0/26")));
    index.handle(applied(block(HERE, "10.245.0.0/26")));
    let mut silent = pool("silent", "10.244.0.0/16");
    silent["spec"]["disableBGPExport"] = true.into();
    let outcome = index.handle(applied(silent.clone()));
    assert_eq!(seen(outcome), [ClusterChange::Node]);
    let own = prefixes(&["10.244.7.0/26", "10.245.0.0/26"]);
    assert_eq!(
        blocks(&index),
        Some((own.clone(), prefixes(&["10.245.0.0/26"])))
    );
    // A pool within it may be announced.
    index.handle(applied(pool("open", "10.244.7.0/24")));
    assert_eq!(blocks(&index), Some((own.clone(), own)));
    let gone = SourceEvent::Deleted(object(pool("open", "10.244.7.0/24")).object_ref());
    index.handle(gone);
    assert_eq!(blocks(&index).unwrap().1, prefixes(&["10.245.0.0/26"]));
}

#[test]
fn an_address_that_a_pod_borrowed_is_one_of_the_nodes() {
    let mut index = index_with([]);
    index.handle(applied(pool("default", "10.244.0.0/16")));
    index.handle(applied(block(HERE, "10.244.7.0/26")));
    index.handle(applied(block(OTHER, "10.244.2.0/26")));
    let own = || prefixes(&["10.244.7.0/26"]);
    for elsewhere in [
        pod("in-own", HERE, "10.244.7.9"),
        pod("of-other", OTHER, "10.244.2.9"),
        pod("in-no-pool", HERE, "172.17.0.2"),
    ] {
        assert_eq!(seen(index.handle(applied(elsewhere))), []);
    }
    let mut of_node = pod("of-node", HERE, "10.244.2.8");
    of_node["spec"]["hostNetwork"] = true.into();
    assert_eq!(seen(index.handle(applied(of_node))), []);

    let borrowing = pod("borrowing", HERE, "10.244.2.10");
    assert_eq!(
        seen(index.handle(applied(borrowing.clone()))),
        [ClusterChange::Node]
    );
    let both = prefixes(&["10.244.2.10/32", "10.244.7.0/26"]);
    assert_eq!(blocks(&index), Some((both.clone(), both)));
    let mut over = borrowing;
    over["status"]["phase"] = "Succeeded".into();
    index.handle(applied(over));
    assert_eq!(blocks(&index), Some((own(), own())));
}

/// An index that looks at Calico's resources, and knows of a mesh with another node.
fn in_a_mesh() -> Index {
    let mut index = index_with([]);
    index.kinds = Kind::all(crate::kube::Calico::Watched);
    let mut other = node(OTHER);
    other["status"]["addresses"][1]["address"] = "192.168.83.12".into();
    list(
        &mut index,
        Kind::ClusterNode,
        [cluster_node(node(HERE)), cluster_node(other)],
    );
    index
}

fn peers(index: &Index) -> Vec<String> {
    let config = index.resources().node(HERE).unwrap();
    let peers = config.peerings.peers.iter();
    let ipv4 = peers.filter(|peer| peer.address.is_ipv4());
    ipv4.map(|peer| peer.address.to_string()).collect()
}

fn metadata(name: &str, annotations: Value) -> SourceEvent {
    let metadata = json!({ "name": name, "annotations": annotations });
    let metadata = serde_json::from_value(metadata).unwrap();
    SourceEvent::Applied(Object::NodeMetadata(Box::new(metadata)))
}

#[test]
fn metadata_of_a_node_leaves_its_addresses_as_they_were_listed() {
    let mut index = in_a_mesh();
    assert_eq!(peers(&index), ["192.168.83.12"]);
    let cluster_id = json!({ "projectcalico.org/RouteReflectorClusterID": "244.0.0.1" });
    let outcome = index.handle(metadata(OTHER, cluster_id));
    assert_eq!(outcome.changes, [ClusterChange::Peerings]);
    assert_eq!(peers(&index), [""; 0], "reflectors are out of the mesh");
    let outcome = index.handle(metadata(OTHER, json!({ "example.com/heartbeat": "1" })));
    assert_eq!(outcome.changes, [ClusterChange::Peerings]);
    assert_eq!(peers(&index), ["192.168.83.12"]);
    let again = index.handle(metadata(OTHER, json!({ "example.com/heartbeat": "2" })));
    assert_eq!(again.changes, [], "it is nothing to peers");
}

#[test]
fn a_node_known_by_its_metadata_alone_goes_with_a_list_that_does_not_show_it() {
    let mut index = in_a_mesh();
    let address = json!({ "projectcalico.org/IPv4Address": "192.168.83.13/24" });
    index.handle(metadata("worker-3", address));
    assert_eq!(peers(&index), ["192.168.83.12", "192.168.83.13"]);
    list(&mut index, Kind::ClusterNode, [cluster_node(node(HERE))]);
    assert_eq!(peers(&index), [""; 0]);
}
