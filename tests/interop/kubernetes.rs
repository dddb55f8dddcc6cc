//! The whole way: a real API server in, BIRD, FRR and GoBGP out, the agents under exactly the
//! ServiceAccount that `deploy/` makes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::cluster::{
    self, CLUSTER_ASN, ClusterNode, EXTERNAL_PREFIX, FABRIC_ASN, NAMESPACE, WORKERS, addresses,
    agent_config, expected_table, external_slice, extra, neighbors, peers_at,
};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, Source};
use crate::support::apiserver::ApiServer;
use crate::support::netns::{Host, Network};
use crate::support::objects::Readiness;
use crate::support::process::{Process, program, run};
use crate::support::router::{self, Router, RouterConfig, RouterKind, Table};
use crate::support::wait::{eventually, throughout};

/// How long the API server stands still: long enough for every watch to be given up. The
/// variable widens it.
const OUTAGE: Duration = Duration::from_secs(8);
const OUTAGE_VARIABLE: &str = "RUTTER_TEST_OUTAGE_SECONDS";

/// Agents on four nodes with sessions of both families to three routers.
struct Cluster {
    agents: Vec<Agent>,
    routers: Vec<Box<dyn Router>>,
    nodes: Vec<ClusterNode>,
    _relays: Vec<Process>,
    server: ApiServer,
    admin: Client,
    _network: Network,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let server = ApiServer::start().await;
        let admin = server.admin().await;
        apply_deployment(&server);
        let mut network = Network::new();
        let nodes = cluster::nodes(&mut network);
        create_namespace(&admin).await;
        for object in cluster::objects(&nodes) {
            create(&admin, object).await;
        }

        let plans = [
            (RouterKind::Bird, FABRIC_ASN, "bird"),
            (RouterKind::Frr, CLUSTER_ASN, "frr"),
            (RouterKind::Gobgp, FABRIC_ASN + 1, "gobgp"),
        ];
        let hosts: Vec<Host> = (1..).take(plans.len()).map(|n| network.host(n)).collect();
        let routers = plans.iter().zip(&hosts).map(|((kind, asn, _), host)| {
            let config = RouterConfig {
                asn: *asn,
                neighbors: neighbors(&nodes),
                announced: Vec::new(),
            };
            router::start(*kind, host, &config)
        });
        let routers = routers.collect();
        let peers = plans.iter().zip(&hosts);
        let peers = peers.flat_map(|((_, asn, name), host)| peers_at(host, *asn, name));

        let folder = tempfile::tempdir().unwrap();
        let relays = relays(folder.path(), &nodes, server.port());
        let token = server.token_of("rutter-system", "rutter").await;
        let source = Source::Kubernetes(server.kubeconfig(&token));
        let config = agent_config(source, peers.collect());
        let agents = nodes
            .iter()
            .map(|node| Agent::start(&node.host, node.name, &config));
        Self {
            agents: agents.collect(),
            routers,
            nodes,
            _relays: relays,
            server,
            admin,
            _network: network,
            _folder: folder,
        }
    }

    fn settles_at(&self, table: &Table) {
        for agent in &self.agents {
            eventually(START_LIMIT, || agent.is_well());
        }
        for router in &self.routers {
            eventually(CHANGE_LIMIT, || router.has_exactly(table));
        }
    }

    /// How many UPDATEs each agent has sent to each peer: what stays equal was not touched.
    fn sent(&self) -> Vec<Vec<u64>> {
        let of = |agent: &Agent| -> Vec<u64> {
            let peers = agent.status().unwrap().peers.into_iter();
            peers.map(|peer| peer.updates_sent).collect()
        };
        self.agents.iter().map(of).collect()
    }

    fn histories(&self) -> Vec<String> {
        let sessions = self.routers.iter().map(|router| router.sessions().unwrap());
        sessions.map(|sessions| format!("{sessions:#?}")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_list_what_a_real_cluster_gives_and_keep_it_when_the_api_server_fails() {
    let mut cluster = Cluster::start().await;
    let complete = expected_table(&cluster.nodes);
    cluster.settles_at(&complete);
    let (histories, sent) = (cluster.histories(), cluster.sent());

    // The API server stands still, then comes back with an empty watch cache.
    let outage = std::env::var(OUTAGE_VARIABLE).map_or(OUTAGE, |seconds| {
        Duration::from_secs(seconds.parse().unwrap())
    });
    cluster.server.freeze();
    throughout(outage, || cluster.routers[0].has_exactly(&complete));
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
    let cluster = Cluster::start().await;
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

/// As an operator does it.
fn apply_deployment(server: &ApiServer) {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut kubectl = Command::new(program("RUTTER_TEST_KUBECTL"));
    kubectl.arg("--kubeconfig").arg(server.admin_kubeconfig());
    kubectl.args(["apply", "--server-side", "-k"]).arg(deploy);
    let printed = run(&mut kubectl).unwrap();
    assert!(
        printed.contains("daemonset.apps/rutter serverside-applied"),
        "{printed}"
    );
}

/// Lets the agents on these nodes reach the API server on the same port of their own loopback
/// address: a socket file crosses namespaces, and no packet does.
fn relays(folder: &Path, nodes: &[ClusterNode], port: u16) -> Vec<Process> {
    let socket = folder.join("relay").display().to_string();
    let socat = program("RUTTER_TEST_SOCAT");
    let mut outer = Command::new(&socat);
    outer.arg(format!("UNIX-LISTEN:{socket},fork"));
    outer.arg(format!("TCP:127.0.0.1:{port}"));
    let mut relays = vec![Process::spawn(
        "socat",
        &mut outer,
        folder.join("relay.log"),
    )];
    for node in nodes {
        let mut inner = node.host.command(&socat);
        inner.arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"));
        inner.arg(format!("UNIX-CONNECT:{socket}"));
        let log = folder.join(format!("{}.log", node.name));
        relays.push(Process::spawn("socat", &mut inner, log));
    }
    relays
}

async fn create_namespace(admin: &Client) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE },
    });
    create(admin, namespace).await;
}

/// Creates an object, and its status, which the API server takes separately.
async fn create(admin: &Client, mut object: Value) {
    let status = object.as_object_mut().unwrap().remove("status");
    let api = api(admin, &object);
    let new: DynamicObject = serde_json::from_value(object).unwrap();
    let created = api.create(&PostParams::default(), &new).await.unwrap();
    if let Some(status) = status {
        let status = Patch::Merge(json!({ "status": status }));
        let name = created.name_any();
        api.patch_status(&name, &PatchParams::default(), &status)
            .await
            .unwrap();
    }
}

async fn patch(admin: &Client, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let patch = Patch::Merge(object);
    api(admin, object)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn api(admin: &Client, object: &Value) -> Api<DynamicObject> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let kind = GroupVersionKind::gvk(group, version, &text(&object["kind"]));
    let resource = ApiResource::from_gvk(&kind);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(admin.clone(), namespace, &resource),
        None => Api::all_with(admin.clone(), &resource),
    }
}
