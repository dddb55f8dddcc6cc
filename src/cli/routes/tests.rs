//! The text of `rutter routes`.

use insta::assert_snapshot;

use super::super::testing::{accepted, announced, printed, rejected, step};
use super::*;
use crate::candidates::{AddressKind, Origin};
use crate::types::{Community, RouteAttributes};

#[test]
fn accepted_routes_show_what_each_peer_was_sent() {
    let mut aggregate = accepted("tor", "172.16.0.0/16", announced("192.168.83.36"));
    aggregate.origin = Origin::ServiceCidr {
        addresses: AddressKind::ClusterIp,
    };
    let mut marked = accepted("tor", "192.0.2.10/32", announced("192.168.83.36"));
    marked.decision.attributes = RouteAttributes {
        med: Some(50),
        communities: vec![Community(64512 << 16 | 100), Community::NO_EXPORT],
        ..RouteAttributes::default()
    };
    let mut pods = accepted("tor6", "fd00:244:1::/64", Sent::Pending);
    pods.origin = Origin::PodCidr;
    let unsent = Sent::NotSent {
        reason: "no session".to_owned(),
    };
    let routes = [
        aggregate,
        marked,
        pods,
        accepted("rr", "192.0.2.10/32", unsent),
    ];
    assert_snapshot!(printed(|out| print_accepted(&routes, out)));
}

#[test]
fn rejected_routes_show_by_whom_and_why() {
    let mut kept = rejected("tor", "192.0.2.11/32", "no usable endpoint on this node");
    kept.decision.steps[0].kept = true;
    let mut chain = rejected("tor", "192.0.2.12/32", "");
    chain.decision.steps = vec![
        step("teams", "abstain", "not ours"),
        step("chain default", "reject", ""),
    ];
    let mut unasked = rejected("tor", "192.0.2.13/32", "");
    unasked.decision.steps.clear();
    let reason = "externalTrafficPolicy is Cluster: 172.16.0.0/16 covers it";
    let routes = [
        rejected("tor", "172.16.0.10/32", reason),
        kept,
        chain,
        unasked,
    ];
    assert_snapshot!(printed(|out| print_rejected(&routes, out)));
}

#[test]
fn no_routes_is_said_in_words() {
    assert_eq!(
        printed(|out| print_accepted(&[], out)),
        "No routes are accepted.\n"
    );
    assert_eq!(
        printed(|out| print_rejected(&[], out)),
        "No routes are rejected.\n"
    );
}
