//! Which of the Services that list an address may have it, and how many addresses they may have:
//! whoever may create a Service in one namespace could else take what is another's, or more than
//! routers hold.
//!
//! An address belongs to a namespace, that of the first of these who list it:
//! 1. the Service whose cluster IP it is: the API server gave it that, and no other;
//! 2. a Service whose status has it: a load balancer's controller gave it that;
//! 3. one that lists it in `spec.externalIPs`, which its owner wrote.
//!
//! Among equals the oldest is first, then the one whose namespace and name sort first. Services of the
//! namespace may share the address, by ports; to others it is refused. kube-proxy serves all of them,
//! each on its ports: it knows nothing of whose an address is.
//!
//! What a node announces for Services has an end as well: the newest are left out whole until the
//! others fit. So no Service loses its routes because of a younger one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{AddressKind, AddressSharing};
use crate::facts::{ServiceFacts, ServiceKey};

/// Who lists what.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Ordered; the first has it.
    of_address: BTreeMap<IpAddr, Vec<Claim>>,
    /// The oldest first; only those that have any.
    by_age: BTreeMap<Age, Box<[(IpAddr, Title)]>>,
    created: BTreeMap<ServiceKey, u64>,
    /// How many there are.
    total: usize,
    /// The oldest Service for which there is no room.
    cut: Option<Age>,
}

/// Orders Services, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    created: u64,
    service: ServiceKey,
}

/// By what a Service has an address; the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Title {
    ClusterIp,
    Status,
    Spec,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    title: Title,
    age: Age,
}

impl From<AddressKind> for Title {
    fn from(kind: AddressKind) -> Self {
        match kind {
            AddressKind::ClusterIp => Self::ClusterIp,
            AddressKind::LoadBalancerIp => Self::Status,
            AddressKind::ExternalIp => Self::Spec,
        }
    }
}

impl Claims {
    /// Takes what a Service lists, each address once, ordered; nothing if it is gone. Adds to
    /// `concerned` the Services for which that makes a difference, but for itself.
    pub(super) fn set(
        &mut self,
        service: &ServiceKey,
        created: u64,
        addresses: Box<[(IpAddr, Title)]>,
        concerned: &mut BTreeSet<ServiceKey>,
    ) {
        let former = self.created.get(service).map(|created| Age {
            created: *created,
            service: service.clone(),
        });
        let age = Age {
            created,
            service: service.clone(),
        };
        let before = former.as_ref().and_then(|age| self.by_age.get(age));
        let is_same = match before {
            Some(before) => former.as_ref() == Some(&age) && *before == addresses,
            None => addresses.is_empty(),
        };
        if is_same {
            return;
        }
        let before = former.and_then(|age| self.by_age.remove_entry(&age));
        self.created.remove(service);
        let listed = before.iter().flat_map(|(_, addresses)| addresses.iter());
        let listed = listed.chain(addresses.iter()).map(|(address, _)| *address);
        let listed: BTreeSet<IpAddr> = listed.collect();
        let owners: Vec<Option<ServiceKey>> =
            listed.iter().map(|it| self.owner(*it).cloned()).collect();
        if let Some((age, addresses)) = before {
            self.total -= addresses.len();
            for (address, title) in addresses {
                self.remove(address, title, &age);
            }
        }
        self.total += addresses.len();
        for (address, title) in &addresses {
            let claims = self.of_address.entry(*address).or_default();
            let claim = Claim {
                title: *title,
                age: age.clone(),
            };
            let place = claims.partition_point(|other| *other < claim);
            // Few are shared.
            claims.reserve_exact(1);
            claims.insert(place, claim);
        }
        if !addresses.is_empty() {
            self.created.insert(service.clone(), created);
            self.by_age.insert(age, addresses);
        }
        for (address, owner) in listed.iter().zip(owners) {
            if self.owner(*address) != owner.as_ref() {
                let claims = self.of_address.get(address).into_iter().flatten();
                let others = claims.map(|claim| &claim.age.service);
                concerned.extend(others.filter(|it| *it != service).cloned());
            }
        }
    }

    fn remove(&mut self, address: IpAddr, title: Title, age: &Age) {
        if let Some(claims) = self.of_address.get_mut(&address) {
            claims.retain(|claim| claim.title != title || claim.age != *age);
            if claims.is_empty() {
                self.of_address.remove(&address);
            }
        }
    }

    /// Takes up for whom there is room among so many. Adds to `concerned` the Services for which
    /// that is not as it was. To be called once all that changed is [`set`](Self::set).
    pub(super) fn make_room(&mut self, max: usize, concerned: &mut BTreeSet<ServiceKey>) {
        let mut total = self.total;
        let mut cut = None;
        for (age, addresses) in self.by_age.iter().rev() {
            if total <= max {
                break;
            }
            total -= addresses.len();
            cut = Some(age.clone());
        }
        if cut == self.cut {
            return;
        }
        let former = std::mem::replace(&mut self.cut, cut);
        let between = match (&former, &self.cut) {
            (Some(one), Some(other)) => {
                let (from, to) = (one.min(other), one.max(other));
                self.by_age.range(from..to)
            }
            (Some(from), None) | (None, Some(from)) => self.by_age.range(from..),
            (None, None) => return,
        };
        concerned.extend(between.map(|(age, _)| age.service.clone()));
    }

    /// The Service of another namespace that has the address, if it is not this one's.
    pub(super) fn owner_before(
        &self,
        service: &ServiceFacts,
        kind: AddressKind,
        address: IpAddr,
        sharing: AddressSharing,
    ) -> Option<ServiceKey> {
        match (sharing, kind) {
            (AddressSharing::Anyone, _) | (_, AddressKind::ClusterIp) => return None,
            (
                AddressSharing::WithinNamespace,
                AddressKind::ExternalIp | AddressKind::LoadBalancerIp,
            ) => {}
        }
        let owner = self.owner(address)?;
        (owner.namespace != service.key.namespace).then(|| owner.clone())
    }

    /// Whether there is room for the Service.
    pub(super) fn has_room_for(&self, service: &ServiceFacts) -> bool {
        let Some(cut) = &self.cut else {
            return true;
        };
        (service.created, &service.key) < (cut.created, &cut.service)
    }

    fn owner(&self, address: IpAddr) -> Option<&ServiceKey> {
        let first = self.of_address.get(&address)?.first()?;
        Some(&first.age.service)
    }
}

#[cfg(test)]
mod tests;
