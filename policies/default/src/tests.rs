//! The table in `cases.txt` against the rule compiled natively, and the settings.

use rutter_policy::{
    AddressKind, EndpointCounts, Family, Policy, ServiceType, TrafficPolicy, Verdict, testing,
    validate_settings,
};

use super::{Default, EXCLUDE_LABEL};

#[path = "../cases.rs"]
mod cases;

use cases::{Expected, Situation, every_case};

#[test]
fn every_combination_is_decided_as_the_table_says() {
    let cases = every_case();
    assert_eq!(cases.len(), 2 * 4 * (1 + 3 + 3 * 3 * 2 * 5 * 2));
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
        .decide::<Default>()
        .unwrap();
    let reason = decisions[0].reason.as_deref().unwrap();
    assert!(reason.ends_with("4 usable in the cluster)"), "{reason}");
}

#[test]
fn it_has_no_settings_and_names_one_it_is_given() {
    assert_eq!(validate_settings::<Default>("{}"), Ok(()));
    assert_eq!(
        validate_settings::<Default>(r#"{"colour": "blue"}"#),
        Err("unknown setting `colour`: this policy has no settings".into())
    );
}

#[test]
fn it_calls_itself_default() {
    let description = Default::describe();
    assert_eq!(description.name, "default");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
}

fn batch_of(situation: &Situation) -> testing::BatchBuilder {
    let node = testing::node("worker-1");
    let batch = testing::batch().node(match situation.exclude_label() {
        Some(value) => node.with_label(EXCLUDE_LABEL, value),
        None => node,
    });
    let prefix = situation.prefix();
    match situation.what {
        "pod-cidr" => batch.pod_cidr(prefix),
        "service-cidr" => batch.service_cidr(prefix, kind_of(situation)),
        _ => {
            let batch = batch.address(prefix, kind_of(situation), service_of(situation));
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

fn service_of(situation: &Situation) -> testing::Service {
    let [family, other] = match situation.family {
        "IPv4" => [Family::Ipv4, Family::Ipv6],
        _ => [Family::Ipv6, Family::Ipv4],
    };
    let [here, other_here] = situation.endpoints_here();
    let mut service = testing::service("shop/web")
        .of_type(match situation.service_type {
            "ClusterIP" => ServiceType::ClusterIp,
            "NodePort" => ServiceType::NodePort,
            _ => ServiceType::LoadBalancer,
        })
        .with_endpoints_here(family, counts(here))
        .with_endpoints_here(other, counts(other_here))
        .with_endpoints_elsewhere(family, testing::ready(3))
        .with_endpoints_elsewhere(other, testing::ready(3));
    service.external_traffic_policy = match situation.policy {
        "Cluster" => TrafficPolicy::Cluster,
        _ => TrafficPolicy::Local,
    };
    service
}

fn counts([ready, serving_terminating, unready]: [u32; 3]) -> EndpointCounts {
    EndpointCounts {
        ready,
        serving_terminating,
        unready,
    }
}
