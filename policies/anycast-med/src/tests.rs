//! What a route is given by endpoints and site, and settings that are refused.

use rutter_policy::{
    AddressKind, Decision, EndpointCounts, Family, RouteAttributes, Serving, UnservedReason,
    Verdict, testing, validate_settings,
};

use super::AnycastMed;

const SETTINGS: &str = r#"{
    "match": {"routes": ["load-balancer-ip"]},
    "steps": [
        {"endpoints": 3, "med": 0},
        {"endpoints": 1, "med": 100},
        {"endpoints": 0, "med": 200, "prepend": 2, "local-pref": 50}
    ],
    "sites": {
        "node-label": "site",
        "primary": "a",
        "primary-annotation": "example.com/primary",
        "backup": {"med": 500, "prepend": 4}
    }
}"#;

fn decide(settings: &str, site: Option<&str>, host: &str, service: testing::Service) -> Decision {
    let node = testing::node("worker-1");
    let node = match site {
        Some(site) => node.with_label("site", site),
        None => node,
    };
    testing::batch()
        .settings(settings)
        .node(node)
        .address(host, AddressKind::LoadBalancerIp, service)
        .decide::<AnycastMed>()
        .unwrap()
        .remove(0)
}

fn web(ready: u32) -> testing::Service {
    testing::service("shop/web")
        .with_endpoints_here(Family::Ipv4, testing::ready(ready))
        .with_endpoints_elsewhere(Family::Ipv4, testing::ready(9))
}

fn attributes(med: u32, prepend: u8, local_pref: Option<u32>) -> Verdict {
    Verdict::Accept(Some(RouteAttributes {
        med: Some(med),
        prepend,
        local_pref,
        ..RouteAttributes::default()
    }))
}

#[test]
fn a_node_that_does_not_answer_has_no_endpoints() {
    let decisions = testing::batch()
        .settings(SETTINGS)
        .node(testing::node("worker-1").with_label("site", "a"))
        .address("192.0.2.1/32", AddressKind::LoadBalancerIp, web(3))
        .serving(Serving::Unserved(UnservedReason::LoadBalancerAnswers))
        .decide::<AnycastMed>()
        .unwrap();
    assert_eq!(decisions[0].verdict, attributes(200, 2, Some(50)));
}

#[test]
fn the_highest_step_that_the_node_reaches_counts() {
    for (ready, expected, reason) in [
        (
            0,
            attributes(200, 2, Some(50)),
            "usable endpoints on this node: 0, step of 0",
        ),
        (
            1,
            attributes(100, 0, None),
            "usable endpoints on this node: 1, step of 1",
        ),
        (
            2,
            attributes(100, 0, None),
            "usable endpoints on this node: 2, step of 1",
        ),
        (
            3,
            attributes(0, 0, None),
            "usable endpoints on this node: 3, step of 3",
        ),
        (
            7,
            attributes(0, 0, None),
            "usable endpoints on this node: 7, step of 3",
        ),
    ] {
        let decision = decide(SETTINGS, Some("a"), "192.0.2.1/32", web(ready));
        assert_eq!(decision.verdict, expected, "{ready} ready");
        let told = decision.reason.unwrap();
        assert!(told.starts_with(&format!("{reason}; MED ")), "{told}");
    }
}

#[test]
fn endpoints_are_counted_as_kube_proxy_uses_them_and_by_family() {
    let terminating = EndpointCounts {
        ready: 0,
        serving_terminating: 3,
        unready: 9,
    };
    let service = testing::service("shop/web").with_endpoints_here(Family::Ipv4, terminating);
    let ipv4 = decide(SETTINGS, Some("a"), "192.0.2.1/32", service.clone());
    assert_eq!(ipv4.verdict, attributes(0, 0, None));
    let ipv6 = decide(SETTINGS, Some("a"), "2001:db8::1/128", service);
    assert_eq!(ipv6.verdict, attributes(200, 2, Some(50)));
}

#[test]
fn other_sites_are_backups_whatever_they_have() {
    let of_b = || web(5).with_annotation("example.com/primary", "b");
    for (site, service, expected) in [
        (Some("a"), web(5), attributes(0, 0, None)),
        (Some("b"), web(5), attributes(500, 4, None)),
        (Some("b"), web(0), attributes(500, 4, Some(50))),
        (None, web(5), attributes(500, 4, None)),
        // The Service's own word counts.
        (Some("a"), of_b(), attributes(500, 4, None)),
        (Some("b"), of_b(), attributes(0, 0, None)),
    ] {
        let decision = decide(SETTINGS, site, "192.0.2.1/32", service);
        assert_eq!(decision.verdict, expected, "{site:?}");
        let told = decision.reason.unwrap();
        let is_backup = told.contains("this is a backup site");
        assert_eq!(is_backup, told.contains("MED 500"), "{told}");
    }
}

#[test]
fn a_service_without_a_primary_site_has_no_backups() {
    let settings = r#"{"sites": {"node-label": "site", "primary-annotation": "primary",
        "backup": {"local-pref": 10}}}"#;
    let plain = decide(settings, Some("b"), "192.0.2.1/32", web(1));
    assert_eq!(plain, Decision::abstain());
    let named = web(1).with_annotation("primary", "a");
    let decision = decide(settings, Some("b"), "192.0.2.1/32", named);
    assert_eq!(
        decision.verdict,
        Verdict::Accept(Some(RouteAttributes {
            local_pref: Some(10),
            ..RouteAttributes::default()
        }))
    );
    assert_eq!(
        decision.reason.unwrap(),
        "this is a backup site; MED none, prepend 0, local preference 10"
    );
}

#[test]
fn it_abstains_where_nothing_changes() {
    let settings = r#"{"steps": [{"endpoints": 2, "prepend": 0}]}"#;
    for ready in [1, 2] {
        let decision = decide(settings, None, "192.0.2.1/32", web(ready));
        assert_eq!(decision.verdict, Verdict::Abstain, "{ready}");
    }
    let decisions = testing::batch()
        .settings(SETTINGS)
        .pod_cidr("10.1.0.0/24")
        .address("10.96.0.1/32", AddressKind::ClusterIp, web(5))
        .decide::<AnycastMed>()
        .unwrap();
    assert_eq!(decisions, [Decision::abstain(), Decision::abstain()]);
}

#[test]
fn wrong_settings_are_refused_by_key() {
    let sites = |fields: &str| format!(r#"{{"sites": {{{fields}}}}}"#);
    for (settings, error) in [
        (
            "{}".to_owned(),
            "neither steps nor sites is set: nothing would be changed",
        ),
        (
            r#"{"steps": [{"endpoints": 1}]}"#.into(),
            "steps[0] sets nothing: name med, prepend or local-pref",
        ),
        (
            r#"{"steps": [{"endpoints": 1, "prepend": 17}]}"#.into(),
            "steps[0].prepend: 17 is above 16",
        ),
        (
            r#"{"steps": [{"endpoints": 1, "med": 1}, {"endpoints": 1, "med": 2}]}"#.into(),
            "steps[1].endpoints: there are two steps for 1",
        ),
        (
            r#"{"steps": [{"endpoints": 1, "med": -1}]}"#.into(),
            "steps[0].med: invalid value: integer `-1`, expected u32",
        ),
        (
            sites(r#""node-label": "", "primary": "a", "backup": {"med": 1}"#),
            "sites.node-label is empty: name the node's label, such as \
             topology.kubernetes.io/zone",
        ),
        (
            sites(r#""node-label": "site", "backup": {"med": 1}"#),
            "sites has neither primary nor primary-annotation: no site would be primary",
        ),
        (
            sites(r#""node-label": "site", "primary": "a", "backup": {}"#),
            "sites.backup sets nothing: name med, prepend or local-pref",
        ),
        (
            sites(r#""node-label": "site", "primary": "a", "backup": {"prepend": 20}"#),
            "sites.backup.prepend: 20 is above 16",
        ),
    ] {
        assert_eq!(
            validate_settings::<AnycastMed>(&settings),
            Err(error.into())
        );
    }
}
