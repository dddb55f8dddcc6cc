//! Which rule decides, what it does to a route, and settings that are refused.

use rutter_policy::{
    Decision, PeerGroup, PeerKind, RouteAttributes, Verdict, testing, validate_settings,
};

use super::CalicoFilter;

fn decide_for(kind: PeerKind, settings: &str, prefix: &str, proposed: RouteAttributes) -> Decision {
    testing::batch()
        .settings(settings)
        .peer_group(PeerGroup {
            name: "tor".into(),
            asn: 64512,
            kind,
            labels: Vec::new(),
        })
        .proposed(proposed)
        .pod_cidr(prefix)
        .decide::<CalicoFilter>()
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

#[test]
fn rules_that_mean_nothing_here_are_refused_by_name() {
    let rule = |fields: &str| format!(r#"{{"exportV4": [{{"action": "Accept", {fields}}}]}}"#);
    let own = "routes that a node announces by itself have none to match; leave the rule out";
    for (settings, error) in [
        (
            r#"{"importV4": [{"action": "Accept"}]}"#.to_owned(),
            "importV4: this policy decides on what a node announces; leave import rules out"
                .to_owned(),
        ),
        (
            rule(r#""source": "RemotePeers""#),
            "exportV4[0].source: it matches routes learned from peers; this policy decides on a \
             node's own; leave the rule out"
                .into(),
        ),
        (
            rule(r#""interface": "eth*""#),
            format!("exportV4[0].interface: {own}"),
        ),
        (
            rule(r#""asPathPrefix": [1]"#),
            format!("exportV4[0].asPathPrefix: {own}"),
        ),
        (
            rule(r#""priority": 5"#),
            format!("exportV4[0].priority: {own}"),
        ),
        (
            rule(r#""operations": [{"setPriority": {"value": 1}}]"#),
            "exportV4[0].operations[0].setPriority: it is a metric of the kernel's routes, which \
             are not announced"
                .into(),
        ),
    ] {
        assert_eq!(validate_settings::<CalicoFilter>(&settings), Err(error));
    }
}

#[test]
fn wrong_settings_are_refused_by_key() {
    let rule = |fields: &str| format!(r#"{{"exportV4": [{{"action": "Accept", {fields}}}]}}"#);
    let many = ["64512"; 17].join(",");
    for (settings, error) in [
        ("{}".to_owned(), "neither exportV4 nor exportV6 has a rule"),
        (
            rule(r#""cidr": "10.0.0.0/8""#),
            "exportV4[0].matchOperator is missing: say how cidr is to match",
        ),
        (
            rule(r#""matchOperator": "In""#),
            "exportV4[0].cidr is missing: matchOperator needs one",
        ),
        (
            rule(r#""prefixLength": {}"#),
            "exportV4[0].prefixLength: it needs cidr and matchOperator",
        ),
        (
            rule(r#""cidr": "2001:db8::/32", "matchOperator": "In""#),
            "exportV4[0].cidr: 2001:db8::/32 is not of family IPv4",
        ),
        (
            rule(r#""cidr": "10.0.0.1/8", "matchOperator": "In""#),
            "exportV4[0].cidr: `10.0.0.1/8` has host bits set beyond /8",
        ),
        (
            rule(r#""cidr": "10.0.0.0/8", "matchOperator": "Equal", "prefixLength": {"min": 9}"#),
            "exportV4[0].prefixLength: it goes with the matchOperator In or NotIn",
        ),
        (
            rule(r#""cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength": {"max": 33}"#),
            "exportV4[0].prefixLength.max: 33 is above 32",
        ),
        (
            rule(r#""cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength": {"max": 7}"#),
            "exportV4[0].prefixLength: no length is at least 8 and at most 7",
        ),
        (
            rule(r#""communities": {"values": ["1:1", "1:2"]}"#),
            "exportV4[0].communities.values: write exactly one",
        ),
        (
            rule(r#""operations": [{"prependASPath": {"prefix": []}}]"#),
            "exportV4[0].operations[0].prependASPath.prefix: it is empty: name our own AS number",
        ),
        (
            rule(r#""operations": [{"prependASPath": {"prefix": [1, 2]}}]"#),
            "exportV4[0].operations[0].prependASPath.prefix: only our own AS number can be \
             prepended, so all must be the same",
        ),
        (
            rule(&format!(r#""operations": [{{"prependASPath": {{"prefix": [{many}]}}}}]"#)),
            "exportV4[0].operations[0].prependASPath.prefix: 17 numbers are more than 16",
        ),
        (
            r#"{"exportV4": [{"action": "Reject", "operations": [{"addCommunity": {"value": "1:1"}}]}]}"#
                .into(),
            "exportV4[0].operations: a rule that rejects cannot change the route",
        ),
        (
            rule(r#""peerType": "ebgp""#),
            "exportV4[0].peerType: unknown variant `ebgp`, expected `eBGP` or `iBGP`",
        ),
        (
            r#"{"exportV6": [{"action": "accept"}]}"#.into(),
            "exportV6[0].action: unknown variant `accept`, expected `Accept` or `Reject`",
        ),
    ] {
        assert_eq!(validate_settings::<CalicoFilter>(&settings), Err(error.into()));
    }
}
