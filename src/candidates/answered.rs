//! The addresses that every node's service proxy answers for, announced or not: whoever else has a
//! route to one, a member of the cluster must not use it.
//!
//! Kept up to date a Service at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::serving::{Serving, Unserved, serving};
use super::{AddressKind, AdvertiseConfig, addresses};
use crate::facts::{ServiceFacts, ServiceKey, ServiceType};
use crate::types::Prefix;

/// Such addresses, by Service.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    of_service: BTreeMap<ServiceKey, BTreeSet<IpAddr>>,
    /// How many Services have each.
    services: BTreeMap<IpAddr, usize>,
    /// Of which it may have changed since that was asked.
    touched: BTreeSet<IpAddr>,
}

impl Answered {
    /// These are the Service's.
    pub(super) fn set(&mut self, service: &ServiceKey, addresses: BTreeSet<IpAddr>) {
        let before = self.of_service.get(service);
        if before.map_or(addresses.is_empty(), |before| *before == addresses) {
            return;
        }
        let before = self.of_service.remove(service).unwrap_or_default();
        for address in before.difference(&addresses) {
            let count = self.services.get_mut(address);
            let count = count.expect("counted when it was set");
            *count -= 1;
            if *count == 0 {
                self.services.remove(address);
                self.touched.insert(*address);
            }
        }
        for address in addresses.difference(&before) {
            let count = self.services.entry(*address).or_default();
            *count += 1;
            if *count == 1 {
                self.touched.insert(*address);
            }
        }
        if !addresses.is_empty() {
            self.of_service.insert(service.clone(), addresses);
        }
    }

    /// The Services that have any.
    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.of_service.keys()
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.services.contains_key(&address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.services.keys().copied()
    }

    pub(super) fn take_touched(&mut self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.touched)
    }
}

/// The addresses of a Service that the proxy of any node answers for, whether or not it has an
/// endpoint just now; not those that `is_held` says to be somebody else's.
pub(super) fn of(
    service: &ServiceFacts,
    config: &AdvertiseConfig,
    is_held: impl Fn(AddressKind, IpAddr) -> bool,
) -> BTreeSet<IpAddr> {
    let has_none = match service.service_type {
        ServiceType::ExternalName => true,
        ServiceType::ClusterIP | ServiceType::NodePort | ServiceType::LoadBalancer => {
            service.headless
        }
    };
    if has_none {
        return BTreeSet::new();
    }
    let is_answered = |kind: AddressKind, address: IpAddr| {
        let by_load_balancer = match service.service_type {
            ServiceType::LoadBalancer => true,
            ServiceType::ClusterIP | ServiceType::NodePort | ServiceType::ExternalName => false,
        };
        if kind == AddressKind::LoadBalancerIp && !by_load_balancer {
            return false;
        }
        match serving(service, kind, address, config) {
            Serving::Unserved(
                Unserved::OtherProxy | Unserved::OtherFamily | Unserved::LoadBalancerAnswers,
            ) => false,
            Serving::AnyNode
            | Serving::ThisNode
            | Serving::Unserved(
                Unserved::NoEndpoint | Unserved::NoEndpointHere | Unserved::EndpointsWithoutNode,
            ) => Prefix::host(address).unroutable().is_none() && !is_held(kind, address),
        }
    };
    let answered = addresses(service).filter(|(kind, address)| is_answered(*kind, *address));
    answered.map(|(_, address)| address).collect()
}
