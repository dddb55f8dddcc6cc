//! The lab: nodes with a kube-proxy, an agent and pods each, and a client outside of the cluster.
//!
//! ```text
//!   pods 172.30.11.0/24    pods 172.30.12.0/24    pods 172.30.13.0/24     all answer, and behind
//!   and 172.30.99.0/24     and 172.30.99.0/24     and 172.30.99.0/24      every node those of .99
//!        |                      |                      |
//!    worker-1               worker-2               worker-3      kube-proxy and agent on each
//!        |                      |                      |
//!   -----+----------------------+----------------------+----- 10.9.0.0/24, fd09::/64
//!                               |
//!                            client    sends by the node that its source address tells
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kube::Client as ApiClient;
use rutter::types::{Family, Prefix};
use serde_json::{Value, json};

use super::objects::{NAMESPACE, NODES};
use super::traffic::{Client, Servers};
use crate::interop::cluster::{ClusterNode, number};
use crate::interop::live::{apply_deployment, create, relays};
use crate::support::agent::{Agent, AgentConfig, AgentPeer, Passive, Source};
use crate::support::apiserver::ApiServer;
use crate::support::kernel::ip;
use crate::support::kube_proxy::KubeProxy;
use crate::support::netns::{Host, Network};
use crate::support::objects::node;
use crate::support::process::{Process, program, run};

/// What kube-proxy takes for traffic of pods.
const CLUSTER_CIDRS: [&str; 2] = ["172.30.0.0/16", "fd30::/16"];

/// How many pods a node has that UDP servers run in.
const PODS: u8 = 8;

/// Of the pod CIDRs whose addresses every node has behind it: endpoints on any node, or on several
/// by different records, may have one of these.
const EVERYWHERE: u8 = 99;

/// Answers come from addresses that the client has no way to, and nobody tells it of any.
const OUTSIDE: &[(&str, &str)] = &[
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/eth0/rp_filter", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/eth0/accept_redirects", "0"),
    ("ipv6/conf/eth0/accept_redirects", "0"),
];

const PODS_HOST: &[(&str, &str)] = &[
    // Addresses that only a route makes local may be bound to.
    ("ipv4/ip_nonlocal_bind", "1"),
    ("ipv6/ip_nonlocal_bind", "1"),
];

/// Everything, running.
pub(super) struct Lab {
    pub(super) nodes: Vec<LabNode>,
    pub(super) client: Client,
    pub(super) admin: ApiClient,
    server: ApiServer,
    _relays: Vec<Process>,
    _folder: tempfile::TempDir,
    _network: Network,
}

/// A node and what runs on it.
pub(super) struct LabNode {
    pub(super) name: &'static str,
    pub(super) host: Host,
    pub(super) agent: Agent,
    _proxy: KubeProxy,
    _pods: Servers,
}

/// The ranges of the agents' configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    pub(super) cluster: Vec<Prefix>,
    pub(super) external: Vec<Prefix>,
    pub(super) load_balancer: Vec<Prefix>,
}

impl Lab {
    /// Starts everything; no Service is there yet but the API server's own.
    pub(super) async fn start(ranges: &Ranges) -> Self {
        let server = ApiServer::start().await;
        let admin = server.admin().await;
        apply_deployment(&server);
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE },
        });
        create(&admin, namespace).await;

        let mut network = Network::new();
        let hosts: Vec<ClusterNode> = NODES
            .into_iter()
            .map(|name| ClusterNode {
                name,
                host: network.host(number(name)),
            })
            .collect();
        for node in &hosts {
            create(&admin, node_object(node)).await;
            join_pod_networks(node, &hosts);
        }
        let folder = tempfile::tempdir().unwrap();
        let relays = relays(folder.path(), &hosts, server.port());
        let token = server.token_of("rutter-system", "rutter").await;
        let config = agent_config(Source::Kubernetes(server.kubeconfig(&token)), ranges);
        let mut nodes = Vec::new();
        for node in &hosts {
            let pods = pods_behind(&mut network, node);
            let kubeconfig = server.admin_kubeconfig();
            nodes.push(LabNode {
                name: node.name,
                host: node.host.clone(),
                agent: Agent::start(&node.host, node.name, &config),
                _proxy: KubeProxy::start(&node.host, node.name, &kubeconfig, &CLUSTER_CIDRS),
                _pods: pods,
            });
        }
        let client = outside(&mut network, &hosts);
        Self {
            nodes,
            client,
            admin,
            server,
            _relays: relays,
            _folder: folder,
            _network: network,
        }
    }

    /// What kubectl prints of a Service and its slices.
    pub(super) fn yaml(&self, service: &str) -> String {
        let kubectl = |arguments: &[&str]| {
            let mut kubectl = std::process::Command::new(program("RUTTER_TEST_KUBECTL"));
            kubectl
                .arg("--kubeconfig")
                .arg(self.server.admin_kubeconfig());
            kubectl.args(["--namespace", NAMESPACE, "get", "--output", "yaml"]);
            run(kubectl.args(arguments)).unwrap_or_else(|error| error)
        };
        let owned = format!("kubernetes.io/service-name={service}");
        kubectl(&["service", service]) + &kubectl(&["endpointslices", "--selector", &owned])
    }
}

impl LabNode {
    /// What its agent announces.
    ///
    /// # Errors
    /// The agent does not answer.
    pub(super) fn announced(&self) -> Result<BTreeSet<Prefix>, String> {
        let routes = self.agent.routes()?.routes.into_iter();
        Ok(routes.map(|route| route.prefix).collect())
    }
}

/// The pods of a node that UDP servers run in.
pub(super) fn pods_of(node: &str, family: Family) -> Vec<IpAddr> {
    pods(number(node), family)
}

/// The same, of those that are behind every node.
pub(super) fn pods_everywhere(family: Family) -> Vec<IpAddr> {
    pods(EVERYWHERE, family)
}

fn pods(number: u8, family: Family) -> Vec<IpAddr> {
    let pod = |pod: u8| match family {
        Family::Ipv4Unicast => Ipv4Addr::new(172, 30, number, pod).into(),
        Family::Ipv6Unicast => {
            Ipv6Addr::new(0xfd30, number.into(), 0, 0, 0, 0, 0, pod.into()).into()
        }
    };
    (10..10 + PODS).map(pod).collect()
}

fn pod_cidrs(number: u8) -> [String; 2] {
    [
        format!("172.30.{number}.0/24"),
        format!("fd30:{number:x}::/64"),
    ]
}

/// One zone has two nodes.
fn node_object(of: &ClusterNode) -> Value {
    let zone = if of.name == NODES[2] { "west" } else { "east" };
    let labels = json!({ "topology.kubernetes.io/zone": zone });
    node(of.name, &of.host, &pod_cidrs(number(of.name)), labels)
}

/// Makes a node forward, and tells it of the others' pods.
fn join_pod_networks(node: &ClusterNode, all: &[ClusterNode]) {
    node.host.forward();
    for other in all.iter().filter(|other| other.name != node.name) {
        let [ipv4, ipv6] = pod_cidrs(number(other.name));
        ip(
            &node.host,
            &format!("route add {ipv4} via {}", other.host.ipv4),
        );
        ip(
            &node.host,
            &format!("-6 route add {ipv6} via {}", other.host.ipv6),
        );
    }
}

/// A host behind the node on which every address of the node's pod CIDRs answers.
fn pods_behind(network: &mut Network, node: &ClusterNode) -> Servers {
    let behind = network.behind(&node.host, number(node.name));
    behind.sysctl(PODS_HOST);
    for [ipv4, ipv6] in [pod_cidrs(number(node.name)), pod_cidrs(EVERYWHERE)] {
        for (at, step) in [
            (&node.host, format!("route add {ipv4} via {}", behind.ipv4)),
            (
                &node.host,
                format!("-6 route add {ipv6} via {}", behind.ipv6),
            ),
            (&behind, format!("route add local {ipv4} dev lo")),
            (&behind, format!("-6 route add local {ipv6} dev lo")),
        ] {
            ip(at, &step);
        }
    }
    let served = Family::ALL.map(|family| [pods_of(node.name, family), pods_everywhere(family)]);
    Servers::start(&behind, served.concat().concat())
}

/// A client with a pair of addresses for each node, by which all that they send goes.
fn outside(network: &mut Network, nodes: &[ClusterNode]) -> Client {
    let host = network.host(1);
    host.sysctl(OUTSIDE);
    let mut sources = Vec::new();
    for node in nodes {
        let last = 100 + number(node.name);
        let ipv4 = Ipv4Addr::new(10, 9, 0, last);
        let ipv6 = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, last.into());
        let ClusterNode { host: via, .. } = node;
        for step in [
            format!("addr add {ipv4}/24 dev eth0"),
            format!("rule add from {ipv4} lookup {last}"),
            format!("route add default via {} table {last}", via.ipv4),
            format!("addr add {ipv6}/64 dev eth0 nodad"),
            format!("-6 rule add from {ipv6} lookup {last}"),
            format!("-6 route add default via {} table {last}", via.ipv6),
        ] {
            ip(&host, &step);
        }
        sources.push((ipv4, ipv6));
    }
    Client { host, sources }
}

fn agent_config(source: Source, ranges: &Ranges) -> AgentConfig {
    // For the life of the process, as those of the other tests.
    let texts = |prefixes: &[Prefix]| -> Vec<&'static str> {
        let texts = prefixes.iter().map(|prefix| prefix.to_string().leak() as _);
        texts.collect()
    };
    // Nobody is there: what counts is what is decided.
    let mut peer = AgentPeer::new("nobody", Ipv4Addr::new(10, 9, 0, 250), 64513);
    peer.passive = Passive::Yes;
    AgentConfig {
        source,
        asn: 64512,
        hold_time: 9,
        cluster_cidrs: texts(&ranges.cluster),
        external_cidrs: texts(&ranges.external),
        load_balancer_cidrs: texts(&ranges.load_balancer),
        peers: vec![peer],
        policies: String::new(),
        guard: "",
        import_policy_default: "",
    }
}
