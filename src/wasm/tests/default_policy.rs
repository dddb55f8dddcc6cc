//! The compiled default policy, held to the same table as the native one, and to the contract's
//! promise that a decision depends on nothing but its candidate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::{BUILTIN, ENGINE, evaluate, pod_cidr, policy};
use crate::candidates::{
    AddressKind, AdvertiseConfig, Candidate, CandidateKey, Origin, Serving, Unserved, serving,
};
use crate::facts::{
    ConditionStatus, EXCLUDE_LABEL, EndpointCounts, FamilyCounts, IpMode, LoadBalancerIngress,
    NETWORK_UNAVAILABLE, NodeCondition, NodeFacts, SERVICE_PROXY_NAME_LABEL, ServiceFacts,
    ServiceKey, ServicePort, ServiceType, TrafficPolicy,
};
use crate::policy::{PolicyFailure, Verdict};
use crate::types::{Family, Prefix};
use crate::wasm::{Limits, Module, ModuleError, WasmPolicy};

#[path = "../../../policies/default/cases.rs"]
mod cases;

use cases::{Endpoints, Expected, Situation, every_case};

/// Time is not what these tests are about, and they share the machine with others.
const PATIENT: Limits = Limits {
    time: Duration::from_secs(60),
    ..Limits::DEFAULT
};

#[test]
fn every_combination_is_decided_as_the_table_says() {
    for (situation, expected) in every_case() {
        let settings = serde_json::from_str(situation.settings()).unwrap();
        let mut policy = WasmPolicy::new(&BUILTIN, &settings, PATIENT).unwrap();
        let candidate = candidate_of(&situation);
        let decisions = evaluate(&mut policy, &node_of(&situation), &[candidate]).unwrap();
        let verdict = match &decisions[0].verdict {
            Verdict::Accept(None) => "accept",
            Verdict::Reject => "reject",
            verdict @ (Verdict::Abstain | Verdict::Accept(Some(_))) => {
                panic!("{verdict:?} for {situation:?}")
            }
        };
        let actual = Expected {
            verdict: verdict.into(),
            reason: decisions[0].reason.as_deref().unwrap().into(),
        };
        assert_eq!(actual, expected, "{situation:?}");
    }
}

#[test]
fn it_describes_itself() {
    let description = BUILTIN.description();
    assert_eq!(description.name, "default");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    assert!(description.settings_schema.is_some());
}

#[test]
fn a_setting_it_does_not_have_is_refused_by_name() {
    let refused = |settings| WasmPolicy::new(&BUILTIN, &settings, PATIENT).unwrap_err();
    let error = refused(json!({"colour": "blue"}));
    assert!(matches!(error, ModuleError::Settings { .. }));
    assert_eq!(
        error.to_string(),
        "settings of module `default`: unknown field `colour`, expected `exclude-label`"
    );
    assert_eq!(
        refused(json!(["colour"])).to_string(),
        "settings of module `default`: settings must be a JSON object"
    );
}

#[test]
fn it_loads_as_a_core_module_and_as_a_component() {
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/default-policy.wasm"));
    let component = wit_component::ComponentEncoder::default()
        .module(bytes)
        .unwrap()
        .encode()
        .unwrap();
    for (name, bytes) in [("core", &bytes[..]), ("component", &component)] {
        let module = Module::from_bytes(&ENGINE, name, bytes).unwrap();
        assert_eq!(module.name(), name);
        assert_eq!(module.description(), BUILTIN.description());
    }
}

#[test]
fn an_empty_batch_is_answered_without_a_call() {
    let limits = Limits {
        // Too little to start the module.
        memory_bytes: 0,
        ..PATIENT
    };
    let mut policy = policy(&BUILTIN, PATIENT);
    policy.limits = limits;
    assert_eq!(
        evaluate(&mut policy, &NodeFacts::default(), &[]),
        Ok(vec![])
    );
    let asked = evaluate(
        &mut policy,
        &NodeFacts::default(),
        &[pod_cidr("10.0.0.0/24")],
    );
    assert_eq!(asked, Err(PolicyFailure::OutOfMemory(0)));
}

#[test]
fn a_service_larger_than_the_memory_limit_fails_the_batch_and_nothing_else() {
    let mut candidate = candidate_of(&plain_addresses()[0]);
    let facts = Arc::make_mut(candidate.service.as_mut().unwrap());
    facts
        .annotations
        .insert("large".into(), "x".repeat(8 << 20));
    let limits = Limits {
        memory_bytes: 4 << 20,
        ..PATIENT
    };
    let mut policy = policy(&BUILTIN, limits);
    let node = NodeFacts::default();
    assert_eq!(
        evaluate(&mut policy, &node, &[candidate]),
        Err(PolicyFailure::OutOfMemory(4 << 20))
    );
    assert!(evaluate(&mut policy, &node, &[pod_cidr("10.0.0.0/24")]).is_ok());
}

#[test]
fn more_candidates_than_fit_a_call_are_decided_in_several() {
    let candidates: Vec<_> = (0..5_000).map(distinct_service).collect();
    let mut policy = policy(&BUILTIN, PATIENT);
    let decisions = evaluate(&mut policy, &NodeFacts::default(), &candidates).unwrap();
    assert_eq!(decisions.len(), candidates.len());
    for (number, decision) in decisions.iter().enumerate() {
        let expected = if number % 2 == 0 {
            Verdict::Accept(None)
        } else {
            Verdict::Reject
        };
        assert_eq!(decision.verdict, expected, "candidate {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Shuffled, repeated, and cut by any memory limit, a batch gives each candidate the same
    /// decision as alone.
    #[test]
    fn a_decision_depends_on_nothing_but_its_candidate(
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
        memory_bytes in (2usize << 20)..(64 << 20),
    ) {
        let situations = plain_addresses();
        let picked: Vec<_> = order.iter().map(|index| *index.get(&situations)).collect();
        let candidates: Vec<_> = picked.iter().map(candidate_of).collect();
        let node = NodeFacts::default();
        let mut whole = policy(&BUILTIN, Limits { memory_bytes, ..PATIENT });
        let mut single = policy(&BUILTIN, PATIENT);
        let decisions = evaluate(&mut whole, &node, &candidates).unwrap();
        for (candidate, decision) in candidates.iter().zip(&decisions) {
            let alone = evaluate(&mut single, &node, std::slice::from_ref(candidate)).unwrap();
            prop_assert_eq!(decision, &alone[0]);
        }
    }
}

fn plain_addresses() -> Vec<Situation> {
    every_case()
        .into_iter()
        .map(|(situation, _)| situation)
        .filter(|situation| situation.node == "plain" && situation.what == "address")
        .collect()
}

/// A Service of its own: every other one has no endpoint on this node.
fn distinct_service(number: u32) -> Candidate {
    let situation = Situation {
        family: "IPv4",
        what: "address",
        kind: "load-balancer",
        node: "plain",
        serving: if number.is_multiple_of(2) {
            "this-node"
        } else {
            "no-endpoint-here"
        },
        covered: "no",
    };
    let mut candidate = candidate_of(&situation);
    let address = IpAddr::from((0x0A00_0000 + number).to_be_bytes());
    candidate.key.prefix = Prefix::host(address);
    candidate
}

fn node_of(situation: &Situation) -> NodeFacts {
    let labels = situation.exclude_label().into_iter();
    let condition = |status| NodeCondition {
        condition_type: NETWORK_UNAVAILABLE.into(),
        status: match status {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        reason: "RouteCreated".into(),
    };
    NodeFacts {
        name: "worker-1".into(),
        labels: labels
            .map(|value| (EXCLUDE_LABEL.into(), value.into()))
            .collect(),
        internal_ips: vec!["198.51.100.1".parse().unwrap()],
        pod_cidrs: vec!["10.1.0.0/24".parse().unwrap()],
        ready: true,
        conditions: situation
            .network_unavailable()
            .into_iter()
            .map(condition)
            .collect(),
        ..NodeFacts::default()
    }
}

fn candidate_of(situation: &Situation) -> Candidate {
    let kind = match situation.kind {
        "external" => AddressKind::ExternalIp,
        "load-balancer" => AddressKind::LoadBalancerIp,
        _ => AddressKind::ClusterIp,
    };
    let key = ServiceKey::new("shop", "web");
    let origin = match situation.what {
        "pod-cidr" => Origin::PodCidr,
        "service-cidr" => Origin::ServiceCidr { addresses: kind },
        _ => Origin::ServiceAddress {
            service: key.clone(),
            address: kind,
        },
    };
    let service = (situation.what == "address").then(|| facts_of(situation, key));
    Candidate {
        serving: service
            .as_ref()
            .map(|facts| serving_of(situation, facts, kind)),
        service: service.map(Arc::new),
        covered_by: (situation.covered == "yes").then(|| situation.range().parse().unwrap()),
        key: CandidateKey {
            prefix: situation.prefix().parse().unwrap(),
            origin,
        },
    }
}

/// What the agent says of such a Service's address, which is what the table has.
fn serving_of(situation: &Situation, facts: &ServiceFacts, kind: AddressKind) -> Serving {
    let address = address_of(situation);
    let said = serving(facts, kind, address, &AdvertiseConfig::default());
    let expected = match situation.serving() {
        "any-node" => Serving::AnyNode,
        "this-node" => Serving::ThisNode,
        "other-proxy" => Serving::Unserved(Unserved::OtherProxy),
        "other-family" => Serving::Unserved(Unserved::OtherFamily),
        "load-balancer-answers" => Serving::Unserved(Unserved::LoadBalancerAnswers),
        "no-endpoint" => Serving::Unserved(Unserved::NoEndpoint),
        "no-endpoint-here" => Serving::Unserved(Unserved::NoEndpointHere),
        _ => Serving::Unserved(Unserved::EndpointsWithoutNode),
    };
    // Addresses of the other kinds are never a load balancer's.
    if situation.serving != "load-balancer" || kind == AddressKind::LoadBalancerIp {
        assert_eq!(said, expected, "{situation:?}");
    }
    expected
}

fn address_of(situation: &Situation) -> IpAddr {
    situation.prefix().parse::<Prefix>().unwrap().address()
}

fn facts_of(situation: &Situation, key: ServiceKey) -> ServiceFacts {
    let (family, other) = match situation.family {
        "IPv4" => (Family::Ipv4Unicast, Family::Ipv6Unicast),
        _ => (Family::Ipv6Unicast, Family::Ipv4Unicast),
    };
    let Endpoints {
        here,
        other_family_here,
        elsewhere,
        without_node,
    } = situation.endpoints();
    let everywhere = |at: usize| here[at] + elsewhere[at] + without_node[at];
    let proxy = situation.proxy_name().into_iter();
    let ingress = LoadBalancerIngress {
        address: address_of(situation),
        mode: match situation.serving {
            "load-balancer" => IpMode::Proxy,
            _ => IpMode::VIP,
        },
    };
    ServiceFacts {
        labels: proxy
            .map(|proxy| (SERVICE_PROXY_NAME_LABEL.into(), proxy.into()))
            .chain([("app".into(), "web".into())])
            .collect(),
        annotations: [("example.com/note".into(), String::new())].into(),
        service_type: ServiceType::LoadBalancer,
        external_traffic_policy: match situation.serving {
            "any-node" | "no-endpoint" => TrafficPolicy::Cluster,
            _ => TrafficPolicy::Local,
        },
        load_balancer_ips: vec![ingress],
        ip_families: match situation.serving {
            "no-cluster-ip" => vec![other],
            _ => vec![family, other],
        },
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: "TCP".into(),
            port: 80,
            node_port: Some(30080),
        }],
        health_check_node_port: Some(30000),
        node_endpoints: counts(family, here, other_family_here),
        cluster_endpoints: counts(family, [0, 1, 2].map(everywhere), other_family_here),
        unplaced_endpoints: counts(family, without_node, [0; 3]),
        ..ServiceFacts::named(key)
    }
}

fn counts(family: Family, own: [u32; 3], other: [u32; 3]) -> FamilyCounts {
    let counts = |[ready, serving_terminating, unready]: [u32; 3]| EndpointCounts {
        ready,
        serving_terminating,
        unready,
    };
    let (own, other) = (counts(own), counts(other));
    match family {
        Family::Ipv4Unicast => FamilyCounts {
            ipv4: own,
            ipv6: other,
        },
        Family::Ipv6Unicast => FamilyCounts {
            ipv4: other,
            ipv6: own,
        },
    }
}
