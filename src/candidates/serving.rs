//! Whether traffic for an address of a Service that enters this node is answered: kube-proxy's
//! rule, and the only place where it stands.
//!
//! The index counts endpoints as kube-proxy does; here the counts, the traffic policies and the
//! labels become one answer. Policies are given it with each candidate, and no decision that is
//! kept while a policy fails outlives it.
//!
//! | an address of | is answered on a node if |
//! |---|---|
//! | a Service that names another proxy, unless the configuration names that, too | never |
//! | a family that the Service has no cluster IP of | never |
//! | a load balancer with `ipMode: Proxy` | never: the load balancer answers itself |
//! | a Service without a usable endpoint of the family in the cluster | never |
//! | external and load-balancer IPs under `externalTrafficPolicy: Local` | the node has a usable endpoint |
//! | cluster IPs under `internalTrafficPolicy: Local`, from wherever the traffic comes | the node has a usable endpoint |
//! | anything else | always |
//!
//! In one thing it asks for more than kube-proxy does: as in Calico, a cluster IP of a NodePort or
//! LoadBalancer Service with `externalTrafficPolicy: Local` is for nodes with an endpoint, so that
//! clients outside keep their source address. Without its own route such traffic takes the range's,
//! and is answered all the same.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{AddressKind, AdvertiseConfig};
use crate::facts::{IpMode, ServiceFacts, ServiceType, TrafficPolicy};
use crate::types::Family;

/// What becomes of traffic for an address of a Service that enters this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serving {
    /// It is answered, as on every node: by any endpoint of the cluster.
    AnyNode,
    /// It is answered by endpoints of this node.
    ThisNode,
    /// It is not answered.
    Unserved(Unserved),
}

/// Why traffic for an address is not answered on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unserved {
    /// The Service's label `service.kubernetes.io/service-proxy-name` names a proxy that is not
    /// ours.
    OtherProxy,
    /// The Service has no cluster IP of the address' family, so the proxy knows nothing of it.
    OtherFamily,
    /// `ipMode: Proxy`: the load balancer answers itself.
    LoadBalancerAnswers,
    /// There is no usable endpoint of the family in the cluster.
    NoEndpoint,
    /// Only nodes with an endpoint answer, and all usable ones are on other nodes.
    NoEndpointHere,
    /// Only nodes with an endpoint answer, this one has none, and of the usable ones some name no
    /// node: they are nobody's own.
    EndpointsWithoutNode,
}

impl Serving {
    /// Whether it is answered.
    #[must_use]
    pub fn is_served(self) -> bool {
        match self {
            Self::AnyNode | Self::ThisNode => true,
            Self::Unserved(_) => false,
        }
    }
}

/// What becomes of traffic for this address of a Service that enters this node.
#[must_use]
pub fn serving(
    service: &ServiceFacts,
    kind: AddressKind,
    address: IpAddr,
    config: &AdvertiseConfig,
) -> Serving {
    match answering(service, kind, address, config) {
        Ok(TrafficPolicy::Cluster) => Serving::AnyNode,
        Ok(TrafficPolicy::Local) => Serving::ThisNode,
        Err(unserved) => Serving::Unserved(unserved),
    }
}

/// Whose endpoints answer: the cluster's, or this node's.
fn answering(
    service: &ServiceFacts,
    kind: AddressKind,
    address: IpAddr,
    config: &AdvertiseConfig,
) -> Result<TrafficPolicy, Unserved> {
    if let Some(proxy) = service.proxy_name()
        && !config.service_proxy_names.iter().any(|name| name == proxy)
    {
        return Err(Unserved::OtherProxy);
    }
    let family = Family::of(address);
    if !service.ip_families.contains(&family) {
        return Err(Unserved::OtherFamily);
    }
    if kind == AddressKind::LoadBalancerIp && !nodes_answer(service, address) {
        return Err(Unserved::LoadBalancerAnswers);
    }
    if service.cluster_endpoints.of(family).usable() == 0 {
        return Err(Unserved::NoEndpoint);
    }
    let policy = traffic_policy(service, kind);
    match policy {
        TrafficPolicy::Cluster => Ok(policy),
        TrafficPolicy::Local if service.node_endpoints.of(family).usable() > 0 => Ok(policy),
        TrafficPolicy::Local if service.unplaced_endpoints.of(family).usable() > 0 => {
            Err(Unserved::EndpointsWithoutNode)
        }
        TrafficPolicy::Local => Err(Unserved::NoEndpointHere),
    }
}

/// Whether nodes know the load-balancer address (KEP-1860).
fn nodes_answer(service: &ServiceFacts, address: IpAddr) -> bool {
    let ingress = service.load_balancer_ips.iter();
    let mut modes = ingress.filter(|it| it.address == address).map(|it| it.mode);
    match modes.next() {
        None | Some(IpMode::VIP) => true,
        Some(IpMode::Proxy) => modes.any(|mode| mode == IpMode::VIP),
    }
}

/// Whose endpoints an address of this kind is for. `externalTrafficPolicy` has a meaning for
/// Services of type NodePort and LoadBalancer, and for external IPs of every other.
#[must_use]
pub fn traffic_policy(service: &ServiceFacts, kind: AddressKind) -> TrafficPolicy {
    let exposed = match service.service_type {
        ServiceType::NodePort | ServiceType::LoadBalancer => true,
        ServiceType::ClusterIP | ServiceType::ExternalName => kind == AddressKind::ExternalIp,
    };
    let external = if exposed {
        service.external_traffic_policy
    } else {
        TrafficPolicy::Cluster
    };
    match kind {
        AddressKind::ClusterIp => external.max(service.internal_traffic_policy),
        AddressKind::ExternalIp | AddressKind::LoadBalancerIp => external,
    }
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherProxy => "another service proxy is named for the Service",
            Self::OtherFamily => "the Service has no cluster IP of this family",
            Self::LoadBalancerAnswers => "the load balancer answers itself (ipMode Proxy)",
            Self::NoEndpoint => "the cluster has no usable endpoint of this family",
            Self::NoEndpointHere => "no usable endpoint is on this node",
            Self::EndpointsWithoutNode => {
                "no usable endpoint is on this node, and some name no node"
            }
        })
    }
}

#[cfg(test)]
mod tests;
