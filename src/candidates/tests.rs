//! Rule by rule, and every kind of Service with every kind of address.

use std::net::IpAddr;

use super::*;
use crate::facts::{EndpointCounts, LoadBalancerIngress, PodBlocks, TrafficPolicy};
use crate::types::Family;

mod history;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| prefix(text)).collect()
}

pub(super) fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(super) fn ingress(texts: &[&str]) -> Vec<LoadBalancerIngress> {
    ips(texts).into_iter().map(Into::into).collect()
}

/// Ranges of each kind and family; one external address is allowed alone.
pub(super) fn config() -> AdvertiseConfig {
    AdvertiseConfig {
        pod_cidrs: PodCidrs::Advertise,
        service_cluster_cidrs: prefixes(&["10.96.0.0/16", "fd00:96::/112"]),
        service_external_cidrs: prefixes(&["198.51.100.0/24", "203.0.113.7/32", "2001:db8:e::/64"]),
        service_load_balancer_cidrs: prefixes(&["192.0.2.0/24", "2001:db8:b::/64"]),
        ..AdvertiseConfig::default()
    }
}

pub(super) fn service(name: &str) -> ServiceFacts {
    ServiceFacts {
        ip_families: Family::ALL.to_vec(),
        ..ServiceFacts::named(ServiceKey::new("shop", name))
    }
}

pub(super) fn load_balancer(name: &str) -> ServiceFacts {
    ServiceFacts {
        service_type: ServiceType::LoadBalancer,
        ..service(name)
    }
}

pub(super) fn node(pod_cidrs: &[&str]) -> Arc<NodeFacts> {
    Arc::new(NodeFacts {
        name: "worker".into(),
        pod_cidrs: prefixes(pod_cidrs),
        ..NodeFacts::default()
    })
}

/// A node without pod CIDRs and these Services.
pub(super) fn view(services: Vec<ServiceFacts>) -> ClusterView {
    let by_key = |service: ServiceFacts| (service.key.clone(), Arc::new(service));
    ClusterView {
        node: Some(node(&[])),
        services: services.into_iter().map(by_key).collect(),
        ..ClusterView::default()
    }
}

pub(super) fn everything(view: &ClusterView) -> Vec<ClusterChange> {
    let services = view.services.keys().cloned().map(ClusterChange::Service);
    std::iter::once(ClusterChange::Node)
        .chain(services)
        .collect()
}

fn computed(view: &ClusterView, config: AdvertiseConfig) -> Candidates {
    let mut candidates = Candidates::new(config);
    candidates.apply(view, &everything(view));
    candidates
}

/// One line for each change.
fn lines(changes: &[CandidateChange]) -> Vec<String> {
    let line = |change: &CandidateChange| {
        let sign = match change {
            CandidateChange::Upsert(_) => '+',
            CandidateChange::Removed(_) => '-',
        };
        let CandidateKey { prefix, origin } = change.key();
        format!("{sign}{prefix} {origin}")
    };
    changes.iter().map(line).collect()
}

pub(super) fn changed(name: &str) -> [ClusterChange; 1] {
    [ClusterChange::Service(ServiceKey::new("shop", name))]
}

#[test]
fn pod_cidrs_and_ranges_are_candidates_without_any_service() {
    let mut candidates = Candidates::new(config());
    let view = ClusterView {
        node: Some(node(&["10.244.1.0/24", "fd00:244:1::/64", "10.244.1.0/24"])),
        ..ClusterView::default()
    };
    assert_eq!(
        lines(&candidates.apply(&view, &[ClusterChange::Node])),
        [
            "+10.96.0.0/16 service cluster range",
            "+10.244.1.0/24 pod CIDR",
            "+192.0.2.0/24 service load-balancer range",
            "+198.51.100.0/24 service external range",
            "+2001:db8:b::/64 service load-balancer range",
            "+2001:db8:e::/64 service external range",
            "+fd00:96::/112 service cluster range",
            "+fd00:244:1::/64 pod CIDR",
        ]
    );
}

#[test]
fn pod_cidrs_follow_the_node_and_the_switch() {
    let only_pods = AdvertiseConfig::default();
    let mut candidates = Candidates::new(only_pods.clone());
    let mut view = view(vec![]);
    view.node = Some(node(&["10.244.1.0/24"]));
    candidates.apply(&view, &[ClusterChange::Node]);
    view.node = Some(node(&["10.244.2.0/24"]));
    assert_eq!(
        lines(&candidates.apply(&view, &[ClusterChange::Node])),
        ["-10.244.1.0/24 pod CIDR", "+10.244.2.0/24 pod CIDR"]
    );
    let ignored = AdvertiseConfig {
        pod_cidrs: PodCidrs::Ignore,
        ..only_pods
    };
    assert_eq!(
        lines(&candidates.configure(ignored, &view)),
        ["-10.244.2.0/24 pod CIDR"]
    );
}

#[test]
fn what_no_route_may_lead_to_is_no_candidate_whoever_has_it() {
    let config = AdvertiseConfig {
        // It contains loopback addresses, and is a route all the same.
        service_external_cidrs: prefixes(&["126.0.0.0/7"]),
        ..AdvertiseConfig::default()
    };
    let service = ServiceFacts {
        external_ips: ips(&["127.0.0.1", "126.0.0.1"]),
        ..service("web")
    };
    let mut view = view(vec![service.clone()]);
    view.node = Some(node(&["10.244.0.0/24", "169.254.7.0/24"]));
    let candidates = computed(&view, config);
    let prefixes: Vec<_> = candidates
        .iter()
        .map(|it| it.key.prefix.to_string())
        .collect();
    assert_eq!(prefixes, ["10.244.0.0/24", "126.0.0.0/7", "126.0.0.1/32"]);
    let excluded = candidates.exclusions(&service);
    let loopback = "127.0.0.1".parse().unwrap();
    assert_eq!(
        excluded,
        [(loopback, AddressKind::ExternalIp, Exclusion::Unroutable)]
    );
}

#[test]
fn a_node_whose_labels_alone_change_changes_no_candidate() {
    let mut candidates = Candidates::new(config());
    let mut view = view(vec![]);
    candidates.apply(&view, &[ClusterChange::Node]);
    let mut labelled = NodeFacts::clone(view.node.as_ref().unwrap());
    labelled.labels.insert("zone".into(), "a".into());
    view.node = Some(Arc::new(labelled));
    assert_eq!(candidates.apply(&view, &[ClusterChange::Node]), []);
}

#[test]
fn without_the_own_node_there_are_no_candidates() {
    let mut web = service("web");
    web.cluster_ips = ips(&["10.96.0.1"]);
    let mut view = view(vec![web]);
    let present = view.node.take();
    let mut candidates = Candidates::new(config());
    assert_eq!(candidates.apply(&view, &everything(&view)), []);
    assert_eq!(candidates.configure(AdvertiseConfig::default(), &view), []);
    assert_eq!(candidates.configure(config(), &view), []);

    view.node = present;
    let appeared = candidates.apply(&view, &[ClusterChange::Node]);
    assert_eq!(
        appeared.len(),
        7,
        "six ranges and one address: {appeared:?}"
    );

    view.node = None;
    let gone = candidates.apply(&view, &[ClusterChange::Node]);
    assert_eq!(gone.len(), 7);
    assert_eq!(candidates.iter().count(), 0);
}

#[test]
fn two_services_that_share_an_address_are_two_candidates_of_one_prefix() {
    let shared = |name| {
        let mut service = load_balancer(name);
        service.load_balancer_ips = ingress(&["192.0.2.1"]);
        service
    };
    let mut view = view(vec![shared("a"), shared("b")]);
    let mut candidates = computed(&view, config());
    assert_eq!(candidates.by_prefix(prefix("192.0.2.1")).count(), 2);

    view.services.remove(&ServiceKey::new("shop", "a"));
    assert_eq!(
        lines(&candidates.apply(&view, &changed("a"))),
        ["-192.0.2.1/32 load-balancer IP of shop/a"]
    );
    let left: Vec<_> = candidates.by_prefix(prefix("192.0.2.1")).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].service.as_ref().unwrap().key.name.as_ref(), "b");
}

#[test]
fn an_address_listed_twice_is_one_candidate_and_of_two_kinds_two() {
    let mut config = config();
    config.service_external_cidrs.push(prefix("10.96.0.0/16"));
    let mut web = service("web");
    web.cluster_ips = ips(&["10.96.0.1", "10.96.0.1"]);
    web.external_ips = ips(&["10.96.0.1"]);
    let candidates = computed(&view(vec![web]), config);
    let origins: Vec<String> = candidates
        .by_prefix(prefix("10.96.0.1"))
        .map(|candidate| candidate.key.origin.to_string())
        .collect();
    assert_eq!(
        origins,
        ["cluster IP of shop/web", "external IP of shop/web"]
    );
    assert_eq!(
        candidates
            .of_service(&ServiceKey::new("shop", "web"))
            .count(),
        2
    );
}

#[test]
fn an_address_is_covered_by_the_longest_range_of_its_kind_that_is_a_candidate() {
    let ranges = ["10.96.0.0/16", "10.96.1.0/24", "10.96.1.1/32", "172.16.0.1"];
    let config = AdvertiseConfig {
        service_cluster_cidrs: prefixes(&ranges),
        service_external_cidrs: prefixes(&["10.96.1.0/30"]),
        ..AdvertiseConfig::default()
    };
    let mut web = service("web");
    web.cluster_ips = ips(&["10.96.1.1", "10.96.2.1", "172.16.0.1"]);
    let candidates = computed(&view(vec![web]), config);
    let covered: Vec<_> = candidates
        .of_service(&ServiceKey::new("shop", "web"))
        .map(|candidate| (candidate.key.prefix, candidate.covered_by))
        .collect();
    assert_eq!(
        covered,
        [
            (prefix("10.96.1.1"), Some(prefix("10.96.1.0/24"))),
            (prefix("10.96.2.1"), Some(prefix("10.96.0.0/16"))),
            (prefix("172.16.0.1"), None),
        ]
    );
    let covering: Vec<_> = candidates
        .covering(prefix("10.96.1.1"))
        .map(|candidate| candidate.key.prefix)
        .collect();
    // Of whatever kind: routers do not know kinds.
    assert_eq!(
        covering,
        prefixes(&["10.96.0.0/16", "10.96.1.0/24", "10.96.1.0/30"])
    );
}

#[test]
fn any_change_of_the_facts_is_told_for_each_of_the_services_candidates() {
    let mut web = service("web");
    web.cluster_ips = ips(&["10.96.0.1", "fd00:96::1"]);
    let mut view = view(vec![web.clone()]);
    let mut candidates = computed(&view, config());
    let equal = Arc::new(web.clone());
    view.services.insert(web.key.clone(), equal);
    assert_eq!(candidates.apply(&view, &changed("web")), []);

    web.node_endpoints.ipv4.ready = 1;
    view.services.insert(web.key.clone(), Arc::new(web));
    let changes = candidates.apply(&view, &changed("web"));
    assert_eq!(
        lines(&changes),
        [
            "+10.96.0.1/32 cluster IP of shop/web",
            "+fd00:96::1/128 cluster IP of shop/web"
        ]
    );
    let sees_the_endpoint = |change: &CandidateChange| match change {
        CandidateChange::Upsert(candidate) => {
            let facts = candidate.service.as_ref().unwrap();
            facts.node_endpoints.ipv4
                == EndpointCounts {
                    ready: 1,
                    ..EndpointCounts::default()
                }
        }
        CandidateChange::Removed(_) => false,
    };
    assert!(changes.iter().all(sees_the_endpoint));
}

/// Every Service of the view has changed, one is named: the others are not looked at.
#[test]
fn one_services_change_is_that_services_work_only() {
    let numbered = |number: u8, offset: u8| {
        let mut service = service(&format!("s{number}"));
        service.cluster_ips = vec![IpAddr::from([10, 96, offset, number])];
        service
    };
    let before = view((0..100).map(|number| numbered(number, 0)).collect());
    let after = view((0..100).map(|number| numbered(number, 1)).collect());
    let mut candidates = computed(&before, config());
    assert_eq!(
        lines(&candidates.apply(&after, &changed("s42"))),
        [
            "-10.96.0.42/32 cluster IP of shop/s42",
            "+10.96.1.42/32 cluster IP of shop/s42"
        ]
    );
    assert_eq!(candidates.apply(&after, &[ClusterChange::Node]), []);
    assert_eq!(candidates.by_prefix(prefix("10.96.0.41")).count(), 1);
}

#[test]
fn a_change_named_twice_is_told_once() {
    let mut web = service("web");
    web.cluster_ips = ips(&["10.96.0.1"]);
    let view = view(vec![web]);
    let mut candidates = computed(&self::view(vec![]), config());
    let twice = [changed("web"), changed("web")].concat();
    assert_eq!(candidates.apply(&view, &twice).len(), 1);
}

#[test]
fn a_change_of_the_ranges_tells_what_differs_only() {
    let mut web = service("web");
    web.cluster_ips = ips(&["10.96.0.1"]);
    web.external_ips = ips(&["198.51.100.1"]);
    let view = view(vec![web]);
    let mut candidates = computed(&view, config());
    let mut without_external = config();
    without_external.service_external_cidrs.clear();
    assert_eq!(
        lines(&candidates.configure(without_external.clone(), &view)),
        [
            "-198.51.100.0/24 service external range",
            "-198.51.100.1/32 external IP of shop/web",
            "-2001:db8:e::/64 service external range",
        ]
    );
    assert_eq!(candidates.configure(without_external.clone(), &view), []);
    without_external.service_cluster_cidrs[0] = prefix("10.96.0.0/24");
    assert_eq!(
        lines(&candidates.configure(without_external, &view)),
        [
            "-10.96.0.0/16 service cluster range",
            "+10.96.0.0/24 service cluster range",
            // Its covering range is another.
            "+10.96.0.1/32 cluster IP of shop/web",
        ]
    );
}

/// Inside and outside the ranges of `config()`, by kind and family.
const ADDRESSES: [(AddressKind, &str, &str); 6] = [
    (AddressKind::ClusterIp, "10.96.3.4", "10.97.3.4"),
    (AddressKind::ClusterIp, "fd00:96::4", "fd00:97::4"),
    (AddressKind::ExternalIp, "198.51.100.4", "192.0.2.4"),
    (AddressKind::ExternalIp, "2001:db8:e::4", "2001:db8:b::4"),
    (AddressKind::LoadBalancerIp, "192.0.2.4", "203.0.113.7"),
    (AddressKind::LoadBalancerIp, "2001:db8:b::4", "fd00:96::4"),
];

const TYPES: [ServiceType; 4] = [
    ServiceType::ClusterIP,
    ServiceType::NodePort,
    ServiceType::LoadBalancer,
    ServiceType::ExternalName,
];

/// What one Service with one address must give, said a second time.
fn expected(service: &ServiceFacts, kind: AddressKind, inside: bool) -> Option<Exclusion> {
    if service.deleting {
        Some(Exclusion::Deleting)
    } else if service.service_type == ServiceType::ExternalName {
        Some(Exclusion::ExternalName)
    } else if kind == AddressKind::LoadBalancerIp
        && service.service_type != ServiceType::LoadBalancer
    {
        Some(Exclusion::NotLoadBalancer)
    } else if service.headless {
        Some(Exclusion::Headless)
    } else if !inside {
        Some(Exclusion::OutsideRanges)
    } else {
        None
    }
}

#[test]
fn every_kind_of_service_with_every_kind_of_address_is_in_or_excluded_with_a_reason() {
    let mut cases = 0;
    for service_type in TYPES {
        for external_traffic_policy in [TrafficPolicy::Cluster, TrafficPolicy::Local] {
            for (headless, deleting) in [(false, false), (false, true), (true, false), (true, true)]
            {
                for (kind, inside, outside) in ADDRESSES {
                    for (address, is_inside) in [(inside, true), (outside, false)] {
                        let mut service = ServiceFacts {
                            service_type,
                            external_traffic_policy,
                            headless,
                            deleting,
                            ..service("web")
                        };
                        match kind {
                            AddressKind::ClusterIp => service.cluster_ips = ips(&[address]),
                            AddressKind::ExternalIp => service.external_ips = ips(&[address]),
                            AddressKind::LoadBalancerIp => {
                                service.load_balancer_ips = ingress(&[address])
                            }
                        }
                        check_single_address(service, kind, address, is_inside);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 4 * 2 * 4 * 6 * 2);
}

fn check_single_address(service: ServiceFacts, kind: AddressKind, address: &str, inside: bool) {
    let expected = expected(&service, kind, inside);
    let address: IpAddr = address.parse().unwrap();
    let excluded: Vec<_> = expected
        .clone()
        .map(|exclusion| (address, kind, exclusion))
        .into_iter()
        .collect();
    let key = service.key.clone();
    let candidates = computed(&view(vec![service.clone()]), config());
    assert_eq!(candidates.exclusions(&service), excluded, "{service:?}");
    let found: Vec<_> = candidates.of_service(&key).collect();
    match expected {
        Some(_) => assert!(found.is_empty(), "{service:?}"),
        None => {
            let [candidate] = found[..] else {
                panic!("not one candidate: {found:?}")
            };
            assert_eq!(candidate.key.prefix, Prefix::host(address));
            let origin = Origin::ServiceAddress {
                service: key,
                address: kind,
            };
            assert_eq!(candidate.key.origin, origin);
            assert_eq!(candidate.service.as_deref(), Some(&service));
        }
    }
}

#[test]
fn exclusions_name_each_address_once_by_kind() {
    let mut web = load_balancer("web");
    web.cluster_ips = ips(&["10.96.0.1", "10.97.0.1", "10.97.0.1"]);
    web.load_balancer_ips = ingress(&["10.97.0.1"]);
    web.external_ips = ips(&["203.0.113.7", "203.0.113.8"]);
    let outside = |address: &str, kind| (address.parse().unwrap(), kind, Exclusion::OutsideRanges);
    assert_eq!(
        computed(&view(vec![]), config()).exclusions(&web),
        [
            outside("10.97.0.1", AddressKind::ClusterIp),
            outside("203.0.113.8", AddressKind::ExternalIp),
            outside("10.97.0.1", AddressKind::LoadBalancerIp),
        ]
    );
}

#[test]
fn blocks_that_may_be_announced_are_candidates_in_the_place_of_pod_cidrs() {
    let blocks = PodBlocks {
        own: prefixes(&["10.244.7.0/26", "10.244.8.0/26"]),
        announced: prefixes(&["10.244.2.9/32", "10.244.7.0/26"]),
    };
    let mut node = (*node(&["10.244.1.0/24"])).clone();
    let mut view = view(Vec::new());
    view.node = Some(Arc::new(node.clone()));
    let mut candidates = computed(&view, AdvertiseConfig::default());
    node.blocks = Some(blocks);
    view.node = Some(Arc::new(node));
    let changes = candidates.apply(&view, &[ClusterChange::Node]);
    assert_eq!(
        lines(&changes),
        [
            "-10.244.1.0/24 pod CIDR",
            "+10.244.2.9/32 IPAM block",
            "+10.244.7.0/26 IPAM block",
        ]
    );
    let ignored = AdvertiseConfig {
        pod_cidrs: PodCidrs::Ignore,
        ..AdvertiseConfig::default()
    };
    assert_eq!(computed(&view, ignored).iter().count(), 0);
}
