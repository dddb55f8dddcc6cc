//! The text of `rutter policy diff --live`, and what it asks for.

use axum::http::StatusCode;
use insta::assert_snapshot;

use super::*;
use crate::candidates::{AddressKind, Origin};
use crate::cli::testing::{FakeAgent, prefix, printed, with_unknown_field};
use crate::facts::ServiceKey;
use crate::types::RouteAttributes;

fn with_med(med: u32) -> RouteAttributes {
    RouteAttributes {
        med: Some(med),
        ..RouteAttributes::default()
    }
}

fn difference(
    address: &str,
    from: Option<RouteAttributes>,
    to: Option<RouteAttributes>,
) -> ShadowDifference {
    ShadowDifference {
        prefix: prefix(address),
        origin: Origin::ServiceAddress {
            service: ServiceKey::new("default", "web"),
            address: AddressKind::LoadBalancerIp,
        },
        from,
        to,
        policy: "next".to_owned(),
        reason: None,
    }
}

fn comparison<D>(name: &str, peers: &[&str]) -> ShadowComparison<D> {
    ShadowComparison {
        counts: ShadowCounts {
            group: name.to_owned(),
            peer: None,
            compared: 120,
            waiting: 0,
            withdrawn: 0,
            changed: 0,
            added: 0,
        },
        peers: peers.iter().map(|&name| name.to_owned()).collect(),
        differences: Vec::new(),
    }
}

fn shadow<D>(groups: Vec<ShadowComparison<D>>) -> ShadowPolicy<D> {
    ShadowPolicy {
        policy: "next".to_owned(),
        module: "/etc/rutter/next.wasm".to_owned(),
        error: None,
        retry_in: None,
        groups,
    }
}

fn learned_by(peer: &str) -> ShadowComparison<LearnedDifference> {
    let used = |med, installation| LearnedUse {
        attributes: with_med(med),
        installation,
    };
    let difference = |address: &str, from, to| LearnedDifference {
        prefix: prefix(address),
        from,
        to,
        policy: "next".to_owned(),
        reason: Some("rule `far`".to_owned()),
    };
    let (install, keep) = (Installation::Install, Installation::Keep);
    let mut learned = comparison("tors", &[peer]);
    learned.counts.peer = Some(peer.to_owned());
    (
        learned.counts.withdrawn,
        learned.counts.changed,
        learned.counts.added,
    ) = (1, 1, 1);
    learned.differences = vec![
        difference("100.64.0.0/24", Some(used(1, install)), None),
        difference("100.65.0.0/24", Some(used(1, install)), Some(used(1, keep))),
        difference("100.66.0.0/24", None, Some(used(7, keep))),
    ];
    learned
}

#[test]
fn one_import_policy_that_waits_is_not_all_compared() {
    let mut waiting = learned_by("tor-a");
    waiting.counts.waiting = 1;
    let report = ShadowReport {
        import_policies: vec![shadow(vec![waiting])],
        ..report()
    };
    assert_eq!(outcome(&report), Outcome::Degraded);
}

fn report() -> ShadowReport {
    let mut tors = comparison("tors", &["tor-a", "tor-b"]);
    (
        tors.counts.withdrawn,
        tors.counts.changed,
        tors.counts.added,
    ) = (1, 1, 1);
    tors.differences = vec![
        ShadowDifference {
            policy: "last".to_owned(),
            reason: Some("no MED above\n100".to_owned()),
            ..difference("10.0.0.1/32", Some(with_med(1)), None)
        },
        difference(
            "10.0.0.2/32",
            Some(RouteAttributes::default()),
            Some(with_med(7)),
        ),
        difference("10.0.0.3/32", None, Some(with_med(7))),
    ];
    ShadowReport {
        policies: vec![shadow(vec![tors, comparison("upstream", &["upstream"])])],
        import_policies: vec![shadow(vec![learned_by("tor-a")])],
    }
}

#[test]
fn each_difference_is_a_line_with_who_makes_it() {
    assert_eq!(outcome(&report()), Outcome::Done);
    assert_snapshot!(printed(|out| print(&report(), out)));
}

#[test]
fn a_failing_policy_tells_what_is_not_compared() {
    let mut waiting = comparison("tors", &["tor-a"]);
    waiting.counts.waiting = 3;
    let report = ShadowReport {
        policies: vec![
            ShadowPolicy {
                error: Some("the module trapped: unreachable".to_owned()),
                retry_in: Some(4),
                ..shadow(vec![waiting])
            },
            shadow(Vec::new()),
        ],
        import_policies: Vec::new(),
    };
    assert_eq!(outcome(&report), Outcome::Degraded);
    assert_snapshot!(printed(|out| print(&report, out)));
}

#[test]
fn without_a_shadow_it_says_how_to_have_one() {
    let report = ShadowReport {
        policies: Vec::new(),
        import_policies: Vec::new(),
    };
    assert_eq!(outcome(&report), Outcome::Done);
    assert_snapshot!(printed(|out| print(&report, out)));
}

#[test]
fn the_agent_is_asked_once_and_its_document_printed_as_it_is() {
    let document = with_unknown_field(&report());
    let agent = FakeAgent::answering(StatusCode::OK, &document);
    let ran = agent.run(&["policy", "diff", "--live", "-o", "json"]);
    assert_eq!(agent.requests(), ["/v1/policy/shadow"]);
    assert_eq!(ran.outcome, Outcome::Done);
    let printed: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(printed, document);
}
