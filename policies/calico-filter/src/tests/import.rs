//! Import rules: which decides, and what it does to a route.

use rutter_policy::testing::{self, LearnedBuilder};
use rutter_policy::{
    Acceptance, Community, ImportDecision, ImportVerdict, LEARNED_COMMUNITIES_MAX, PeerKind,
    RouteAttributes,
};

use super::group;
use crate::ImportFilter;

fn learned(settings: &str) -> LearnedBuilder {
    testing::learned()
        .settings(settings)
        .peer_group(group(PeerKind::Ebgp))
}

fn only(batch: LearnedBuilder) -> ImportDecision {
    batch.decide::<ImportFilter>().unwrap().remove(0)
}

fn decide(settings: &str, prefix: &str) -> ImportDecision {
    only(learned(settings).route(prefix))
}

fn accepted(key: &str) -> ImportDecision {
    ImportDecision::accept(Acceptance::default()).because(format!("accepted by {key}"))
}

#[test]
fn the_first_rule_that_matches_decides() {
    let settings = r#"{
        "importV4": [
            {"action": "Accept", "cidr": "10.1.0.0/16", "matchOperator": "In"},
            {"action": "Reject", "cidr": "10.0.0.0/8", "matchOperator": "In",
             "prefixLength": {"min": 24}},
            {"action": "Reject", "cidr": "10.1.0.0/16", "matchOperator": "In"}
        ],
        "importV6": [{"action": "Reject", "cidr": "2001:db8::/32", "matchOperator": "NotEqual"}]
    }"#;
    for (prefix, decision) in [
        ("10.1.2.0/24", accepted("importV4[0]")),
        (
            "10.2.0.0/24",
            ImportDecision::reject("rejected by importV4[1]"),
        ),
        ("10.2.0.0/16", ImportDecision::abstain()),
        ("192.0.2.0/24", ImportDecision::abstain()),
        (
            "2001:db8:1::/48",
            ImportDecision::reject("rejected by importV6[0]"),
        ),
        ("2001:db8::/32", ImportDecision::abstain()),
    ] {
        assert_eq!(decide(settings, prefix), decision, "{prefix}");
    }
}

/// The same settings stand under both keys of the configuration.
#[test]
fn export_rules_say_nothing_of_learned_routes_nor_import_rules_of_announced_ones() {
    let settings = |key: &str| {
        format!(r#"{{"{key}V4": [{{"action": "Reject"}}], "{key}V6": [{{"action": "Reject"}}]}}"#)
    };
    for prefix in ["10.1.0.0/24", "2001:db8::/32"] {
        let announced = |settings: &str| {
            let batch = testing::batch().settings(settings).pod_cidr(prefix);
            let decided = batch.decide::<crate::ExportFilter>().unwrap().remove(0);
            decided.verdict
        };
        let (export, import) = (settings("export"), settings("import"));
        assert_eq!(decide(&export, prefix), ImportDecision::abstain());
        assert_eq!(decide(&import, prefix).verdict, ImportVerdict::Reject);
        assert_eq!(announced(&import), rutter_policy::Verdict::Abstain);
        assert_eq!(announced(&export), rutter_policy::Verdict::Reject);
    }
}

#[test]
fn every_learned_route_is_of_remote_peers() {
    let settings = r#"{"importV4": [{"action": "Reject", "source": "RemotePeers"}]}"#;
    let rejected = ImportDecision::reject("rejected by importV4[0]");
    assert_eq!(decide(settings, "10.1.0.0/24"), rejected);
}

#[test]
fn rules_for_one_kind_of_peers_do_not_touch_routes_of_the_other() {
    for (peer_type, matching, other) in [
        ("iBGP", PeerKind::Ibgp, PeerKind::Ebgp),
        ("eBGP", PeerKind::Ebgp, PeerKind::Ibgp),
    ] {
        let settings =
            format!(r#"{{"importV4": [{{"action": "Reject", "peerType": "{peer_type}"}}]}}"#);
        let verdict = |kind| {
            let from = learned(&settings).peer_group(group(kind));
            only(from.route("10.1.0.0/24")).verdict
        };
        assert_eq!(verdict(matching), ImportVerdict::Reject);
        assert_eq!(verdict(other), ImportVerdict::Abstain);
    }
}

#[test]
fn communities_that_a_route_came_with_match() {
    let settings = r#"{"importV4": [
        {"action": "Reject", "communities": {"values": ["64513:1"]}},
        {"action": "Reject", "communities": {"values": ["64513:1:2"]}}
    ]}"#;
    let with = |community: &str| {
        let mut attributes = RouteAttributes::default();
        community
            .parse::<Community>()
            .unwrap()
            .add_to(&mut attributes);
        only(learned(settings).proposed(attributes).route("10.1.0.0/24"))
    };
    let rejected = |rule| ImportDecision::reject(format!("rejected by importV4[{rule}]"));
    assert_eq!(with("64513:1"), rejected(0));
    assert_eq!(with("64513:1:2"), rejected(1));
    assert_eq!(with("64513:2"), ImportDecision::abstain());
}

#[test]
fn a_path_matches_by_what_it_begins_with() {
    let settings = r#"{"importV4": [{"action": "Reject", "asPathPrefix": [64513, 64520]}]}"#;
    let rejects = |batch: LearnedBuilder| match only(batch.route("10.1.0.0/24")).verdict {
        ImportVerdict::Reject => true,
        ImportVerdict::Abstain => false,
        ImportVerdict::Accept(_) => panic!("no rule accepts"),
    };
    for (path, begins) in [
        (&[64513, 64520][..], true),
        (&[64513, 64520, 64530], true),
        (&[64513], false),
        (&[64520, 64513], false),
        (&[64530, 64513, 64520], false),
        (&[64513, 64513, 64520], false),
        (&[], false),
    ] {
        assert_eq!(rejects(learned(settings).path(path)), begins, "{path:?}");
    }
    // A set is one AS, any of those it names.
    let with_set =
        |asns: &[u32], set: &[u32]| rejects(learned(settings).path(asns).aggregated(set));
    assert!(with_set(&[64513], &[64519, 64520]));
    assert!(!with_set(&[64513], &[64519, 64521]));
    assert!(!with_set(&[], &[64513, 64520]));
    assert!(with_set(&[64513, 64520], &[1]));
    let two_sets = learned(settings).path(&[]).aggregated(&[1, 64513]);
    assert!(rejects(two_sets.clone().aggregated(&[64520])));
    assert!(!rejects(two_sets.aggregated(&[64513])));
}

#[test]
fn no_numbers_in_front_match_every_path() {
    let settings = r#"{"importV4": [{"action": "Reject", "asPathPrefix": []}]}"#;
    for path in [&[][..], &[64513]] {
        let decision = only(learned(settings).path(path).route("10.1.0.0/24"));
        assert_eq!(decision.verdict, ImportVerdict::Reject);
    }
}

#[test]
fn operations_change_how_the_route_is_used() {
    let settings = r#"{"importV4": [{"action": "Accept", "operations": [
        {"addCommunity": {"value": "64512:7"}},
        {"prependASPath": {"prefix": [64513, 64513]}},
        {"addCommunity": {"value": "64512:1:2"}},
        {"prependASPath": {"prefix": [64513]}}
    ]}]}"#;
    for (prepend, expected) in [(0, 3), (14, 16)] {
        let proposed = RouteAttributes {
            prepend,
            med: Some(1),
            communities: vec![5],
            ..RouteAttributes::default()
        };
        let decision = only(learned(settings).proposed(proposed).route("10.1.0.0/24"));
        let ImportVerdict::Accept(Acceptance {
            attributes: Some(attributes),
            installation: None,
        }) = decision.verdict
        else {
            panic!("{decision:?}");
        };
        assert_eq!(attributes.communities, [5, 64512 << 16 | 7]);
        assert_eq!(attributes.large_communities.len(), 1);
        assert_eq!(attributes.prepend, expected);
        assert_eq!(attributes.med, Some(1));
        assert_eq!(decision.reason.unwrap(), "accepted by importV4[0]");
    }
}

#[test]
fn a_community_that_is_there_already_changes_nothing() {
    let settings = r#"{"importV4": [{"action": "Accept",
        "operations": [{"addCommunity": {"value": "0:5"}}]}]}"#;
    let proposed = RouteAttributes {
        communities: vec![5],
        ..RouteAttributes::default()
    };
    let decision = only(learned(settings).proposed(proposed).route("10.1.0.0/24"));
    assert_eq!(decision, accepted("importV4[0]"));
}

#[test]
fn a_path_can_be_made_longer_by_the_peer_it_came_from_alone() {
    let settings = r#"{"importV4": [{"action": "Accept",
        "operations": [{"prependASPath": {"prefix": [64512]}}]}]}"#;
    assert_eq!(
        decide(settings, "10.1.0.0/24"),
        ImportDecision::reject(
            "importV4[0] prepends AS 64512, and only the peer's, 64513, can be prepended"
        )
    );
    // An internal peer's is ours.
    let internal = learned(settings).peer_group(group(PeerKind::Ibgp));
    let decision = only(internal.route("10.1.0.0/24"));
    let ImportVerdict::Accept(Acceptance {
        attributes: Some(attributes),
        ..
    }) = decision.verdict
    else {
        panic!("{decision:?}");
    };
    assert_eq!(attributes.prepend, 1);
}

#[test]
fn a_route_with_no_room_for_a_community_is_rejected() {
    let settings = r#"{"importV4": [{"action": "Accept",
        "operations": [{"addCommunity": {"value": "64512:7"}}]}]}"#;
    for (received, taken) in [
        (LEARNED_COMMUNITIES_MAX - 1, true),
        (LEARNED_COMMUNITIES_MAX, false),
    ] {
        let proposed = RouteAttributes {
            communities: (0..).take(received).collect(),
            ..RouteAttributes::default()
        };
        let decision = only(learned(settings).proposed(proposed).route("10.1.0.0/24"));
        assert_eq!(
            decision.verdict != ImportVerdict::Reject,
            taken,
            "{received}"
        );
    }
}
