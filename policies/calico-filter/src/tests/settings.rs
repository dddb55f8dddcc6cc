//! Settings that are refused, and those that are not.

use rutter_policy::validate_two_way_settings;

use crate::{ExportFilter, ImportFilter};

fn validate(settings: &str) -> Result<(), String> {
    validate_two_way_settings::<ExportFilter, ImportFilter>(settings)
}

/// Rules of either direction, asked to hold more than these fields.
fn rules(key: &str, fields: &str) -> String {
    format!(r#"{{"{key}": [{{"action": "Accept", {fields}}}]}}"#)
}

#[test]
fn what_a_nodes_own_routes_have_not_is_refused_by_name() {
    let own = "routes that a node announces by itself have none to match; leave the rule out";
    for (fields, error) in [
        (
            r#""source": "RemotePeers""#,
            "source: it matches routes learned from peers; export rules decide on a node's own; \
             leave the rule out"
                .to_owned(),
        ),
        (r#""interface": "eth*""#, format!("interface: {own}")),
        (r#""asPathPrefix": [1]"#, format!("asPathPrefix: {own}")),
        (r#""priority": 5"#, format!("priority: {own}")),
        (
            r#""operations": [{"setPriority": {"value": 1}}]"#,
            "operations[0].setPriority: it is a metric of the kernel's routes, which are not \
             announced"
                .into(),
        ),
    ] {
        for key in ["exportV4", "exportV6"] {
            let refused = validate(&rules(key, fields));
            assert_eq!(refused, Err(format!("{key}[0].{error}")));
        }
    }
}

#[test]
fn what_policies_are_not_told_of_learned_routes_is_refused_by_name() {
    for (fields, error) in [
        (
            r#""interface": "eth*""#,
            "interface: policies are not told by which one traffic would leave; leave the rule out",
        ),
        (
            r#""priority": 5"#,
            "priority: it is a metric of the kernel's routes, which learned ones do not have; \
             leave the rule out",
        ),
        (
            r#""operations": [{"setPriority": {"value": 1}}]"#,
            "operations[0].setPriority: it is a metric of the kernel's routes, which no policy sets",
        ),
        (
            r#""source": "LocalPeers""#,
            "source: unknown variant `LocalPeers`, expected `RemotePeers`",
        ),
        (
            r#""operations": [{"prependASPath": {"prefix": []}}]"#,
            "operations[0].prependASPath.prefix: it is empty: name the peer's AS number",
        ),
        (
            r#""operations": [{"prependASPath": {"prefix": [1, 2]}}]"#,
            "operations[0].prependASPath.prefix: only the peer's AS number can be prepended, so \
             all must be the same",
        ),
    ] {
        for key in ["importV4", "importV6"] {
            let refused = validate(&rules(key, fields));
            assert_eq!(refused, Err(format!("{key}[0].{error}")));
        }
    }
}

/// The same settings may stand under both keys of the configuration, so each direction refuses
/// what is wrong with the other.
#[test]
fn a_mistake_in_either_direction_refuses_the_settings() {
    let right = r#"[{"action": "Reject"}]"#;
    let wrong = r#"[{"action": "Reject", "cidr": "10.0.0.0/8"}]"#;
    let settings = |export: &str, import: &str| {
        validate(&format!(
            r#"{{"exportV4": {export}, "importV4": {import}}}"#
        ))
    };
    assert_eq!(settings(right, right), Ok(()));
    for (export, import, key) in [(wrong, right, "exportV4"), (right, wrong, "importV4")] {
        let words = format!("{key}[0].matchOperator is missing: say how cidr is to match");
        assert_eq!(settings(export, import), Err(words));
    }
}

#[test]
fn rules_for_one_direction_and_family_are_enough() {
    for key in ["exportV4", "exportV6", "importV4", "importV6"] {
        let settings = format!(r#"{{"{key}": [{{"action": "Reject"}}]}}"#);
        assert_eq!(validate(&settings), Ok(()), "{key}");
    }
    for settings in [
        "{}",
        r#"{"exportV4": [], "exportV6": [], "importV4": [], "importV6": []}"#,
    ] {
        let none = "none of exportV4, exportV6, importV4 and importV6 has a rule";
        assert_eq!(validate(settings), Err(none.into()));
    }
}

#[test]
fn wrong_settings_are_refused_by_key() {
    let rule = |fields: &str| rules("exportV4", fields);
    let many = ["64512"; 17].join(",");
    for (settings, error) in [
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
        (
            rules("importV6", r#""cidr": "10.0.0.0/8", "matchOperator": "In""#),
            "importV6[0].cidr: 10.0.0.0/8 is not of family IPv6",
        ),
    ] {
        assert_eq!(validate(&settings), Err(error.into()));
    }
}
