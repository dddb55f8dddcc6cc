//! Agents that read a real Kubernetes API server, under exactly the ServiceAccount that `deploy/`
//! makes, with sessions to real routers.

use std::path::Path;
use std::process::Command;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::cluster::{
    self, ClusterNode, NAMESPACE, agent_config, expected_table, neighbors, peers_at,
};
use super::fabric::{CHANGE_LIMIT, Plan, START_LIMIT};
use crate::support::agent::{Agent, AgentConfig, Source};
use crate::support::apiserver::ApiServer;
use crate::support::netns::{Host, Network};
use crate::support::process::{Process, program, run};
use crate::support::router::{self, Router, RouterConfig, Table};
use crate::support::wait::eventually;

/// Agents with sessions of both families to every router.
pub(crate) struct Cluster {
    pub(crate) agents: Vec<Agent>,
    pub(crate) routers: Vec<Box<dyn Router>>,
    /// Those with an agent.
    pub(crate) nodes: Vec<ClusterNode>,
    pub(crate) config: AgentConfig,
    _relays: Vec<Process>,
    pub(crate) server: ApiServer,
    pub(crate) admin: Client,
    _network: Network,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts agents on the Nodes named and the routers planned, which get the hosts 1, 2, ...
    pub(crate) async fn start(names: &[&str], plans: &[Plan]) -> Self {
        let server = ApiServer::start().await;
        let admin = server.admin().await;
        apply_deployment(&server);
        let mut network = Network::new();
        let all = cluster::nodes(&mut network);
        create_namespace(&admin).await;
        for object in cluster::objects(&all) {
            create(&admin, object).await;
        }

        let nodes: Vec<ClusterNode> = all
            .into_iter()
            .filter(|node| names.contains(&node.name))
            .collect();
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
            config,
            _relays: relays,
            server,
            admin,
            _network: network,
            _folder: folder,
        }
    }

    /// Waits until every session is established and every router's table is what the Nodes
    /// announce, and nothing else.
    pub(crate) fn settles(&self) {
        self.settles_at(&expected_table(&self.nodes));
    }

    /// The same with another table.
    pub(crate) fn settles_at(&self, table: &Table) {
        for agent in &self.agents {
            eventually(START_LIMIT, || agent.is_well());
        }
        for router in &self.routers {
            eventually(CHANGE_LIMIT, || router.has_exactly(table));
        }
    }

    /// How many UPDATEs each agent has sent to each peer: what stays equal was not touched.
    pub(crate) fn sent(&self) -> Vec<Vec<u64>> {
        let of = |agent: &Agent| -> Vec<u64> {
            let peers = agent.status().unwrap().peers.into_iter();
            peers.map(|peer| peer.updates_sent).collect()
        };
        self.agents.iter().map(of).collect()
    }

    /// What each router says of its sessions, to be compared later.
    pub(crate) fn histories(&self) -> Vec<String> {
        let sessions = self.routers.iter().map(|router| router.sessions().unwrap());
        sessions.map(|sessions| format!("{sessions:#?}")).collect()
    }
}

/// As an operator does it.
pub(crate) fn apply_deployment(server: &ApiServer) {
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
pub(crate) fn relays(folder: &Path, nodes: &[ClusterNode], port: u16) -> Vec<Process> {
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
pub(crate) async fn create(admin: &Client, mut object: Value) {
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

/// Merges this into the object that it names.
pub(crate) async fn patch(admin: &Client, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let patch = Patch::Merge(object);
    api(admin, object)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// Deletes the object that this names.
pub(crate) async fn delete(admin: &Client, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    api(admin, object)
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
}

pub(crate) fn api(admin: &Client, object: &Value) -> Api<DynamicObject> {
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
