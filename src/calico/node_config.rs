//! What all objects together mean for one node.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::configuration::{Bind, LoadBalancerAggregation, PrefixCommunities};
use super::filter::Filter;
use super::resources::Resources;
use super::{Kind, Problem};
use crate::topology::{ClusterNode, Peering, Peerings, Topology, peerings};
use crate::types::{Family, Prefix};

/// What all objects together mean for one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Its AS, its place among reflectors and its peers.
    pub peerings: Peerings,
    /// What that was worked out from.
    pub topology: Topology,
    /// Where it is to listen.
    pub listen: Vec<SocketAddr>,
    /// `serviceClusterIPs`. The environment may say otherwise.
    pub service_cluster_cidrs: Vec<Prefix>,
    /// `serviceExternalIPs`.
    pub service_external_cidrs: Vec<Prefix>,
    /// `serviceLoadBalancerIPs`.
    pub service_load_balancer_cidrs: Vec<Prefix>,
    /// Whether the last of these are announced as ranges.
    pub load_balancer_aggregation: LoadBalancerAggregation,
    /// What own routes are marked with: each that a route is in.
    pub prefix_communities: Vec<PrefixCommunities>,
    /// The BGPFilters that there are, by name.
    pub filters: BTreeMap<String, Filter>,
    /// What is not as it was written, of the objects as they stand together; ordered.
    pub problems: Vec<Problem>,
}

pub(super) fn node_config(resources: &Resources, name: &str) -> Option<NodeConfig> {
    let cluster = resources.cluster_configuration()?;
    let of_nodes = resources.node_configurations();
    let nodes = resources.nodes().into_iter().map(|(name, parts)| {
        let node = ClusterNode {
            labels: Arc::new(parts.labels),
            ipv4: parts.ipv4,
            ipv6: parts.ipv6,
            asn: parts.asn,
            cluster_id: parts.cluster_id,
            listen_port: of_nodes.get(name).and_then(|node| node.listen_port),
        };
        (name.to_owned(), node)
    });
    let topology = Topology {
        asn: cluster.asn,
        listen_port: cluster.listen_port,
        mesh: cluster.mesh,
        templates: resources.templates().cloned().collect(),
        nodes: nodes.collect(),
    };
    let peerings = peerings(&topology, name)?;
    let filters = resources.filters();
    let filters: BTreeMap<_, _> = filters
        .map(|(name, filter)| (name.to_owned(), filter.clone()))
        .collect();
    let own = topology.nodes.get(name)?;
    let communities = of_nodes
        .get(name)
        .and_then(|node| node.prefix_communities.clone());
    Some(NodeConfig {
        listen: listen(cluster.bind, own, peerings.listen_port),
        problems: unknown_filters(&topology, &filters),
        peerings,
        service_cluster_cidrs: cluster.service_cluster_cidrs,
        service_external_cidrs: cluster.service_external_cidrs,
        service_load_balancer_cidrs: cluster.service_load_balancer_cidrs,
        load_balancer_aggregation: cluster.load_balancer_aggregation,
        prefix_communities: communities.unwrap_or(cluster.prefix_communities),
        filters,
        topology,
    })
}

impl NodeConfig {
    /// The filters of a peer in their order: those that there are, with their names.
    pub fn filters_of<'c>(
        &'c self,
        peering: &'c Peering,
    ) -> impl Iterator<Item = (&'c str, &'c Filter)> {
        let names = peering.filters.iter();
        names.filter_map(|name| Some((name.as_str(), self.filters.get(name)?)))
    }
}

fn listen(bind: Bind, own: &ClusterNode, port: u16) -> Vec<SocketAddr> {
    let addresses: Vec<IpAddr> = match bind {
        Bind::Everywhere => ["0.0.0.0", "::"]
            .map(|text| text.parse().expect("an address"))
            .to_vec(),
        Bind::NodeAddresses => {
            let families = Family::ALL.into_iter();
            families.filter_map(|family| own.address(family)).collect()
        }
    };
    let addresses = addresses.into_iter();
    addresses
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

/// What peers name and is not there: nothing is filtered by it.
fn unknown_filters(topology: &Topology, filters: &BTreeMap<String, Filter>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for template in &topology.templates {
        for (index, filter) in template.options.filters.iter().enumerate() {
            if !filters.contains_key(filter) {
                problems.push(Problem {
                    kind: Kind::BgpPeer,
                    name: template.name.clone(),
                    field: format!("spec.filters[{index}]"),
                    words: format!(
                        "is {filter:?}, and there is no such BGPFilter: it filters nothing"
                    ),
                });
            }
        }
    }
    problems.sort();
    problems
}
