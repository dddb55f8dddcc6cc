//! Which communities a route is given, and settings that are refused.

use rutter_policy::{AddressKind, Decision, RouteAttributes, Verdict, testing, validate_settings};

use super::Communities;

const SETTINGS: &str = r#"{
    "rules": [
        {"match": {"namespaces": ["shop"]}, "add": ["64512:1"]},
        {"match": {"labels": {"tier": "gold"}}, "add": ["64512:2", "64512:1:2"]},
        {"match": {"annotations": {"example.com/internal": "*"}}, "add": ["no-export"]},
        {"match": {"routes": ["pod-cidr"]}, "add": ["64512:9"]}
    ],
    "annotation": {"key": "example.com/communities", "allow": ["64512:50", "blackhole"]}
}"#;

const NO_EXPORT: u32 = 0xFFFF_FF01;

fn standard(number: u32) -> u32 {
    64512 << 16 | number
}

fn decide(service: testing::Service, proposed: RouteAttributes) -> Decision {
    testing::batch()
        .settings(SETTINGS)
        .proposed(proposed)
        .address("192.0.2.1/32", AddressKind::LoadBalancerIp, service)
        .decide::<Communities>()
        .unwrap()
        .remove(0)
}

#[test]
fn every_rule_that_matches_adds_its_communities() {
    let shop = || testing::service("shop/web");
    let other = || testing::service("other/web");
    let asks = |list| other().with_annotation("example.com/communities", list);
    let ignores = "; ignores `64512:51`, `x` of the annotation, which is not allowed";
    for (service, communities, large, reason) in [
        (shop(), vec![standard(1)], 0, "adds 64512:1".to_owned()),
        (
            shop().with_label("tier", "gold"),
            vec![standard(1), standard(2)],
            1,
            "adds 64512:1, 64512:2, 64512:1:2".to_owned(),
        ),
        (
            other().with_annotation("example.com/internal", ""),
            vec![NO_EXPORT],
            0,
            "adds 65535:65281".to_owned(),
        ),
        (
            asks("64512:50"),
            vec![standard(50)],
            0,
            "adds 64512:50".to_owned(),
        ),
        (
            asks(" blackhole,, 64512:51 ,x,64512:50"),
            vec![standard(50), 0xFFFF_029A],
            0,
            format!("adds 64512:50, 65535:666{ignores}"),
        ),
    ] {
        let decision = decide(service, RouteAttributes::default());
        let Verdict::Accept(Some(attributes)) = decision.verdict else {
            panic!("{decision:?} instead of {reason}");
        };
        assert_eq!(attributes.communities, communities, "{reason}");
        assert_eq!(attributes.large_communities.len(), large, "{reason}");
        assert_eq!(decision.reason.unwrap(), reason);
    }
}

#[test]
fn what_a_route_has_already_stays() {
    let proposed = RouteAttributes {
        med: Some(5),
        communities: vec![standard(7)],
        ..RouteAttributes::default()
    };
    let decision = decide(testing::service("shop/web"), proposed.clone());
    assert_eq!(
        decision.verdict,
        Verdict::Accept(Some(RouteAttributes {
            communities: vec![standard(7), standard(1)],
            ..proposed
        }))
    );
}

#[test]
fn it_abstains_where_it_has_nothing_to_add() {
    let marked = RouteAttributes {
        communities: vec![standard(1)],
        ..RouteAttributes::default()
    };
    let decision = decide(testing::service("shop/web"), marked);
    assert_eq!(decision.verdict, Verdict::Abstain);
    let unmatched = decide(testing::service("other/web"), RouteAttributes::default());
    assert_eq!(unmatched, Decision::abstain());
    let refused = testing::service("other/web").with_annotation("example.com/communities", "1:1");
    let decision = decide(refused, RouteAttributes::default());
    assert_eq!(decision.verdict, Verdict::Abstain);
    assert_eq!(
        decision.reason.unwrap(),
        "adds nothing; ignores `1:1` of the annotation, which is not allowed"
    );
}

#[test]
fn routes_of_no_service_are_matched_by_kind() {
    let decisions = testing::batch()
        .settings(SETTINGS)
        .pod_cidr("10.1.0.0/24")
        .service_cidr("10.96.0.0/12", AddressKind::ClusterIp)
        .decide::<Communities>()
        .unwrap();
    assert_eq!(decisions[0].reason.as_deref(), Some("adds 64512:9"));
    assert_eq!(decisions[1], Decision::abstain());
}

#[test]
fn wrong_settings_are_refused_by_key() {
    for (settings, error) in [
        (
            "{}",
            "neither rules nor annotation is set: nothing would be added",
        ),
        (
            r#"{"rules": [{"add": ["1:1"]}, {"add": []}]}"#,
            "rules[1].add is empty: name a community",
        ),
        (r#"{"rules": [{}]}"#, "rules[0]: missing field `add`"),
        (
            r#"{"annotation": {"key": "k", "allow": []}}"#,
            "annotation.allow is empty: name the communities that Services may ask for",
        ),
        (
            r#"{"annotation": {"key": "", "allow": ["1:1"]}}"#,
            "annotation.key is empty: name the annotation of Services",
        ),
        (
            r#"{"rules": [{"add": ["1:70000"]}]}"#,
            "rules[0].add[0]: `1:70000` is no community: write two numbers up to 65535 \
             (64512:100), three numbers up to 4294967295 (64512:1:2), or a name such as no-export",
        ),
        (
            r#"{"rules": [{"add": ["1:1"], "match": {"label": {}}}]}"#,
            "rules[0].match: unknown field `label`, expected one of `routes`, `namespaces`, \
             `labels`, `annotations`",
        ),
    ] {
        assert_eq!(
            validate_settings::<Communities>(settings),
            Err(error.into())
        );
    }
    assert_eq!(validate_settings::<Communities>(SETTINGS), Ok(()));
}
