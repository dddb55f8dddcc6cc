//! Where the pods of a node are, by what an IPAM says.

use super::*;
use crate::facts::PodBlocks;
use crate::kube::fixtures::{block, pod, pool};
use crate::types::Prefix;

const OTHER: &str = "worker-2";

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
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
    assert_eq!(index.handle(applied(pending)).changes, []);

    // Also where only another node has one: this cluster's pods are not in pod CIDRs.
    let outcome = index.handle(applied(block(OTHER, "10.244.2.0/26")));
    assert_eq!(
        outcome.changes,
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
        ("type", json!("virtual")),
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
fn a_block_is_there_while_either_group_shows_it() {
    let mut index = index_with([]);
    let older = block(HERE, "10.244.7.0/26");
    let mut newer = older.clone();
    newer["apiVersion"] = "projectcalico.org/v3".into();
    newer["spec"]["deleted"] = false.into();
    index.handle(applied(older.clone()));
    assert_eq!(index.handle(applied(newer.clone())).changes, []);
    let gone = |value: Value| SourceEvent::Deleted(object(value).object_ref());
    assert_eq!(index.handle(gone(older)).changes, []);
    let outcome = index.handle(gone(newer));
    assert_eq!(
        outcome.changes,
        [ClusterChange::Node, ClusterChange::Networks]
    );
    assert_eq!(blocks(&index), None);
}

#[test]
fn the_smallest_pool_around_says_whether_a_block_is_announced() {
    let mut index = index_with([]);
    index.handle(applied(block(HERE, "10.244.7.0/26")));
    index.handle(applied(block(HERE, "10.245.0.0/26")));
    let mut silent = pool("silent", "10.244.0.0/16");
    silent["spec"]["disableBGPExport"] = true.into();
    let outcome = index.handle(applied(silent.clone()));
    assert_eq!(outcome.changes, [ClusterChange::Node]);
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
        assert_eq!(index.handle(applied(elsewhere)).changes, []);
    }
    let mut of_node = pod("of-node", HERE, "10.244.2.8");
    of_node["spec"]["hostNetwork"] = true.into();
    assert_eq!(index.handle(applied(of_node)).changes, []);

    let borrowing = pod("borrowing", HERE, "10.244.2.10");
    assert_eq!(
        index.handle(applied(borrowing.clone())).changes,
        [ClusterChange::Node]
    );
    let both = prefixes(&["10.244.2.10/32", "10.244.7.0/26"]);
    assert_eq!(blocks(&index), Some((both.clone(), both)));
    let mut over = borrowing;
    over["status"]["phase"] = "Succeeded".into();
    index.handle(applied(over));
    assert_eq!(blocks(&index), Some((own(), own())));
}

#[test]
fn what_cannot_be_used_leaves_the_last_facts_and_is_reported() {
    let mut index = index_with([]);
    index.handle(applied(block(HERE, "10.244.7.0/26")));
    for (field, value, expected) in [
        (
            "cidr",
            "10.244.7.0",
            "spec.cidr: \"10.244.7.0\" cannot be used; its last facts stand",
        ),
        (
            "state",
            "maybe",
            "spec.state: \"maybe\" cannot be used; its last facts stand",
        ),
        (
            "node",
            "",
            "spec.node: \"\" cannot be used; its last facts stand",
        ),
    ] {
        let mut bad = block(HERE, "10.244.7.0/26");
        bad["spec"][field] = value.into();
        let outcome = index.handle(applied(bad));
        assert_eq!(outcome.malformed[0].what, expected);
        assert_eq!(outcome.changes, []);
    }
    assert_eq!(blocks(&index).unwrap().0, prefixes(&["10.244.7.0/26"]));
}
