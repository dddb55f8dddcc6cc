//! The main job: four Nodes, a Service of each kind, and routers that list exactly what follows
//! from them; then an endpoint that goes and returns.

use std::net::IpAddr;

use super::cluster::{
    CLUSTER_ASN, CONTROL_PLANE, EXTERNAL_PREFIX, FABRIC_ASN, WORKERS, addresses, expected_table,
    external_slice,
};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::objects::Readiness;
use crate::support::router::{LearnedRoute, RouterKind};
use crate::support::wait::eventually;

#[test]
fn bird_lists_exactly_what_the_nodes_announce() {
    routers_list_exactly_what_the_nodes_announce(RouterKind::Bird);
}

#[test]
fn frr_lists_exactly_what_the_nodes_announce() {
    routers_list_exactly_what_the_nodes_announce(RouterKind::Frr);
}

#[test]
fn gobgp_lists_exactly_what_the_nodes_announce() {
    routers_list_exactly_what_the_nodes_announce(RouterKind::Gobgp);
}

/// One router outside the AS and one inside, each with an IPv4 and an IPv6 session to each of
/// four agents. Every session carries both families.
fn routers_list_exactly_what_the_nodes_announce(kind: RouterKind) {
    let nodes = [WORKERS.as_slice(), &[CONTROL_PLANE]].concat();
    let fabric = Fabric::start(
        &nodes,
        &[(kind, FABRIC_ASN, "ebgp"), (kind, CLUSTER_ASN, "ibgp")],
    );
    fabric.has_settled();
    attributes_are_those_of_the_kind_of_session(&fabric);
    the_last_endpoint_gone_withdraws_its_address_alone(&fabric);
}

fn attributes_are_those_of_the_kind_of_session(fabric: &Fabric) {
    for router in &fabric.routers {
        let internal = router.asn() == CLUSTER_ASN;
        for route in router.learned().unwrap() {
            let LearnedRoute {
                from: _,
                prefix: _,
                next_hop: _,
                as_path,
                local_pref,
                med,
                communities,
                large_communities,
            } = &route;
            // RFC 4271 5.1.2: our AS is prepended outside it only; 5.1.5: LOCAL_PREF inside.
            let expected: &[u32] = if internal { &[] } else { &[CLUSTER_ASN] };
            assert_eq!(as_path, expected, "{route:?}");
            if internal {
                assert_eq!(*local_pref, Some(100), "{route:?}");
            }
            assert_eq!(*med, None, "{route:?}");
            assert!(
                communities.is_empty() && large_communities.is_empty(),
                "{route:?}"
            );
        }
    }
}

fn the_last_endpoint_gone_withdraws_its_address_alone(fabric: &Fabric) {
    let gone_from = fabric
        .nodes
        .iter()
        .find(|node| node.name == WORKERS[2])
        .unwrap();
    let complete = expected_table(&fabric.nodes);
    let prefix = EXTERNAL_PREFIX.parse().unwrap();
    let reduced = complete.without(&addresses(&gone_from.host), &[prefix]);
    assert_ne!(reduced, complete);
    let histories = fabric.histories();
    let before = fabric.updates_sent();
    let stable = Stable::of(fabric);

    fabric.manifests.apply(&external_slice(Readiness::Unready));
    for router in &fabric.routers {
        eventually(CHANGE_LIMIT, || router.has_exactly(&reduced));
    }
    each_peer_was_sent(fabric, &before, 1);
    assert_eq!(Stable::of(fabric), stable, "other routes were touched");

    fabric.manifests.apply(&external_slice(Readiness::Ready));
    for router in &fabric.routers {
        eventually(CHANGE_LIMIT, || router.has_exactly(&complete));
    }
    each_peer_was_sent(fabric, &before, 2);
    assert_eq!(Stable::of(fabric), stable, "other routes were touched");
    assert_eq!(fabric.histories(), histories, "a session moved");
}

/// The agent of the changed endpoint has sent `count` UPDATEs to each peer since `before`, the
/// others none.
fn each_peer_was_sent(fabric: &Fabric, before: &[Vec<u64>], count: u64) {
    let now = fabric.updates_sent();
    for ((node, before), now) in fabric.nodes.iter().zip(before).zip(now) {
        let sent: Vec<u64> = now
            .iter()
            .zip(before)
            .map(|(now, before)| now - before)
            .collect();
        let expected = if node.name == WORKERS[2] { count } else { 0 };
        assert_eq!(sent, vec![expected; sent.len()], "UPDATEs of {}", node.name);
    }
}

/// When each route but the changing one was last changed, by the routers' account.
#[derive(Debug, PartialEq, Eq)]
struct Stable(Vec<(IpAddr, rutter::types::Prefix, String)>);

impl Stable {
    fn of(fabric: &Fabric) -> Self {
        let changing = EXTERNAL_PREFIX.parse().unwrap();
        let all = fabric
            .routers
            .iter()
            .flat_map(|router| router.changed_at().unwrap());
        Self(all.filter(|(_, prefix, _)| *prefix != changing).collect())
    }
}
