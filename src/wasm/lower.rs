//! Batches on their way into a module: tables instead of references.
//!
//! Each list and each text costs an allocation in the module, so all Services share a few
//! tables. A Service or attribute set enters once, however many candidates refer to it; what is
//! the same is told by its address in memory, since the candidates share them by `Arc`. Texts
//! repeat from Service to Service (keys of labels, namespaces, port names) and enter once, too.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::bindings::exports::rutter::policy::announce::Batch as WitBatch;
use super::bindings::rutter::policy::types as wit;
use super::limits::CANDIDATES_MAX;
use super::link_bandwidth;
use crate::candidates::{Candidate, Origin};
use crate::facts::{NodeCondition, NodeFacts, ServiceFacts, ServicePort, StringMap, Taint};
use crate::policy::{Batch, PeerGroup, PolicyFailure, ProposedRoute, Reasons};
use crate::types::RouteAttributes;

/// What a text or list takes in a module's memory besides its contents.
const ALLOCATION_BYTES: usize = 24;

/// The tables of as many candidates, from the first on, as a module is asked about at once. Filled
/// again and again, they keep their memory.
#[derive(Default)]
pub(super) struct Tables<'a> {
    strings: Strings<'a>,
    labels: Vec<wit::ServiceLabel>,
    ports: Vec<wit::ServicePort>,
    addresses: Vec<wit::ServiceIp>,
    prefixes: Vec<wit::Prefix>,
    services: Vec<wit::Service>,
    service_indexes: FxHashMap<*const ServiceFacts, u32>,
    namespace_labels: FxHashMap<*const StringMap, wit::Span>,
    attribute_sets: Vec<&'a RouteAttributes>,
    attribute_set_indexes: FxHashMap<*const RouteAttributes, u32>,
    candidates: Vec<wit::Candidate>,
}

/// Texts, each once.
#[derive(Default)]
struct Strings<'a> {
    table: Vec<&'a str>,
    indexes: FxHashMap<&'a str, u32>,
    bytes: usize,
}

impl<'a> Tables<'a> {
    /// Forgets what was in them, and takes candidates until they fill about `budget_bytes` of a
    /// module's memory, or there are [`CANDIDATES_MAX`] of them; one at least, unless `routes` is
    /// empty.
    ///
    /// # Errors
    /// A candidate is an address of a Service whose facts are missing.
    pub(super) fn fill(
        &mut self,
        routes: &[ProposedRoute<'a>],
        budget_bytes: usize,
    ) -> Result<(), PolicyFailure> {
        self.clear();
        for route in routes.iter().take(CANDIDATES_MAX) {
            if self.bytes() > budget_bytes {
                break;
            }
            let attributes = *self
                .attribute_set_indexes
                .entry(Arc::as_ptr(route.attributes))
                .or_insert_with(|| push(&mut self.attribute_sets, &**route.attributes));
            let origin = self.origin(route.candidate)?;
            self.candidates.push(wit::Candidate {
                prefix: route.candidate.key.prefix.into(),
                origin,
                covered_by: route.candidate.covered_by.map(Into::into),
                serving: route.candidate.serving.map(Into::into),
                attributes,
            });
        }
        Ok(())
    }

    /// Every table by name, so that a new one is not forgotten here.
    fn clear(&mut self) {
        let Self {
            strings:
                Strings {
                    table,
                    indexes,
                    bytes,
                },
            labels,
            ports,
            addresses,
            prefixes,
            services,
            service_indexes,
            namespace_labels,
            attribute_sets,
            attribute_set_indexes,
            candidates,
        } = self;
        table.clear();
        indexes.clear();
        *bytes = 0;
        labels.clear();
        ports.clear();
        addresses.clear();
        prefixes.clear();
        services.clear();
        service_indexes.clear();
        namespace_labels.clear();
        attribute_sets.clear();
        attribute_set_indexes.clear();
        candidates.clear();
    }

    fn origin(&mut self, candidate: &'a Candidate) -> Result<wit::Origin, PolicyFailure> {
        Ok(match &candidate.key.origin {
            Origin::PodCidr => wit::Origin::PodCidr,
            Origin::IpamBlock => wit::Origin::IpamBlock,
            Origin::ServiceCidr { addresses } => wit::Origin::ServiceCidr((*addresses).into()),
            Origin::ServiceAddress { service, address } => {
                let Some(facts) = &candidate.service else {
                    return Err(PolicyFailure::BadAnswer(format!(
                        "it was not asked, because {} came without the facts of {service}",
                        candidate.key.prefix
                    )));
                };
                wit::Origin::ServiceAddress(wit::ServiceAddress {
                    service: self.service(facts),
                    kind: (*address).into(),
                })
            }
        })
    }

    fn service(&mut self, facts: &'a Arc<ServiceFacts>) -> u32 {
        if let Some(index) = self.service_indexes.get(&Arc::as_ptr(facts)) {
            return *index;
        }
        let index = self.push_service(facts);
        self.service_indexes.insert(Arc::as_ptr(facts), index);
        index
    }

    /// How many candidates were taken.
    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Makes the question out of the tables and what all candidates have in common.
    pub(super) fn ask<T>(
        &self,
        batch: &Batch<'_>,
        settings: &str,
        ask: impl FnOnce(WitBatch<'_>) -> T,
    ) -> T {
        let node = NodeParts::of(batch.node);
        let peer_labels = labels(&batch.peer_group.labels);
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
            strings: &self.strings.table,
            labels: &self.labels,
            ports: &self.ports,
            addresses: &self.addresses,
            prefixes: &self.prefixes,
            services: &self.services,
            attribute_sets: &attribute_sets,
            candidates: &self.candidates,
            want_reasons: batch.reasons == Reasons::Wanted,
        })
    }

    /// About what the tables take in a module's memory.
    fn bytes(&self) -> usize {
        // A set with as many communities of each kind as an answer may have takes 2 KiB.
        const SET_BYTES: usize = 512;
        self.strings.bytes
            + self.labels.len() * size_of::<wit::ServiceLabel>()
            + self.ports.len() * size_of::<wit::ServicePort>()
            + self.addresses.len() * size_of::<wit::ServiceIp>()
            + self.prefixes.len() * size_of::<wit::Prefix>()
            + self.services.len() * size_of::<wit::Service>()
            + self.attribute_sets.len() * SET_BYTES
            + self.candidates.len() * size_of::<wit::Candidate>()
    }

    /// Every field of the facts by name, so that a new one is not forgotten here. Services that
    /// are headless or being deleted never reach modules.
    fn push_service(&mut self, facts: &'a ServiceFacts) -> u32 {
        let ServiceFacts {
            key,
            labels,
            annotations,
            service_type,
            external_traffic_policy,
            internal_traffic_policy,
            load_balancer_class,
            headless: _,
            deleting: _,
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
        let of_kind = |kind, addresses: &'a [IpAddr]| {
            addresses.iter().map(move |address| wit::ServiceIp {
                kind,
                address: (*address).into(),
                mode: wit::IpMode::Vip,
            })
        };
        let load_balancer_ips = load_balancer_ips.iter().map(|ingress| wit::ServiceIp {
            kind: wit::AddressKind::LoadBalancerIp,
            address: ingress.address.into(),
            mode: ingress.mode.into(),
        });
        let addresses = of_kind(wit::AddressKind::ClusterIp, cluster_ips)
            .chain(of_kind(wit::AddressKind::ExternalIp, external_ips))
            .chain(load_balancer_ips);
        let source_ranges = load_balancer_source_ranges.iter().copied();
        let namespace_labels = self.namespace_labels(namespace_labels);
        let strings = &mut self.strings;
        let service = wit::Service {
            namespace: strings.index_of(&key.namespace),
            name: strings.index_of(&key.name),
            labels: append(&mut self.labels, strings.pairs(labels)),
            annotations: append(&mut self.labels, strings.pairs(annotations)),
            service_type: (*service_type).into(),
            external_traffic_policy: (*external_traffic_policy).into(),
            internal_traffic_policy: (*internal_traffic_policy).into(),
            load_balancer_class: load_balancer_class
                .as_deref()
                .map(|class| strings.index_of(class)),
            load_balancer_source_ranges: append(&mut self.prefixes, source_ranges.map(Into::into)),
            ip_families: ip_families.iter().copied().collect(),
            proxy_name: facts.proxy_name().map(|proxy| strings.index_of(proxy)),
            session_affinity: (*session_affinity).into(),
            traffic_distribution: traffic_distribution
                .as_deref()
                .map(|distribution| strings.index_of(distribution)),
            health_check_node_port: *health_check_node_port,
            created: *created,
            namespace_labels,
            ports: append(&mut self.ports, ports.iter().map(|port| strings.port(port))),
            addresses: append(&mut self.addresses, addresses),
            node_endpoints: (*node_endpoints).into(),
            cluster_endpoints: (*cluster_endpoints).into(),
            unplaced_endpoints: (*unplaced_endpoints).into(),
        };
        push(&mut self.services, service)
    }

    /// The labels of a Namespace, which its Services share.
    fn namespace_labels(&mut self, labels: &'a Arc<StringMap>) -> wit::Span {
        // While Namespaces are not seen, each Service has none of its own.
        if labels.is_empty() {
            return wit::Span { first: 0, count: 0 };
        }
        let Self {
            strings,
            labels: table,
            namespace_labels,
            ..
        } = self;
        *namespace_labels
            .entry(Arc::as_ptr(labels))
            .or_insert_with(|| append(table, strings.pairs(labels)))
    }
}

impl<'a> Strings<'a> {
    fn index_of(&mut self, text: &'a str) -> u32 {
        *self.indexes.entry(text).or_insert_with(|| {
            self.bytes += text.len() + ALLOCATION_BYTES;
            push(&mut self.table, text)
        })
    }

    fn pairs(&mut self, map: &'a StringMap) -> impl Iterator<Item = wit::ServiceLabel> {
        map.iter().map(|(key, value)| wit::ServiceLabel {
            key: self.index_of(key),
            value: self.index_of(value),
        })
    }

    fn port(&mut self, port: &'a ServicePort) -> wit::ServicePort {
        wit::ServicePort {
            name: self.index_of(&port.name),
            protocol: match port.protocol.as_str() {
                "TCP" => wit::Protocol::Tcp,
                "UDP" => wit::Protocol::Udp,
                "SCTP" => wit::Protocol::Sctp,
                other => wit::Protocol::Other(self.index_of(other)),
            },
            port: port.port,
            node_port: port.node_port,
        }
    }
}

/// Appends to a table; the answer is the new entry's index.
pub(super) fn push<T>(table: &mut Vec<T>, entry: T) -> u32 {
    table.push(entry);
    index(table.len() - 1)
}

/// Appends to a table; the answer is where.
fn append<T>(table: &mut Vec<T>, entries: impl Iterator<Item = T>) -> wit::Span {
    let first = table.len();
    table.extend(entries);
    wit::Span {
        first: index(first),
        count: index(table.len() - first),
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("the tables fit a module's memory of 32 bits")
}

/// The lists of a node, which its record borrows.
pub(super) struct NodeParts<'a> {
    labels: Vec<wit::Label<'a>>,
    annotations: Vec<wit::Label<'a>>,
    addresses: Vec<wit::NodeAddress>,
    pod_cidrs: Vec<wit::Prefix>,
    conditions: Vec<wit::NodeCondition<'a>>,
    taints: Vec<wit::Taint<'a>>,
}

impl<'a> NodeParts<'a> {
    pub(super) fn of(facts: &'a NodeFacts) -> Self {
        let condition = |condition: &'a NodeCondition| {
            let NodeCondition {
                condition_type,
                status,
                reason,
            } = condition;
            wit::NodeCondition {
                condition_type,
                status: (*status).into(),
                reason,
            }
        };
        let taint = |Taint { key, value, effect }: &'a Taint| wit::Taint { key, value, effect };
        let of_kind = |kind, addresses: &'a [IpAddr]| {
            addresses.iter().map(move |address| wit::NodeAddress {
                kind,
                address: (*address).into(),
            })
        };
        let internal = of_kind(wit::NodeAddressKind::InternalIp, &facts.internal_ips);
        let external = of_kind(wit::NodeAddressKind::ExternalIp, &facts.external_ips);
        Self {
            labels: labels(&facts.labels),
            annotations: labels(&facts.annotations),
            addresses: internal.chain(external).collect(),
            pod_cidrs: facts.pod_cidrs.iter().copied().map(Into::into).collect(),
            conditions: facts.conditions.iter().map(condition).collect(),
            taints: facts.taints.iter().map(taint).collect(),
        }
    }

    /// Every field of the facts by name, so that a new one is not forgotten here.
    pub(super) fn lower(&'a self, facts: &'a NodeFacts) -> wit::Node<'a> {
        let NodeFacts {
            name,
            labels: _,
            annotations: _,
            internal_ips: _,
            external_ips: _,
            pod_cidrs: _,
            unschedulable,
            ready,
            conditions: _,
            taints: _,
            cluster_nodes,
            // What is announced of them are candidates, each with its origin.
            blocks: _,
        } = facts;
        wit::Node {
            name,
            labels: &self.labels,
            annotations: &self.annotations,
            addresses: &self.addresses,
            pod_cidrs: &self.pod_cidrs,
            unschedulable: *unschedulable,
            ready: *ready,
            conditions: &self.conditions,
            taints: &self.taints,
            cluster_nodes: *cluster_nodes,
        }
    }
}

/// The parts of an attribute set that its record borrows, or that it has in another form.
pub(super) struct SetParts {
    communities: Vec<u32>,
    large_communities: Vec<wit::LargeCommunity>,
    extended_communities: Vec<u64>,
    link_bandwidth: Option<wit::LinkBandwidth>,
}

impl SetParts {
    pub(super) fn of(set: &RouteAttributes) -> Self {
        let mut extended_communities = Vec::new();
        let mut link_bandwidth: Option<wit::LinkBandwidth> = None;
        for community in &set.extended_communities {
            match link_bandwidth::decode(*community) {
                // RFC 10005: of several, the lowest counts.
                Some(found) => match &mut link_bandwidth {
                    Some(lowest) if lowest.bytes_per_second <= found.bytes_per_second => {}
                    Some(_) | None => link_bandwidth = Some(found),
                },
                None => extended_communities.push(u64::from_be_bytes(community.0)),
            }
        }
        Self {
            communities: set.communities.iter().map(|c| c.0).collect(),
            large_communities: set.large_communities.iter().map(|&c| c.into()).collect(),
            extended_communities,
            link_bandwidth,
        }
    }
}

pub(super) fn attribute_set<'a>(
    set: &RouteAttributes,
    parts: &'a SetParts,
) -> wit::RouteAttributesParam<'a> {
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
        link_bandwidth: parts.link_bandwidth,
    }
}

pub(super) fn peer_group<'a>(
    group: &'a PeerGroup,
    labels: &'a [wit::Label<'_>],
) -> wit::PeerGroup<'a> {
    wit::PeerGroup {
        name: &group.name,
        asn: group.asn.0,
        kind: group.kind.into(),
        labels,
    }
}

pub(super) fn labels(map: &StringMap) -> Vec<wit::Label<'_>> {
    map.iter()
        .map(|(key, value)| wit::Label { key, value })
        .collect()
}
