//! What is known of the cluster, reduced to the facts that decide routes.
//!
//! The Kubernetes index builds a [`ClusterView`] from Kubernetes objects or manifest
//! files; [`candidates`](crate::candidates) reads it. Nothing in here came from BGP.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Family, Prefix};

/// Labels or annotations, ordered by key.
pub type StringMap = BTreeMap<String, String>;

/// A node as policies see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: StringMap,
    /// `metadata.annotations`, without those that change by themselves (heartbeats, leases), and
    /// without the largest if there are too many: see [`ANNOTATIONS_DROPPED`].
    pub annotations: StringMap,
    /// `status.addresses` of type InternalIP, in the order given.
    pub internal_ips: Vec<IpAddr>,
    /// `status.addresses` of type ExternalIP, in the order given.
    pub external_ips: Vec<IpAddr>,
    /// `spec.podCIDRs`, or `spec.podCIDR` where the list is absent.
    pub pod_cidrs: Vec<Prefix>,
    /// `spec.unschedulable`: the node is cordoned.
    pub unschedulable: bool,
    /// Whether the condition `Ready` is `True`.
    pub ready: bool,
    /// `status.conditions`, `Ready` among them, ordered by type; without times, which change by
    /// themselves.
    pub conditions: Vec<NodeCondition>,
    /// `spec.taints`, in the order given.
    pub taints: Vec<Taint>,
    /// How many Nodes the cluster has, this one included; absent until they were listed.
    pub cluster_nodes: Option<u32>,
    /// Where its pods are if the cluster has an IPAM that gives nodes blocks of addresses. Absent
    /// where it has not: they are in `pod_cidrs` then, and are not otherwise.
    pub blocks: Option<PodBlocks>,
}

/// What an IPAM gave a node for its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodBlocks {
    /// Blocks, and single addresses that its pods have of other nodes' blocks; ordered.
    pub own: Vec<Prefix>,
    /// Those of them that may be announced; ordered.
    pub announced: Vec<Prefix>,
}

/// One of a Node's `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeCondition {
    /// `type`: `Ready`, `NetworkUnavailable`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word in CamelCase; empty where none is given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows; also what an unknown word means.
    Unknown,
}

/// One of a Node's `spec.taints`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// With its domain: `node.kubernetes.io/out-of-service`.
    pub key: String,
    /// May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Most that is kept of one object's annotations, names and values together: tools write whole
/// documents there, and every agent of a cluster has every Service.
pub const ANNOTATION_BYTES_MAX: usize = 16 << 10;

/// Says in an object's annotations how many of them are left out, the largest first, for the others to
/// be [`ANNOTATION_BYTES_MAX`] or less. Nobody but the agent sets it: what an object says under this
/// name is none of its facts.
pub const ANNOTATIONS_DROPPED: &str = "rutter.io/annotations-dropped";

/// The condition of a node whose network is not set up.
pub const NETWORK_UNAVAILABLE: &str = "NetworkUnavailable";

/// A node with this label announces no Service under the default policy, as Kubernetes' own
/// service controller leaves it out of load balancers. Its presence counts, whatever the value.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The label of a Service, and of its slices, that names a proxy to serve it in place of
/// kube-proxy.
pub const SERVICE_PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";

impl NodeFacts {
    /// Where the node's pods have their addresses.
    #[must_use]
    pub fn pod_prefixes(&self) -> &[Prefix] {
        match &self.blocks {
            Some(blocks) => &blocks.own,
            None => &self.pod_cidrs,
        }
    }

    /// Whether the node's network is said to be not set up.
    #[must_use]
    pub fn network_unavailable(&self) -> bool {
        self.conditions.iter().any(|condition| {
            condition.condition_type == NETWORK_UNAVAILABLE
                && condition.status == ConditionStatus::True
        })
    }
}

/// A Service's name in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl ServiceKey {
    /// A key from its two parts.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Service by which pods reach the API server.
const API_SERVICE: (&str, &str) = ("default", "kubernetes");

/// Names the Service that stands for the API server.
#[must_use]
pub fn api_service() -> ServiceKey {
    let (namespace, name) = API_SERVICE;
    ServiceKey::new(namespace, name)
}

/// Whether it is [`api_service`].
#[must_use]
pub fn is_api_service(key: &ServiceKey) -> bool {
    (&*key.namespace, &*key.name) == API_SERVICE
}

/// `spec.type` of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceType {
    /// Also what an absent type means.
    ClusterIP,
    /// A port on every node.
    NodePort,
    /// Addresses given out by a load-balancer controller.
    LoadBalancer,
    /// A DNS alias: no addresses to route.
    ExternalName,
}

/// `externalTrafficPolicy` or `internalTrafficPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// Any node may pass traffic on to any endpoint. Also what an absent policy means.
    Cluster,
    /// Only endpoints on the receiving node are used.
    Local,
}

/// `spec.sessionAffinity`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum SessionAffinity {
    /// Each connection by itself.
    #[default]
    None,
    /// A client keeps its endpoint.
    ClientIP,
}

/// `ipMode` of a load balancer's ingress (KEP-1860).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum IpMode {
    /// Traffic reaches the nodes addressed to it, and they answer. Also what an absent mode means.
    #[default]
    VIP,
    /// The load balancer answers itself, and sends on to the node: nodes do not know the address.
    Proxy,
}

/// An entry of `status.loadBalancer.ingress` that has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadBalancerIngress {
    /// `ip`.
    pub address: IpAddr,
    /// `ipMode`.
    pub mode: IpMode,
}

impl From<IpAddr> for LoadBalancerIngress {
    /// Without a mode.
    fn from(address: IpAddr) -> Self {
        let mode = IpMode::default();
        Self { address, mode }
    }
}

/// One entry of `spec.ports`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServicePort {
    /// Empty where the port has no name.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The Service's port.
    pub port: u16,
    /// The port on every node; absent where none was allocated.
    pub node_port: Option<u16>,
}

/// Endpoints of one Service and family, counted in disjoint classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndpointCounts {
    /// `ready` is true or absent.
    pub ready: u32,
    /// Not ready, but `serving` (true or absent) and `terminating`.
    pub serving_terminating: u32,
    /// Neither: takes no traffic.
    pub unready: u32,
}

impl EndpointCounts {
    /// How many endpoints kube-proxy would send traffic to: the ready ones, and if there is
    /// none, those that still serve while they terminate (KEP-1669).
    #[must_use]
    pub fn usable(self) -> u32 {
        if self.ready > 0 {
            self.ready
        } else {
            self.serving_terminating
        }
    }
}

/// Counts by address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCounts {
    /// From slices of `addressType: IPv4`.
    pub ipv4: EndpointCounts,
    /// From slices of `addressType: IPv6`.
    pub ipv6: EndpointCounts,
}

impl FamilyCounts {
    /// The counts of one family.
    #[must_use]
    pub fn of(&self, family: Family) -> EndpointCounts {
        match family {
            Family::Ipv4Unicast => self.ipv4,
            Family::Ipv6Unicast => self.ipv6,
        }
    }
}

/// A Service with its endpoints, summed over all its EndpointSlices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `metadata.labels`.
    pub labels: StringMap,
    /// `metadata.annotations`, without the largest if there are too many: see
    /// [`ANNOTATIONS_DROPPED`].
    pub annotations: StringMap,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: TrafficPolicy,
    /// `spec.loadBalancerClass`.
    pub load_balancer_class: Option<String>,
    /// Whether `spec.clusterIP` is `None`.
    pub headless: bool,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `spec.clusterIPs`, or `spec.clusterIP` where the list is absent; never `None`.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress`, those with an address.
    pub load_balancer_ips: Vec<LoadBalancerIngress>,
    /// `spec.ipFamilies`, or where the list is absent those of the cluster IPs, in order.
    pub ip_families: Vec<Family>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.healthCheckNodePort`; absent where there is none.
    pub health_check_node_port: Option<u16>,
    /// `spec.sessionAffinity`.
    pub session_affinity: SessionAffinity,
    /// `spec.trafficDistribution`.
    pub traffic_distribution: Option<String>,
    /// `spec.loadBalancerSourceRanges`, in the order given.
    pub load_balancer_source_ranges: Vec<Prefix>,
    /// `metadata.creationTimestamp` in seconds since 1970; 0 where there is none.
    pub created: u64,
    /// `metadata.labels` of its Namespace; empty while that was not seen.
    pub namespace_labels: Arc<StringMap>,
    /// Endpoints on this node.
    pub node_endpoints: FamilyCounts,
    /// Endpoints in the whole cluster, this node's included.
    pub cluster_endpoints: FamilyCounts,
    /// Those of the cluster that name no node: on none of them do they count as its own.
    pub unplaced_endpoints: FamilyCounts,
}

impl ServiceFacts {
    /// A Service of which no more than the name was said: everything is as Kubernetes has it by
    /// default.
    #[must_use]
    pub fn named(key: ServiceKey) -> Self {
        Self {
            key,
            labels: StringMap::new(),
            annotations: StringMap::new(),
            service_type: ServiceType::ClusterIP,
            external_traffic_policy: TrafficPolicy::Cluster,
            internal_traffic_policy: TrafficPolicy::Cluster,
            load_balancer_class: None,
            headless: false,
            deleting: false,
            cluster_ips: Vec::new(),
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            ip_families: Vec::new(),
            ports: Vec::new(),
            health_check_node_port: None,
            session_affinity: SessionAffinity::None,
            traffic_distribution: None,
            load_balancer_source_ranges: Vec::new(),
            created: 0,
            namespace_labels: Arc::default(),
            node_endpoints: FamilyCounts::default(),
            cluster_endpoints: FamilyCounts::default(),
            unplaced_endpoints: FamilyCounts::default(),
        }
    }

    /// The proxy that serves it in place of kube-proxy, where a label names one.
    #[must_use]
    pub fn proxy_name(&self) -> Option<&str> {
        self.labels
            .get(SERVICE_PROXY_NAME_LABEL)
            .map(String::as_str)
    }
}

/// What is known of a Node, this one or another, besides [`NodeFacts`]: where its own traffic goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNetworks {
    /// Every `status.addresses` that is an IP address, ordered, each once.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<Prefix>,
}

/// Everything the candidates are worked out from.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// This agent's own Node; absent until it was seen, or when it was deleted.
    pub node: Option<Arc<NodeFacts>>,
    /// Every Service of the cluster.
    pub services: BTreeMap<ServiceKey, Arc<ServiceFacts>>,
    /// Every Node of the cluster by name, as it was last listed.
    pub nodes: BTreeMap<String, NodeNetworks>,
    /// Blocks of pod addresses that an IPAM gave nodes, with the names of these.
    pub blocks: BTreeMap<Prefix, String>,
    /// Where API servers answer: the endpoints of the Service `default/kubernetes`, and the address
    /// that the agent itself asks.
    pub api_servers: BTreeSet<IpAddr>,
}

/// What differs between two states of a [`ClusterView`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterChange {
    /// The own Node appeared, changed or went.
    Node,
    /// Addresses, pod CIDRs or blocks of Nodes, or addresses of API servers, are not what they were.
    Networks,
    /// What decides on the node's peers is not what it was; it is not in the view.
    Peerings,
    /// This Service, or its endpoints, appeared, changed or went.
    Service(ServiceKey),
}
