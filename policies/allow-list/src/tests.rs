//! Who may announce what, and settings that are refused.

use rutter_policy::{AddressKind, Decision, Verdict, testing, validate_settings};

use super::AllowList;

const TENANTS: &str = r#""tenants": [
    {"name": "shop", "namespaces": ["shop", "shop-*"], "ranges": ["192.0.2.0/25", "2001:db8:1::/48"]},
    {"name": "bank", "namespaces": ["bank", "shop-bank"], "ranges": ["192.0.2.128/25"]},
    {"name": "idle", "namespaces": ["idle"], "ranges": []}
]"#;

fn decide(more: &str, host: &str, kind: AddressKind, namespace: &str) -> Decision {
    testing::batch()
        .settings(&format!("{{{TENANTS}{more}}}"))
        .address(host, kind, testing::service(&format!("{namespace}/web")))
        .decide::<AllowList>()
        .unwrap()
        .remove(0)
}

#[test]
fn an_address_needs_a_range_of_its_own_tenant() {
    let only_shop = "namespace `shop` may announce only from 192.0.2.0/25, 2001:db8:1::/48";
    for (namespace, host, verdict, reason) in [
        (
            "shop",
            "192.0.2.1/32",
            Verdict::Abstain,
            "in a range of tenant `shop`",
        ),
        (
            "shop-eu",
            "2001:db8:1::1/128",
            Verdict::Abstain,
            "in a range of tenant `shop`",
        ),
        // A namespace of two tenants may use the ranges of both.
        (
            "shop-bank",
            "192.0.2.200/32",
            Verdict::Abstain,
            "in a range of tenant `bank`",
        ),
        (
            "shop-bank",
            "192.0.2.1/32",
            Verdict::Abstain,
            "in a range of tenant `shop`",
        ),
        ("shop", "192.0.2.128/32", Verdict::Reject, only_shop),
        ("shop", "2001:db8:2::1/128", Verdict::Reject, only_shop),
        (
            "idle",
            "192.0.2.1/32",
            Verdict::Reject,
            "namespace `idle` may announce nothing",
        ),
        (
            "shopping",
            "192.0.2.1/32",
            Verdict::Reject,
            "in a range of tenant `shop`, which namespace `shopping` does not belong to",
        ),
        (
            "nobody",
            "198.51.100.1/32",
            Verdict::Reject,
            "namespace `nobody` is no tenant's",
        ),
    ] {
        for kind in [AddressKind::ExternalIp, AddressKind::LoadBalancerIp] {
            let decision = decide("", host, kind, namespace);
            assert_eq!(decision.verdict, verdict, "{namespace} {host}");
            assert_eq!(
                decision.reason.as_deref(),
                Some(reason),
                "{namespace} {host}"
            );
        }
    }
}

#[test]
fn others_may_be_left_alone_but_not_in_a_tenants_range() {
    let others = r#", "others": "abstain""#;
    let kind = AddressKind::LoadBalancerIp;
    let elsewhere = decide(others, "198.51.100.1/32", kind, "nobody");
    assert_eq!(elsewhere, Decision::abstain());
    let inside = decide(others, "192.0.2.1/32", kind, "nobody");
    assert_eq!(inside.verdict, Verdict::Reject);
}

#[test]
fn cluster_ips_are_watched_only_where_they_are_named() {
    let kind = AddressKind::ClusterIp;
    let unnamed = decide("", "10.96.0.1/32", kind, "shop");
    assert_eq!(unnamed, Decision::abstain());
    let named = decide(
        r#", "routes": ["cluster-ip"]"#,
        "10.96.0.1/32",
        kind,
        "shop",
    );
    assert_eq!(named.verdict, Verdict::Reject);
}

#[test]
fn pods_and_ranges_are_left_to_other_policies() {
    let decisions = testing::batch()
        .settings(&format!("{{{TENANTS}}}"))
        .pod_cidr("10.1.0.0/24")
        .service_cidr("192.0.2.0/24", AddressKind::LoadBalancerIp)
        .decide::<AllowList>()
        .unwrap();
    assert_eq!(decisions, [Decision::abstain(), Decision::abstain()]);
}

#[test]
fn wrong_settings_are_refused_by_key() {
    let tenant = |fields: &str| format!(r#"{{"tenants": [{{{fields}}}]}}"#);
    for (settings, error) in [
        ("{}".to_owned(), "missing field `tenants`"),
        (
            r#"{"tenants": []}"#.to_owned(),
            "tenants is empty: name who may announce from where",
        ),
        (
            tenant(r#""name": "", "namespaces": ["a"], "ranges": []"#),
            "tenants[0].name is empty: reasons tell tenants by it",
        ),
        (
            tenant(r#""name": "a", "namespaces": [], "ranges": []"#),
            "tenants[0].namespaces is empty: name those of the tenant",
        ),
        (
            tenant(r#""name": "a", "namespaces": ["*"], "ranges": []"#),
            "tenants[0].namespaces[0]: `*` is neither a namespace nor the beginning of one, as \
             `shop-*` is",
        ),
        (
            tenant(r#""name": "a", "namespaces": ["a"], "ranges": ["192.0.2.1/24"]"#),
            "tenants[0].ranges[0]: `192.0.2.1/24` has host bits set beyond /24",
        ),
        (
            format!(r#"{{{TENANTS}, "others": "accept"}}"#),
            "others: unknown variant `accept`, expected `reject` or `abstain`",
        ),
        (
            format!(r#"{{{TENANTS}, "routes": ["cluster-ip", "pod-cidr"]}}"#),
            "routes[1]: only addresses of Services belong to tenants; write cluster-ip, \
             external-ip or load-balancer-ip",
        ),
        (
            r#"{"tenants": [{"name": "a", "namespaces": ["a"], "ranges": []},
                {"name": "a", "namespaces": ["b"], "ranges": []}]}"#
                .to_owned(),
            "tenants[1].name: there are two tenants `a`",
        ),
    ] {
        assert_eq!(validate_settings::<AllowList>(&settings), Err(error.into()));
    }
}
