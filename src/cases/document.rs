//! The form of a case file. Everything may be left out but names; what is left out of a case is
//! as the file says, and what the file leaves out has the meaning that Kubernetes gives it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Endpoints;
use super::learned::{Learned, Peer};
use super::written::{extended, service_name};
use crate::candidates::{AddressKind, AddressSharing, Origin};
use crate::facts::{
    NodeCondition, ServiceKey, ServicePort, ServiceType, SessionAffinity, StringMap, Taint,
    TrafficPolicy,
};
use crate::policy::{ChainDefault, ImportVerdict, Mode, OnError, Verdict};
use crate::types::{
    Asn, Community, ExtendedCommunity, Installation, LargeCommunity, Prefix, RouteAttributes,
};

/// A policy's settings: a table.
pub type Settings = serde_json::Map<String, serde_json::Value>;

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Document {
    /// Where the facts were recorded, for people; absent in a file that somebody wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// Our AS; the default is the configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// How a recorded chain ends; rejecting.
    #[serde(skip_serializing_if = "is_default")]
    pub policy_default: ChainDefault,
    /// How a recorded chain of import policies ends; rejecting.
    #[serde(skip_serializing_if = "is_default")]
    pub import_policy_default: ChainDefault,
    /// Every reason that the policy is known to give, `*` in place of what varies. Not used to
    /// judge; what was never seen is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The policy's settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// As in the configuration.
    #[serde(skip_serializing_if = "is_default")]
    pub advertise: Advertise,
    /// The node the agent runs on.
    #[serde(skip_serializing_if = "is_default")]
    pub node: Node,
    /// Whom routes would go to. The first is meant where a case names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_groups: Vec<Group>,
    /// The chain of a recorded node, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<UsedPolicy>,
    /// The chain for learned routes of a recorded node, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub import_policies: Vec<UsedPolicy>,
    /// The cluster's Services with their endpoints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Whom routes are learned from. The first is meant where a route or a case names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// What they announced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<Learned>,
    /// What is asked. A file without cases asks about everything in it: candidates once a group,
    /// learned routes once a peer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<Case>,
}

/// `[advertise]` of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Advertise {
    /// Whether pod CIDRs and blocks are candidates; they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_cidrs: Option<bool>,
    /// Ranges of cluster IPs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_cluster_cidrs: Option<Vec<Prefix>>,
    /// Ranges of external IPs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_external_cidrs: Option<Vec<Prefix>>,
    /// Ranges of load-balancer IPs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_load_balancer_cidrs: Option<Vec<Prefix>>,
    /// Any where absent; the empty one is that of Services without a class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_classes: Option<Vec<String>>,
    /// None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_proxy_names: Option<Vec<String>>,
    /// As in `[advertise]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_addresses: Option<AddressSharing>,
    /// As in `[advertise]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_service_addresses: Option<usize>,
    /// As in `[advertise]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_service_routes: Option<usize>,
}

/// A Node, as far as it is a fact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    /// `metadata.name`; `node` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `spec.unschedulable`; false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unschedulable: Option<bool>,
    /// Whether the condition `Ready` is `True`; it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// `status.addresses` of type InternalIP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_ips: Option<Vec<IpAddr>>,
    /// `status.addresses` of type ExternalIP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_ips: Option<Vec<IpAddr>>,
    /// `spec.podCIDRs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_cidrs: Option<Vec<Prefix>>,
    /// Blocks that an IPAM gave it, which take the place of `pod-cidrs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam_blocks: Option<Vec<Prefix>>,
    /// `status.conditions`; `Ready` alone, as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<NodeCondition>>,
    /// `spec.taints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taints: Option<Vec<Taint>>,
    /// How many Nodes the cluster has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_nodes: Option<u32>,
    /// `metadata.labels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<StringMap>,
    /// `metadata.annotations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<StringMap>,
}

/// A group of peers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// The group's name, or that of a peer that stands alone.
    pub name: String,
    /// Its AS; ours makes the sessions internal.
    pub asn: Asn,
    /// The operator's labels.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    pub labels: StringMap,
}

/// One policy of a recorded chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UsedPolicy {
    /// Its name in the configuration.
    pub name: String,
    /// As the configuration names it.
    pub module: String,
    /// What becomes of its routes while it fails.
    #[serde(default)]
    pub on_error: OnError,
    /// Whether it decides; it does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// The names of the groups that it decides for; everyone where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<BTreeSet<String>>,
    /// Its settings.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
}

/// A Service with its endpoints. The names are those of Kubernetes, written with hyphens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// Namespace and name, `shop/web`.
    #[serde(with = "service_name")]
    pub name: ServiceKey,
    /// `spec.type`; ClusterIP.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// `spec.externalTrafficPolicy`; Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// `spec.internalTrafficPolicy`; Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// `spec.loadBalancerClass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    /// Whether `spec.clusterIP` is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headless: Option<bool>,
    /// Whether `metadata.deletionTimestamp` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleting: Option<bool>,
    /// `spec.clusterIPs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ips: Option<Vec<IpAddr>>,
    /// `spec.externalIPs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_ips: Option<Vec<IpAddr>>,
    /// `status.loadBalancer.ingress[].ip`, of `ipMode: VIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_ips: Option<Vec<IpAddr>>,
    /// Of `ipMode: Proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_proxy_ips: Option<Vec<IpAddr>>,
    /// `spec.ipFamilies`; those of its addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_families: Option<Vec<IpFamily>>,
    /// `spec.healthCheckNodePort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_node_port: Option<u16>,
    /// `spec.sessionAffinity`; None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// `spec.trafficDistribution`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
    /// `spec.loadBalancerSourceRanges`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_source_ranges: Option<Vec<Prefix>>,
    /// `metadata.creationTimestamp`, in seconds since 1970; 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// `spec.ports`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
    /// On the node the agent runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints_here: Option<Endpoints>,
    /// On all other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints_elsewhere: Option<Endpoints>,
    /// On no node that they name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints_without_node: Option<Endpoints>,
    /// `metadata.labels` of its Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_labels: Option<StringMap>,
    /// `metadata.labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<StringMap>,
    /// `metadata.annotations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<StringMap>,
}

/// One entry of `spec.ports`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Port {
    /// May be absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// TCP where absent.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// The Service's port.
    pub port: u16,
    /// The port on every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
}

/// One of `spec.ipFamilies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpFamily {
    /// IPv4.
    IPv4,
    /// IPv6.
    IPv6,
}

/// One question, and what the answer should be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// The rule it shows; unique in its file.
    pub name: String,
    /// The name of one of the file's groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_group: Option<String>,
    /// The module has to refuse the settings with these words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Instead of the file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// Instead of the file's, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// What the chain gave every route before the policy is asked; nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub proposed: Attributes,
    /// What differs from the file's.
    #[serde(skip_serializing_if = "is_default")]
    pub advertise: Advertise,
    /// What differs from the file's.
    #[serde(skip_serializing_if = "is_default")]
    pub node: Node,
    /// More Services; of one that the file has too, what differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// The name of the peer that routes are learned from: the case is about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// More learned routes; of one that the file has too, what differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<Learned>,
    /// Decisions; without any, all of them are compared with the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Vec<Expectation>>,
}

/// What should be decided about one candidate, or one learned route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectation {
    /// Its prefix.
    pub prefix: Prefix,
    /// Why it is a candidate; needed where the prefix is one for several reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteKind>,
    /// Whose address it is; needed where several Services have it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "service_name::optional"
    )]
    pub service: Option<ServiceKey>,
    /// The answer.
    pub verdict: ExpectedVerdict,
    /// What it is accepted with, all of it; what was proposed where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
    /// What is said about the kernel and an accepted learned route; nothing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Installation>,
    /// The policy's words, exactly; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A decision without its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedVerdict {
    /// Announce, or use.
    Accept,
    /// Do not.
    Reject,
    /// No opinion.
    Abstain,
}

/// Why a prefix is a candidate, as settings of policies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// A pod CIDR of the node.
    PodCidr,
    /// A block of pod addresses that an IPAM gave the node.
    IpamBlock,
    /// A range of Service addresses as a whole.
    ServiceCidr,
    /// A Service's cluster IP.
    ClusterIp,
    /// A Service's external IP.
    ExternalIp,
    /// A Service's load-balancer IP.
    LoadBalancerIp,
}

/// [`RouteAttributes`] as people write them: unknown keys are refused, lists may be in any order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attributes {
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// Copies of our own AS number.
    #[serde(skip_serializing_if = "is_default")]
    pub prepend: u8,
    /// Instead of our own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
    /// Written `64512:100`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<Community>,
    /// Written `64512:1:2`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub large_communities: Vec<LargeCommunity>,
    /// Written as `explain` prints them: `0x0004fc004db2d05e`.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "extended")]
    pub extended_communities: Vec<ExtendedCommunity>,
}

impl From<Attributes> for RouteAttributes {
    fn from(written: Attributes) -> Self {
        let Attributes {
            med,
            local_pref,
            prepend,
            next_hop,
            communities,
            large_communities,
            extended_communities,
        } = written;
        Self {
            med,
            local_pref,
            prepend,
            next_hop,
            communities: as_a_set(communities),
            large_communities: as_a_set(large_communities),
            extended_communities: as_a_set(extended_communities),
        }
    }
}

impl From<Port> for ServicePort {
    fn from(written: Port) -> Self {
        let Port {
            name,
            protocol,
            port,
            node_port,
        } = written;
        Self {
            name,
            protocol,
            port,
            node_port,
        }
    }
}

impl From<&Verdict> for ExpectedVerdict {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Abstain => Self::Abstain,
            Verdict::Accept(_) => Self::Accept,
            Verdict::Reject => Self::Reject,
        }
    }
}

impl From<&ImportVerdict> for ExpectedVerdict {
    fn from(verdict: &ImportVerdict) -> Self {
        match verdict {
            ImportVerdict::Abstain => Self::Abstain,
            ImportVerdict::Accept(_) => Self::Accept,
            ImportVerdict::Reject => Self::Reject,
        }
    }
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PodCidr,
        Self::IpamBlock,
        Self::ServiceCidr,
        Self::ClusterIp,
        Self::ExternalIp,
        Self::LoadBalancerIp,
    ];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PodCidr => "pod-cidr",
            Self::IpamBlock => "ipam-block",
            Self::ServiceCidr => "service-cidr",
            Self::ClusterIp => "cluster-ip",
            Self::ExternalIp => "external-ip",
            Self::LoadBalancerIp => "load-balancer-ip",
        }
    }
}

impl From<&Origin> for RouteKind {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::PodCidr => Self::PodCidr,
            Origin::IpamBlock => Self::IpamBlock,
            Origin::ServiceCidr { addresses: _ } => Self::ServiceCidr,
            Origin::ServiceAddress { address, .. } => match address {
                AddressKind::ClusterIp => Self::ClusterIp,
                AddressKind::ExternalIp => Self::ExternalIp,
                AddressKind::LoadBalancerIp => Self::LoadBalancerIp,
            },
        }
    }
}

fn as_a_set<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

fn tcp() -> String {
    "TCP".to_owned()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
