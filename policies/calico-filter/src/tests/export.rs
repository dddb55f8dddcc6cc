//! Export rules: which decides, and what it does to a route.

use rutter_policy::{Decision, PeerKind, RouteAttributes, Verdict, testing};

use super::group;
use crate::ExportFilter;

fn decide_for(kind: PeerKind, settings: &str, prefix: &str, proposed: RouteAttributes) -> Decision {
    testing::batch()
        .settings(settings)
        .peer_group(group(kind))
        .proposed(proposed)
        .pod_cidr(prefix)
        .decide::<ExportFilter>()
        .unwrap()
        .remove(0)
}

fn decide(settings: &str, prefix: &str) -> Decision {
    decide_for(PeerKind::Ebgp, settings, prefix, RouteAttributes::default())
}

/// Whether a rule that rejects matches.
fn rejects(rule: &str, prefix: &str) -> bool {
    let settings = format!(r#"{{"exportV4": [{{"action": "Reject", {rule}}}]}}"#);
    decide(&settings, prefix).verdict == Verdict::Reject
}

#[test]
fn prefixes_match_as_their_operator_says() {
    let cidr = |operator| format!(r#""cidr": "10.0.0.0/8", "matchOperator": "{operator}""#);
    for (prefix, equal, within) in [
        ("10.0.0.0/8", true, true),
        ("10.1.0.0/16", false, true),
        ("10.1.2.3/32", false, true),
        ("11.0.0.0/8", false, false),
        ("0.0.0.0/0", false, false),
    ] {
        assert_eq!(rejects(&cidr("Equal"), prefix), equal, "{prefix}");
        assert_eq!(rejects(&cidr("NotEqual"), prefix), !equal, "{prefix}");
        assert_eq!(rejects(&cidr("In"), prefix), within, "{prefix}");
        assert_eq!(rejects(&cidr("NotIn"), prefix), !within, "{prefix}");
    }
}

#[test]
fn lengths_narrow_in_and_widen_not_in() {
    let rule = |operator, lengths| {
        format!(r#""cidr": "10.0.0.0/8", "matchOperator": "{operator}", "prefixLength": {lengths}"#)
    };
    for (lengths, prefix, within) in [
        (r#"{"min": 16, "max": 24}"#, "10.0.0.0/8", false),
        (r#"{"min": 16, "max": 24}"#, "10.1.0.0/16", true),
        (r#"{"min": 16, "max": 24}"#, "10.1.2.0/24", true),
        (r#"{"min": 16, "max": 24}"#, "10.1.2.0/25", false),
        (r#"{"min": 16, "max": 24}"#, "11.1.0.0/16", false),
        (r#"{"max": 8}"#, "10.0.0.0/8", true),
        (r#"{"max": 8}"#, "10.0.0.0/9", false),
        (r#"{"min": 32}"#, "10.1.2.3/32", true),
        // A shorter minimum than the prefix's own says nothing.
        (r#"{"min": 0}"#, "0.0.0.0/0", false),
        ("{}", "10.1.0.0/16", true),
    ] {
        assert_eq!(
            rejects(&rule("In", lengths), prefix),
            within,
            "{lengths} {prefix}"
        );
        assert_eq!(
            rejects(&rule("NotIn", lengths), prefix),
            !within,
            "{lengths} {prefix}"
        );
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let settings = r#"{
        "exportV4": [
            {"action": "Accept", "cidr": "10.1.0.0/16", "matchOperator": "In"},
            {"action": "Reject", "cidr": "10.0.0.0/8", "matchOperator": "In"},
            {"action": "Reject", "cidr": "10.1.0.0/16", "matchOperator": "In"}
        ],
        "exportV6": [{"action": "Reject"}]
    }"#;
    for (prefix, decision) in [
        (
            "10.1.2.0/24",
            Decision::abstain().because("accepted by exportV4[0]"),
        ),
        ("10.2.0.0/24", Decision::reject("rejected by exportV4[1]")),
        ("192.0.2.0/24", Decision::abstain()),
        ("2001:db8::/32", Decision::reject("rejected by exportV6[0]")),
    ] {
        assert_eq!(decide(settings, prefix), decision, "{prefix}");
    }
}

#[test]
fn a_family_without_rules_is_let_through() {
    let settings = r#"{"exportV6": [{"action": "Reject"}]}"#;
    assert_eq!(decide(settings, "10.1.0.0/24"), Decision::abstain());
}

#[test]
fn rules_for_one_kind_of_peers_do_not_touch_the_other() {
    for (peer_type, matching, other) in [
        ("iBGP", PeerKind::Ibgp, PeerKind::Ebgp),
        ("eBGP", PeerKind::Ebgp, PeerKind::Ibgp),
    ] {
        let settings =
            format!(r#"{{"exportV4": [{{"action": "Reject", "peerType": "{peer_type}"}}]}}"#);
        let verdict =
            |kind| decide_for(kind, &settings, "10.1.0.0/24", RouteAttributes::default()).verdict;
        assert_eq!(verdict(matching), Verdict::Reject);
        assert_eq!(verdict(other), Verdict::Abstain);
    }
}

#[test]
fn communities_that_the_chain_gave_so_far_match() {
    let settings = r#"{"exportV4": [
        {"action": "Reject", "communities": {"values": ["64512:1"]}},
        {"action": "Reject", "communities": {"values": ["64512:1:2"]}}
    ]}"#;
    let with = |community: Option<&str>| {
        let mut attributes = RouteAttributes::default();
        if let Some(text) = community {
            let community: rutter_policy::Community = text.parse().unwrap();
            community.add_to(&mut attributes);
        }
        decide_for(PeerKind::Ebgp, settings, "10.1.0.0/24", attributes)
    };
    assert_eq!(
        with(Some("64512:1")),
        Decision::reject("rejected by exportV4[0]")
    );
    assert_eq!(
        with(Some("64512:1:2")),
        Decision::reject("rejected by exportV4[1]")
    );
    assert_eq!(with(Some("64512:2")), Decision::abstain());
    assert_eq!(with(None), Decision::abstain());
}

#[test]
fn operations_change_the_route() {
    let settings = r#"{"exportV4": [{"action": "Accept", "operations": [
        {"addCommunity": {"value": "64512:7"}},
        {"prependASPath": {"prefix": [64512, 64512]}},
        {"addCommunity": {"value": "64512:1:2"}},
        {"prependASPath": {"prefix": [64512]}}
    ]}]}"#;
    for (prepend, expected) in [(0, 3), (2, 5), (14, 16)] {
        let proposed = RouteAttributes {
            prepend,
            med: Some(1),
            ..RouteAttributes::default()
        };
        let decision = decide_for(PeerKind::Ebgp, settings, "10.1.0.0/24", proposed);
        let Verdict::Accept(Some(attributes)) = decision.verdict else {
            panic!("{decision:?}");
        };
        assert_eq!(attributes.communities, [64512 << 16 | 7]);
        assert_eq!(attributes.large_communities.len(), 1);
        assert_eq!(attributes.prepend, expected);
        assert_eq!(attributes.med, Some(1));
        assert_eq!(decision.reason.unwrap(), "accepted by exportV4[0]");
    }
}

#[test]
fn a_route_that_cannot_be_made_longer_as_asked_is_not_announced() {
    let settings = r#"{"exportV4": [{"action": "Accept",
        "operations": [{"prependASPath": {"prefix": [65001]}}]}]}"#;
    assert_eq!(
        decide(settings, "10.1.0.0/24"),
        Decision::reject(
            "exportV4[0] prepends AS 65001, and only our own, 64512, can be prepended"
        )
    );
}
