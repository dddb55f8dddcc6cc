//! What this node could announce: a pure function of the facts, kept up to date in steps.
//!
//! A [`Candidate`] is one prefix for one reason (its [`Origin`]); two Services that share an
//! address give two candidates of one prefix, and whoever announces counts them by prefix.
//! Whether a candidate *should* be announced is for [`policy`](crate::policy) to say.
//!
//! The owner of the [`ClusterView`] gives [`Candidates`] each change of it and passes on what
//! comes out. A Service's change costs that Service's work, and that of those with which it shares an
//! address that changes hands. The outcome depends on the view
//! and the configuration alone, never on the way there.
//!
//! | what | is a candidate if |
//! |---|---|
//! | a pod CIDR of the own Node | [`PodCidrs::Advertise`], and no IPAM gives nodes blocks |
//! | a block of the own Node, or an address that one of its pods borrowed | [`PodCidrs::Advertise`], and the IPAM lets it be announced |
//! | a configured range of Service addresses | it is more than one address; whatever Services there are |
//! | an address of a Service | a range configured for its kind contains it; not if the Service is headless, an alias or being deleted, nor if the address is [somebody's](Holder), another namespace's among them, nor beyond [`RouteLimits`] |
//!
//! Whether the node's service proxy answers for an address ([`Serving`]) is told with each.
//!
//! **Without the own Node there are no candidates**: a policy decides for a node, so there is
//! nobody to ask about. A Node that was deleted is a fact, and withdraws; an API server that does
//! not answer is not, and leaves the view as it is.

mod answered;
mod claims;
mod concern;
mod config;
mod exclusion;
mod reserved;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use serde::{Deserialize, Serialize};

use crate::facts::{
    ClusterChange, ClusterView, NodeFacts, ServiceFacts, ServiceKey, ServiceType, is_api_service,
};
use crate::types::Prefix;

pub use concern::{Concern, ConcernKind};
pub use config::{AddressSharing, AdvertiseConfig, PodCidrs, RouteLimits};
pub use exclusion::Exclusion;
pub use reserved::Holder;
pub use serving::{Serving, Unserved, serving, traffic_policy};

use answered::Answered;
use claims::{Claims, Title};
use concern::Concerns;
use reserved::Reserved;

/// Everything this node could announce at present.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    config: AdvertiseConfig,
    /// Whether the view had the own Node when it was last looked at.
    node: NodePresence,
    by_key: BTreeMap<CandidateKey, Candidate>,
    /// The keys that are not a Service's.
    of_node: Vec<CandidateKey>,
    /// The keys of each Service that has any.
    of_service: BTreeMap<ServiceKey, Vec<CandidateKey>>,
    /// Addresses that no Service may take.
    reserved: Reserved,
    claims: Claims,
    answered: Answered,
    concerns: Concerns,
}

/// Which list of CIDRs, or which of a Service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressKind {
    /// `spec.clusterIPs`, allocated from the service cluster CIDRs.
    ClusterIp,
    /// `spec.externalIPs`, allowed by the service external CIDRs.
    ExternalIp,
    /// `status.loadBalancer.ingress`, allowed by the service load-balancer CIDRs.
    LoadBalancerIp,
}

/// Why a prefix is a candidate. Ordered: pods, then aggregates, then single addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// A pod CIDR of this node.
    PodCidr,
    /// A block of pod addresses that an IPAM gave this node, or a single one of another's block.
    IpamBlock,
    /// A whole configured range of Service addresses, to be announced from every node.
    ServiceCidr {
        /// Which of the three lists it is from.
        addresses: AddressKind,
    },
    /// One address of a Service, as a /32 or /128.
    ServiceAddress {
        /// Whose.
        service: ServiceKey,
        /// Which of its addresses.
        address: AddressKind,
    },
}

/// What tells one candidate from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CandidateKey {
    /// What would be announced.
    pub prefix: Prefix,
    /// And why.
    pub origin: Origin,
}

impl CandidateKey {
    /// The key that no other of the prefix sorts before.
    #[must_use]
    pub fn first_of(prefix: Prefix) -> Self {
        let origin = Origin::PodCidr;
        Self { prefix, origin }
    }
}

/// A prefix this node could announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Prefix and origin.
    pub key: CandidateKey,
    /// The Service, where the origin is one of its addresses.
    pub service: Option<Arc<ServiceFacts>>,
    /// The configured range, itself a candidate, that covers this address.
    pub covered_by: Option<Prefix>,
    /// What becomes of traffic for it on this node, where the origin is an address of a Service.
    pub serving: Option<Serving>,
}

/// A step from one set of candidates to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateChange {
    /// New, or of the same key with other facts.
    Upsert(Candidate),
    /// No longer possible: whatever a policy says, it must not be announced.
    Removed(CandidateKey),
}

/// An address of a Service, with the range that covers it or why it is no candidate.
type Judged = (AddressKind, IpAddr, Result<Option<Prefix>, Exclusion>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum NodePresence {
    Present,
    #[default]
    Absent,
}

impl Candidates {
    /// None, until [`apply`](Self::apply) shows a view.
    #[must_use]
    pub fn new(config: AdvertiseConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Takes another configuration into use. Returns what differs, ordered by key.
    pub fn configure(
        &mut self,
        config: AdvertiseConfig,
        view: &ClusterView,
    ) -> Vec<CandidateChange> {
        if config == self.config {
            return Vec::new();
        }
        self.config = config;
        self.recompute(view)
    }

    /// Takes in a step of the view: `view` as it is after it, `changes` what differs from the view
    /// shown before. Returns what differs in the candidates, ordered by key, each key once;
    /// nothing about Services that `changes` does not name, but for those that it gives an address
    /// or room, or takes it from.
    pub fn apply(&mut self, view: &ClusterView, changes: &[ClusterChange]) -> Vec<CandidateChange> {
        if NodePresence::of(view) != self.node {
            return self.recompute(view);
        }
        let mut services: BTreeSet<ServiceKey> = BTreeSet::new();
        let mut steps = Vec::new();
        for change in changes {
            match change {
                ClusterChange::Node => {
                    self.update_node(view, &mut steps);
                    services.extend(self.update_reserved(view));
                }
                ClusterChange::Networks => services.extend(self.update_reserved(view)),
                ClusterChange::Peerings => {}
                ClusterChange::Service(key) => {
                    if is_api_service(key) {
                        services.extend(self.update_reserved(view));
                    }
                    services.insert(key.clone());
                }
            }
        }
        self.update_claims(&mut services, view);
        for key in &services {
            self.update_service(key, view, &mut steps);
        }
        ordered(steps)
    }

    /// What of Services an operator should look at, at present.
    pub fn concerns(&self) -> impl Iterator<Item = &Concern> {
        self.concerns.iter()
    }

    /// Those about one Service.
    pub fn concerns_of(&self, service: &ServiceKey) -> impl Iterator<Item = &Concern> {
        let prefixes = self
            .of_service(service)
            .map(|candidate| candidate.key.prefix);
        self.concerns.of(service, prefixes.collect())
    }

    /// The concerns that came up since this was last asked, and still are there.
    pub fn take_new_concerns(&mut self) -> Vec<Concern> {
        self.concerns.take_new()
    }

    /// The addresses of a Service that are no candidates, and why: by kind, then as listed, each
    /// once.
    #[must_use]
    pub fn exclusions(&self, service: &ServiceFacts) -> Vec<(IpAddr, AddressKind, Exclusion)> {
        let mut seen = BTreeSet::new();
        let judged = self.judged(service).into_iter();
        judged
            .filter(|(kind, address, _)| seen.insert((*kind, *address)))
            .filter_map(|(kind, address, judged)| Some((address, kind, judged.err()?)))
            .collect()
    }

    /// Every candidate, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.by_key.values()
    }

    /// The candidates of one prefix, ordered by origin. While there is one, the prefix may be
    /// announced.
    pub fn by_prefix(&self, prefix: Prefix) -> impl Iterator<Item = &Candidate> {
        let first = CandidateKey {
            prefix,
            // The least of all origins.
            origin: Origin::PodCidr,
        };
        self.by_key
            .range(first..)
            .map(|(_, candidate)| candidate)
            .take_while(move |candidate| candidate.key.prefix == prefix)
    }

    /// The candidates of one Service, ordered by key.
    pub fn of_service(&self, service: &ServiceKey) -> impl Iterator<Item = &Candidate> {
        let keys = self.of_service.get(service).into_iter().flatten();
        keys.filter_map(|key| self.by_key.get(key))
    }

    /// The candidates whose prefix is shorter than this one and contains it, shortest first:
    /// without a route of its own, its traffic takes theirs.
    pub fn covering(&self, prefix: Prefix) -> impl Iterator<Item = &Candidate> {
        let shorter = (0..prefix.length()).filter_map(move |length| {
            let net = IpNet::new(prefix.address(), length).ok()?;
            Some(Prefix::new(net))
        });
        shorter.flat_map(|prefix| self.by_prefix(prefix))
    }

    /// Whether the nodes' service proxies answer for an address, announced or not: it is a
    /// Service's, and nobody else's.
    #[must_use]
    pub fn is_answered(&self, address: IpAddr) -> bool {
        self.answered.contains(address)
    }

    /// All such addresses.
    pub fn answered(&self) -> impl Iterator<Item = IpAddr> {
        self.answered.iter()
    }

    /// The addresses of which [`Self::is_answered`] may say something else than when this was last
    /// asked.
    pub fn take_answered_changes(&mut self) -> BTreeSet<IpAddr> {
        self.answered.take_touched()
    }

    fn recompute(&mut self, view: &ClusterView) -> Vec<CandidateChange> {
        self.node = NodePresence::of(view);
        self.reserved = Reserved::of(view, &self.config);
        let mut steps = Vec::new();
        self.update_node(view, &mut steps);
        let gone = self
            .of_service
            .keys()
            .chain(self.answered.services())
            .cloned();
        let mut services: BTreeSet<ServiceKey> =
            gone.chain(view.services.keys().cloned()).collect();
        self.claims = Claims::default();
        self.update_claims(&mut services, view);
        for key in &services {
            self.update_service(key, view, &mut steps);
        }
        ordered(steps)
    }

    /// Takes up who holds which addresses; returns the Services for which that makes a difference.
    fn update_reserved(&mut self, view: &ClusterView) -> Vec<ServiceKey> {
        let reserved = Reserved::of(view, &self.config);
        if reserved == self.reserved {
            return Vec::new();
        }
        let former = std::mem::replace(&mut self.reserved, reserved);
        let concerned = |service: &&Arc<ServiceFacts>| {
            addresses(service)
                .any(|(_, address)| former.holder_of(address) != self.reserved.holder_of(address))
        };
        let services = view.services.values().filter(concerned);
        services.map(|service| service.key.clone()).collect()
    }

    fn update_node(&mut self, view: &ClusterView, steps: &mut Vec<CandidateChange>) {
        let new = match &view.node {
            Some(node) => node_candidates(node, &self.config),
            None => Vec::new(),
        };
        let old = std::mem::take(&mut self.of_node);
        self.of_node = self.replace(&old, new, steps);
    }

    /// Takes up what Services that changed list; adds those for which that makes a difference.
    fn update_claims(&mut self, services: &mut BTreeSet<ServiceKey>, view: &ClusterView) {
        let mut concerned = BTreeSet::new();
        for key in services.iter() {
            let service = self.visible(key, view);
            let created = service.map_or(0, |service| service.created);
            let listed = service.map_or_else(BTreeMap::new, |service| {
                let mut listed: BTreeMap<IpAddr, Title> = BTreeMap::new();
                for (kind, address, admissible) in self.admissible(service) {
                    if admissible.is_ok() {
                        let title = Title::from(kind);
                        let best = listed.entry(address).or_insert(title);
                        *best = title.min(*best);
                    }
                }
                listed
            });
            let listed = listed.into_iter().collect();
            self.claims.set(key, created, listed, &mut concerned);
        }
        let max = self.config.limits.service_routes;
        self.claims.make_room(max, &mut concerned);
        services.append(&mut concerned);
    }

    /// The Service, while there is somebody to announce it.
    fn visible<'v>(
        &self,
        key: &ServiceKey,
        view: &'v ClusterView,
    ) -> Option<&'v Arc<ServiceFacts>> {
        match self.node {
            NodePresence::Present => view.services.get(key),
            NodePresence::Absent => None,
        }
    }

    fn update_service(
        &mut self,
        key: &ServiceKey,
        view: &ClusterView,
        steps: &mut Vec<CandidateChange>,
    ) {
        let service = self.visible(key, view);
        let answered = service.map_or_else(BTreeSet::new, |service| {
            let holder = |kind, address| self.reserved.holder(service, kind, address);
            answered::of(service, &self.config, |kind, address| {
                holder(kind, address).is_some()
            })
        });
        self.answered.set(key, answered);
        let (new, refused) = service.map_or_else(Default::default, |it| self.of_addresses(it));
        self.concerns.set_service(key, &new, refused);
        let old = self.of_service.remove(key).unwrap_or_default();
        let keys = self.replace(&old, new, steps);
        let prefixes = old.iter().chain(&keys).map(|key| key.prefix);
        for prefix in prefixes.collect::<BTreeSet<_>>() {
            let sharers: Vec<&Candidate> = self.by_prefix(prefix).collect();
            let shared = concern::shared(&sharers);
            self.concerns.set_shared(prefix, shared);
        }
        if !keys.is_empty() {
            self.of_service.insert(key.clone(), keys);
        }
    }

    /// A Service's addresses that are candidates, ordered by key, each once; and what there is to say
    /// of those that are refused because they are somebody's.
    fn of_addresses(&self, service: &Arc<ServiceFacts>) -> (Vec<Candidate>, Vec<Concern>) {
        let mut candidates = Vec::new();
        let mut refused = Vec::new();
        let mut limits = Vec::new();
        for (kind, address, judged) in self.judged(service) {
            match judged {
                Ok(covered_by) => candidates.push(Candidate {
                    key: CandidateKey {
                        prefix: Prefix::host(address),
                        origin: Origin::ServiceAddress {
                            service: service.key.clone(),
                            address: kind,
                        },
                    },
                    service: Some(Arc::clone(service)),
                    covered_by,
                    serving: Some(serving(service, kind, address, &self.config)),
                }),
                Err(Exclusion::Reserved(holder)) => refused.push(Concern::AddressRefused {
                    service: service.key.clone(),
                    address,
                    kind,
                    holder,
                }),
                Err(limit @ (Exclusion::TooManyAddresses(_) | Exclusion::NoRoom(_))) => {
                    limits.push(limit);
                }
                Err(
                    Exclusion::Deleting
                    | Exclusion::Headless
                    | Exclusion::ExternalName
                    | Exclusion::NotLoadBalancer
                    | Exclusion::OutsideRanges
                    | Exclusion::LoadBalancerClass
                    | Exclusion::Unroutable,
                ) => {}
            }
        }
        candidates.sort_by(|a, b| a.key.cmp(&b.key));
        candidates.dedup_by(|a, b| a.key == b.key);
        refused.extend(concern::limited(&service.key, &limits));
        // Of one that is no candidate, nobody asks a policy.
        refused.extend(concern::dropped(service).filter(|_| !candidates.is_empty()));
        (candidates, refused)
    }

    /// Each address of a Service, by kind, as listed, with the range that covers it or why it is no
    /// candidate.
    fn judged(&self, service: &ServiceFacts) -> Vec<Judged> {
        let has_room = self.claims.has_room_for(service);
        let judge = |(kind, address, admissible): Judged| {
            let judged = admissible.and_then(|covered_by| {
                let sharing = self.config.address_sharing;
                let owner = self.claims.owner_before(service, kind, address, sharing);
                match owner {
                    Some(owner) => Err(Exclusion::Reserved(Holder::Service(owner))),
                    None if has_room => Ok(covered_by),
                    None => Err(Exclusion::NoRoom(self.config.limits.service_routes)),
                }
            });
            (kind, address, judged)
        };
        self.admissible(service).into_iter().map(judge).collect()
    }

    /// The same by the Service alone, whatever others have. Beyond the number that one may have,
    /// cluster IPs are left before those that a load balancer gave, and these before external ones;
    /// among equals, the lower addresses.
    fn admissible(&self, service: &ServiceFacts) -> Vec<Judged> {
        let covered = addresses(service)
            .map(|(kind, address)| (kind, address, self.coverage(service, kind, address)));
        let mut covered: Vec<Judged> = covered.collect();
        let max = self.config.limits.service_addresses;
        if covered.len() <= max {
            return covered;
        }
        let admissible = covered.iter().filter(|(.., covered)| covered.is_ok());
        let ranked = admissible.map(|(kind, address, _)| (Title::from(*kind), *address));
        let ranked: BTreeSet<(Title, IpAddr)> = ranked.collect();
        let mut kept = BTreeSet::new();
        for (_, address) in ranked {
            if kept.len() < max {
                kept.insert(address);
            }
        }
        for (_, address, covered) in &mut covered {
            if covered.is_ok() && !kept.contains(address) {
                *covered = Err(Exclusion::TooManyAddresses(max));
            }
        }
        covered
    }

    /// The configured range, itself a candidate, that covers an address of a Service; none if
    /// only the address itself is configured.
    ///
    /// # Errors
    /// Why the address is no candidate.
    fn coverage(
        &self,
        service: &ServiceFacts,
        kind: AddressKind,
        address: IpAddr,
    ) -> Result<Option<Prefix>, Exclusion> {
        if service.deleting {
            return Err(Exclusion::Deleting);
        }
        match service.service_type {
            ServiceType::ExternalName => return Err(Exclusion::ExternalName),
            ServiceType::ClusterIP | ServiceType::NodePort
                if kind == AddressKind::LoadBalancerIp =>
            {
                return Err(Exclusion::NotLoadBalancer);
            }
            ServiceType::ClusterIP | ServiceType::NodePort | ServiceType::LoadBalancer => {}
        }
        if service.headless {
            return Err(Exclusion::Headless);
        }
        let ranges = self.config.ranges(kind).iter();
        let containing = ranges.filter(|range| range.contains(address)).copied();
        if containing.clone().next().is_none() {
            return Err(Exclusion::OutsideRanges);
        }
        if kind == AddressKind::LoadBalancerIp && !self.config.is_ours(service) {
            return Err(Exclusion::LoadBalancerClass);
        }
        if Prefix::host(address).unroutable().is_some() {
            return Err(Exclusion::Unroutable);
        }
        if let Some(holder) = self.reserved.holder(service, kind, address) {
            return Err(Exclusion::Reserved(holder));
        }
        let wider = containing.filter(|range| !range.is_host());
        Ok(wider.max_by_key(Prefix::length))
    }

    /// Puts `new`, ordered by key, in place of the candidates with the keys `old`; returns the new
    /// keys.
    fn replace(
        &mut self,
        old: &[CandidateKey],
        new: Vec<Candidate>,
        steps: &mut Vec<CandidateChange>,
    ) -> Vec<CandidateKey> {
        let keys: Vec<CandidateKey> = new.iter().map(|candidate| candidate.key.clone()).collect();
        for key in old {
            if keys.binary_search(key).is_err() {
                self.by_key.remove(key);
                steps.push(CandidateChange::Removed(key.clone()));
            }
        }
        for candidate in new {
            // Put in place even if it is equal, so that the facts are shared with the view.
            let before = self.by_key.insert(candidate.key.clone(), candidate.clone());
            if before.as_ref() != Some(&candidate) {
                steps.push(CandidateChange::Upsert(candidate));
            }
        }
        keys
    }
}

impl NodePresence {
    fn of(view: &ClusterView) -> Self {
        match view.node {
            Some(_) => Self::Present,
            None => Self::Absent,
        }
    }
}

/// Pod CIDRs or blocks, and configured ranges, ordered by key, each once.
fn node_candidates(node: &NodeFacts, config: &AdvertiseConfig) -> Vec<Candidate> {
    let mut keys = BTreeSet::new();
    match config.pod_cidrs {
        PodCidrs::Advertise => {
            let (prefixes, origin) = match &node.blocks {
                Some(blocks) => (&blocks.announced, Origin::IpamBlock),
                None => (&node.pod_cidrs, Origin::PodCidr),
            };
            let routable = |prefix: &&Prefix| prefix.unroutable().is_none();
            keys.extend(prefixes.iter().filter(routable).map(|prefix| CandidateKey {
                prefix: *prefix,
                origin: origin.clone(),
            }));
        }
        PodCidrs::Ignore => {}
    }
    for addresses in AddressKind::ALL {
        let ranges = config.ranges(addresses).iter();
        keys.extend(
            ranges
                .filter(|range| !range.is_host())
                .map(|range| CandidateKey {
                    prefix: *range,
                    origin: Origin::ServiceCidr { addresses },
                }),
        );
    }
    let candidate = |key| Candidate {
        key,
        service: None,
        covered_by: None,
        serving: None,
    };
    keys.into_iter().map(candidate).collect()
}

/// The addresses of a Service, by kind, as listed.
pub fn addresses(service: &ServiceFacts) -> impl Iterator<Item = (AddressKind, IpAddr)> {
    let of_kind = |kind| move |address: &IpAddr| (kind, *address);
    let cluster = service.cluster_ips.iter();
    let external = service.external_ips.iter();
    let ingress = service.load_balancer_ips.iter();
    cluster
        .map(of_kind(AddressKind::ClusterIp))
        .chain(external.map(of_kind(AddressKind::ExternalIp)))
        .chain(ingress.map(|ingress| (AddressKind::LoadBalancerIp, ingress.address)))
}

fn ordered(mut steps: Vec<CandidateChange>) -> Vec<CandidateChange> {
    steps.sort_by(|a, b| a.key().cmp(b.key()));
    steps
}

impl CandidateChange {
    /// What changed.
    #[must_use]
    pub fn key(&self) -> &CandidateKey {
        match self {
            Self::Upsert(candidate) => &candidate.key,
            Self::Removed(key) => key,
        }
    }
}

impl AddressKind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::ClusterIp, Self::ExternalIp, Self::LoadBalancerIp];
}

impl Origin {
    /// Whose address it is, where it is one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::ServiceAddress { service, .. } => Some(service),
            Self::PodCidr | Self::IpamBlock | Self::ServiceCidr { .. } => None,
        }
    }

    /// Which of its addresses that is.
    #[must_use]
    pub fn address_kind(&self) -> Option<AddressKind> {
        match self {
            Self::ServiceAddress { address, .. } => Some(*address),
            Self::PodCidr | Self::IpamBlock | Self::ServiceCidr { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodCidr => f.write_str("pod CIDR"),
            Self::IpamBlock => f.write_str("IPAM block"),
            Self::ServiceCidr { addresses } => write!(f, "service {addresses} range"),
            Self::ServiceAddress { service, address } => write!(f, "{address} IP of {service}"),
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterIp => "cluster",
            Self::ExternalIp => "external",
            Self::LoadBalancerIp => "load-balancer",
        })
    }
}

#[cfg(test)]
mod tests;
