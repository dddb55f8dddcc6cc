//! The table in `cases.txt` against the rule compiled natively, and the settings.

use rutter_policy::{
    AddressKind, ConditionStatus, EndpointCounts, Family, Policy, Serving, UnservedReason, Verdict,
    testing, validate_settings,
};

use super::{Default, EXCLUDE_LABEL};

#[path = "../cases.rs"]
mod cases;

use cases::{Endpoints, Expected, NODES, SERVINGS, Situation, every_case};

#[test]
fn every_combination_is_decided_as_the_table_says() {
    let cases = every_case();
    let addresses = 3 * SERVINGS.len() * 2;
    assert_eq!(cases.len(), 2 * NODES.len() * (1 + 3 + addresses));
    for (situation, expected) in cases {
        let decisions = batch_of(&situation).decide::<Default>().unwrap();
        let verdict = match &decisions[0].verdict {
            Verdict::Accept(None) => "accept",
            Verdict::Reject => "reject",
            verdict @ (Verdict::Abstain | Verdict::Accept(Some(_))) => {
                panic!("{verdict:?} for {situation:?}")
            }
        };
        let actual = Expected {
            verdict: verdict.into(),
            reason: decisions[0].reason.clone().unwrap().into_owned(),
        };
        assert_eq!(actual, expected, "{situation:?}");
    }
}

#[test]
fn the_cluster_wide_count_is_kube_proxys_too() {
    let terminating = EndpointCounts {
        ready: 0,
        serving_terminating: 4,
        unready: 5,
    };
    let web = testing::service("shop/web")
        .local()
        .with_endpoints_elsewhere(Family::Ipv4, terminating);
    let decisions = testing::batch()
        .address("192.0.2.10/32", AddressKind::LoadBalancerIp, web)
        .serving(Serving::Unserved(UnservedReason::NoEndpointHere))
        .decide::<Default>()
        .unwrap();
    let reason = decisions[0].reason.as_deref().unwrap();
    assert!(reason.ends_with("4 usable in the cluster)"), "{reason}");
}

#[test]
fn settings_that_it_does_not_have_are_named() {
    for settings in [
        "{}",
        r#"{"exclude-label": "honour"}"#,
        r#"{"exclude-label": "ignore"}"#,
    ] {
        assert_eq!(validate_settings::<Default>(settings), Ok(()));
    }
    assert_eq!(
        validate_settings::<Default>(r#"{"colour": "blue"}"#),
        Err("unknown field `colour`, expected `exclude-label`".into())
    );
    assert_eq!(
        validate_settings::<Default>(r#"{"exclude-label": "no"}"#),
        Err("exclude-label: unknown variant `no`, expected `honour` or `ignore`".into())
    );
    assert_eq!(
        validate_settings::<Default>(r#"{"exclude-label": false}"#).map_err(|_| ()),
        Err(())
    );
}

#[test]
fn it_calls_itself_default() {
    let description = Default::describe();
    assert_eq!(description.name, "default");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
}

fn batch_of(situation: &Situation) -> testing::BatchBuilder {
    let mut node = testing::node("worker-1");
    if let Some(value) = situation.exclude_label() {
        node = node.with_label(EXCLUDE_LABEL, value);
    }
    if let Some(status) = situation.network_unavailable() {
        let status = match status {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        };
        node = node.with_condition("NetworkUnavailable", status);
    }
    let batch = testing::batch().settings(situation.settings()).node(node);
    let prefix = situation.prefix();
    match situation.what {
        "pod-cidr" => batch.pod_cidr(prefix),
        "service-cidr" => batch.service_cidr(prefix, kind_of(situation)),
        _ => {
            let batch = batch
                .address(prefix, kind_of(situation), service_of(situation))
                .serving(serving_of(situation));
            match situation.covered {
                "yes" => batch.covered_by(situation.range()),
                _ => batch,
            }
        }
    }
}

fn kind_of(situation: &Situation) -> AddressKind {
    match situation.kind {
        "cluster" => AddressKind::ClusterIp,
        "external" => AddressKind::ExternalIp,
        _ => AddressKind::LoadBalancerIp,
    }
}

fn serving_of(situation: &Situation) -> Serving {
    Serving::Unserved(match situation.serving() {
        "any-node" => return Serving::AnyNode,
        "this-node" => return Serving::ThisNode,
        "other-proxy" => UnservedReason::OtherProxy,
        "other-family" => UnservedReason::OtherFamily,
        "load-balancer-answers" => UnservedReason::LoadBalancerAnswers,
        "no-endpoint" => UnservedReason::NoEndpoint,
        "no-endpoint-here" => UnservedReason::NoEndpointHere,
        _ => UnservedReason::EndpointsWithoutNode,
    })
}

fn service_of(situation: &Situation) -> testing::Service {
    let [family, other] = match situation.family {
        "IPv4" => [Family::Ipv4, Family::Ipv6],
        _ => [Family::Ipv6, Family::Ipv4],
    };
    let Endpoints {
        here,
        other_family_here,
        elsewhere,
        without_node,
    } = situation.endpoints();
    let service = testing::service("shop/web")
        .with_endpoints_here(family, counts(here))
        .with_endpoints_here(other, counts(other_family_here))
        .with_endpoints_elsewhere(family, counts(elsewhere))
        .with_endpoints_without_node(family, counts(without_node));
    match situation.proxy_name() {
        Some(proxy) => service.with_label("service.kubernetes.io/service-proxy-name", proxy),
        None => service,
    }
}

fn counts([ready, serving_terminating, unready]: [u32; 3]) -> EndpointCounts {
    EndpointCounts {
        ready,
        serving_terminating,
        unready,
    }
}
