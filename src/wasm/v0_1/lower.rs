//! Batches on their way into a module of the contract 0.1.
//!
//! A Service or attribute set enters its table once, however many candidates refer to it; what
//! is the same is told by its address in memory, since the candidates share them by `Arc`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::candidates::Origin;
use crate::facts::{NodeFacts, ServiceFacts, ServicePort, StringMap};
use crate::policy::{Batch, PeerGroup, PolicyFailure, ProposedRoute, Reasons};
use crate::types::RouteAttributes;
use crate::wasm::bindings::v0_1::exports::rutter::policy::announce::Batch as WitBatch;
use crate::wasm::bindings::v0_1::rutter::policy::types as wit;
use crate::wasm::limits::CANDIDATES_MAX;

/// What a string, list entry or record of the batch takes in a module's memory besides its text.
const ENTRY_BYTES: usize = 32;

/// The tables of as many candidates, from the first on, as a module is asked about at once.
pub(in crate::wasm) struct Tables<'a> {
    services: Vec<&'a ServiceFacts>,
    attribute_sets: Vec<&'a RouteAttributes>,
    candidates: Vec<wit::Candidate>,
}

impl<'a> Tables<'a> {
    /// Takes candidates until they fill about `budget_bytes` of a module's memory, or there are
    /// [`CANDIDATES_MAX`] of them; one at least, unless `routes` is empty.
    ///
    /// # Errors
    /// A candidate is an address of a Service whose facts are missing.
    pub(in crate::wasm) fn fill(
        routes: &[ProposedRoute<'a>],
        budget_bytes: usize,
    ) -> Result<Self, PolicyFailure> {
        let mut tables = Self {
            services: Vec::new(),
            attribute_sets: Vec::new(),
            candidates: Vec::with_capacity(routes.len().min(CANDIDATES_MAX)),
        };
        let mut services = HashMap::new();
        let mut attribute_sets = HashMap::new();
        let mut bytes = 0;
        for route in routes.iter().take(CANDIDATES_MAX) {
            if bytes > budget_bytes {
                break;
            }
            let attributes = *attribute_sets
                .entry(Arc::as_ptr(route.attributes))
                .or_insert_with(|| {
                    bytes += attributes_bytes(route.attributes);
                    push(&mut tables.attribute_sets, route.attributes)
                });
            let origin = match &route.candidate.key.origin {
                Origin::PodCidr => wit::Origin::PodCidr,
                Origin::ServiceCidr { addresses } => wit::Origin::ServiceCidr((*addresses).into()),
                Origin::ServiceAddress { service, address } => {
                    let Some(facts) = &route.candidate.service else {
                        return Err(PolicyFailure::BadAnswer(format!(
                            "it was not asked, because {} came without the facts of {service}",
                            route.candidate.key.prefix
                        )));
                    };
                    let service = *services.entry(Arc::as_ptr(facts)).or_insert_with(|| {
                        bytes += service_bytes(facts);
                        push(&mut tables.services, facts)
                    });
                    wit::Origin::ServiceAddress(wit::ServiceAddress {
                        service,
                        kind: (*address).into(),
                    })
                }
            };
            bytes += size_of::<wit::Candidate>();
            tables.candidates.push(wit::Candidate {
                prefix: route.candidate.key.prefix.into(),
                origin,
                covered_by: route.candidate.covered_by.map(Into::into),
                attributes,
            });
        }
        Ok(tables)
    }

    /// How many candidates were taken.
    pub(in crate::wasm) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Makes the question out of the tables and what all candidates have in common.
    pub(in crate::wasm) fn ask<T>(
        &self,
        batch: &Batch<'_>,
        settings: &str,
        ask: impl FnOnce(WitBatch<'_>) -> T,
    ) -> T {
        let node = NodeParts::of(batch.node);
        let peer_labels = labels(&batch.peer_group.labels);
        let service_parts: Vec<_> = self.services.iter().map(|s| ServiceParts::of(s)).collect();
        let services: Vec<_> = self
            .services
            .iter()
            .zip(&service_parts)
            .map(|(facts, parts)| service(facts, parts))
            .collect();
        let set_parts: Vec<_> = self
            .attribute_sets
            .iter()
            .map(|s| SetParts::of(s))
            .collect();
        let attribute_sets: Vec<_> = self
            .attribute_sets
            .iter()
            .zip(&set_parts)
            .map(|(set, parts)| attribute_set(set, parts))
            .collect();
        ask(WitBatch {
            settings,
            node: node.lower(batch.node),
            asn: batch.asn.0,
            peer_group: peer_group(batch.peer_group, &peer_labels),
            services: &services,
            attribute_sets: &attribute_sets,
            candidates: &self.candidates,
            want_reasons: batch.reasons == Reasons::Wanted,
        })
    }
}

/// Appends to a table; the answer is the new entry's index.
fn push<T>(table: &mut Vec<T>, entry: T) -> u32 {
    table.push(entry);
    u32::try_from(table.len() - 1).expect("a table has at most CANDIDATES_MAX entries")
}

fn service_bytes(facts: &ServiceFacts) -> usize {
    let text = |map: &StringMap| -> usize {
        map.iter()
            .map(|(key, value)| key.len() + value.len() + 2 * ENTRY_BYTES)
            .sum()
    };
    let ports: usize = facts
        .ports
        .iter()
        .map(|port| port.name.len() + port.protocol.len() + 2 * ENTRY_BYTES)
        .sum();
    size_of::<wit::Service<'_>>()
        + facts.key.namespace.len()
        + facts.key.name.len()
        + facts.load_balancer_class.as_ref().map_or(0, String::len)
        + 6 * ENTRY_BYTES
        + text(&facts.labels)
        + text(&facts.annotations)
        + ports
}

fn attributes_bytes(set: &RouteAttributes) -> usize {
    size_of::<wit::RouteAttributesParam<'_>>()
        + set.communities.len() * 4
        + set.large_communities.len() * 12
        + set.extended_communities.len() * 8
        + 3 * ENTRY_BYTES
}

/// The lists of a node, which its record borrows.
struct NodeParts<'a> {
    labels: Vec<wit::Label<'a>>,
    annotations: Vec<wit::Label<'a>>,
    internal_ips: Vec<wit::IpAddress>,
    pod_cidrs: Vec<wit::Prefix>,
}

impl<'a> NodeParts<'a> {
    fn of(facts: &'a NodeFacts) -> Self {
        Self {
            labels: labels(&facts.labels),
            annotations: labels(&facts.annotations),
            internal_ips: facts.internal_ips.iter().copied().map(Into::into).collect(),
            pod_cidrs: facts.pod_cidrs.iter().copied().map(Into::into).collect(),
        }
    }

    fn lower(&'a self, facts: &'a NodeFacts) -> wit::Node<'a> {
        wit::Node {
            name: &facts.name,
            labels: &self.labels,
            annotations: &self.annotations,
            internal_ips: &self.internal_ips,
            pod_cidrs: &self.pod_cidrs,
            unschedulable: facts.unschedulable,
            ready: facts.ready,
        }
    }
}

/// The lists of a Service, which its record borrows.
struct ServiceParts<'a> {
    labels: Vec<wit::Label<'a>>,
    annotations: Vec<wit::Label<'a>>,
    ports: Vec<wit::ServicePort<'a>>,
}

impl<'a> ServiceParts<'a> {
    fn of(facts: &'a ServiceFacts) -> Self {
        Self {
            labels: labels(&facts.labels),
            annotations: labels(&facts.annotations),
            ports: facts.ports.iter().map(Into::into).collect(),
        }
    }
}

/// Every field of the facts by name, so that a new one is not forgotten here. The addresses
/// reach modules as candidates; Services that are headless or being deleted never do.
fn service<'a>(facts: &'a ServiceFacts, parts: &'a ServiceParts<'_>) -> wit::Service<'a> {
    let ServiceFacts {
        key,
        labels: _,
        annotations: _,
        service_type,
        external_traffic_policy,
        internal_traffic_policy,
        load_balancer_class,
        headless: _,
        deleting: _,
        cluster_ips: _,
        external_ips: _,
        load_balancer_ips: _,
        ports: _,
        node_endpoints,
        cluster_endpoints,
        ..
    } = facts;
    wit::Service {
        namespace: &key.namespace,
        name: &key.name,
        labels: &parts.labels,
        annotations: &parts.annotations,
        service_type: (*service_type).into(),
        external_traffic_policy: (*external_traffic_policy).into(),
        internal_traffic_policy: (*internal_traffic_policy).into(),
        load_balancer_class: load_balancer_class.as_deref(),
        ports: &parts.ports,
        node_endpoints: (*node_endpoints).into(),
        cluster_endpoints: (*cluster_endpoints).into(),
    }
}

/// The lists of an attribute set, which its record borrows.
struct SetParts {
    communities: Vec<u32>,
    large_communities: Vec<wit::LargeCommunity>,
    extended_communities: Vec<u64>,
}

impl SetParts {
    fn of(set: &RouteAttributes) -> Self {
        Self {
            communities: set.communities.iter().map(|c| c.0).collect(),
            large_communities: set.large_communities.iter().map(|&c| c.into()).collect(),
            extended_communities: set
                .extended_communities
                .iter()
                .map(|c| u64::from_be_bytes(c.0))
                .collect(),
        }
    }
}

fn attribute_set<'a>(set: &RouteAttributes, parts: &'a SetParts) -> wit::RouteAttributesParam<'a> {
    let RouteAttributes {
        med,
        local_pref,
        prepend,
        next_hop,
        communities: _,
        large_communities: _,
        extended_communities: _,
    } = set;
    wit::RouteAttributesParam {
        med: *med,
        local_pref: *local_pref,
        prepend: *prepend,
        next_hop: next_hop.map(Into::into),
        communities: &parts.communities,
        large_communities: &parts.large_communities,
        extended_communities: &parts.extended_communities,
    }
}

fn peer_group<'a>(group: &'a PeerGroup, labels: &'a [wit::Label<'_>]) -> wit::PeerGroup<'a> {
    wit::PeerGroup {
        name: &group.name,
        asn: group.asn.0,
        kind: group.kind.into(),
        labels,
    }
}

fn labels(map: &StringMap) -> Vec<wit::Label<'_>> {
    map.iter()
        .map(|(key, value)| wit::Label { key, value })
        .collect()
}

impl<'a> From<&'a ServicePort> for wit::ServicePort<'a> {
    fn from(port: &'a ServicePort) -> Self {
        Self {
            name: &port.name,
            protocol: match port.protocol.as_str() {
                "TCP" => wit::Protocol::Tcp,
                "UDP" => wit::Protocol::Udp,
                "SCTP" => wit::Protocol::Sctp,
                other => wit::Protocol::Other(other),
            },
            port: port.port,
            node_port: port.node_port,
        }
    }
}
