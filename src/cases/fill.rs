//! What is left out: of a case, it is as the file says; of the file, as Kubernetes or the
//! configuration has it by default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::{Advertise, IpFamily, Node, Service};
use super::endpoints::Endpoints;
use crate::candidates::{AdvertiseConfig, PodCidrs, RouteLimits, addresses};
use crate::facts::{
    ConditionStatus, EndpointCounts, FamilyCounts, IpMode, LoadBalancerIngress, NodeCondition,
    NodeFacts, PodBlocks, ServiceFacts, ServiceType, TrafficPolicy,
};
use crate::types::Family;

/// A node that does not say so is ready, and has a name.
const NODE_NAME_DEFAULT: &str = "node";

/// The condition that the key `ready` stands for, too.
const READY: &str = "Ready";

impl Advertise {
    /// This, and what it leaves out as `base` has it.
    pub(super) fn or(self, base: Self) -> Self {
        Self {
            pod_cidrs: self.pod_cidrs.or(base.pod_cidrs),
            service_cluster_cidrs: self.service_cluster_cidrs.or(base.service_cluster_cidrs),
            service_external_cidrs: self.service_external_cidrs.or(base.service_external_cidrs),
            service_load_balancer_cidrs: self
                .service_load_balancer_cidrs
                .or(base.service_load_balancer_cidrs),
            load_balancer_classes: self.load_balancer_classes.or(base.load_balancer_classes),
            service_proxy_names: self.service_proxy_names.or(base.service_proxy_names),
            shared_addresses: self.shared_addresses.or(base.shared_addresses),
            max_service_addresses: self.max_service_addresses.or(base.max_service_addresses),
            max_service_routes: self.max_service_routes.or(base.max_service_routes),
        }
    }
}

impl Node {
    /// This, and what it leaves out as `base` has it.
    pub(super) fn or(self, base: Self) -> Self {
        Self {
            name: self.name.or(base.name),
            unschedulable: self.unschedulable.or(base.unschedulable),
            ready: self.ready.or(base.ready),
            internal_ips: self.internal_ips.or(base.internal_ips),
            external_ips: self.external_ips.or(base.external_ips),
            pod_cidrs: self.pod_cidrs.or(base.pod_cidrs),
            ipam_blocks: self.ipam_blocks.or(base.ipam_blocks),
            conditions: self.conditions.or(base.conditions),
            taints: self.taints.or(base.taints),
            cluster_nodes: self.cluster_nodes.or(base.cluster_nodes),
            labels: self.labels.or(base.labels),
            annotations: self.annotations.or(base.annotations),
        }
    }
}

impl Service {
    /// This, and what it leaves out as `base` has it.
    pub(super) fn or(self, base: Self) -> Self {
        Self {
            name: self.name,
            service_type: self.service_type.or(base.service_type),
            external_traffic_policy: self
                .external_traffic_policy
                .or(base.external_traffic_policy),
            internal_traffic_policy: self
                .internal_traffic_policy
                .or(base.internal_traffic_policy),
            load_balancer_class: self.load_balancer_class.or(base.load_balancer_class),
            headless: self.headless.or(base.headless),
            deleting: self.deleting.or(base.deleting),
            cluster_ips: self.cluster_ips.or(base.cluster_ips),
            external_ips: self.external_ips.or(base.external_ips),
            load_balancer_ips: self.load_balancer_ips.or(base.load_balancer_ips),
            load_balancer_proxy_ips: self
                .load_balancer_proxy_ips
                .or(base.load_balancer_proxy_ips),
            ip_families: self.ip_families.or(base.ip_families),
            ports: self.ports.or(base.ports),
            health_check_node_port: self.health_check_node_port.or(base.health_check_node_port),
            session_affinity: self.session_affinity.or(base.session_affinity),
            traffic_distribution: self.traffic_distribution.or(base.traffic_distribution),
            load_balancer_source_ranges: self
                .load_balancer_source_ranges
                .or(base.load_balancer_source_ranges),
            created: self.created.or(base.created),
            endpoints_here: self.endpoints_here.or(base.endpoints_here),
            endpoints_elsewhere: self.endpoints_elsewhere.or(base.endpoints_elsewhere),
            endpoints_without_node: self.endpoints_without_node.or(base.endpoints_without_node),
            namespace_labels: self.namespace_labels.or(base.namespace_labels),
            labels: self.labels.or(base.labels),
            annotations: self.annotations.or(base.annotations),
        }
    }
}

pub(super) fn advertise_config(written: Advertise) -> AdvertiseConfig {
    let Advertise {
        pod_cidrs,
        service_cluster_cidrs,
        service_external_cidrs,
        service_load_balancer_cidrs,
        load_balancer_classes,
        service_proxy_names,
        shared_addresses,
        max_service_addresses,
        max_service_routes,
    } = written;
    let RouteLimits {
        service_addresses,
        service_routes,
    } = RouteLimits::DEFAULT;
    AdvertiseConfig {
        pod_cidrs: match pod_cidrs {
            Some(true) | None => PodCidrs::Advertise,
            Some(false) => PodCidrs::Ignore,
        },
        service_cluster_cidrs: service_cluster_cidrs.unwrap_or_default(),
        service_external_cidrs: service_external_cidrs.unwrap_or_default(),
        service_load_balancer_cidrs: service_load_balancer_cidrs.unwrap_or_default(),
        load_balancer_classes,
        service_proxy_names: service_proxy_names.unwrap_or_default(),
        address_sharing: shared_addresses.unwrap_or_default(),
        limits: RouteLimits {
            service_addresses: max_service_addresses.unwrap_or(service_addresses),
            service_routes: max_service_routes.unwrap_or(service_routes),
        },
        // Nothing secret is in a file: peers have no addresses in it.
        peer_addresses: BTreeMap::new(),
        own_addresses: BTreeSet::new(),
    }
}

pub(super) fn node_facts(written: Node) -> NodeFacts {
    let Node {
        name,
        unschedulable,
        ready,
        internal_ips,
        external_ips,
        pod_cidrs,
        ipam_blocks,
        conditions,
        taints,
        cluster_nodes,
        labels,
        annotations,
    } = written;
    let ready = ready.unwrap_or(true);
    NodeFacts {
        name: name.unwrap_or_else(|| NODE_NAME_DEFAULT.to_owned()),
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        internal_ips: internal_ips.unwrap_or_default(),
        external_ips: external_ips.unwrap_or_default(),
        pod_cidrs: pod_cidrs.unwrap_or_default(),
        unschedulable: unschedulable.unwrap_or(false),
        ready,
        conditions: all_conditions(conditions, ready),
        taints: taints.unwrap_or_default(),
        cluster_nodes,
        blocks: ipam_blocks.map(|blocks| PodBlocks {
            own: blocks.clone(),
            announced: blocks,
        }),
    }
}

/// As written, with `Ready` where that is not.
fn all_conditions(written: Option<Vec<NodeCondition>>, ready: bool) -> Vec<NodeCondition> {
    let mut conditions = written.unwrap_or_default();
    if !conditions.iter().any(|it| it.condition_type == READY) {
        conditions.push(NodeCondition {
            condition_type: READY.to_owned(),
            status: if ready {
                ConditionStatus::True
            } else {
                ConditionStatus::False
            },
            reason: String::new(),
        });
    }
    conditions.sort();
    conditions
}

pub(super) fn service_facts(written: Service) -> ServiceFacts {
    let Service {
        name,
        service_type,
        external_traffic_policy,
        internal_traffic_policy,
        load_balancer_class,
        headless,
        deleting,
        cluster_ips,
        external_ips,
        load_balancer_ips,
        load_balancer_proxy_ips,
        ip_families,
        ports,
        health_check_node_port,
        session_affinity,
        traffic_distribution,
        load_balancer_source_ranges,
        created,
        endpoints_here,
        endpoints_elsewhere,
        endpoints_without_node,
        namespace_labels,
        labels,
        annotations,
    } = written;
    let ingress = |addresses: Option<Vec<_>>, mode| {
        let addresses = addresses.into_iter().flatten();
        addresses.map(move |address| LoadBalancerIngress { address, mode })
    };
    let mut facts = ServiceFacts {
        key: name,
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        service_type: service_type.unwrap_or(ServiceType::ClusterIP),
        external_traffic_policy: external_traffic_policy.unwrap_or(TrafficPolicy::Cluster),
        internal_traffic_policy: internal_traffic_policy.unwrap_or(TrafficPolicy::Cluster),
        load_balancer_class,
        headless: headless.unwrap_or(false),
        deleting: deleting.unwrap_or(false),
        cluster_ips: cluster_ips.unwrap_or_default(),
        external_ips: external_ips.unwrap_or_default(),
        load_balancer_ips: ingress(load_balancer_ips, IpMode::VIP)
            .chain(ingress(load_balancer_proxy_ips, IpMode::Proxy))
            .collect(),
        ip_families: Vec::new(),
        ports: ports.into_iter().flatten().map(Into::into).collect(),
        health_check_node_port,
        session_affinity: session_affinity.unwrap_or_default(),
        traffic_distribution,
        load_balancer_source_ranges: load_balancer_source_ranges.unwrap_or_default(),
        created: created.unwrap_or(0),
        namespace_labels: Arc::new(namespace_labels.unwrap_or_default()),
        node_endpoints: FamilyCounts::default(),
        cluster_endpoints: FamilyCounts::default(),
        unplaced_endpoints: FamilyCounts::default(),
    };
    facts.ip_families = ip_families.map_or_else(
        || families(&facts),
        |listed| listed.into_iter().map(Into::into).collect(),
    );
    let families = facts.ip_families.clone();
    let counts = |endpoints: Option<Endpoints>| {
        endpoints.map_or_else(FamilyCounts::default, |endpoints| {
            endpoints.counts(&families)
        })
    };
    facts.node_endpoints = counts(endpoints_here);
    facts.unplaced_endpoints = counts(endpoints_without_node);
    let elsewhere = sum(counts(endpoints_elsewhere), facts.unplaced_endpoints);
    facts.cluster_endpoints = sum(facts.node_endpoints, elsewhere);
    facts
}

impl From<IpFamily> for Family {
    fn from(written: IpFamily) -> Self {
        match written {
            IpFamily::IPv4 => Self::Ipv4Unicast,
            IpFamily::IPv6 => Self::Ipv6Unicast,
        }
    }
}

/// The families that a Service has addresses of.
fn families(facts: &ServiceFacts) -> Vec<Family> {
    let has = |family: &Family| addresses(facts).any(|(_, address)| Family::of(address) == *family);
    Family::ALL.into_iter().filter(has).collect()
}

fn sum(here: FamilyCounts, elsewhere: FamilyCounts) -> FamilyCounts {
    let add = |a: EndpointCounts, b: EndpointCounts| EndpointCounts {
        ready: a.ready.saturating_add(b.ready),
        serving_terminating: a.serving_terminating.saturating_add(b.serving_terminating),
        unready: a.unready.saturating_add(b.unready),
    };
    FamilyCounts {
        ipv4: add(here.ipv4, elsewhere.ipv4),
        ipv6: add(here.ipv6, elsewhere.ipv6),
    }
}
