//! The text of `rutter routes`.

use insta::assert_snapshot;

use super::super::testing::{accepted, announced, printed, rejected, step};
use super::*;
use crate::api::DecisionReport;
use crate::candidates::{AddressKind, Origin};
use crate::types::{Community, Installation, RouteAttributes};

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
fn received_routes_show_what_became_of_them_and_why() {
    let received = |prefix: &str, usage| ReceivedRoute {
        peer: "tor".to_owned(),
        prefix: prefix.parse().unwrap(),
        next_hop: "192.168.83.1".parse().unwrap(),
        as_path: "64513 64520".to_owned(),
        attributes: RouteAttributes {
            next_hop: Some("192.168.83.1".parse().unwrap()),
            ..RouteAttributes::default()
        },
        usage,
        kernel: None,
        decision: None,
    };
    let installation = Installation::Install;
    let in_kernel = |prefix: &str, kernel| ReceivedRoute {
        kernel: Some(kernel),
        ..received(prefix, Usage::Best { installation })
    };
    let unfit = KernelPath::Unfit {
        reason: "it is in 10.244.1.0/24, which is this node's own".to_owned(),
    };
    let refused = KernelPath::Refused {
        reason: "File exists".to_owned(),
    };
    let kernels = [
        in_kernel("10.4.0.0/16", KernelPath::Installed),
        in_kernel("10.5.0.0/16", KernelPath::Pending),
        in_kernel("10.244.1.5/32", unfit),
        in_kernel("10.6.0.0/16", refused),
    ];
    let mut changed = received("10.0.0.0/8", Usage::Best { installation });
    changed.attributes.local_pref = Some(200);
    changed.decision = Some(DecisionReport {
        accepted: true,
        attributes: changed.attributes.clone(),
        steps: vec![step("import-filter", "accept", "rule `own`")],
    });
    let unused = |reason: &str| Usage::Unused {
        reason: reason.to_owned(),
    };
    let mut kept = received("10.9.0.0/16", unused("rejected"));
    kept.decision = Some(DecisionReport {
        accepted: false,
        attributes: RouteAttributes::default(),
        steps: vec![StepReport {
            kept: true,
            ..step("import-filter", "reject", "no rule takes this prefix")
        }],
    });
    let installation = Installation::Keep;
    let mut routes = vec![
        changed,
        kept,
        received("10.1.0.0/16", unused("our AS 64512 is in its AS_PATH")),
        received("10.2.0.0/16", Usage::Multipath { installation }),
        received("10.3.0.0/16", Usage::Undecided),
    ];
    routes.extend(kernels);
    assert_snapshot!(printed(|out| print_received(&routes, out)));
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
