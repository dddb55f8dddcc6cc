//! The text of `rutter explain`, and what can be asked about.

use insta::assert_snapshot;

use super::super::testing::{accepted, address, announced, prefix, printed, rejected, step};
use super::*;
use crate::api::{Lost, PathReport, ReceivedRoute, Usage};
use crate::candidates::AddressKind;
use crate::candidates::Exclusion;
use crate::types::{Community, Installation, RouteAttributes};

fn explanation(subject: &str) -> Explanation {
    Explanation {
        subject: subject.to_owned(),
        services: Vec::new(),
        routes: Vec::new(),
        covered_by: Vec::new(),
        learned: Vec::new(),
        passed_on: Vec::new(),
    }
}

fn counts(ready: u32, serving_terminating: u32, unready: u32) -> EndpointCounts {
    EndpointCounts {
        ready,
        serving_terminating,
        unready,
    }
}

fn service(policy: TrafficPolicy) -> ServiceReport {
    ServiceReport {
        service: ServiceKey::new("default", "web"),
        service_type: ServiceType::LoadBalancer,
        external_traffic_policy: policy,
        internal_traffic_policy: TrafficPolicy::Cluster,
        service_proxy_name: None,
        node_endpoints: FamilyCounts {
            ipv4: counts(1, 0, 0),
            ipv6: counts(0, 0, 0),
        },
        cluster_endpoints: FamilyCounts {
            ipv4: counts(3, 1, 2),
            ipv6: counts(0, 2, 0),
        },
        unplaced_endpoints: FamilyCounts::default(),
        excluded: Vec::new(),
        concerns: Vec::new(),
    }
}

fn text(explanation: &Explanation) -> String {
    printed(|out| print(explanation, out))
}

#[test]
fn a_service_is_told_from_its_facts_to_what_each_peer_was_sent() {
    let mut explanation = explanation("default/web");
    explanation.services = vec![ServiceReport {
        excluded: vec![ExcludedAddress {
            address: address("203.0.113.9"),
            kind: AddressKind::ExternalIp,
            reason: Exclusion::OutsideRanges,
        }],
        ..service(TrafficPolicy::Local)
    }];
    let no_session = Sent::NotSent {
        reason: "no session (Active)".to_owned(),
    };
    let mut marked = accepted("upstream", "192.0.2.10/32", Sent::Pending);
    marked.decision.attributes.communities = vec![Community::NO_EXPORT];
    marked
        .decision
        .steps
        .insert(0, step("teams", "abstain", ""));
    explanation.routes = vec![
        accepted("rr", "192.0.2.10/32", no_session),
        accepted("tor", "192.0.2.10/32", announced("192.168.83.36")),
        marked,
        rejected(
            "rr",
            "192.0.2.11/32",
            "no usable IPv6 endpoint on this node",
        ),
    ];
    assert_eq!(outcome(&explanation), Outcome::Done);
    assert_snapshot!(text(&explanation));
}

#[test]
fn a_rejected_address_names_the_aggregate_that_covers_it() {
    let mut explanation = explanation("172.16.0.10/32");
    explanation.services = vec![service(TrafficPolicy::Cluster)];
    let mut route = rejected("tor", "172.16.0.10/32", "covered by 172.16.0.0/16");
    route.decision.steps[0].kept = true;
    explanation.routes = vec![route];
    explanation.covered_by = vec![prefix("172.16.0.0/16")];
    assert_snapshot!(text(&explanation));
}

#[test]
fn a_service_without_candidates_says_why() {
    let mut explanation = explanation("default/web");
    explanation.services = vec![ServiceReport {
        excluded: [
            Exclusion::Deleting,
            Exclusion::Headless,
            Exclusion::ExternalName,
        ]
        .map(|reason| ExcludedAddress {
            address: address("172.16.0.10"),
            kind: AddressKind::ClusterIp,
            reason,
        })
        .to_vec(),
        ..service(TrafficPolicy::Cluster)
    }];
    assert_eq!(outcome(&explanation), Outcome::Done);
    assert_snapshot!(text(&explanation));
}

#[test]
fn what_only_an_aggregate_covers_is_known() {
    let mut explanation = explanation("172.16.9.9/32");
    explanation.covered_by = vec![prefix("172.16.0.0/16")];
    assert_eq!(outcome(&explanation), Outcome::Done);
    assert_snapshot!(text(&explanation));
}

#[test]
fn what_nobody_knows_is_said_to_be_unknown() {
    let explanation = explanation("default/nobody");
    assert_eq!(outcome(&explanation), Outcome::Unknown);
    assert_snapshot!(text(&explanation));
}

#[test]
fn subjects_are_prefixes_addresses_and_services() {
    for (text, subject) in [
        ("172.16.0.0/16", "172.16.0.0/16"),
        ("172.16.0.10", "172.16.0.10/32"),
        ("172.16.0.10/16", "172.16.0.0/16"),
        ("fd00::1", "fd00::1/128"),
        ("default/web", "default/web"),
        ("10/8", "10/8"),
    ] {
        assert_eq!(text.parse::<Subject>().unwrap().to_string(), subject);
    }
}

#[test]
fn anything_else_is_no_subject() {
    let long = format!("default/{}", "x".repeat(LABEL_LENGTH_MAX + 1));
    for text in [
        "",
        "web",
        "default/",
        "/web",
        "a/b/c",
        "10.0.0.0/33",
        "Default/web",
        "default/-web",
        "default/web-",
        &long,
    ] {
        assert_eq!(
            text.parse::<Subject>(),
            Err(InvalidSubject(text.to_owned()))
        );
    }
}

#[test]
fn a_learned_route_tells_what_became_of_it_and_who_said_so() {
    let learned = |peer: &str, usage, decision| ReceivedRoute {
        peer: peer.to_owned(),
        prefix: prefix("10.20.0.0/16"),
        next_hop: address("192.0.2.1"),
        as_path: "64600 64700".to_owned(),
        attributes: RouteAttributes {
            local_pref: Some(200),
            next_hop: Some(address("192.0.2.1")),
            ..RouteAttributes::default()
        },
        received: None,
        path: PathReport {
            origin: "IGP".to_owned(),
            ..PathReport::default()
        },
        usage,
        lost: None,
        kernel: None,
        decision,
    };
    let decision = |accepted, verdict: &str, reason: &str| DecisionReport {
        accepted,
        attributes: RouteAttributes::default(),
        steps: vec![step("import-filter", verdict, reason)],
    };
    let best = Usage::Best {
        installation: Installation::Keep,
    };
    let unused = |reason: &str| Usage::Unused {
        reason: reason.to_owned(),
    };
    let mut kept = decision(true, "accept", "rule `own`");
    kept.steps[0].installation = Some(Installation::Keep);
    let mut explanation = explanation("10.20.0.0/16");
    explanation.learned = vec![
        learned("tor-a", best, Some(kept)),
        learned(
            "tor-b",
            unused("rejected"),
            Some(decision(false, "reject", "no rule takes this prefix")),
        ),
        ReceivedRoute {
            as_path: String::new(),
            attributes: RouteAttributes::default(),
            ..learned("reflector", unused("our AS 64512 is in its AS_PATH"), None)
        },
        learned("tor-c", Usage::Undecided, None),
        ReceivedRoute {
            lost: Some(Lost {
                step: "RFC 4271 9.1.2.2 a".to_owned(),
                best: Some("tor-a".to_owned()),
            }),
            ..learned("tor-d", unused("longer AS_PATH"), None)
        },
    ];
    assert_eq!(outcome(&explanation), Outcome::Done);
    assert_snapshot!(text(&explanation));
}

#[test]
fn a_reflector_tells_to_whom_the_best_path_went_on_and_why_not_to_others() {
    let mut explanation = explanation("10.244.1.0/26");
    explanation.covered_by = vec![prefix("10.244.0.0/16")];
    let passed = |peer: &str, sent| PassedOn {
        peer: peer.to_owned(),
        sent,
    };
    let not_sent = |reason: &str| Sent::NotSent {
        reason: reason.to_owned(),
    };
    explanation.passed_on = vec![
        passed(
            "worker-1",
            not_sent("the best path was learned from the peer itself"),
        ),
        passed("worker-2", announced("192.168.83.22")),
        passed("worker-3", Sent::Pending),
        passed("tor", not_sent("there is no session")),
    ];
    assert_snapshot!(text(&explanation));
}
