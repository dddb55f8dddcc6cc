//! The cluster of these tests: four Nodes and a Service of each kind, and what routers must know
//! of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rutter::types::Prefix;
use serde_json::{Value, json};

use crate::support::agent::{AgentConfig, AgentPeer, Source};
use crate::support::netns::{Host, Network};
use crate::support::objects::{Endpoint, Readiness, node, service, slice};
use crate::support::router::{Neighbor, Router, Table};

/// The agents' AS.
pub(crate) const CLUSTER_ASN: u32 = 64512;

/// The first eBGP AS of routers; it needs four octets.
pub(crate) const FABRIC_ASN: u32 = 4_200_000_001;

/// The namespace of the Services.
pub(crate) const NAMESPACE: &str = "shop";

pub(crate) const CLUSTER_CIDRS: [&str; 2] = ["172.16.0.0/16", "fd00:10:96::/112"];
pub(crate) const EXTERNAL_CIDRS: [&str; 1] = ["198.51.100.0/24"];
pub(crate) const LOAD_BALANCER_CIDRS: [&str; 2] = ["203.0.113.0/24", "2001:db8:b::/64"];

/// The Service whose endpoints on [`WORKERS`]`[2]` tests take away and give back: it has one.
pub(crate) const EXTERNAL: &str = "external-local";
pub(crate) const EXTERNAL_PREFIX: &str = "198.51.100.40/32";

/// Nodes that announce Services.
pub(crate) const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];

/// A Node that has an endpoint of [`service`]s, but is kept away from external load balancers.
pub(crate) const CONTROL_PLANE: &str = "control-plane";

/// The last octet of a Node's host.
pub(crate) fn number(node: &str) -> u8 {
    match node {
        "worker-1" => 11,
        "worker-2" => 12,
        "worker-3" => 13,
        _ => 14,
    }
}

/// A Node and the host it is.
#[derive(Clone, Debug)]
pub(crate) struct ClusterNode {
    pub(crate) name: &'static str,
    pub(crate) host: Host,
}

/// All four, each on a host of the network.
pub(crate) fn nodes(network: &mut Network) -> Vec<ClusterNode> {
    let names = WORKERS.into_iter().chain([CONTROL_PLANE]);
    names
        .map(|name| ClusterNode {
            name,
            host: network.host(number(name)),
        })
        .collect()
}

/// Every object of the cluster, Nodes first.
pub(crate) fn objects(nodes: &[ClusterNode]) -> Vec<Value> {
    let mut objects: Vec<Value> = nodes.iter().map(node_object).collect();
    objects.extend(services());
    objects.extend(slices());
    objects
}

/// The Node object of a node.
pub(crate) fn node_object(of: &ClusterNode) -> Value {
    let labels = match of.name {
        CONTROL_PLANE => json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" }),
        _ => json!({}),
    };
    node(of.name, &of.host, &pod_cidrs(of.name), labels)
}

fn pod_cidrs(node: &str) -> [String; 2] {
    let number = number(node);
    [
        format!("10.244.{number}.0/24"),
        format!("fd00:10:244:{number}::/64"),
    ]
}

/// A Service of each kind.
fn services() -> Vec<Value> {
    let [local, cluster] = ["Local", "Cluster"].map(|policy| json!(policy));
    let specs = [
        (
            "cluster-ip",
            json!({ "type": "ClusterIP", "clusterIPs": ["172.16.0.10"] }),
        ),
        (
            "node-port-local",
            json!({
                "type": "NodePort", "externalTrafficPolicy": local, "clusterIPs": ["172.16.0.20"],
            }),
        ),
        (
            "node-port-cluster",
            json!({
                "type": "NodePort", "externalTrafficPolicy": cluster, "clusterIPs": ["172.16.0.21"],
            }),
        ),
        (
            "balancer-local",
            json!({
                "type": "LoadBalancer", "externalTrafficPolicy": local, "clusterIPs": ["172.16.0.30"],
            }),
        ),
        (
            "balancer-cluster",
            json!({
                "type": "LoadBalancer", "externalTrafficPolicy": cluster, "clusterIPs": ["172.16.0.31"],
            }),
        ),
        (
            EXTERNAL,
            json!({
                "type": "ClusterIP", "externalTrafficPolicy": local, "clusterIPs": ["172.16.0.40"],
                "externalIPs": ["198.51.100.40"],
            }),
        ),
        (
            "external-cluster",
            json!({
                "type": "ClusterIP", "externalTrafficPolicy": cluster, "clusterIPs": ["172.16.0.41"],
                "externalIPs": ["198.51.100.41"],
            }),
        ),
        (
            "headless",
            json!({ "type": "ClusterIP", "clusterIPs": ["None"] }),
        ),
        (
            "alias",
            json!({ "type": "ExternalName", "externalName": "shop.example" }),
        ),
        (
            "dual-stack",
            json!({
                "type": "LoadBalancer", "externalTrafficPolicy": local,
                "clusterIPs": ["172.16.0.50", "fd00:10:96::50"],
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack",
            }),
        ),
    ];
    let services = specs.into_iter().map(|(name, mut spec)| {
        spec["selector"] = json!({ "app": name });
        if let Some(first) = spec["clusterIPs"].get(0).cloned() {
            spec["clusterIP"] = first;
        }
        service(NAMESPACE, name, spec, ingress_of(name))
    });
    services.collect()
}

/// What a load balancer gave a Service.
fn ingress_of(service: &str) -> &'static [&'static str] {
    match service {
        // The second address is in no configured range.
        "balancer-local" => &["203.0.113.30", "192.0.2.30"],
        "balancer-cluster" => &["203.0.113.31"],
        "dual-stack" => &["203.0.113.50", "2001:db8:b::50"],
        _ => &[],
    }
}

fn slices() -> Vec<Value> {
    let [one, two, three] = WORKERS;
    let endpoint = |node: &'static str, address: &str| Endpoint {
        address: address.parse().unwrap(),
        node,
        readiness: Readiness::Ready,
    };
    let ipv4 = |name: &str, last: u8, nodes: &[&'static str]| {
        let endpoints: Vec<Endpoint> = nodes
            .iter()
            .map(|node| endpoint(node, &format!("10.244.{}.{last}", number(node))))
            .collect();
        slice(NAMESPACE, name, "IPv4", &endpoints)
    };
    vec![
        ipv4("cluster-ip", 10, &[one]),
        ipv4("node-port-local", 20, &[one]),
        ipv4("node-port-cluster", 21, &[one, two]),
        ipv4("balancer-local", 30, &[one, two, CONTROL_PLANE]),
        ipv4("balancer-cluster", 31, &[two, three]),
        external_slice(Readiness::Ready),
        ipv4("external-cluster", 41, &[three]),
        ipv4("headless", 60, &[one]),
        ipv4("dual-stack", 50, &[two]),
        slice(
            NAMESPACE,
            "dual-stack",
            "IPv6",
            &[
                endpoint(two, "fd00:10:244:12::50"),
                endpoint(three, "fd00:10:244:13::50"),
            ],
        ),
    ]
}

/// The endpoint of [`EXTERNAL`].
pub(crate) fn external_slice(readiness: Readiness) -> Value {
    let endpoint = Endpoint {
        address: "10.244.13.40".parse().unwrap(),
        node: WORKERS[2],
        readiness,
    };
    slice(NAMESPACE, EXTERNAL, "IPv4", &[endpoint])
}

/// A Service that is not part of the cluster at first, with its one endpoint on a node.
pub(crate) fn extra(name: &str, number: u16, on: &'static str, readiness: Readiness) -> [Value; 2] {
    let address = format!("172.16.{}.{}", 100 + number / 256, number % 256);
    let spec = json!({
        "type": "NodePort",
        "clusterIP": address,
        "clusterIPs": [address],
        "externalTrafficPolicy": "Local",
        "selector": { "app": name },
    });
    let endpoint = Endpoint {
        address: "10.244.250.1".parse().unwrap(),
        node: on,
        readiness,
    };
    [
        service(NAMESPACE, name, spec, &[]),
        slice(NAMESPACE, name, "IPv4", &[endpoint]),
    ]
}

/// What a node announces.
pub(crate) fn announced(node: &str) -> BTreeSet<Prefix> {
    let mut texts: Vec<String> = pod_cidrs(node).to_vec();
    if node != CONTROL_PLANE {
        let ranges = [&CLUSTER_CIDRS[..], &EXTERNAL_CIDRS, &LOAD_BALANCER_CIDRS].concat();
        texts.extend(ranges.into_iter().map(str::to_owned));
    }
    let of_services: &[&str] = match node {
        "worker-1" => &["172.16.0.20/32", "172.16.0.30/32", "203.0.113.30/32"],
        "worker-2" => &[
            "172.16.0.30/32",
            "203.0.113.30/32",
            "172.16.0.50/32",
            "203.0.113.50/32",
            "fd00:10:96::50/128",
            "2001:db8:b::50/128",
        ],
        "worker-3" => &[EXTERNAL_PREFIX, "fd00:10:96::50/128", "2001:db8:b::50/128"],
        _ => &[],
    };
    texts.extend(of_services.iter().map(|&text| text.to_owned()));
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What a router must have that has sessions with both addresses of each of these nodes.
pub(crate) fn expected_table(nodes: &[ClusterNode]) -> Table {
    let mut table = Table::default();
    for node in nodes {
        for from in addresses(&node.host) {
            for prefix in announced(node.name) {
                table.insert(from, prefix, node.host.address_like(prefix.address()));
            }
        }
    }
    table
}

/// Both addresses of a host.
pub(crate) fn addresses(host: &Host) -> [IpAddr; 2] {
    [host.ipv4.into(), host.ipv6.into()]
}

/// An agent's configuration with these peers.
pub(crate) fn agent_config(source: Source, peers: Vec<AgentPeer>) -> AgentConfig {
    AgentConfig {
        source,
        asn: CLUSTER_ASN,
        hold_time: 9,
        cluster_cidrs: CLUSTER_CIDRS.to_vec(),
        external_cidrs: EXTERNAL_CIDRS.to_vec(),
        load_balancer_cidrs: LOAD_BALANCER_CIDRS.to_vec(),
        peers,
        policies: String::new(),
        guard: "",
        import_policy_default: "",
    }
}

/// Both addresses of each node as a router's neighbours.
pub(crate) fn neighbors(nodes: &[ClusterNode]) -> Vec<Neighbor> {
    let addresses = nodes.iter().flat_map(|node| addresses(&node.host));
    addresses
        .map(|address| Neighbor::new(address, CLUSTER_ASN))
        .collect()
}

/// Both addresses of a router as an agent's peers, `<name>-v4` and `<name>-v6`.
pub(crate) fn peers_of(router: &dyn Router, name: &str) -> Vec<AgentPeer> {
    peers_at(router.host(), router.asn(), name)
}

/// The same, of a router that need not run.
pub(crate) fn peers_at(host: &Host, asn: u32, name: &str) -> Vec<AgentPeer> {
    vec![
        AgentPeer::new(&format!("{name}-v4"), host.ipv4, asn),
        AgentPeer::new(&format!("{name}-v6"), host.ipv6, asn),
    ]
}
