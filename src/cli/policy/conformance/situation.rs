//! A situation that has a bit of everything: each kind of candidate in both families, every type
//! of Service, endpoints of every condition, labels and annotations, internal and external peers,
//! and routes learned from either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cases::{
    Advertise, ByFamily, Counts, Document, Endpoints, Group, IpFamily, Learned, Node, OriginText,
    PathText, Peer, Service,
};
use crate::facts::{
    ConditionStatus, NodeCondition, SERVICE_PROXY_NAME_LABEL, ServiceKey, ServiceType,
    SessionAffinity, StringMap, Taint, TrafficPolicy,
};
use crate::policy::{PathSegment, SegmentKind};
use crate::types::{Asn, Community, LargeCommunity};

/// So many that a batch has some 250 candidates: it is split into several parts.
const SERVICES: u32 = 90;

/// So many that one peer's routes are split into several parts.
const ROUTES: u32 = 240;

/// More of those that can have addresses of every kind.
const TYPES: [ServiceType; 5] = [
    ServiceType::LoadBalancer,
    ServiceType::ClusterIP,
    ServiceType::LoadBalancer,
    ServiceType::NodePort,
    ServiceType::ExternalName,
];

/// The situation as a recording.
pub(super) fn document() -> Document {
    let prefixes = |texts: &[&str]| texts.iter().filter_map(|text| text.parse().ok()).collect();
    let group = |name: &str, asn| Group {
        name: name.to_owned(),
        asn: Asn(asn),
        labels: map(&[("site", name)]),
    };
    Document {
        asn: Some(Asn(64512)),
        advertise: Advertise {
            pod_cidrs: Some(true),
            service_cluster_cidrs: Some(prefixes(&["10.96.0.0/16", "fd00:96::/112"])),
            service_external_cidrs: Some(prefixes(&["198.51.100.0/25", "2001:db8:1::/112"])),
            service_load_balancer_cidrs: Some(prefixes(&["192.0.2.0/25", "2001:db8:2::/112"])),
            load_balancer_classes: None,
            service_proxy_names: None,
            ..Advertise::default()
        },
        node: Node {
            name: Some("worker-1".to_owned()),
            pod_cidrs: Some(prefixes(&["10.244.1.0/24", "fd00:244:1::/64"])),
            labels: Some(map(&[("topology.kubernetes.io/zone", "zone-a")])),
            annotations: Some(map(&[("example.com/rack", "")])),
            conditions: Some(vec![
                condition("NetworkUnavailable", ConditionStatus::False),
                condition("Ready", ConditionStatus::True),
            ]),
            taints: Some(vec![Taint {
                key: "example.com/maintenance".to_owned(),
                value: String::new(),
                effect: "NoSchedule".to_owned(),
            }]),
            cluster_nodes: Some(3),
            ..Node::default()
        },
        peer_groups: vec![group("tor", 64513), group("reflector", 64512)],
        services: (0..SERVICES).map(service).collect(),
        peers: vec![
            peer("tor-a", "tor", "192.0.2.254"),
            peer("rr-a", "reflector", "2001:db8::254"),
        ],
        learned: (0..ROUTES)
            .flat_map(|number| [learned(number, Some(number % 200)), learned(number, None)])
            .collect(),
        ..Document::default()
    }
}

/// The Services differ in everything a policy can look at; no two neighbours are alike.
fn service(number: u32) -> Service {
    let addresses = |ipv4: [u8; 3], ipv6: [u16; 3]| {
        let host = u8::try_from(number + 1).unwrap_or(u8::MAX);
        let [a, b, c] = ipv4;
        let [d, e, f] = ipv6;
        let ipv4 = IpAddr::V4(Ipv4Addr::new(a, b, c, host));
        let ipv6 = IpAddr::V6(Ipv6Addr::new(d, e, f, 0, 0, 0, 0, host.into()));
        match number % 3 {
            0 => vec![ipv4],
            1 => vec![ipv6],
            _ => vec![ipv4, ipv6],
        }
    };
    let counts = |seed: u32| Counts {
        ready: seed % 3,
        serving_terminating: seed % 2,
        unready: seed % 5,
    };
    let endpoints = |seed: u32| {
        Endpoints::ByFamily(ByFamily {
            ipv4: counts(seed),
            ipv6: counts(seed / 2),
        })
    };
    let namespace = if number.is_multiple_of(2) {
        "shop"
    } else {
        "bank"
    };
    let text = number.to_string();
    let answered = number.is_multiple_of(10);
    let load_balancer_ips = || addresses([192, 0, 2], [0x2001, 0xDB8, 2]);
    let mut labels = map(&[("app", &text), ("tier", "gold")]);
    if number.is_multiple_of(19) {
        labels.insert(SERVICE_PROXY_NAME_LABEL.to_owned(), "mesh".to_owned());
    }
    Service {
        name: ServiceKey::new(namespace, &format!("service-{number}")),
        service_type: TYPES.get(number as usize % TYPES.len()).copied(),
        external_traffic_policy: number.is_multiple_of(5).then_some(TrafficPolicy::Local),
        internal_traffic_policy: number.is_multiple_of(7).then_some(TrafficPolicy::Local),
        load_balancer_class: number
            .is_multiple_of(11)
            .then(|| "example.com/ours".to_owned()),
        headless: number.is_multiple_of(13).then_some(true),
        deleting: number.is_multiple_of(17).then_some(true),
        cluster_ips: Some(addresses([10, 96, 0], [0xFD00, 0x96, 0])),
        external_ips: Some(addresses([198, 51, 100], [0x2001, 0xDB8, 1])),
        load_balancer_ips: (!answered).then(load_balancer_ips),
        load_balancer_proxy_ips: answered.then(load_balancer_ips),
        ip_families: number.is_multiple_of(9).then(|| vec![IpFamily::IPv4]),
        ports: None,
        health_check_node_port: number.is_multiple_of(5).then_some(32_000),
        session_affinity: number
            .is_multiple_of(3)
            .then_some(SessionAffinity::ClientIP),
        traffic_distribution: number
            .is_multiple_of(4)
            .then(|| "PreferSameZone".to_owned()),
        load_balancer_source_ranges: number
            .is_multiple_of(6)
            .then(|| "203.0.113.0/24".parse().into_iter().collect()),
        created: Some(1_700_000_000 + u64::from(number)),
        endpoints_here: Some(endpoints(number)),
        endpoints_elsewhere: Some(endpoints(number + 1)),
        endpoints_without_node: number.is_multiple_of(9).then_some(endpoints(1)),
        namespace_labels: Some(map(&[("kubernetes.io/metadata.name", namespace)])),
        labels: Some(labels),
        annotations: Some(map(&[("example.com/number", &text)])),
    }
}

fn peer(name: &str, group: &str, address: &str) -> Peer {
    Peer {
        name: name.to_owned(),
        address: address.parse().ok(),
        router_id: None,
        peer_group: Some(group.to_owned()),
        asn: None,
        labels: None,
    }
}

/// The routes differ in everything a policy can look at. With a local preference it is from the
/// internal peer.
fn learned(number: u32, local_pref: Option<u32>) -> Learned {
    let [_, _, high, low] = number.to_be_bytes();
    let group = u16::from_be_bytes([high, low]);
    let (network, next_hop, lengths): (IpAddr, IpAddr, [u8; 4]) = match number % 2 {
        0 => (
            Ipv4Addr::new(10, high, low, 0).into(),
            Ipv4Addr::new(192, 0, 2, low).into(),
            [24, 25, 28, 32],
        ),
        _ => (
            Ipv6Addr::new(0x2001, 0xDB8, 3, group, 0, 0, 0, 0).into(),
            Ipv6Addr::new(0x2001, 0xDB8, 4, 0, 0, 0, 0, group).into(),
            [64, 72, 120, 128],
        ),
    };
    let length = lengths[number as usize / 2 % 4];
    let sequence = PathSegment {
        kind: SegmentKind::Sequence,
        asns: (0..number % 6).map(|hop| Asn(64_513 + hop)).collect(),
    };
    let set = PathSegment {
        kind: SegmentKind::Set,
        asns: vec![Asn(65_000 + number), Asn(65_500)],
    };
    let segments = [
        (!sequence.asns.is_empty()).then_some(sequence),
        number.is_multiple_of(7).then_some(set),
    ];
    Learned {
        prefix: format!("{network}/{length}").parse().expect("a prefix"),
        peer: Some(match local_pref {
            Some(_) => "rr-a".to_owned(),
            None => "tor-a".to_owned(),
        }),
        origin: match number % 3 {
            0 => None,
            1 => Some(OriginText::Egp),
            _ => Some(OriginText::Incomplete),
        },
        as_path: Some(PathText(segments.into_iter().flatten().collect())),
        next_hop: Some(next_hop),
        med: number.is_multiple_of(5).then_some(number),
        local_pref,
        communities: Some(
            (0..number % 4)
                .map(|mark| Community(0xFC00_0000 + mark))
                .collect(),
        ),
        large_communities: number.is_multiple_of(4).then(|| {
            vec![LargeCommunity {
                global_administrator: 64_512,
                local_data_1: number,
                local_data_2: 0,
            }]
        }),
        extended_communities: None,
    }
}

fn condition(condition_type: &str, status: ConditionStatus) -> NodeCondition {
    NodeCondition {
        condition_type: condition_type.to_owned(),
        status,
        reason: "AsExpected".to_owned(),
    }
}

fn map(pairs: &[(&str, &str)]) -> StringMap {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
