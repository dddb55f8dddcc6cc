//! Random histories: steps lead where a computation from scratch, written apart, leads.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Service(Box<ServiceFacts>),
    ServiceGone(u8),
    Node(Option<Vec<&'static str>>),
    Configure(AdvertiseConfig),
}

/// In one of two namespaces.
fn key(number: u8) -> ServiceKey {
    let namespace = if number < 3 { "shop" } else { "bank" };
    ServiceKey::new(namespace, &format!("s{number}"))
}

fn random_service() -> impl Strategy<Value = ServiceFacts> {
    let some_of = |texts: &'static [&'static str]| {
        prop::collection::vec(prop::sample::select(texts), 0..3).prop_map(|texts| ips(&texts))
    };
    let addresses = (
        some_of(&["10.96.0.1", "10.96.0.2", "10.97.0.1", "fd00:96::1"]),
        some_of(&["198.51.100.1", "203.0.113.7", "10.96.0.1"]),
        some_of(&["192.0.2.1", "192.0.2.2", "2001:db8:b::1", "2001:db8:c::1"]),
    );
    let rarely = || prop::bool::weighted(0.1);
    let created = 0..3_u64;
    let state = (
        created,
        rarely(),
        rarely(),
        prop::sample::select(&TYPES[..]),
        0..3u32,
    );
    (0..5u8, addresses, state).prop_map(|(number, addresses, state)| {
        let (cluster_ips, external_ips, load_balancer_ips) = addresses;
        let (created, headless, deleting, service_type, ready) = state;
        let mut service = ServiceFacts {
            created,
            key: key(number),
            headless,
            deleting,
            service_type,
            cluster_ips,
            external_ips,
            load_balancer_ips: load_balancer_ips.into_iter().map(Into::into).collect(),
            ..service("any")
        };
        service.node_endpoints.ipv4.ready = ready;
        service
    })
}

fn random_config() -> impl Strategy<Value = AdvertiseConfig> {
    let some_of = |texts: &'static [&'static str]| {
        prop::collection::vec(prop::sample::select(texts), 0..4).prop_map(|texts| prefixes(&texts))
    };
    (
        prop_oneof![Just(PodCidrs::Advertise), Just(PodCidrs::Ignore)],
        some_of(&["10.96.0.0/16", "10.96.0.0/24", "10.96.0.1", "fd00:96::/112"]),
        some_of(&["198.51.100.0/24", "203.0.113.7", "10.96.0.0/16"]),
        some_of(&["192.0.2.0/24", "192.0.2.1", "2001:db8:b::/64"]),
        prop_oneof![
            Just(AddressSharing::WithinNamespace),
            Just(AddressSharing::Anyone)
        ],
        prop_oneof![Just(64), 1..4_usize],
        prop_oneof![Just(64), 1..12_usize],
    )
        .prop_map(
            |(
                pod_cidrs,
                cluster,
                external,
                load_balancer,
                address_sharing,
                service_addresses,
                service_routes,
            )| AdvertiseConfig {
                pod_cidrs,
                address_sharing,
                limits: RouteLimits {
                    service_addresses,
                    service_routes,
                },
                service_cluster_cidrs: cluster,
                service_external_cidrs: external,
                service_load_balancer_cidrs: load_balancer,
                ..AdvertiseConfig::default()
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let pods = prop::sample::subsequence(vec!["10.244.1.0/24", "fd00:244::/64"], 0..=2);
    prop_oneof![
        8 => random_service().prop_map(|service| Step::Service(Box::new(service))),
        2 => (0..5u8).prop_map(Step::ServiceGone),
        1 => prop::option::weighted(0.8, pods).prop_map(Step::Node),
        1 => random_config().prop_map(Step::Configure),
    ]
}

/// What must be a candidate, from nothing but the rules: every prefix that could be one is tried.
fn from_scratch(view: &ClusterView, config: &AdvertiseConfig) -> BTreeMap<CandidateKey, Candidate> {
    let mut found = BTreeMap::new();
    let Some(node) = &view.node else {
        return found;
    };
    let mut add =
        |prefix: Prefix, origin: Origin, service: Option<Arc<ServiceFacts>>, covered_by| {
            let serving = service.as_ref().zip(origin.address_kind());
            let serving =
                serving.map(|(it, kind)| serving::serving(it, kind, prefix.address(), config));
            let key = CandidateKey { prefix, origin };
            let candidate = Candidate {
                key: key.clone(),
                service,
                covered_by,
                serving,
            };
            found.insert(key, candidate);
        };
    let listings = listings(view, config);
    if config.pod_cidrs == PodCidrs::Advertise {
        for pods in &node.pod_cidrs {
            add(*pods, Origin::PodCidr, None, None);
        }
    }
    for (addresses, ranges) in [
        (AddressKind::ClusterIp, &config.service_cluster_cidrs),
        (AddressKind::ExternalIp, &config.service_external_cidrs),
        (
            AddressKind::LoadBalancerIp,
            &config.service_load_balancer_cidrs,
        ),
    ] {
        for range in ranges {
            if range.net().network() != range.net().broadcast() {
                add(*range, Origin::ServiceCidr { addresses }, None, None);
            }
        }
        for service in view.services.values() {
            let ingress: Vec<IpAddr> = service
                .load_balancer_ips
                .iter()
                .map(|ingress| ingress.address)
                .collect();
            let listed = match addresses {
                AddressKind::ClusterIp => &service.cluster_ips,
                AddressKind::ExternalIp => &service.external_ips,
                AddressKind::LoadBalancerIp => &ingress,
            };
            for address in listed {
                let containing = |range: &&Prefix| range.covers(&Prefix::host(*address));
                let mut containing: Vec<Prefix> =
                    ranges.iter().filter(containing).copied().collect();
                if !may_have(&listings, service, addresses, *address, config) {
                    continue;
                }
                if expected(service, addresses, !containing.is_empty()).is_some() {
                    continue;
                }
                containing.retain(|range| range.length() < Prefix::host(*address).length());
                containing.sort_by_key(Prefix::length);
                let origin = Origin::ServiceAddress {
                    service: service.key.clone(),
                    address: addresses,
                };
                let covered_by = containing.last().copied();
                add(
                    Prefix::host(*address),
                    origin,
                    Some(Arc::clone(service)),
                    covered_by,
                );
            }
        }
    }
    found
}

/// The addresses of each Service that could be announced, by itself, each with the best of the
/// lists that it is in: cluster IPs are better than load balancers' and these than external ones.
type Listings = Vec<(Arc<ServiceFacts>, Vec<(u8, IpAddr)>)>;

/// The oldest Services first, as many as there is room for; then those for which there is none.
fn listings(view: &ClusterView, config: &AdvertiseConfig) -> (Listings, Listings) {
    let is_in = |ranges: &[Prefix], address: IpAddr| {
        ranges
            .iter()
            .any(|range| range.covers(&Prefix::host(address)))
    };
    let listed = |service: &Arc<ServiceFacts>| {
        let mut all = Vec::new();
        for (kind, address) in addresses(service) {
            let (rank, ranges) = match kind {
                AddressKind::ClusterIp => (0, &config.service_cluster_cidrs),
                AddressKind::LoadBalancerIp => (1, &config.service_load_balancer_cidrs),
                AddressKind::ExternalIp => (2, &config.service_external_cidrs),
            };
            if expected(service, kind, is_in(ranges, address)).is_none() {
                all.push((rank, address));
            }
        }
        all.sort_unstable();
        let mut once: Vec<(u8, IpAddr)> = Vec::new();
        for (rank, address) in all {
            if once.iter().all(|(_, other)| *other != address) {
                once.push((rank, address));
            }
        }
        once.truncate(config.limits.service_addresses);
        (Arc::clone(service), once)
    };
    let mut services: Listings = view.services.values().map(listed).collect();
    services.sort_by_key(|(service, _)| (service.created, service.key.clone()));
    let mut room = config.limits.service_routes;
    let fit = services.iter().take_while(|(_, listed)| {
        let left = room.checked_sub(listed.len());
        room = left.unwrap_or(0);
        left.is_some()
    });
    let fit = fit.count();
    let others = services.split_off(fit);
    (services, others)
}

fn may_have(
    (with_room, without): &(Listings, Listings),
    service: &ServiceFacts,
    kind: AddressKind,
    address: IpAddr,
    config: &AdvertiseConfig,
) -> bool {
    let own = with_room.iter().find(|(it, _)| it.key == service.key);
    let is_listed = own.is_some_and(|(_, own)| own.iter().any(|(_, own)| *own == address));
    if !is_listed {
        return false;
    }
    if kind == AddressKind::ClusterIp || config.address_sharing == AddressSharing::Anyone {
        return true;
    }
    let all = with_room.iter().chain(without);
    let claims = all.flat_map(|(it, listed)| {
        let claims = listed.iter().filter(|(_, listed)| *listed == address);
        claims.map(|(rank, _)| (*rank, it.created, &it.key))
    });
    let (.., owner) = claims.min().unwrap();
    owner.namespace == service.key.namespace
}

proptest! {
    #[test]
    fn steps_lead_where_a_computation_from_scratch_leads(
        steps in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..20),
    ) {
        let mut config = config();
        let mut view = view(vec![]);
        let mut candidates = Candidates::new(config.clone());
        candidates.apply(&view, &[ClusterChange::Node]);
        for batch in steps {
            let before = candidates.clone();
            let mut changes = Vec::new();
            let mut told = Vec::new();
            for step in batch {
                match step {
                    Step::Service(service) => {
                        changes.push(ClusterChange::Service(service.key.clone()));
                        view.services.insert(service.key.clone(), Arc::new(*service));
                    }
                    Step::ServiceGone(number) => {
                        let key = key(number);
                        view.services.remove(&key);
                        changes.push(ClusterChange::Service(key));
                    }
                    Step::Node(pods) => {
                        view.node = pods.map(|pods| node(&pods));
                        changes.push(ClusterChange::Node);
                    }
                    // A configuration comes between the batches of the index.
                    Step::Configure(new) => {
                        told.push(candidates.apply(&view, &std::mem::take(&mut changes)));
                        config = new;
                        told.push(candidates.configure(config.clone(), &view));
                    }
                }
            }
            told.push(candidates.apply(&view, &changes));

            let expected = from_scratch(&view, &config);
            prop_assert!(candidates.iter().eq(expected.values()));
            check_told(&before, told, &expected)?;
            check_lookups(&candidates)?;
        }
    }
}

/// Whoever only follows the changes arrives at the same candidates, and no change is idle.
fn check_told(
    before: &Candidates,
    told: Vec<Vec<CandidateChange>>,
    expected: &BTreeMap<CandidateKey, Candidate>,
) -> Result<(), TestCaseError> {
    let mut followed = before.by_key.clone();
    for changes in told {
        prop_assert!(
            changes.is_sorted_by(|a, b| a.key() < b.key()),
            "{:?}",
            changes
        );
        for change in changes {
            match change {
                CandidateChange::Upsert(candidate) => {
                    let old = followed.insert(candidate.key.clone(), candidate.clone());
                    prop_assert_ne!(old, Some(candidate));
                }
                CandidateChange::Removed(key) => prop_assert!(followed.remove(&key).is_some()),
            }
        }
    }
    prop_assert_eq!(&followed, expected);
    Ok(())
}

fn check_lookups(candidates: &Candidates) -> Result<(), TestCaseError> {
    for number in 0..5 {
        let key = key(number);
        let of_service = |candidate: &&Candidate| {
            candidate
                .service
                .as_ref()
                .is_some_and(|service| service.key == key)
        };
        let found = candidates.of_service(&key);
        prop_assert!(found.eq(candidates.iter().filter(of_service)));
    }
    for candidate in candidates.iter() {
        let prefix = candidate.key.prefix;
        let same = candidates.iter().filter(|other| other.key.prefix == prefix);
        prop_assert!(candidates.by_prefix(prefix).eq(same));
        let mut covering: Vec<_> = candidates
            .iter()
            .filter(|other| other.key.prefix != prefix && other.key.prefix.covers(&prefix))
            .collect();
        covering.sort_by_key(|other| other.key.prefix.length());
        prop_assert!(candidates.covering(prefix).eq(covering));
    }
    Ok(())
}
