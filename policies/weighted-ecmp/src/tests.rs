//! Which bandwidth is given to what, and settings that are refused.

use rutter_policy::{
    AddressKind, Decision, EndpointCounts, Family, LinkBandwidth, PeerGroup, PeerKind,
    RouteAttributes, Serving, UnservedReason, Verdict, testing, validate_settings,
};

use super::WeightedEcmp;

fn decide(settings: &str, proposed: Option<LinkBandwidth>, service: testing::Service) -> Decision {
    testing::batch()
        .settings(settings)
        .proposed(RouteAttributes {
            extended_communities: vec![ROUTE_TARGET],
            link_bandwidth: proposed,
            ..RouteAttributes::default()
        })
        .address("192.0.2.1/32", AddressKind::LoadBalancerIp, service)
        .decide::<WeightedEcmp>()
        .unwrap()
        .remove(0)
}

fn web(ready: u32) -> testing::Service {
    testing::service("shop/web")
        .with_endpoints_here(Family::Ipv4, testing::ready(ready))
        .with_endpoints_elsewhere(Family::Ipv4, testing::ready(9))
}

/// Of the route-target kind: none of this policy's business.
const ROUTE_TARGET: u64 = 0x0002_FC00_0000_0001;

fn attributes(decision: &Decision) -> &RouteAttributes {
    match &decision.verdict {
        Verdict::Accept(Some(attributes)) => attributes,
        verdict @ (Verdict::Abstain | Verdict::Accept(None) | Verdict::Reject) => {
            panic!("{verdict:?}")
        }
    }
}

fn bandwidth(decision: &Decision) -> LinkBandwidth {
    attributes(decision).link_bandwidth.unwrap()
}

#[test]
fn bandwidth_is_in_bytes_a_second_times_endpoints() {
    for ready in 1..=4 {
        let decision = decide("{}", None, web(ready));
        let bytes = bandwidth(&decision).bytes_per_second;
        assert_eq!(bytes, u64::from(ready) * 125_000_000);
    }
    assert_eq!(
        decide("{}", None, web(3)).reason.unwrap(),
        "usable endpoints on this node: 3; link bandwidth 3000 Mbit/s"
    );
    let most = r#"{"megabits-per-endpoint": 4294967295}"#;
    let decision = decide(most, None, web(u32::MAX - 9));
    assert_eq!(bandwidth(&decision).bytes_per_second, u64::MAX);
}

#[test]
fn peers_are_sent_the_type_that_they_may_take_unless_told_otherwise() {
    let kind = |settings: &str, kind| {
        let decisions = testing::batch()
            .settings(settings)
            .peer_group(PeerGroup {
                name: "tor".into(),
                asn: 64512,
                kind,
                labels: Vec::new(),
            })
            .address("192.0.2.1/32", AddressKind::LoadBalancerIp, web(1))
            .decide::<WeightedEcmp>()
            .unwrap();
        bandwidth(&decisions[0]).transitive
    };
    for (settings, internal, external) in [
        ("{}", false, true),
        (r#"{"community": "transitive"}"#, true, true),
        (r#"{"community": "non-transitive"}"#, false, false),
    ] {
        assert_eq!(kind(settings, PeerKind::Ibgp), internal, "{settings}");
        assert_eq!(kind(settings, PeerKind::Ebgp), external, "{settings}");
    }
}

const STALE: LinkBandwidth = LinkBandwidth {
    bytes_per_second: 5,
    transitive: false,
};

#[test]
fn it_replaces_a_bandwidth_and_nothing_else() {
    let settings = r#"{"megabits-per-endpoint": 8, "community": "transitive"}"#;
    let decision = decide(settings, Some(STALE), web(1));
    let attributes = attributes(&decision);
    assert_eq!(
        attributes.link_bandwidth,
        Some(LinkBandwidth {
            bytes_per_second: 1_000_000,
            transitive: true,
        })
    );
    assert_eq!(attributes.extended_communities, [ROUTE_TARGET]);
}

#[test]
fn a_node_without_endpoints_claims_no_bandwidth() {
    let idle = decide("{}", None, web(0));
    assert_eq!(idle.verdict, Verdict::Abstain);
    assert_eq!(
        idle.reason.unwrap(),
        "no usable endpoint on this node, so no link bandwidth"
    );
    let stale = decide("{}", Some(STALE), web(0));
    assert_eq!(attributes(&stale).link_bandwidth, None);
}

#[test]
fn a_node_that_does_not_answer_claims_no_bandwidth() {
    let decisions = testing::batch()
        .settings("{}")
        .address("192.0.2.1/32", AddressKind::LoadBalancerIp, web(3))
        .serving(Serving::Unserved(UnservedReason::OtherProxy))
        .decide::<WeightedEcmp>()
        .unwrap();
    assert_eq!(decisions[0].verdict, Verdict::Abstain);
    assert_eq!(
        decisions[0].reason.as_deref(),
        Some("no usable endpoint on this node, so no link bandwidth")
    );
}

#[test]
fn endpoints_are_counted_as_kube_proxy_uses_them_and_by_family() {
    let terminating = EndpointCounts {
        ready: 0,
        serving_terminating: 2,
        unready: 5,
    };
    let service = testing::service("shop/web").with_endpoints_here(Family::Ipv6, terminating);
    assert_eq!(
        decide("{}", None, service.clone()).verdict,
        Verdict::Abstain
    );
    let decisions = testing::batch()
        .address("2001:db8::1/128", AddressKind::LoadBalancerIp, service)
        .decide::<WeightedEcmp>()
        .unwrap();
    assert_eq!(bandwidth(&decisions[0]).bytes_per_second, 250_000_000);
}

#[test]
fn what_is_not_selected_is_left_alone() {
    let decisions = testing::batch()
        .settings(r#"{"match": {"namespaces": ["bank"]}}"#)
        .pod_cidr("10.1.0.0/24")
        .address("192.0.2.1/32", AddressKind::LoadBalancerIp, web(3))
        .decide::<WeightedEcmp>()
        .unwrap();
    assert_eq!(decisions, [Decision::abstain(), Decision::abstain()]);
}

#[test]
fn wrong_settings_are_refused_by_key() {
    for (settings, error) in [
        (
            r#"{"megabits-per-endpoint": 0}"#,
            "megabits-per-endpoint is 0: routers would send nothing; write 1 or more",
        ),
        (
            r#"{"megabits-per-endpoint": 1.5}"#,
            "megabits-per-endpoint: invalid type: floating point `1.5`, expected u32",
        ),
        (
            r#"{"community": "both"}"#,
            "community: unknown variant `both`, expected `non-transitive` or `transitive`",
        ),
        (
            r#"{"megabits": 1}"#,
            "unknown field `megabits`, expected one of `match`, `megabits-per-endpoint`, \
             `community`",
        ),
    ] {
        assert_eq!(
            validate_settings::<WeightedEcmp>(settings),
            Err(error.into())
        );
    }
}
