//! What the tenants of a cluster write into their objects, and what it costs every node's agent.

use serde_json::{Value, json};

use super::cluster::{FABRIC_ASN, NAMESPACE, WORKERS};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use super::live::{Cluster, create};
use crate::support::router::RouterKind;
use crate::support::wait::{equal, eventually};

/// Services with as many annotations as the API server takes, unless [`COUNT`] says otherwise.
const SERVICES: u64 = 200;
/// Names their number.
const COUNT: &str = "RUTTER_TEST_ANNOTATED_SERVICES";
/// The API server takes 256 KiB for an object.
const ANNOTATION_BYTES: usize = 250_000;
/// Most that an agent may have beside what it had: a page of a list that is being read, and as much
/// again for its objects. Every annotation kept, there would be 50 MB more of 200 Services for good.
const MEMORY_LEFT_MAX: u64 = 24 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn large_annotations_are_kept_by_the_api_server_alone() {
    let count = std::env::var(COUNT).map_or(SERVICES, |count| count.parse().unwrap());
    let mut cluster = Cluster::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]).await;
    cluster.settles();
    let known = cluster.agents[0].status().unwrap().source.services;
    let before = cluster.agents[0].memory().resident;
    let (histories, sent) = (cluster.histories(), cluster.sent());
    for number in 0..count {
        create(&cluster.admin, annotated(number)).await;
    }
    knows(&cluster, known + count);
    let watched = cluster.agents[0].memory();
    assert_eq!(cluster.sent(), sent, "something was sent");
    assert_eq!(cluster.histories(), histories, "a session moved");

    cluster.agents[0].process().stop();
    cluster.agents[0].start_again();
    knows(&cluster, known + count);
    cluster.settles();
    let listed = cluster.agents[0].memory();
    let mib = |octets: u64| octets >> 20;
    println!(
        "{count} Services with {ANNOTATION_BYTES} octets of annotations each; the agent had {} MiB, \
         has {} MiB when they were watched (peak {}), and {} MiB when they were listed (peak {})",
        mib(before),
        mib(watched.resident),
        mib(watched.peak),
        mib(listed.resident),
        mib(listed.peak),
    );
    assert!(watched.resident < before + MEMORY_LEFT_MAX, "of {before}");
    let services = cluster.agents[0].status().unwrap().service_routes;
    assert_eq!(services.concerns["annotations-dropped"], count);
}

fn annotated(number: u64) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": format!("annotated-{number}"),
            "namespace": NAMESPACE,
            "annotations": { "example.com/everything": "x".repeat(ANNOTATION_BYTES) },
        },
        "spec": { "type": "ClusterIP", "ports": [{ "port": 80 }] },
    })
}

fn knows(cluster: &Cluster, services: u64) {
    let limit = START_LIMIT.max(CHANGE_LIMIT);
    eventually(limit, || {
        equal(cluster.agents[0].status()?.source.services, services)
    });
}
