//! Calico's resources in a real API server decide who peers with whom: agents with no peers in their
//! files, under the rights that `deploy/` gives them, and BIRD as the core switch.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use kube::Client;
use serde_json::{Value, json};

use super::cluster::{ClusterNode, agent_config};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use super::live::{apply_deployment, create, patch, relays};
use crate::support::agent::{Agent, Source};
use crate::support::apiserver::ApiServer;
use crate::support::bird::Bird;
use crate::support::calico::{Group, apply, define_all, delete};
use crate::support::netns::{Host, Network};
use crate::support::process::{Process, run};
use crate::support::router::{Neighbor, Router as _, RouterConfig, SessionState};
use crate::support::wait::eventually;

/// Two masters and two others, with the last octet of their addresses in 192.168.83.0/24.
const NODES: [(&str, u8); 4] = [
    ("master1", 36),
    ("master2", 49),
    ("node1", 22),
    ("node2", 37),
];
const SWITCH: u8 = 1;
const ASN: u32 = 64512;

/// As it is written where people are told to do this.
const PEERS: [&str; 3] = [
    r#"
kind: BGPPeer
apiVersion: projectcalico.org/v3
metadata:
  name: peer-to-rrs
spec:
  nodeSelector: "!has(i-am-a-route-reflector)"
  peerSelector: has(i-am-a-route-reflector)
"#,
    r"
kind: BGPPeer
apiVersion: projectcalico.org/v3
metadata:
  name: rr-mesh
spec:
  nodeSelector: has(i-am-a-route-reflector)
  peerSelector: has(i-am-a-route-reflector)
",
    r"
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata:
  name: rr-border
spec:
  nodeSelector: has(i-am-a-route-reflector)
  peerIP: 192.168.83.1
  asNumber: 64512
",
];

struct Cluster {
    agents: BTreeMap<&'static str, Agent>,
    switch: Bird,
    admin: Client,
    _server: ApiServer,
    _relays: Vec<Process>,
    _network: Network,
    _folder: tempfile::TempDir,
}

fn at(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 83, number)
}

/// A host that has an address of the seeds' network as well.
fn host(network: &mut Network, number: u8) -> Host {
    let mut host = network.host(number);
    host.ipv4 = at(number);
    let address = format!("{}/24", host.ipv4);
    run(host
        .command("ip")
        .args(["addr", "add", &address, "dev", "eth0"]))
    .unwrap();
    host
}

fn node(name: &str, number: u8) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "spec": { "podCIDRs": [format!("172.15.{number}.0/24")] },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": at(number) }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

impl Cluster {
    async fn start() -> Self {
        let server = ApiServer::start().await;
        let admin = server.admin().await;
        apply_deployment(&server);
        define_all(&admin, Group::Native).await;
        let mut network = Network::new();
        for (name, number) in NODES {
            create(&admin, node(name, number)).await;
        }
        let nodes = NODES.map(|(name, number)| ClusterNode {
            name,
            host: host(&mut network, number),
        });
        let switch = host(&mut network, SWITCH);
        let masters = NODES.iter().filter(|(name, _)| name.starts_with("master"));
        let neighbors = masters.map(|(_, number)| Neighbor::new(at(*number), ASN));
        let switch = Bird::start(
            &switch,
            &RouterConfig {
                asn: ASN,
                neighbors: neighbors.collect(),
                announced: Vec::new(),
            },
        );
        let folder = tempfile::tempdir().unwrap();
        let relays = relays(folder.path(), &nodes, server.port());
        let token = server.token_of("rutter-system", "rutter").await;
        let mut config = agent_config(Source::Kubernetes(server.kubeconfig(&token)), Vec::new());
        config.asn = ASN;
        config.policies = "[calico]\nresources = true\n".to_owned();
        let agents = nodes.iter().map(|node| {
            let agent = Agent::start(&node.host, node.name, &config);
            (node.name, agent)
        });
        Self {
            agents: agents.collect(),
            switch,
            admin,
            _server: server,
            _relays: relays,
            _network: network,
            _folder: folder,
        }
    }

    /// Waits until exactly these sessions are there, each by its agent's account Established.
    fn has(&self, name: &str, peers: &[u8]) {
        let expected: Vec<_> = peers.iter().map(|number| at(*number).to_string()).collect();
        eventually(START_LIMIT, || {
            let status = self.agents[name].status()?;
            let peers = status.peers.iter();
            let up = peers.clone().filter(|peer| peer.state == "Established");
            let mut found: Vec<_> = up.map(|peer| peer.address.to_string()).collect();
            found.sort();
            let mut expected = expected.clone();
            expected.sort();
            if found == expected && peers.count() == found.len() {
                return Ok(());
            }
            Err(format!(
                "{name} has not {expected:?} but {:#?}",
                status.peers
            ))
        });
    }

    fn have_mesh_of(&self, names: &[(&str, u8)]) {
        for (name, own) in names {
            let others = names.iter().filter(|(_, number)| number != own);
            let others: Vec<u8> = others.map(|(_, number)| *number).collect();
            self.has(name, &others);
        }
    }

    fn have_reflectors(&self) {
        self.has("master1", &[SWITCH, 22, 37, 49]);
        self.has("master2", &[SWITCH, 22, 36, 37]);
        self.has("node1", &[36, 49]);
        self.has("node2", &[36, 49]);
        eventually(CHANGE_LIMIT, || {
            let sessions = self.switch.sessions()?;
            let is_up = |state: &SessionState| *state == SessionState::Established;
            match sessions.values().all(|session| is_up(&session.state)) {
                true => Ok(()),
                false => Err(format!("{sessions:#?}")),
            }
        });
    }

    fn histories(&self) -> String {
        format!("{:#?}", self.switch.sessions().unwrap())
    }
}

/// What `calicoctl apply` makes of a Node with such a label and cluster id.
fn reflector(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {
                "projectcalico.org/labels": r#"{"i-am-a-route-reflector":"true"}"#,
                "projectcalico.org/RouteReflectorClusterID": "224.0.0.1",
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "printed, and not asserted")]
async fn a_mesh_gives_way_to_reflectors_as_the_seeds_have_it_done() {
    let cluster = Cluster::start().await;
    cluster.have_mesh_of(&NODES);

    for (name, _) in NODES.iter().filter(|(name, _)| name.starts_with("master")) {
        patch(&cluster.admin, &reflector(name)).await;
    }
    let began = Instant::now();
    for text in PEERS {
        apply(&cluster.admin, text).await;
    }
    let switch = at(SWITCH).to_string();
    eventually(CHANGE_LIMIT, || {
        let status = cluster.agents["master1"].status()?;
        let mut peers = status.peers.iter();
        let has = peers.any(|peer| peer.address.to_string() == switch);
        has.then_some(()).ok_or("no switch yet".to_owned())
    });
    println!("a BGPPeer is a peer after {:?}", began.elapsed());
    // Without a mesh, node1 and node2 have no session with each other.
    apply(
        &cluster.admin,
        "apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {name: default}\n\
         spec: {nodeToNodeMeshEnabled: false, asNumber: 64512}\n",
    )
    .await;
    cluster.have_reflectors();

    // What is about one node, or about nobody, touches no session of the others.
    let histories = cluster.histories();
    let odd = "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: odd}\n\
               spec: {node: node1, peerIP: 192.168.83.200, asNumber: 64513}\n";
    apply(&cluster.admin, odd).await;
    eventually(CHANGE_LIMIT, || {
        let peers = cluster.agents["node1"].status()?.peers.len();
        (peers == 3).then_some(()).ok_or(format!("{peers} peers"))
    });
    delete(&cluster.admin, Group::Native, "BGPPeer", "odd").await;
    cluster.have_reflectors();
    assert_eq!(
        cluster.histories(),
        histories,
        "a session of the switch moved"
    );
}
