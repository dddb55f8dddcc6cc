//! What is known of the cluster, reduced to the facts that decide routes.
//!
//! The Kubernetes index builds a [`ClusterView`] from Kubernetes objects or manifest
//! files; [`candidates`](crate::candidates) reads it. Nothing in here came from BGP.

use std::collections::BTreeMap;
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
    /// `metadata.annotations`, without those that change by themselves (heartbeats, leases).
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
    /// `metadata.annotations`.
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
    /// `status.loadBalancer.ingress[].ip`, without those whose `ipMode` is `Proxy`.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// Endpoints on this node.
    pub node_endpoints: FamilyCounts,
    /// Endpoints in the whole cluster, this node's included.
    pub cluster_endpoints: FamilyCounts,
}

/// Everything the candidates are worked out from.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// This agent's own Node; absent until it was seen, or when it was deleted.
    pub node: Option<Arc<NodeFacts>>,
    /// Every Service of the cluster.
    pub services: BTreeMap<ServiceKey, Arc<ServiceFacts>>,
}

/// What differs between two states of a [`ClusterView`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterChange {
    /// The own Node appeared, changed or went.
    Node,
    /// This Service, or its endpoints, appeared, changed or went.
    Service(ServiceKey),
}
