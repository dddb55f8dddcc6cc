//! The facts of a live node, written down in the form of a case file. The agent calls it.
//!
//! **Nothing secret is in it**: peers are there as groups, by name and AS, without addresses and
//! keys. Labels, annotations and settings are there as they are.

use super::document::{
    Advertise, Document, Group, IpFamily, Node, Port, Service, Settings, UsedPolicy,
};
use super::endpoints::Endpoints;
use crate::candidates::{AddressSharing, AdvertiseConfig, PodCidrs, RouteLimits};
use crate::facts::{
    EndpointCounts, FamilyCounts, IpMode, NodeFacts, ServiceFacts, ServicePort, ServiceType,
    SessionAffinity, StringMap, TrafficPolicy,
};
use crate::policy::{ChainDefault, PeerGroup};
use crate::types::{Asn, Family};

/// What policies are asked with on a node, from its owners.
#[derive(Clone, Debug)]
pub struct Recorded<'a> {
    /// Our own AS.
    pub asn: Asn,
    /// The own node.
    pub node: &'a NodeFacts,
    /// The configuration's.
    pub advertise: &'a AdvertiseConfig,
    /// Every group once.
    pub peer_groups: Vec<PeerGroup>,
    /// The chain.
    pub policies: Vec<UsedPolicy>,
    /// How it ends.
    pub policy_default: ChainDefault,
    /// Every Service of the cluster.
    pub services: Vec<&'a ServiceFacts>,
}

impl From<Recorded<'_>> for Document {
    fn from(recorded: Recorded<'_>) -> Self {
        let Recorded {
            asn,
            node,
            advertise,
            peer_groups,
            policies,
            policy_default,
            services,
        } = recorded;
        Self {
            asn: Some(asn),
            policy_default,
            advertise: advertise.into(),
            node: node.into(),
            peer_groups: peer_groups.into_iter().map(Into::into).collect(),
            policies,
            services: services.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

impl From<&AdvertiseConfig> for Advertise {
    fn from(config: &AdvertiseConfig) -> Self {
        let AdvertiseConfig {
            pod_cidrs,
            service_cluster_cidrs,
            service_external_cidrs,
            service_load_balancer_cidrs,
            load_balancer_classes,
            service_proxy_names,
            address_sharing,
            limits:
                RouteLimits {
                    service_addresses,
                    service_routes,
                },
            // Secret enough; what they keep from being a candidate is none in the file either.
            peer_addresses: _,
            own_addresses: _,
        } = config;
        Self {
            pod_cidrs: match pod_cidrs {
                PodCidrs::Advertise => Some(true),
                PodCidrs::Ignore => Some(false),
            },
            service_cluster_cidrs: list(service_cluster_cidrs),
            service_external_cidrs: list(service_external_cidrs),
            service_load_balancer_cidrs: list(service_load_balancer_cidrs),
            load_balancer_classes: load_balancer_classes.clone(),
            service_proxy_names: list(service_proxy_names),
            shared_addresses: unusual(*address_sharing, AddressSharing::default()),
            max_service_addresses: unusual(
                *service_addresses,
                RouteLimits::DEFAULT.service_addresses,
            ),
            max_service_routes: unusual(*service_routes, RouteLimits::DEFAULT.service_routes),
        }
    }
}

/// What is as it is by default need not be said.
fn unusual<T: PartialEq>(value: T, usual: T) -> Option<T> {
    (value != usual).then_some(value)
}

impl From<&NodeFacts> for Node {
    fn from(facts: &NodeFacts) -> Self {
        let NodeFacts {
            name,
            labels,
            annotations,
            internal_ips,
            external_ips,
            pod_cidrs,
            unschedulable,
            ready,
            conditions,
            taints,
            cluster_nodes,
            blocks,
        } = facts;
        Self {
            name: Some(name.clone()),
            unschedulable: Some(*unschedulable),
            ready: Some(*ready),
            internal_ips: list(internal_ips),
            external_ips: list(external_ips),
            pod_cidrs: list(pod_cidrs),
            ipam_blocks: blocks.as_ref().map(|blocks| blocks.announced.clone()),
            conditions: list(conditions),
            taints: list(taints),
            cluster_nodes: *cluster_nodes,
            labels: map(labels),
            annotations: map(annotations),
        }
    }
}

impl From<PeerGroup> for Group {
    fn from(group: PeerGroup) -> Self {
        let PeerGroup {
            name,
            asn,
            kind: _, // follows from the two AS numbers
            labels,
        } = group;
        Self { name, asn, labels }
    }
}

impl From<&ServiceFacts> for Service {
    fn from(facts: &ServiceFacts) -> Self {
        let ServiceFacts {
            key,
            labels,
            annotations,
            service_type,
            external_traffic_policy,
            internal_traffic_policy,
            load_balancer_class,
            headless,
            deleting,
            cluster_ips,
            external_ips,
            load_balancer_ips,
            ip_families,
            ports,
            health_check_node_port,
            session_affinity,
            traffic_distribution,
            load_balancer_source_ranges,
            created,
            namespace_labels,
            node_endpoints,
            cluster_endpoints,
            unplaced_endpoints,
        } = facts;
        let elsewhere = difference(*cluster_endpoints, *node_endpoints);
        let ingress = |wanted: IpMode| {
            let ingress = load_balancer_ips.iter();
            let of_mode = ingress.filter(move |ingress| ingress.mode == wanted);
            let addresses: Vec<_> = of_mode.map(|ingress| ingress.address).collect();
            list(&addresses)
        };
        Self {
            name: key.clone(),
            service_type: (*service_type != ServiceType::ClusterIP).then_some(*service_type),
            external_traffic_policy: traffic_policy(*external_traffic_policy),
            internal_traffic_policy: traffic_policy(*internal_traffic_policy),
            load_balancer_class: load_balancer_class.clone(),
            headless: headless.then_some(true),
            deleting: deleting.then_some(true),
            cluster_ips: list(cluster_ips),
            external_ips: list(external_ips),
            load_balancer_ips: ingress(IpMode::VIP),
            load_balancer_proxy_ips: ingress(IpMode::Proxy),
            ip_families: Some(ip_families.iter().map(|family| (*family).into()).collect()),
            health_check_node_port: *health_check_node_port,
            session_affinity: (*session_affinity != SessionAffinity::None)
                .then_some(*session_affinity),
            traffic_distribution: traffic_distribution.clone(),
            load_balancer_source_ranges: list(load_balancer_source_ranges),
            created: (*created != 0).then_some(*created),
            namespace_labels: map(namespace_labels),
            ports: (!ports.is_empty()).then(|| ports.iter().map(Into::into).collect()),
            endpoints_here: Endpoints::of(*node_endpoints),
            endpoints_elsewhere: Endpoints::of(difference(elsewhere, *unplaced_endpoints)),
            endpoints_without_node: Endpoints::of(*unplaced_endpoints),
            labels: map(labels),
            annotations: map(annotations),
        }
    }
}

impl From<Family> for IpFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::Ipv4Unicast => Self::IPv4,
            Family::Ipv6Unicast => Self::IPv6,
        }
    }
}

impl From<&ServicePort> for Port {
    fn from(port: &ServicePort) -> Self {
        let ServicePort {
            name,
            protocol,
            port,
            node_port,
        } = port;
        Self {
            name: name.clone(),
            protocol: protocol.clone(),
            port: *port,
            node_port: *node_port,
        }
    }
}

impl UsedPolicy {
    /// Settings that are no table are none: the configuration refuses them.
    #[must_use]
    pub fn settings_of(value: &serde_json::Value) -> Settings {
        value.as_object().cloned().unwrap_or_default()
    }
}

/// Left out where it is what the API means by nothing.
fn traffic_policy(policy: TrafficPolicy) -> Option<TrafficPolicy> {
    match policy {
        TrafficPolicy::Cluster => None,
        TrafficPolicy::Local => Some(TrafficPolicy::Local),
    }
}

fn list<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}

fn map(items: &StringMap) -> Option<StringMap> {
    (!items.is_empty()).then(|| items.clone())
}

fn difference(cluster: FamilyCounts, here: FamilyCounts) -> FamilyCounts {
    let subtract = |a: EndpointCounts, b: EndpointCounts| EndpointCounts {
        ready: a.ready.saturating_sub(b.ready),
        serving_terminating: a.serving_terminating.saturating_sub(b.serving_terminating),
        unready: a.unready.saturating_sub(b.unready),
    };
    FamilyCounts {
        ipv4: subtract(cluster.ipv4, here.ipv4),
        ipv6: subtract(cluster.ipv6, here.ipv6),
    }
}
