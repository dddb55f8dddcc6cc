//! What a module is shown of the facts.

use std::sync::Arc;

use super::{asked, routes};
use crate::candidates::{AddressKind, Candidate, CandidateKey, Origin, Serving, Unserved};
use crate::facts::{
    ConditionStatus, IpMode, LoadBalancerIngress, NodeCondition, NodeFacts,
    SERVICE_PROXY_NAME_LABEL, ServiceFacts, ServiceKey, ServiceType, SessionAffinity, StringMap,
    Taint,
};
use crate::types::{Family, Prefix};
use crate::wasm::bindings::exports::rutter::policy::announce;
use crate::wasm::bindings::rutter::policy::types as wit;
use crate::wasm::lower::Tables;

fn service(name: &str, namespace_labels: &Arc<StringMap>) -> ServiceFacts {
    ServiceFacts {
        service_type: ServiceType::LoadBalancer,
        ip_families: vec![Family::Ipv4Unicast, Family::Ipv6Unicast],
        namespace_labels: Arc::clone(namespace_labels),
        ..ServiceFacts::named(ServiceKey::new("shop", name))
    }
}

fn candidate(address: &str, service: ServiceFacts, serving: Serving) -> Candidate {
    Candidate {
        key: CandidateKey {
            prefix: Prefix::host(address.parse().unwrap()),
            origin: Origin::ServiceAddress {
                service: service.key.clone(),
                address: AddressKind::LoadBalancerIp,
            },
        },
        service: Some(Arc::new(service)),
        covered_by: None,
        serving: Some(serving),
    }
}

/// Looks at the question that a module is asked about these.
fn shown(node: &NodeFacts, candidates: &[Candidate], look: impl FnOnce(announce::Batch<'_>)) {
    let attributes = Arc::default();
    let routes = routes(candidates, &attributes);
    let mut tables = Tables::default();
    tables.fill(&routes, usize::MAX).unwrap();
    asked(node, &routes, |batch| tables.ask(batch, "{}", look));
}

#[test]
fn services_of_a_namespace_share_its_labels() {
    let shop = Arc::new(StringMap::from([("team".into(), "shop".into())]));
    let other = Arc::new(StringMap::from([("team".into(), "bank".into())]));
    let candidates = [
        candidate("192.0.2.1", service("a", &shop), Serving::AnyNode),
        candidate("192.0.2.2", service("b", &other), Serving::AnyNode),
        candidate("192.0.2.3", service("c", &shop), Serving::AnyNode),
    ];
    shown(&NodeFacts::default(), &candidates, |batch| {
        let [a, b, c] = batch.services else {
            panic!("{} services", batch.services.len());
        };
        let labels = |service: &wit::Service| {
            let wit::Span { first, count } = service.namespace_labels;
            assert_eq!(count, 1);
            (
                first,
                batch.strings[batch.labels[first as usize].value as usize],
            )
        };
        assert_eq!(labels(a), labels(c));
        assert_eq!((labels(a).1, labels(b).1), ("shop", "bank"));
        assert_eq!(batch.labels.len(), 2);
    });
}

#[test]
fn a_service_is_shown_with_all_that_is_known_of_it() {
    let none = Arc::default();
    let plain = service("plain", &none);
    let mut web = ServiceFacts {
        labels: [(SERVICE_PROXY_NAME_LABEL.into(), "mesh".into())].into(),
        cluster_ips: vec!["10.96.0.1".parse().unwrap()],
        load_balancer_ips: vec![
            LoadBalancerIngress {
                address: "192.0.2.1".parse().unwrap(),
                mode: IpMode::VIP,
            },
            LoadBalancerIngress {
                address: "2001:db8::1".parse().unwrap(),
                mode: IpMode::Proxy,
            },
        ],
        ip_families: vec![Family::Ipv6Unicast],
        health_check_node_port: Some(30_000),
        session_affinity: SessionAffinity::ClientIP,
        traffic_distribution: Some("PreferClose".into()),
        load_balancer_source_ranges: vec!["198.51.100.0/24".parse().unwrap()],
        created: 1_700_000_000,
        ..service("web", &none)
    };
    web.unplaced_endpoints.ipv6.ready = 2;
    let unserved = Serving::Unserved(Unserved::OtherProxy);
    let candidates = [
        candidate("192.0.2.9", plain, Serving::ThisNode),
        candidate("192.0.2.1", web, unserved),
    ];
    shown(&NodeFacts::default(), &candidates, |batch| {
        let [plain, web] = batch.services else {
            panic!("{} services", batch.services.len());
        };
        let text = |index: Option<u32>| index.map(|index| batch.strings[index as usize]);
        assert_eq!(text(plain.proxy_name), None);
        assert_eq!(text(web.proxy_name), Some("mesh"));
        assert_eq!(text(web.traffic_distribution), Some("PreferClose"));
        assert_eq!(plain.load_balancer_source_ranges.count, 0);
        let wit::Span { first, count } = web.load_balancer_source_ranges;
        assert_eq!((first, count, batch.prefixes.len()), (0, 1, 1));
        assert_eq!(batch.prefixes[0].length, 24);
        assert_eq!(web.ip_families, wit::IpFamilies::IPV6);
        let both = wit::IpFamilies::IPV4 | wit::IpFamilies::IPV6;
        assert_eq!(plain.ip_families, both);
        assert_eq!(web.health_check_node_port, Some(30_000));
        assert_eq!(web.created, 1_700_000_000);
        assert_eq!(web.unplaced_endpoints.ipv6.ready, 2);
        assert!(matches!(
            web.session_affinity,
            wit::SessionAffinity::ClientIp
        ));
        let modes: Vec<(wit::AddressKind, wit::IpMode)> = batch
            .addresses
            .iter()
            .map(|address| (address.kind, address.mode))
            .collect();
        assert!(matches!(
            modes[..],
            [
                (wit::AddressKind::ClusterIp, wit::IpMode::Vip),
                (wit::AddressKind::LoadBalancerIp, wit::IpMode::Vip),
                (wit::AddressKind::LoadBalancerIp, wit::IpMode::Proxy),
            ]
        ));
        assert!(matches!(
            batch.candidates[0].serving,
            Some(wit::Serving::ThisNode)
        ));
        assert!(matches!(
            batch.candidates[1].serving,
            Some(wit::Serving::Unserved(wit::UnservedReason::OtherProxy))
        ));
    });
}

#[test]
fn a_node_is_shown_with_its_conditions_and_taints() {
    let node = NodeFacts {
        conditions: vec![NodeCondition {
            condition_type: "NetworkUnavailable".into(),
            status: ConditionStatus::Unknown,
            reason: "NodeStatusUnknown".into(),
        }],
        taints: vec![Taint {
            key: "dedicated".into(),
            value: "gpu".into(),
            effect: "NoSchedule".into(),
        }],
        cluster_nodes: Some(3),
        ..NodeFacts::default()
    };
    shown(&node, &[super::pod_cidr("10.1.0.0/24")], |batch| {
        let [condition] = batch.node.conditions else {
            panic!("{} conditions", batch.node.conditions.len());
        };
        assert_eq!(condition.condition_type, "NetworkUnavailable");
        assert!(matches!(condition.status, wit::ConditionStatus::Unknown));
        assert_eq!(condition.reason, "NodeStatusUnknown");
        let [taint] = batch.node.taints else {
            panic!("{} taints", batch.node.taints.len());
        };
        let written = (taint.key, taint.value, taint.effect);
        assert_eq!(written, ("dedicated", "gpu", "NoSchedule"));
        assert_eq!(batch.node.cluster_nodes, Some(3));
        assert!(batch.candidates[0].serving.is_none());
    });
}
