//! What of Services an operator should look at, though nothing is wrong with the agent: told in
//! status, log, metrics and, where somebody else must act, by an Event.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{AddressKind, Candidate, Exclusion, Holder, Serving, Unserved};
use crate::facts::{
    ANNOTATION_BYTES_MAX, ANNOTATIONS_DROPPED, ServiceFacts, ServiceKey, TrafficPolicy,
};
use crate::types::Prefix;

/// Something about a Service that its owner would want to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "concern", rename_all = "kebab-case")]
pub enum Concern {
    /// An address of it is somebody else's.
    AddressRefused {
        /// Whose address it would be.
        service: ServiceKey,
        /// Which.
        address: IpAddr,
        /// Of which of its lists.
        kind: AddressKind,
        /// Whose it is.
        holder: Holder,
    },
    /// It shares an address with a Service that this node answers for, and itself it does not: BGP
    /// knows no ports, so its clients come here and are dropped.
    PortsDropped {
        /// The Service whose ports are dropped here.
        service: ServiceKey,
        /// What both have.
        address: IpAddr,
        /// The Service for which the traffic comes.
        announced_for: ServiceKey,
        /// As in `TCP 443`.
        ports: Vec<String>,
    },
    /// It is for nodes with an endpoint, there is none in the cluster, and a range that every node
    /// announces draws its traffic all the same.
    NoEndpointUnderRange {
        /// Which Service.
        service: ServiceKey,
        /// Its address.
        address: IpAddr,
        /// The range.
        range: Prefix,
    },
    /// It has more addresses than may be announced for one Service.
    TooManyAddresses {
        /// Which Service.
        service: ServiceKey,
        /// How many may be.
        max: usize,
        /// How many are not announced.
        left_out: usize,
    },
    /// With older Services, as much is announced as may be: nothing of this one is.
    NoRoom {
        /// Which Service.
        service: ServiceKey,
        /// How many addresses may be announced.
        max: usize,
    },
    /// Policies are not shown all of its annotations: they are too large.
    AnnotationsDropped {
        /// Which Service.
        service: ServiceKey,
        /// How many are left out.
        dropped: String,
    },
}

/// A [`Concern`] without what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConcernKind {
    /// [`Concern::AddressRefused`].
    AddressRefused,
    /// [`Concern::PortsDropped`].
    PortsDropped,
    /// [`Concern::NoEndpointUnderRange`].
    NoEndpointUnderRange,
    /// [`Concern::TooManyAddresses`].
    TooManyAddresses,
    /// [`Concern::NoRoom`].
    NoRoom,
    /// [`Concern::AnnotationsDropped`].
    AnnotationsDropped,
}

/// The concerns there are, and which of them nobody was told of.
#[derive(Clone, Debug, Default)]
pub(super) struct Concerns {
    of_service: BTreeMap<ServiceKey, Vec<Concern>>,
    of_prefix: BTreeMap<Prefix, Vec<Concern>>,
    new: BTreeSet<Concern>,
}

impl Concerns {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Concern> {
        let of_service = self.of_service.values().flatten();
        of_service.chain(self.of_prefix.values().flatten())
    }

    /// Those about a Service that has candidates of these prefixes; also where it is the one that
    /// is served.
    pub(super) fn of(
        &self,
        service: &ServiceKey,
        prefixes: BTreeSet<Prefix>,
    ) -> impl Iterator<Item = &Concern> {
        let own = self.of_service.get(service).into_iter().flatten();
        let shared = prefixes.into_iter();
        let shared = shared.flat_map(|prefix| self.of_prefix.get(&prefix).into_iter().flatten());
        own.chain(shared)
    }

    pub(super) fn take_new(&mut self) -> Vec<Concern> {
        std::mem::take(&mut self.new).into_iter().collect()
    }

    /// Takes what there is to say of a Service by itself: with these candidates, and addresses
    /// `refused`.
    pub(super) fn set_service(
        &mut self,
        service: &ServiceKey,
        candidates: &[Candidate],
        refused: Vec<Concern>,
    ) {
        let unserved = candidates.iter().filter_map(no_endpoint_under_range);
        let concerns: Vec<Concern> = refused.into_iter().chain(unserved).collect();
        replace(&mut self.of_service, &mut self.new, service, concerns);
    }

    /// Takes what there is to say of those who share an address.
    pub(super) fn set_shared(&mut self, prefix: Prefix, concerns: Vec<Concern>) {
        replace(&mut self.of_prefix, &mut self.new, &prefix, concerns);
    }
}

fn replace<K: Ord + Clone>(
    all: &mut BTreeMap<K, Vec<Concern>>,
    new: &mut BTreeSet<Concern>,
    key: &K,
    concerns: Vec<Concern>,
) {
    let before = if concerns.is_empty() {
        all.remove(key)
    } else {
        all.insert(key.clone(), concerns.clone())
    };
    let before = before.unwrap_or_default();
    for gone in before.iter().filter(|concern| !concerns.contains(concern)) {
        new.remove(gone);
    }
    new.extend(concerns.into_iter().filter(|it| !before.contains(it)));
}

fn no_endpoint_under_range(candidate: &Candidate) -> Option<Concern> {
    let Candidate {
        key,
        service,
        covered_by,
        serving,
    } = candidate;
    let (service, range, serving) = (service.as_ref()?, (*covered_by)?, (*serving)?);
    let kind = key.origin.address_kind()?;
    match (serving, super::traffic_policy(service, kind)) {
        (Serving::Unserved(Unserved::NoEndpoint), TrafficPolicy::Local) => {
            Some(Concern::NoEndpointUnderRange {
                service: service.key.clone(),
                address: key.prefix.address(),
                range,
            })
        }
        (Serving::Unserved(_) | Serving::AnyNode | Serving::ThisNode, _) => None,
    }
}

/// What there is to say of a Service that policies do not see all of.
pub(super) fn dropped(service: &ServiceFacts) -> Option<Concern> {
    let dropped = service.annotations.get(ANNOTATIONS_DROPPED)?;
    Some(Concern::AnnotationsDropped {
        service: service.key.clone(),
        dropped: dropped.clone(),
    })
}

/// What there is to say of a Service, of whose addresses these are left out for their number.
pub(super) fn limited(service: &ServiceKey, limits: &[Exclusion]) -> Vec<Concern> {
    let too_many = |exclusion: &Exclusion| {
        let Exclusion::TooManyAddresses(max) = exclusion else {
            return None;
        };
        Some(*max)
    };
    let no_room = |exclusion: &Exclusion| {
        let Exclusion::NoRoom(max) = exclusion else {
            return None;
        };
        Some(*max)
    };
    let service = service.clone();
    let left_out = limits.iter().filter_map(too_many).count();
    let too_many = limits.iter().find_map(too_many);
    let too_many = too_many.map(|max| Concern::TooManyAddresses {
        service: service.clone(),
        max,
        left_out,
    });
    let no_room = limits.iter().find_map(no_room);
    let no_room = no_room.map(|max| Concern::NoRoom { service, max });
    too_many.into_iter().chain(no_room).collect()
}

/// What there is to say of the candidates of one prefix: who is dropped where another is served.
pub(super) fn shared(sharers: &[&Candidate]) -> Vec<Concern> {
    let services = || {
        let services = sharers.iter();
        services.filter_map(|candidate| Some((candidate.service.as_ref()?, candidate)))
    };
    let is_served = |candidate: &Candidate| candidate.serving.is_some_and(Serving::is_served);
    let Some((served, _)) = services().find(|(_, candidate)| is_served(candidate)) else {
        return Vec::new();
    };
    services()
        .filter(|(service, candidate)| is_dropped(candidate) && service.key != served.key)
        .map(|(service, candidate)| Concern::PortsDropped {
            service: service.key.clone(),
            address: candidate.key.prefix.address(),
            announced_for: served.key.clone(),
            ports: ports(service),
        })
        .collect()
}

/// Whether traffic for it ends on this node, which is said to answer and does not.
fn is_dropped(candidate: &Candidate) -> bool {
    match candidate.serving {
        Some(Serving::Unserved(why)) => match why {
            Unserved::OtherFamily
            | Unserved::NoEndpoint
            | Unserved::NoEndpointHere
            | Unserved::EndpointsWithoutNode => true,
            Unserved::OtherProxy | Unserved::LoadBalancerAnswers => false,
        },
        Some(Serving::AnyNode | Serving::ThisNode) | None => false,
    }
}

fn ports(service: &ServiceFacts) -> Vec<String> {
    let ports = service.ports.iter();
    ports
        .map(|port| format!("{} {}", port.protocol, port.port))
        .collect()
}

impl Concern {
    /// The Service it is about.
    #[must_use]
    pub fn service(&self) -> &ServiceKey {
        match self {
            Self::AddressRefused { service, .. }
            | Self::PortsDropped { service, .. }
            | Self::NoEndpointUnderRange { service, .. }
            | Self::TooManyAddresses { service, .. }
            | Self::NoRoom { service, .. }
            | Self::AnnotationsDropped { service, .. } => service,
        }
    }

    /// What sort of concern it is.
    #[must_use]
    pub fn kind(&self) -> ConcernKind {
        match self {
            Self::AddressRefused { .. } => ConcernKind::AddressRefused,
            Self::PortsDropped { .. } => ConcernKind::PortsDropped,
            Self::NoEndpointUnderRange { .. } => ConcernKind::NoEndpointUnderRange,
            Self::TooManyAddresses { .. } => ConcernKind::TooManyAddresses,
            Self::NoRoom { .. } => ConcernKind::NoRoom,
            Self::AnnotationsDropped { .. } => ConcernKind::AnnotationsDropped,
        }
    }
}

impl ConcernKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AddressRefused,
        Self::PortsDropped,
        Self::NoEndpointUnderRange,
        Self::TooManyAddresses,
        Self::NoRoom,
        Self::AnnotationsDropped,
    ];

    /// A short name for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AddressRefused => "address-refused",
            Self::PortsDropped => "ports-dropped",
            Self::NoEndpointUnderRange => "no-endpoint-under-range",
            Self::TooManyAddresses => "too-many-addresses",
            Self::NoRoom => "no-room",
            Self::AnnotationsDropped => "annotations-dropped",
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressRefused {
                service,
                address,
                kind,
                holder,
            } => write!(
                f,
                "{kind} IP {address} of {service} is not announced: the address is {holder}, and {}",
                holder.exclusive()
            ),
            Self::TooManyAddresses {
                service,
                max,
                left_out,
            } => write!(
                f,
                "{service} has more than {max} addresses, as many as are announced for a Service: \
                 {left_out} are not (advertise.max-service-addresses)"
            ),
            Self::AnnotationsDropped { service, dropped } => write!(
                f,
                "{service} has more than {ANNOTATION_BYTES_MAX} octets of annotations: policies do not \
                 see the largest {dropped}"
            ),
            Self::NoRoom { service, max } => write!(
                f,
                "{service} is not announced: with older Services, {max} addresses are \
                 (advertise.max-service-routes)"
            ),
            Self::PortsDropped {
                service,
                address,
                announced_for,
                ports,
            } => write!(
                f,
                "{address} is shared by {announced_for}, which this node serves, and {service}, \
                 which it does not: it drops what comes for {}",
                ports.join(", ")
            ),
            Self::NoEndpointUnderRange {
                service,
                address,
                range,
            } => write!(
                f,
                "{service} has no usable endpoint in the cluster, and its traffic policy is Local: \
                 the range {range} draws traffic for {address} to nodes that drop it"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
