//! What of the routes is not left to BGP: the node's own blocks, and the cluster's Services. Who
//! programs the kernel must know, and is told what changed; and which pools there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Pipeline, Stage};
use crate::agent::own_prefixes::OwnNews;
use crate::candidates::{AddressKind, CandidateChange, Origin};
use crate::facts::NodeFacts;
use crate::fib::{Ownership, Pools};
use crate::types::Prefix;

/// Where Calico notes a node's addresses, each with the length of its network.
const NETWORK_ANNOTATIONS: [&str; 2] = [
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
];

/// Of which prefixes it may have changed whose they are, since that was told.
#[derive(Debug, Default)]
pub(super) enum Touched {
    /// Of any; nothing is kept for each while nobody wants to know.
    #[default]
    All,
    /// Of these.
    Some(BTreeSet<Prefix>),
}

impl Touched {
    /// These candidates come, change or go, and these addresses of Services come or go.
    pub(super) fn add(&mut self, changes: &[CandidateChange], addresses: BTreeSet<IpAddr>) {
        match self {
            Self::All => {}
            Self::Some(prefixes) => {
                prefixes.extend(changes.iter().map(|change| match change {
                    CandidateChange::Upsert(candidate) => candidate.key.prefix,
                    CandidateChange::Removed(key) => key.prefix,
                }));
                prefixes.extend(addresses.into_iter().map(Prefix::host));
            }
        }
    }
}

impl Pipeline {
    /// What is not left to BGP, as far as it changed since this was last called; nothing before the
    /// facts are complete.
    pub(in crate::agent) fn own_news(&mut self) -> Option<OwnNews> {
        if self.stage == Stage::Gathering {
            return None;
        }
        let node = self.index.view().node.as_ref()?;
        let touched = std::mem::replace(&mut self.touched, Touched::Some(BTreeSet::new()));
        match touched {
            Touched::All => Some(OwnNews {
                whole: Some(self.all_owned(node)),
                pools: Some(Arc::new(self.pools(node))),
                ..OwnNews::default()
            }),
            Touched::Some(prefixes) if prefixes.is_empty() => None,
            Touched::Some(prefixes) => {
                let owned = |prefix| (prefix, self.ownership(node, prefix));
                Some(OwnNews {
                    changes: prefixes.into_iter().map(owned).collect(),
                    ..OwnNews::default()
                })
            }
        }
    }

    fn all_owned(&self, node: &NodeFacts) -> BTreeMap<Prefix, Ownership> {
        let ranges = self.service_ranges().copied();
        let answered = self.candidates.answered().map(Prefix::host);
        let candidates = self.candidates.iter();
        let candidates = candidates.map(|candidate| candidate.key.prefix);
        let all = ranges.chain(answered).chain(candidates);
        let all = all.chain(node.pod_prefixes().iter().copied());
        let owned = |prefix| Some((prefix, self.ownership(node, prefix)?));
        all.filter_map(owned).collect()
    }

    fn ownership(&self, node: &NodeFacts, prefix: Prefix) -> Option<Ownership> {
        let mut of_services = false;
        for candidate in self.candidates.by_prefix(prefix) {
            match candidate.key.origin {
                Origin::PodCidr | Origin::IpamBlock => {
                    // What a pod borrowed of another node's block is a pod's, and its CNI's to route.
                    return Some(match node.pod_prefixes().contains(&prefix) {
                        true => Ownership::Block,
                        false => Ownership::Pods,
                    });
                }
                Origin::ServiceCidr { .. } | Origin::ServiceAddress { .. } => of_services = true,
            }
        }
        if node.pod_prefixes().contains(&prefix) {
            return Some(Ownership::Pods);
        }
        let of_services = of_services
            || self.service_ranges().any(|range| *range == prefix)
            || prefix.is_host() && self.candidates.is_answered(prefix.address());
        of_services.then_some(Ownership::Services)
    }

    /// The ranges that the configuration names, whatever is announced of them.
    fn service_ranges(&self) -> impl Iterator<Item = &Prefix> {
        let kinds = AddressKind::ALL.into_iter();
        kinds.flat_map(|kind| self.config.advertise.ranges(kind))
    }

    fn pools(&self, node: &NodeFacts) -> Pools {
        let annotations = NETWORK_ANNOTATIONS.iter();
        let networks = annotations.filter_map(|name| node.annotations.get(*name));
        // An address, and the length of the network that it is in.
        let networks = networks.filter_map(|text| text.parse::<ipnet::IpNet>().ok());
        Pools {
            pools: self.config.ip_pools.clone(),
            subnets: networks.map(Prefix::new).collect(),
        }
    }
}
