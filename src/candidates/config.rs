//! What of the configuration's `[advertise]` decides on candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::AddressKind;
use crate::facts::ServiceFacts;
use crate::types::Prefix;

/// The ranges and switches of the configuration's `[advertise]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdvertiseConfig {
    /// Whether the node's pod CIDRs, or its blocks, are candidates.
    pub pod_cidrs: PodCidrs,
    /// Ranges that cluster IPs are allocated from.
    pub service_cluster_cidrs: Vec<Prefix>,
    /// Ranges within which external IPs may be announced.
    pub service_external_cidrs: Vec<Prefix>,
    /// Ranges within which load-balancer IPs may be announced.
    pub service_load_balancer_cidrs: Vec<Prefix>,
    /// The classes of Services whose load-balancer IPs are ours; absent: all are, and the ranges
    /// choose. The empty one is that of Services without a class.
    pub load_balancer_classes: Option<Vec<String>>,
    /// Service proxies on the nodes besides the one that serves Services without the label
    /// [`SERVICE_PROXY_NAME_LABEL`](crate::facts::SERVICE_PROXY_NAME_LABEL), by its values.
    pub service_proxy_names: Vec<String>,
    /// Whether Services of several namespaces may have one address.
    pub address_sharing: AddressSharing,
    /// How much is announced for Services at most.
    pub limits: RouteLimits,
    /// Addresses of peers, with the names of those; no Service may take one.
    pub peer_addresses: BTreeMap<IpAddr, String>,
    /// Addresses that the speaker listens on or dials from; no Service may take one.
    pub own_addresses: BTreeSet<IpAddr>,
}

/// Whether the node's pod CIDRs, or its blocks, are candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodCidrs {
    /// They are.
    #[default]
    Advertise,
    /// They are not, for instance because the CNI announces them itself.
    Ignore,
}

/// Whether Services of several namespaces may have one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSharing {
    /// Only those of one namespace may.
    #[default]
    WithinNamespace,
    /// All may, as kube-proxy serves them: for clusters whose namespaces trust each other.
    Anyone,
}

/// How much is announced for Services at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// Addresses of one Service.
    pub service_addresses: usize,
    /// Addresses of all Services.
    pub service_routes: usize,
}

impl RouteLimits {
    /// A Service has its two cluster IPs and a handful of others; whoever writes more than 64
    /// external ones has a script that went wrong. The largest clusters that Kubernetes is tested
    /// with have 10,000 Services.
    pub const DEFAULT: Self = Self {
        service_addresses: 64,
        service_routes: 200_000,
    };
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl AdvertiseConfig {
    /// The ranges for one kind of address.
    #[must_use]
    pub fn ranges(&self, addresses: AddressKind) -> &[Prefix] {
        match addresses {
            AddressKind::ClusterIp => &self.service_cluster_cidrs,
            AddressKind::ExternalIp => &self.service_external_cidrs,
            AddressKind::LoadBalancerIp => &self.service_load_balancer_cidrs,
        }
    }

    /// Whether load-balancer IPs of the Service are ours to announce, by its class.
    pub(super) fn is_ours(&self, service: &ServiceFacts) -> bool {
        let class = service.load_balancer_class.as_deref().unwrap_or_default();
        let ours = self.load_balancer_classes.as_ref();
        ours.is_none_or(|classes| classes.iter().any(|ours| ours == class))
    }
}
