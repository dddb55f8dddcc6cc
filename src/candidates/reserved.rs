//! Addresses that no Service may take: whoever may create a Service could else draw to a few nodes
//! the traffic of a node, a router, the API server or another's pods.
//!
//! A range that merely surrounds such addresses is no matter: it is what the operator configured.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{AddressKind, AdvertiseConfig};
use crate::facts::{ClusterView, ServiceFacts, ServiceKey, api_service, is_api_service};
use crate::types::Prefix;

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// The node of this name. Our own, too, by its name: what the agents of all nodes say of an
    /// address is the same.
    Node(String),
    /// The speaker's own, by the configuration.
    Speaker,
    /// The peer of this name.
    Peer(String),
    /// An API server, or the Service that stands for all of them.
    ApiServer,
    /// A pod of the node of this name: the address is in this pod CIDR, or block.
    Pods(Prefix, String),
    /// A Service of another namespace.
    Service(ServiceKey),
}

impl Holder {
    /// What follows for Services from it being the holder's.
    pub(super) fn exclusive(&self) -> &'static str {
        match self {
            Self::Node(_) | Self::Speaker | Self::Peer(_) | Self::ApiServer | Self::Pods(..) => {
                "no Service may take it"
            }
            Self::Service(_) => "no Service of another namespace may share it",
        }
    }
}

/// Who holds which addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reserved {
    addresses: BTreeMap<IpAddr, Holder>,
    /// Pod CIDRs and blocks, and whose.
    pods: BTreeMap<Prefix, String>,
    /// The lengths of these.
    lengths: BTreeSet<u8>,
}

impl Reserved {
    pub(super) fn of(view: &ClusterView, config: &AdvertiseConfig) -> Self {
        let own = view.node.as_deref();
        // The first to claim an address is told as its holder.
        let mut addresses = BTreeMap::new();
        let mut claim = |address: IpAddr, holder: Holder| {
            addresses.entry(address).or_insert(holder);
        };
        if let Some(node) = own {
            for address in node.internal_ips.iter().chain(&node.external_ips) {
                claim(*address, Holder::Node(node.name.clone()));
            }
        }
        let mut pods = BTreeMap::new();
        for (name, networks) in &view.nodes {
            for address in &networks.addresses {
                claim(*address, Holder::Node(name.clone()));
            }
            pods.extend(networks.pod_cidrs.iter().map(|cidr| (*cidr, name.clone())));
        }
        if let Some(node) = own {
            pods.extend(node.pod_cidrs.iter().map(|cidr| (*cidr, node.name.clone())));
        }
        pods.extend(view.blocks.iter().map(|(cidr, node)| (*cidr, node.clone())));
        for address in &config.own_addresses {
            claim(*address, Holder::Speaker);
        }
        for (address, peer) in &config.peer_addresses {
            claim(*address, Holder::Peer(peer.clone()));
        }
        for address in &view.api_servers {
            claim(*address, Holder::ApiServer);
        }
        if let Some(service) = view.services.get(&api_service()) {
            for address in &service.cluster_ips {
                claim(*address, Holder::ApiServer);
            }
        }
        let lengths = pods.keys().map(Prefix::length).collect();
        Self {
            addresses,
            pods,
            lengths,
        }
    }

    /// Who holds the address that a Service has, if it is not the Service's own.
    pub(super) fn holder(
        &self,
        service: &ServiceFacts,
        kind: AddressKind,
        address: IpAddr,
    ) -> Option<Holder> {
        if kind == AddressKind::ClusterIp && is_api_service(&service.key) {
            return None;
        }
        self.holder_of(address)
    }

    /// Who holds an address.
    pub(super) fn holder_of(&self, address: IpAddr) -> Option<Holder> {
        let held = self.addresses.get(&address).cloned();
        held.or_else(|| {
            let nets = self.lengths.iter();
            let mut cidrs = nets.filter_map(|length| IpNet::new(address, *length).ok());
            cidrs.find_map(|net| {
                let (cidr, node) = self.pods.get_key_value(&Prefix::new(net))?;
                Some(Holder::Pods(*cidr, node.clone()))
            })
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node {name}'s"),
            Self::Speaker => f.write_str("the speaker's own"),
            Self::Peer(name) => write!(f, "peer {name}'s"),
            Self::ApiServer => f.write_str("the API server's"),
            Self::Service(service) => write!(f, "that of Service {service}"),
            Self::Pods(cidr, node) => write!(f, "in node {node}'s pod CIDR {cidr}"),
        }
    }
}

#[cfg(test)]
mod tests;
