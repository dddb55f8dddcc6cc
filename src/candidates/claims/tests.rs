//! Whose an address is, and for whom there is room.

use super::super::tests::{changed, config, everything, ingress, ips, view};
use super::super::{
    AdvertiseConfig, CandidateChange, Candidates, Concern, Exclusion, Holder, RouteLimits,
};
use super::*;
use crate::facts::{ClusterChange, ClusterView, ServiceType};
use crate::types::Family;

/// Created at this time, of type LoadBalancer, without addresses.
fn service(namespace: &str, name: &str, created: u64) -> ServiceFacts {
    ServiceFacts {
        created,
        service_type: ServiceType::LoadBalancer,
        ip_families: Family::ALL.to_vec(),
        ..ServiceFacts::named(ServiceKey::new(namespace, name))
    }
}

const CLAIMED: &str = "198.51.100.1";

fn lists(namespace: &str, name: &str, created: u64) -> ServiceFacts {
    ServiceFacts {
        external_ips: ips(&[CLAIMED]),
        ..service(namespace, name, created)
    }
}

/// Ranges in which an address may be of any kind.
fn open() -> AdvertiseConfig {
    let all = ["198.51.100.0/24".parse().unwrap()].to_vec();
    AdvertiseConfig {
        service_cluster_cidrs: all.clone(),
        service_load_balancer_cidrs: all,
        ..config()
    }
}

fn computed(view: &ClusterView, config: AdvertiseConfig) -> Candidates {
    let mut candidates = Candidates::new(config);
    candidates.apply(view, &everything(view));
    candidates
}

/// The Services that may have the address.
fn who_has(candidates: &Candidates) -> Vec<String> {
    let of = candidates.by_prefix(CLAIMED.parse().unwrap());
    of.map(|it| it.service.as_ref().unwrap().key.to_string())
        .collect()
}

fn service_changed(key: &ServiceKey) -> [ClusterChange; 1] {
    [ClusterChange::Service(key.clone())]
}

#[test]
fn an_address_that_two_namespaces_list_belongs_to_the_older_service_s() {
    let (young, old) = (lists("a", "young", 200), lists("b", "old", 100));
    let candidates = computed(&view(vec![young.clone(), old]), open());
    assert_eq!(who_has(&candidates), ["b/old"]);
    let owner = Holder::Service(ServiceKey::new("b", "old"));
    let excluded = candidates.exclusions(&young);
    assert_eq!(excluded.len(), 1);
    assert_eq!(excluded[0].2, Exclusion::Reserved(owner));
    assert_eq!(
        excluded[0].2.to_string(),
        "the address is that of Service b/old: no Service of another namespace may share it"
    );
    let concerns: Vec<_> = candidates.concerns().map(Concern::to_string).collect();
    assert_eq!(
        concerns,
        [
            "external IP 198.51.100.1 of a/young is not announced: the address is that of Service \
             b/old, and no Service of another namespace may share it"
        ]
    );
}

#[test]
fn services_of_one_namespace_share_an_address_with_its_owner() {
    let services = vec![
        lists("b", "old", 100),
        lists("b", "young", 200),
        lists("a", "middle", 150),
    ];
    let candidates = computed(&view(services), open());
    assert_eq!(who_has(&candidates), ["b/old", "b/young"]);
}

#[test]
fn what_a_load_balancer_gave_outranks_age_and_a_cluster_ip_outranks_that() {
    let old = lists("a", "old", 1);
    let given = ServiceFacts {
        load_balancer_ips: ingress(&[CLAIMED]),
        ..service("b", "given", 200)
    };
    let allocated = ServiceFacts {
        cluster_ips: ips(&[CLAIMED]),
        ..service("c", "allocated", 300)
    };
    let candidates = computed(&view(vec![old.clone(), given.clone()]), open());
    assert_eq!(who_has(&candidates), ["b/given"]);
    let candidates = computed(&view(vec![old, given, allocated]), open());
    assert_eq!(who_has(&candidates), ["c/allocated"]);
}

#[test]
fn a_cluster_ip_is_never_refused() {
    let cluster_ip = |namespace: &str| ServiceFacts {
        cluster_ips: ips(&[CLAIMED]),
        ..service(namespace, "web", 100)
    };
    let candidates = computed(&view(vec![cluster_ip("a"), cluster_ip("b")]), open());
    assert_eq!(who_has(&candidates), ["a/web", "b/web"]);
}

#[test]
fn all_may_share_where_the_operator_lets_them() {
    let sharing = AdvertiseConfig {
        address_sharing: AddressSharing::Anyone,
        ..open()
    };
    let services = vec![lists("a", "young", 200), lists("b", "old", 100)];
    let mut view = view(services);
    let mut candidates = computed(&view, sharing.clone());
    assert_eq!(who_has(&candidates), ["a/young", "b/old"]);
    candidates.configure(open(), &view);
    assert_eq!(who_has(&candidates), ["b/old"]);
    view.services.remove(&ServiceKey::new("b", "old"));
    candidates.apply(&view, &service_changed(&ServiceKey::new("b", "old")));
    assert_eq!(who_has(&candidates), ["a/young"]);
}

#[test]
fn the_next_takes_over_when_the_owner_goes_and_nobody_else_hears_of_it() {
    let mut view = view(vec![
        lists("a", "young", 200),
        lists("b", "old", 100),
        service("c", "bystander", 50),
    ]);
    let mut candidates = computed(&view, open());
    let old = ServiceKey::new("b", "old");
    let mut deleting = ServiceFacts::clone(&view.services[&old]);
    deleting.deleting = true;
    view.services.insert(old.clone(), deleting.into());
    let changes = candidates.apply(&view, &service_changed(&old));
    let told: Vec<_> = changes
        .iter()
        .map(|it| it.key().origin.to_string())
        .collect();
    assert_eq!(told, ["external IP of a/young", "external IP of b/old"]);
    assert_eq!(candidates.concerns().count(), 0);
    assert_eq!(who_has(&candidates), ["a/young"]);
}

/// What an endpoint does to the owner is no matter of the others.
#[test]
fn an_owner_that_is_not_served_keeps_its_address() {
    let mut view = view(vec![lists("a", "young", 200), lists("b", "old", 100)]);
    let mut candidates = computed(&view, open());
    let old = ServiceKey::new("b", "old");
    let mut served = ServiceFacts::clone(&view.services[&old]);
    served.node_endpoints.ipv4.ready = 1;
    view.services.insert(old.clone(), served.into());
    let changes = candidates.apply(&view, &service_changed(&old));
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(who_has(&candidates), ["b/old"]);
}

fn many(namespace: &str, name: &str, created: u64, count: u8) -> ServiceFacts {
    ServiceFacts {
        external_ips: (0..count)
            .rev()
            .map(|last| IpAddr::from([198, 51, 100, last]))
            .collect(),
        ..service(namespace, name, created)
    }
}

fn limited(service_addresses: usize, service_routes: usize) -> AdvertiseConfig {
    AdvertiseConfig {
        limits: RouteLimits {
            service_addresses,
            service_routes,
        },
        ..open()
    }
}

fn addresses_of(candidates: &Candidates, service: &ServiceKey) -> Vec<String> {
    let of = candidates.of_service(service);
    of.map(|it| it.key.prefix.to_string()).collect()
}

#[test]
fn of_a_service_with_too_many_addresses_the_first_are_announced() {
    let mut web = many("shop", "web", 1, 100);
    web.cluster_ips = ips(&["198.51.100.200"]);
    web.load_balancer_ips = ingress(&["198.51.100.150", "198.51.100.0"]);
    let candidates = computed(&view(vec![web.clone()]), limited(4, 1000));
    let mut announced = addresses_of(&candidates, &web.key);
    announced.dedup();
    assert_eq!(
        announced,
        [
            "198.51.100.0/32",
            "198.51.100.1/32",
            "198.51.100.150/32",
            "198.51.100.200/32"
        ]
    );
    let concerns: Vec<_> = candidates.concerns().map(Concern::to_string).collect();
    assert_eq!(
        concerns,
        [
            "shop/web has more than 4 addresses, as many as are announced for a Service: 98 are \
             not (advertise.max-service-addresses)"
        ]
    );
    let too_many = |(.., why): &&(_, _, Exclusion)| *why == Exclusion::TooManyAddresses(4);
    let excluded = candidates.exclusions(&web);
    assert_eq!(excluded.iter().filter(too_many).count(), 98);

    web.external_ips.truncate(1);
    let mut candidates = candidates;
    let view = view(vec![web.clone()]);
    candidates.apply(&view, &changed("web"));
    assert_eq!(candidates.concerns().count(), 0);
}

#[test]
fn the_newest_services_have_no_room_and_older_ones_are_not_touched() {
    let mut view = view(vec![
        many("a", "first", 1, 3),
        many("a", "second", 2, 3),
        many("a", "third", 3, 2),
    ]);
    let mut candidates = computed(&view, limited(10, 6));
    let key = |name: &str| ServiceKey::new("a", name);
    let counts = |candidates: &Candidates| {
        ["first", "second", "third"].map(|name| addresses_of(candidates, &key(name)).len())
    };
    assert_eq!(counts(&candidates), [3, 3, 0]);
    let concerns: Vec<_> = candidates.concerns().map(Concern::to_string).collect();
    assert_eq!(
        concerns,
        [
            "a/third is not announced: with older Services, 6 addresses are \
             (advertise.max-service-routes)"
        ]
    );
    // A younger one that would fit is none the better.
    let fourth = many("a", "fourth", 4, 1);
    view.services
        .insert(fourth.key.clone(), fourth.clone().into());
    let changes = candidates.apply(&view, &service_changed(&fourth.key));
    assert_eq!(changes, []);
    view.services.remove(&key("second"));
    let changes = candidates.apply(&view, &service_changed(&key("second")));
    let gone = |change: &&CandidateChange| matches!(change, CandidateChange::Removed(_));
    assert_eq!(changes.iter().filter(gone).count(), 3);
    assert_eq!((counts(&candidates), changes.len()), ([3, 0, 2], 6));
    assert_eq!(candidates.concerns().count(), 0);
}

#[test]
fn annotations_that_policies_do_not_see_are_told() {
    let mut web = many("shop", "web", 1, 1);
    let key = crate::facts::ANNOTATIONS_DROPPED.to_owned();
    web.annotations.insert(key, "2".to_owned());
    let candidates = computed(&view(vec![web]), open());
    let concerns: Vec<_> = candidates.concerns().map(Concern::to_string).collect();
    assert_eq!(
        concerns,
        ["shop/web has more than 16384 octets of annotations: policies do not see the largest 2"]
    );
}
