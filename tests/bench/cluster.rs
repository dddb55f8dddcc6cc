//! A large cluster, for every benchmark the same.

use std::net::IpAddr;

use rutter::facts::{
    EndpointCounts, FamilyCounts, ServiceFacts, ServiceKey, ServicePort, ServiceType, TrafficPolicy,
};
use rutter::types::Family;

pub(crate) const SERVICES: u32 = 50_000;

/// What cluster IPs are from.
pub(crate) const CLUSTER_RANGE: &str = "10.96.0.0/12";

/// What load-balancer IPs are from.
pub(crate) const LOAD_BALANCER_RANGE: &str = "198.18.0.0/15";

/// A Service like many, with a cluster IP and a load-balancer IP: three labels, two annotations,
/// two ports; every other one Local, with an endpoint here for one in four.
pub(crate) fn service(number: u32) -> ServiceFacts {
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
    let address = |base: u32| vec![IpAddr::from((base + number).to_be_bytes())];
    let key = ServiceKey::new(&format!("team-{}", number % 500), &format!("web-{number}"));
    ServiceFacts {
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
        cluster_ips: address(0x0A60_0000),
        load_balancer_ips: address(0xC612_0000).into_iter().map(Into::into).collect(),
        ip_families: vec![Family::Ipv4Unicast],
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
        ..ServiceFacts::named(key)
    }
}
