//! The community as it travels, and settings that are refused.

use rutter_policy::{
    AddressKind, Decision, EndpointCounts, Family, PeerGroup, PeerKind, RouteAttributes, Service,
    Verdict, testing, validate_settings,
};

use super::{Kind, WeightedEcmp, link_bandwidth};

fn decide(settings: &str, proposed: Vec<u64>, service: Service) -> Decision {
    testing::batch()
        .settings(settings)
        .proposed(RouteAttributes {
            extended_communities: proposed,
            ..RouteAttributes::default()
        })
        .address("192.0.2.1/32", AddressKind::LoadBalancerIp, service)
        .decide::<WeightedEcmp>()
        .unwrap()
        .remove(0)
}

fn web(ready: u32) -> Service {
    testing::service("shop/web")
        .with_endpoints_here(Family::Ipv4, testing::ready(ready))
        .with_endpoints_elsewhere(Family::Ipv4, testing::ready(9))
}

fn communities(decision: &Decision) -> &[u64] {
    match &decision.verdict {
        Verdict::Accept(Some(attributes)) => &attributes.extended_communities,
        verdict @ (Verdict::Abstain | Verdict::Accept(None) | Verdict::Reject) => {
            panic!("{verdict:?}")
        }
    }
}

/// 125,000,000 is 0x4CEE6B28 as an IEEE 754 number of 32 bits; 64512 is 0xFC00.
#[test]
fn bandwidth_is_in_bytes_a_second_times_endpoints() {
    for (ready, community) in [
        (1, 0x0004_FC00_4CEE_6B28_u64),
        (2, 0x0004_FC00_4D6E_6B28),
        (4, 0x0004_FC00_4DEE_6B28),
        (3, 0x0004_FC00_4DB2_D05E),
    ] {
        let decision = decide("{}", vec![], web(ready));
        assert_eq!(communities(&decision), [community], "{ready} ready");
        let bits = u32::try_from(community & 0xFFFF_FFFF).unwrap();
        assert_eq!(f64::from(f32::from_bits(bits)), f64::from(ready) * 125e6);
    }
    assert_eq!(
        decide("{}", vec![], web(3)).reason.unwrap(),
        "usable endpoints on this node: 3; link bandwidth 3000 Mbit/s"
    );
}

#[test]
fn the_type_and_the_as_number_are_encoded() {
    let at = |kind, asn| link_bandwidth(kind, asn, 8.0);
    // 1,000,000 bytes a second.
    assert_eq!(at(Kind::NonTransitive, 65535), 0x4004_FFFF_4974_2400);
    assert_eq!(at(Kind::Transitive, 1), 0x0004_0001_4974_2400);
    // AS_TRANS.
    assert_eq!(at(Kind::NonTransitive, 65536), 0x4004_5BA0_4974_2400);
    let largest = link_bandwidth(
        Kind::NonTransitive,
        1,
        f64::from(u32::MAX) * f64::from(u32::MAX),
    );
    assert!(f32::from_bits(u32::try_from(largest & 0xFFFF_FFFF).unwrap()).is_finite());
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
        let [octet, ..] = communities(&decisions[0])[0].to_be_bytes();
        octet
    };
    for (settings, internal, external) in [
        ("{}", 0x40, 0x00),
        (r#"{"community": "transitive"}"#, 0x00, 0x00),
        (r#"{"community": "non-transitive"}"#, 0x40, 0x40),
    ] {
        assert_eq!(kind(settings, PeerKind::Ibgp), internal, "{settings}");
        assert_eq!(kind(settings, PeerKind::Ebgp), external, "{settings}");
    }
}

#[test]
fn it_replaces_a_bandwidth_of_either_type_and_nothing_else() {
    let route_target = 0x0002_FC00_0000_0001;
    let proposed = vec![0x0004_0001_4974_2400, route_target, 0x4004_0001_4974_2400];
    let settings = r#"{"megabits-per-endpoint": 8, "community": "transitive"}"#;
    let decision = decide(settings, proposed, web(1));
    assert_eq!(
        communities(&decision),
        [route_target, 0x0004_FC00_4974_2400]
    );
}

#[test]
fn a_node_without_endpoints_claims_no_bandwidth() {
    let idle = decide("{}", vec![], web(0));
    assert_eq!(idle.verdict, Verdict::Abstain);
    assert_eq!(
        idle.reason.unwrap(),
        "no usable endpoint on this node, so no link bandwidth"
    );
    let stale = decide("{}", vec![0x4004_0001_4974_2400], web(0));
    assert_eq!(communities(&stale), [0_u64; 0]);
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
        decide("{}", vec![], service.clone()).verdict,
        Verdict::Abstain
    );
    let decisions = testing::batch()
        .address("2001:db8::1/128", AddressKind::LoadBalancerIp, service)
        .decide::<WeightedEcmp>()
        .unwrap();
    assert_eq!(communities(&decisions[0]), [0x0004_FC00_4D6E_6B28]);
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
