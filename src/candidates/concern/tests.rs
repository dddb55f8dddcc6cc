//! When there is something to say, and when it is told.

use super::super::Candidates;
use super::super::tests::{changed, config, everything, ingress, ips, load_balancer, view};
use super::*;
use crate::facts::{EndpointCounts, FamilyCounts, ServicePort};

/// A Local Service on this shared address, with so many endpoints here and in the cluster.
fn sharer(name: &str, port: u16, here: u32, cluster: u32) -> ServiceFacts {
    let ready = |ready| FamilyCounts {
        ipv4: EndpointCounts {
            ready,
            ..EndpointCounts::default()
        },
        ..FamilyCounts::default()
    };
    let mut service = load_balancer(name);
    service.external_traffic_policy = TrafficPolicy::Local;
    service.load_balancer_ips = ingress(&["192.0.2.1"]);
    service.ports = vec![ServicePort {
        name: String::new(),
        protocol: "TCP".to_owned(),
        port,
        node_port: None,
    }];
    service.node_endpoints = ready(here);
    service.cluster_endpoints = ready(cluster);
    service
}

fn told(candidates: &mut Candidates) -> Vec<String> {
    let new = candidates.take_new_concerns();
    new.iter().map(ToString::to_string).collect()
}

#[test]
fn of_two_sharers_the_one_whose_ports_are_dropped_here_is_named_with_the_other() {
    let mut view = view(vec![sharer("s1", 80, 1, 1), sharer("s2", 443, 0, 1)]);
    let mut candidates = Candidates::new(config());
    candidates.apply(&view, &everything(&view));
    assert_eq!(
        told(&mut candidates),
        [
            "192.0.2.1 is shared by shop/s1, which this node serves, and shop/s2, which it does \
             not: it drops what comes for TCP 443"
        ]
    );
    // On explain of either.
    for name in ["s1", "s2"] {
        let key = ServiceKey::new("shop", name);
        assert_eq!(candidates.concerns_of(&key).count(), 1);
    }

    // Both here: nothing is dropped. Then the other one alone.
    let moved = |service: ServiceFacts| (service.key.clone(), service.into());
    view.services.extend([moved(sharer("s2", 443, 1, 1))]);
    candidates.apply(&view, &changed("s2"));
    assert_eq!(candidates.concerns().count(), 0);
    view.services.extend([moved(sharer("s1", 80, 0, 1))]);
    candidates.apply(&view, &changed("s1"));
    assert!(told(&mut candidates)[0].ends_with("TCP 80"));

    // Where nobody is served nothing comes.
    view.services.extend([moved(sharer("s2", 443, 0, 1))]);
    candidates.apply(&view, &changed("s2"));
    assert_eq!(candidates.concerns().count(), 0);
    view.services.clear();
    let changes = [changed("s1"), changed("s2")].concat();
    candidates.apply(&view, &changes);
    assert_eq!(candidates.concerns().count(), 0);
}

#[test]
fn a_local_service_without_any_endpoint_is_told_of_under_a_range_only() {
    let mut alone = config();
    alone.service_load_balancer_cidrs = vec!["192.0.2.1/32".parse().unwrap()];
    let view = view(vec![sharer("web", 80, 0, 0)]);
    let mut candidates = Candidates::new(alone);
    candidates.apply(&view, &everything(&view));
    assert_eq!(candidates.concerns().count(), 0);
    candidates.configure(config(), &view);
    assert_eq!(
        told(&mut candidates),
        [
            "shop/web has no usable endpoint in the cluster, and its traffic policy is Local: the \
             range 192.0.2.0/24 draws traffic for 192.0.2.1 to nodes that drop it"
        ]
    );
    let mut cluster = sharer("web", 80, 0, 0);
    cluster.external_traffic_policy = TrafficPolicy::Cluster;
    let view = super::super::tests::view(vec![cluster]);
    candidates.apply(&view, &changed("web"));
    assert_eq!(
        candidates.concerns().count(),
        0,
        "rejected wherever it enters"
    );
}

#[test]
fn what_is_mended_before_anybody_was_told_is_not_told() {
    let mut view = view(vec![sharer("web", 80, 0, 0)]);
    let mut candidates = Candidates::new(config());
    candidates.apply(&view, &everything(&view));
    let mut web = sharer("web", 80, 1, 1);
    web.cluster_ips = ips(&["10.96.0.1"]);
    view.services.insert(web.key.clone(), web.into());
    candidates.apply(&view, &changed("web"));
    assert_eq!(candidates.take_new_concerns(), []);
}
