//! What is left out: of a case, it is as the file says; of the file, as Kubernetes or the
//! configuration has it by default.

use super::document::{Advertise, Node, Service};
use super::endpoints::Endpoints;
use crate::candidates::{AdvertiseConfig, PodCidrs};
use crate::facts::{
    EndpointCounts, FamilyCounts, NodeFacts, ServiceFacts, ServiceType, TrafficPolicy,
};
use crate::types::Family;

/// A node that does not say so is ready, and has a name.
const NODE_NAME_DEFAULT: &str = "node";

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
            ports: self.ports.or(base.ports),
            endpoints_here: self.endpoints_here.or(base.endpoints_here),
            endpoints_elsewhere: self.endpoints_elsewhere.or(base.endpoints_elsewhere),
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
    } = written;
    AdvertiseConfig {
        pod_cidrs: match pod_cidrs {
            Some(true) | None => PodCidrs::Advertise,
            Some(false) => PodCidrs::Ignore,
        },
        service_cluster_cidrs: service_cluster_cidrs.unwrap_or_default(),
        service_external_cidrs: service_external_cidrs.unwrap_or_default(),
        service_load_balancer_cidrs: service_load_balancer_cidrs.unwrap_or_default(),
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
        labels,
        annotations,
    } = written;
    NodeFacts {
        name: name.unwrap_or_else(|| NODE_NAME_DEFAULT.to_owned()),
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        internal_ips: internal_ips.unwrap_or_default(),
        external_ips: external_ips.unwrap_or_default(),
        pod_cidrs: pod_cidrs.unwrap_or_default(),
        unschedulable: unschedulable.unwrap_or(false),
        ready: ready.unwrap_or(true),
    }
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
        ports,
        endpoints_here,
        endpoints_elsewhere,
        labels,
        annotations,
    } = written;
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
        load_balancer_ips: load_balancer_ips.unwrap_or_default(),
        ports: ports.into_iter().flatten().map(Into::into).collect(),
        node_endpoints: FamilyCounts::default(),
        cluster_endpoints: FamilyCounts::default(),
    };
    let families = families(&facts);
    let counts = |endpoints: Option<Endpoints>| {
        endpoints.map_or_else(FamilyCounts::default, |endpoints| {
            endpoints.counts(&families)
        })
    };
    facts.node_endpoints = counts(endpoints_here);
    facts.cluster_endpoints = sum(facts.node_endpoints, counts(endpoints_elsewhere));
    facts
}

/// The families that a Service has addresses of.
fn families(facts: &ServiceFacts) -> Vec<Family> {
    let addresses = || {
        let internal = facts.cluster_ips.iter().chain(&facts.external_ips);
        internal.chain(&facts.load_balancer_ips)
    };
    let has = |family: &Family| addresses().any(|address| Family::of(*address) == *family);
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
