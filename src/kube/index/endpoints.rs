//! The endpoints of a Service, counted as kube-proxy does it.
//!
//! An endpoint counts for the Service's ports that its slice has, by name and protocol. On one
//! port an address counts once: while a controller moves an endpoint from slice to slice both list
//! it, and a pod may have got the address of another that still terminates. Then one record counts
//! as a whole, conditions and node: one that does not terminate before one that does, of those the
//! newer slice's, and within a slice as kube-proxy reads it: of records that terminate the first,
//! else the last. (Of two slices kube-proxy takes either.)

use std::cmp::Reverse;

use super::super::convert::{Endpoint, EndpointClass, Location, SliceRecord};
use crate::facts::{EndpointCounts, FamilyCounts, ServiceFacts};
use crate::types::Family;

/// What is counted of a Service's endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// On this node.
    pub(super) node: FamilyCounts,
    /// In the cluster, this node's included.
    pub(super) cluster: FamilyCounts,
    /// Those of the cluster that name no node.
    pub(super) unplaced: FamilyCounts,
}

impl Counted {
    /// What the facts say already.
    pub(super) fn of(facts: &ServiceFacts) -> Self {
        Self {
            node: facts.node_endpoints,
            cluster: facts.cluster_endpoints,
            unplaced: facts.unplaced_endpoints,
        }
    }

    pub(super) fn write_to(self, facts: &mut ServiceFacts) {
        facts.node_endpoints = self.node;
        facts.cluster_endpoints = self.cluster;
        facts.unplaced_endpoints = self.unplaced;
    }
}

/// Counts the endpoints of `service` in its slices, each address once.
pub(super) fn count<'a>(
    service: &ServiceFacts,
    slices: impl Iterator<Item = &'a SliceRecord>,
) -> Counted {
    let mut endpoints = counting(service, slices);
    endpoints.sort_unstable_by_key(|endpoint| endpoint.address);
    Counted {
        node: tally(&endpoints, |location| location == Location::Here),
        cluster: tally(&endpoints, |_| true),
        unplaced: tally(&endpoints, |location| location == Location::Unplaced),
    }
}

/// The records that count, one for each port and address.
fn counting<'a>(
    service: &ServiceFacts,
    slices: impl Iterator<Item = &'a SliceRecord>,
) -> Vec<Endpoint> {
    let mut records = Vec::new();
    for (nth, slice) in slices.enumerate() {
        for port in &slice.ports {
            let mut ports = service.ports.iter();
            let Some(of_service) = ports
                .position(|known| *known.name == *port.name && *known.protocol == *port.protocol)
            else {
                continue;
            };
            for (place, endpoint) in slice.endpoints.iter().enumerate() {
                let listens = (of_service, port.number, endpoint.address);
                let place = if endpoint.terminating {
                    place
                } else {
                    usize::MAX - place
                };
                let rank = (
                    endpoint.terminating,
                    Reverse(&slice.age),
                    Reverse(nth),
                    place,
                );
                records.push((listens, rank, *endpoint));
            }
        }
    }
    records.sort_unstable_by(|(a, rank_a, _), (b, rank_b, _)| (a, rank_a).cmp(&(b, rank_b)));
    records.dedup_by(|(copy, ..), (kept, ..)| copy == kept);
    records
        .into_iter()
        .map(|(_, _, endpoint)| endpoint)
        .collect()
}

/// Counts the addresses at the wanted locations, of endpoints ordered by address.
fn tally(endpoints: &[Endpoint], wanted: impl Fn(Location) -> bool) -> FamilyCounts {
    let mut counts = FamilyCounts::default();
    for of_address in endpoints.chunk_by(|a, b| a.address == b.address) {
        let classes = of_address.iter().filter(|it| wanted(it.location));
        let Some(class) = classes.map(|it| it.class).max() else {
            continue;
        };
        let EndpointCounts {
            ready,
            serving_terminating,
            unready,
        } = match Family::of(of_address[0].address) {
            Family::Ipv4Unicast => &mut counts.ipv4,
            Family::Ipv6Unicast => &mut counts.ipv6,
        };
        *match class {
            EndpointClass::Ready => ready,
            EndpointClass::ServingTerminating => serving_terminating,
            EndpointClass::Unready => unready,
        } += 1;
    }
    counts
}
