//! A cluster that is made up, to measure policies on: as large as wanted, and always the same.
//!
//! The benchmark in `tests/bench` measures on it too.

use std::net::IpAddr;
use std::sync::Arc;

use crate::candidates::{AddressKind, AdvertiseConfig, Candidate, CandidateKey, Origin, serving};
use crate::facts::{
    EndpointCounts, FamilyCounts, ServiceFacts, ServiceKey, ServicePort, ServiceType, TrafficPolicy,
};
use crate::types::{Family, Prefix};

/// A cluster IP and a load-balancer IP of a Service like many: three labels, two annotations,
/// two ports; every other one Local, with an endpoint here for one in four.
pub(super) fn addresses_of(number: u32) -> [Candidate; 2] {
    let key = ServiceKey::new(&format!("team-{}", number % 500), &format!("web-{number}"));
    let local = number.is_multiple_of(2);
    let here = EndpointCounts {
        ready: u32::from(number.is_multiple_of(4)),
        ..EndpointCounts::default()
    };
    let port = |name: &str, port| ServicePort {
        name: name.into(),
        protocol: "TCP".into(),
        port,
        node_port: Some(30_000),
    };
    let facts = Arc::new(ServiceFacts {
        labels: ["app", "app.kubernetes.io/managed-by", "team"]
            .map(|label| (label.to_owned(), format!("value-{number}")))
            .into(),
        annotations: ["example.com/owner", "example.com/cost-centre"]
            .map(|annotation| (annotation.to_owned(), format!("value-{number}")))
            .into(),
        service_type: ServiceType::LoadBalancer,
        external_traffic_policy: if local {
            TrafficPolicy::Local
        } else {
            TrafficPolicy::Cluster
        },
        ip_families: vec![Family::Ipv4Unicast],
        health_check_node_port: local.then_some(32_000),
        created: 1_700_000_000,
        ports: vec![port("http", 80), port("https", 443)],
        node_endpoints: FamilyCounts {
            ipv4: here,
            ipv6: EndpointCounts::default(),
        },
        cluster_endpoints: FamilyCounts {
            ipv4: EndpointCounts {
                ready: 3,
                ..EndpointCounts::default()
            },
            ipv6: EndpointCounts::default(),
        },
        ..ServiceFacts::named(key.clone())
    });
    let candidate = |base: u32, range: &str, kind| {
        let address = IpAddr::from((base + number).to_be_bytes());
        Candidate {
            key: CandidateKey {
                prefix: Prefix::host(address),
                origin: Origin::ServiceAddress {
                    service: key.clone(),
                    address: kind,
                },
            },
            service: Some(Arc::clone(&facts)),
            covered_by: Some(range.parse().expect("a prefix")),
            serving: Some(serving(&facts, kind, address, &AdvertiseConfig::default())),
        }
    };
    [
        candidate(0x0A60_0000, "10.96.0.0/12", AddressKind::ClusterIp),
        candidate(0xC612_0000, "198.18.0.0/15", AddressKind::LoadBalancerIp),
    ]
}
