//! The whole way: a real API server in, BIRD, FRR and GoBGP out.

use serde_json::json;

use super::cluster::{
    CLUSTER_ASN, CONTROL_PLANE, EXTERNAL_PREFIX, FABRIC_ASN, NAMESPACE, WORKERS, addresses,
    expected_table, external_slice, extra,
};
use super::fabric::{CHANGE_LIMIT, Plan, START_LIMIT};
use super::live::{Cluster, create, patch};
use crate::support::apiserver::outage;
use crate::support::objects::Readiness;
use crate::support::router::RouterKind;
use crate::support::wait::{eventually, throughout};

const NODES: [&str; 4] = [WORKERS[0], WORKERS[1], WORKERS[2], CONTROL_PLANE];

const ROUTERS: [Plan; 3] = [
    (RouterKind::Bird, FABRIC_ASN, "bird"),
    (RouterKind::Frr, CLUSTER_ASN, "frr"),
    (RouterKind::Gobgp, FABRIC_ASN + 1, "gobgp"),
];

#[tokio::test(flavor = "multi_thread")]
async fn routers_list_what_a_real_cluster_gives_and_keep_it_when_the_api_server_fails() {
    let mut cluster = Cluster::start(&NODES, &ROUTERS).await;
    let complete = expected_table(&cluster.nodes);
    cluster.settles_at(&complete);
    let (histories, sent) = (cluster.histories(), cluster.sent());

    // The API server stands still, then comes back with an empty watch cache.
    cluster.server.freeze();
    throughout(outage(), || cluster.routers[0].has_exactly(&complete));
    cluster.server.kill();
    for agent in &cluster.agents {
        eventually(CHANGE_LIMIT, || {
            agent
                .status()?
                .source
                .error
                .map(drop)
                .ok_or("status knows of no trouble".to_owned())
        });
    }
    cluster.server.start_again();
    cluster.server.until_ready().await;
    for agent in &cluster.agents {
        eventually(START_LIMIT, || match agent.status()?.source.error {
            None => Ok(()),
            Some(error) => Err(error),
        });
    }
    cluster.settles_at(&complete);
    assert_eq!(
        cluster.sent(),
        sent,
        "something was withdrawn or sent again"
    );

    // The last local endpoint goes: its address is withdrawn, and only that.
    let last = cluster
        .nodes
        .iter()
        .find(|node| node.name == WORKERS[2])
        .unwrap();
    let prefix = EXTERNAL_PREFIX.parse().unwrap();
    let reduced = complete.without(&addresses(&last.host), &[prefix]);
    for (readiness, table) in [
        (Readiness::Unready, &reduced),
        (Readiness::Ready, &complete),
    ] {
        let slice = external_slice(readiness);
        patch(&cluster.admin, &slice).await;
        cluster.settles_at(table);
    }
    for ((node, before), now) in cluster.nodes.iter().zip(&sent).zip(cluster.sent()) {
        let changes = if node.name == WORKERS[2] { 2 } else { 0 };
        let expected: Vec<u64> = before.iter().map(|before| before + changes).collect();
        assert_eq!(now, expected, "UPDATEs of {}", node.name);
    }
    assert_eq!(cluster.histories(), histories, "a session moved");
}

/// Services that change, and how often each does: its externalTrafficPolicy goes to and fro.
const CHANGING_SERVICES: u16 = 20;
const CHANGES_OF_EACH: u16 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_changes_in_a_real_cluster_move_no_session() {
    assert_eq!(CHANGING_SERVICES * CHANGES_OF_EACH, 1_000);
    let cluster = Cluster::start(&NODES, &ROUTERS).await;
    let mut expected = expected_table(&cluster.nodes);
    cluster.settles_at(&expected);
    let (histories, sent) = (cluster.histories(), cluster.sent());
    let node = cluster
        .nodes
        .iter()
        .find(|node| node.name == WORKERS[0])
        .unwrap();

    for number in 0..CHANGING_SERVICES {
        let name = format!("extra-{number}");
        let [service, slice] = extra(&name, number, WORKERS[0], Readiness::Ready);
        let address = service["spec"]["clusterIP"].as_str().unwrap();
        let prefix = format!("{address}/32").parse().unwrap();
        for from in addresses(&node.host) {
            expected.insert(from, prefix, node.host.ipv4.into());
        }
        create(&cluster.admin, service).await;
        create(&cluster.admin, slice).await;
    }
    for change in 1..=CHANGES_OF_EACH {
        // The last makes it Local again.
        let policy = ["Local", "Cluster"][usize::from(change % 2)];
        for number in 0..CHANGING_SERVICES {
            let service = json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": { "namespace": NAMESPACE, "name": format!("extra-{number}") },
                "spec": { "externalTrafficPolicy": policy },
            });
            patch(&cluster.admin, &service).await;
        }
    }
    cluster.settles_at(&expected);
    assert_eq!(cluster.histories(), histories, "a session moved");
    for ((node, before), now) in cluster.nodes.iter().zip(&sent).zip(cluster.sent()) {
        if node.name == WORKERS[0] {
            let least = before.iter().min().unwrap() + u64::from(CHANGES_OF_EACH);
            assert!(now.iter().all(|now| *now >= least), "few UPDATEs: {now:?}");
        } else {
            assert_eq!(now, *before, "UPDATEs of {}", node.name);
        }
    }
}
