//! The table of the module, row by row, and what outranks what.

use super::*;
use crate::facts::{EndpointCounts, FamilyCounts, LoadBalancerIngress, ServiceKey};

const KINDS: [AddressKind; 3] = AddressKind::ALL;

fn address() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

/// IPv4 endpoints: this many here, elsewhere, and on no node.
fn service(here: u32, elsewhere: u32, unplaced: u32) -> ServiceFacts {
    let ready = |ready| FamilyCounts {
        ipv4: EndpointCounts {
            ready,
            ..EndpointCounts::default()
        },
        ..FamilyCounts::default()
    };
    ServiceFacts {
        service_type: ServiceType::LoadBalancer,
        ip_families: vec![Family::Ipv4Unicast],
        node_endpoints: ready(here),
        cluster_endpoints: ready(here + elsewhere + unplaced),
        unplaced_endpoints: ready(unplaced),
        ..ServiceFacts::named(ServiceKey::new("shop", "web"))
    }
}

fn local(service: ServiceFacts) -> ServiceFacts {
    ServiceFacts {
        external_traffic_policy: TrafficPolicy::Local,
        ..service
    }
}

fn internal_local(service: ServiceFacts) -> ServiceFacts {
    ServiceFacts {
        internal_traffic_policy: TrafficPolicy::Local,
        ..service
    }
}

fn check(service: &ServiceFacts, kind: AddressKind, expected: Serving) {
    let found = serving(service, kind, address(), &AdvertiseConfig::default());
    assert_eq!(found, expected, "{kind} IP of {service:?}");
}

#[test]
fn any_node_answers_for_policy_cluster_while_the_cluster_has_an_endpoint() {
    for kind in KINDS {
        check(&service(0, 1, 0), kind, Serving::AnyNode);
        check(&service(0, 0, 1), kind, Serving::AnyNode);
        check(
            &service(0, 0, 0),
            kind,
            Serving::Unserved(Unserved::NoEndpoint),
        );
    }
}

#[test]
fn under_policy_local_nodes_with_an_endpoint_answer() {
    for kind in KINDS {
        check(&local(service(1, 1, 0)), kind, Serving::ThisNode);
        let unserved = Serving::Unserved(Unserved::NoEndpointHere);
        check(&local(service(0, 1, 0)), kind, unserved);
        let unserved = Serving::Unserved(Unserved::EndpointsWithoutNode);
        check(&local(service(0, 1, 1)), kind, unserved);
        let unserved = Serving::Unserved(Unserved::NoEndpoint);
        check(&local(service(0, 0, 0)), kind, unserved);
    }
}

#[test]
fn the_internal_policy_binds_cluster_ips_and_nothing_else() {
    let elsewhere = internal_local(service(0, 1, 0));
    let unserved = Serving::Unserved(Unserved::NoEndpointHere);
    check(&elsewhere, AddressKind::ClusterIp, unserved);
    check(&elsewhere, AddressKind::ExternalIp, Serving::AnyNode);
    check(&elsewhere, AddressKind::LoadBalancerIp, Serving::AnyNode);
    let here = internal_local(service(1, 1, 0));
    check(&here, AddressKind::ClusterIp, Serving::ThisNode);
    let of_type = |service_type| ServiceFacts {
        service_type,
        ..elsewhere.clone()
    };
    for service_type in [ServiceType::ClusterIP, ServiceType::NodePort] {
        check(&of_type(service_type), AddressKind::ClusterIp, unserved);
    }
}

#[test]
fn the_external_policy_of_a_cluster_ip_service_is_about_external_ips() {
    let service = ServiceFacts {
        service_type: ServiceType::ClusterIP,
        ..local(service(0, 1, 0))
    };
    check(&service, AddressKind::ClusterIp, Serving::AnyNode);
    let unserved = Serving::Unserved(Unserved::NoEndpointHere);
    check(&service, AddressKind::ExternalIp, unserved);
}

#[test]
fn endpoints_that_terminate_count_where_none_is_ready() {
    let mut draining = local(service(0, 3, 0));
    draining.node_endpoints.ipv4.serving_terminating = 1;
    check(&draining, AddressKind::LoadBalancerIp, Serving::ThisNode);
    draining.node_endpoints.ipv4.serving_terminating = 0;
    draining.node_endpoints.ipv4.unready = 1;
    let unserved = Serving::Unserved(Unserved::NoEndpointHere);
    check(&draining, AddressKind::LoadBalancerIp, unserved);
}

#[test]
fn a_family_without_a_cluster_ip_is_not_served() {
    let mut other = service(1, 0, 0);
    other.ip_families = vec![Family::Ipv6Unicast];
    for kind in KINDS {
        check(&other, kind, Serving::Unserved(Unserved::OtherFamily));
    }
}

#[test]
fn a_proxy_that_is_not_ours_serves_for_itself() {
    let mut other = service(1, 0, 0);
    other.labels = [(
        crate::facts::SERVICE_PROXY_NAME_LABEL.to_owned(),
        "other-proxy".to_owned(),
    )]
    .into();
    let kind = AddressKind::LoadBalancerIp;
    check(&other, kind, Serving::Unserved(Unserved::OtherProxy));
    let named = |name: &str| AdvertiseConfig {
        service_proxy_names: vec![name.to_owned()],
        ..AdvertiseConfig::default()
    };
    let serving = |config| serving(&other, kind, address(), &config);
    assert_eq!(serving(named("other-proxy")), Serving::AnyNode);
    let unserved = Serving::Unserved(Unserved::OtherProxy);
    assert_eq!(serving(named("another")), unserved);
    // The label counts by being there.
    other.labels.values_mut().for_each(String::clear);
    check(&other, kind, unserved);
}

#[test]
fn what_the_load_balancer_answers_itself_nodes_do_not() {
    let mut proxied = service(1, 0, 0);
    let ingress = |mode| LoadBalancerIngress {
        address: address(),
        mode,
    };
    proxied.load_balancer_ips = vec![ingress(IpMode::Proxy)];
    let unserved = Serving::Unserved(Unserved::LoadBalancerAnswers);
    check(&proxied, AddressKind::LoadBalancerIp, unserved);
    check(&proxied, AddressKind::ExternalIp, Serving::AnyNode);
    proxied.load_balancer_ips.push(ingress(IpMode::VIP));
    check(&proxied, AddressKind::LoadBalancerIp, Serving::AnyNode);
}
