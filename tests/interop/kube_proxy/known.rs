//! Cases that were once decided otherwise than kube-proxy does, each with what is right.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rutter::types::{Family, Prefix};

use super::addresses::{self, Coverage, Kind};
use super::generate::{Step, World};
use super::judge::agreement;
use super::lab::{Lab, pods_everywhere, pods_of};
use super::objects::{
    Affinity, Endpoint, Hints, Ingress, NODES, Policy, Port, Presence, Service, ServiceType, Slice,
    SlicePort, SourceRanges, Transport,
};
use super::put;

/// Where an address is announced.
type Expected = BTreeMap<IpAddr, Vec<&'static str>>;

#[tokio::test(flavor = "multi_thread")]
async fn known_cases_are_announced_where_kube_proxy_answers() {
    let lab = Lab::start(&addresses::ranges()).await;
    let [a, b, _] = NODES;
    let mut expected = Expected::new();

    // Two pods had one address: the record that does not terminate counts, and counts whole.
    let moved = balancer(0);
    let two_records = slice(
        &moved,
        "http",
        vec![gone(everywhere(0), a), ready(everywhere(0), b)],
    );
    expected.insert(address_of(&moved), vec![b]);
    // The same in slices of their own, one after the other in either order.
    let [earlier, later] = [balancer(1), balancer(2)];
    let mut two_slices = Vec::new();
    for (service, order) in [(&earlier, [1, 2]), (&later, [2, 1])] {
        let mut records = [
            slice(service, "http", vec![gone(everywhere(1), a)]),
            slice(service, "http", vec![ready(everywhere(1), b)]),
        ];
        for (slice, number) in records.iter_mut().zip(order) {
            slice.name = format!("{}-{number}", service.name);
        }
        two_slices.extend(records);
        expected.insert(address_of(service), vec![b]);
    }

    // The internal policy binds cluster IPs, wherever traffic comes from, in a range and without.
    let mut inside = vec![
        cluster_ip(3, Coverage::Alone),
        cluster_ip(4, Coverage::Range),
    ];
    let inside_slices = inside
        .iter()
        .map(|service| slice(service, "http", vec![ready(pod(b), b)]));
    let inside_slices: Vec<Slice> = inside_slices.collect();
    for service in &inside {
        expected.insert(service.cluster_ips[0], vec![b]);
    }

    // One address, a port each: BGP knows no ports.
    let shared = addresses::shared(Family::Ipv4Unicast, 0);
    let mut sharing = [balancer(6), balancer(7)];
    for (service, number) in sharing.iter_mut().zip([80, 443]) {
        service.ingress[0].address = shared;
        service.ports[0].number = number;
    }
    let sharing_slices = [
        slice(&sharing[0], "http", vec![ready(pod(a), a)]),
        slice(&sharing[1], "http", vec![ready(pod(b), b)]),
    ];
    expected.insert(shared, vec![a, b]);

    // Served by somebody else.
    let mut others = balancer(8);
    others.proxy_name = Some("other-proxy");
    let mut others_slice = slice(&others, "http", vec![ready(pod(a), a)]);
    others_slice
        .labels
        .push(("service.kubernetes.io/service-proxy-name", "other-proxy"));
    expected.insert(address_of(&others), Vec::new());

    // A slice of another port's name is no endpoint of this port.
    let misnamed = balancer(9);
    let misnamed_slice = slice(&misnamed, "https", vec![ready(pod(a), a)]);
    expected.insert(address_of(&misnamed), Vec::new());

    // Policy Cluster, and nobody there.
    let mut empty = balancer(10);
    empty.external_policy = Policy::Cluster;
    let empty_slice = slice(&empty, "http", Vec::new());
    expected.insert(address_of(&empty), Vec::new());

    inside.extend([moved, earlier, later, others.clone(), misnamed, empty]);
    inside.extend(sharing);
    let mut slices = inside_slices;
    slices.extend(two_slices);
    slices.extend(sharing_slices);
    slices.extend([
        two_records,
        others_slice.clone(),
        misnamed_slice,
        empty_slice,
    ]);
    let (mut world, steps) = World::of(inside, slices);
    put(&lab, steps, 0).await;
    holds(&lab, &world, &expected);

    // The label goes, of the Service and, as a controller does it, of the slice.
    others.proxy_name = None;
    others_slice.labels.clear();
    expected.insert(address_of(&others), vec![a]);
    let steps = vec![
        Step::Replace(others.object()),
        Step::Replace(others_slice.object()),
    ];
    world.services.insert(others.slot, others);
    world.slices.insert(others_slice.name.clone(), others_slice);
    put(&lab, vec![steps], 1).await;
    holds(&lab, &world, &expected);
}

/// kube-proxies and agents agree, and on this.
fn holds(lab: &Lab, world: &World, expected: &Expected) {
    let (_, announced) = agreement(lab, world);
    for (address, nodes) in expected {
        let prefix = Prefix::host(*address);
        let by: Vec<&str> = lab
            .nodes
            .iter()
            .zip(&announced)
            .filter(|(_, prefixes)| prefixes.contains(&prefix))
            .map(|(node, _)| node.name)
            .collect();
        assert_eq!(by, *nodes, "{address}");
    }
}

/// With an external policy Local and one load-balancer address.
fn balancer(slot: u16) -> Service {
    let family = Family::Ipv4Unicast;
    Service {
        service_type: ServiceType::LoadBalancer,
        external_policy: Policy::Local,
        internal_policy: Policy::Cluster,
        ingress: vec![Ingress {
            address: addresses::own(Kind::LoadBalancer, Coverage::Alone, family, slot),
            mode: None,
        }],
        ..cluster_ip(slot, Coverage::Nothing)
    }
}

/// With an internal policy Local.
fn cluster_ip(slot: u16, coverage: Coverage) -> Service {
    let family = Family::Ipv4Unicast;
    Service {
        name: format!("known-{slot}"),
        slot,
        service_type: ServiceType::ClusterIp,
        external_policy: Policy::Cluster,
        internal_policy: Policy::Local,
        ports: vec![Port {
            name: "http",
            transport: Transport::Tcp,
            number: 80,
        }],
        cluster_ips: vec![addresses::own(Kind::Cluster, coverage, family, slot)],
        external_ips: Vec::new(),
        ingress: Vec::new(),
        class: None,
        source_ranges: SourceRanges::Anybody,
        affinity: Affinity::None,
        proxy_name: None,
        presence: Presence::Stays,
    }
}

fn address_of(balancer: &Service) -> IpAddr {
    balancer.ingress[0].address
}

fn slice(of: &Service, port: &'static str, endpoints: Vec<Endpoint>) -> Slice {
    Slice {
        name: format!("{}-1", of.name),
        owner: Some(of.name.clone()),
        labels: Vec::new(),
        family: Family::Ipv4Unicast,
        ports: vec![SlicePort {
            name: Some(port),
            transport: Some(Transport::Tcp),
            number: Some(8080),
        }],
        endpoints,
    }
}

fn ready(address: IpAddr, node: &'static str) -> Endpoint {
    Endpoint {
        address,
        node: Some(node),
        ready: Some(true),
        serving: Some(true),
        terminating: Some(false),
        hints: Hints::None,
    }
}

fn gone(address: IpAddr, node: &'static str) -> Endpoint {
    Endpoint {
        ready: Some(false),
        serving: Some(false),
        terminating: Some(true),
        ..ready(address, node)
    }
}

/// An address that answers behind every node.
fn everywhere(number: usize) -> IpAddr {
    pods_everywhere(Family::Ipv4Unicast)[number]
}

/// An address of a node's pod.
fn pod(node: &str) -> IpAddr {
    pods_of(node, Family::Ipv4Unicast)[0]
}
