//! What of an object becomes a fact, field by field.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::*;
use crate::facts::{
    ConditionStatus, IpMode, NodeCondition, NodeFacts, ServiceFacts, ServicePort, ServiceType,
    SessionAffinity, TrafficPolicy,
};
use crate::kube::fixtures;
use crate::types::{Family, Prefix};

fn node(value: Value) -> (NodeFacts, Problems) {
    let mut problems = Problems::new();
    let node: Node = serde_json::from_value(value).unwrap();
    (node_facts(node, &mut problems), problems)
}

fn service(value: Value) -> (Result<ServiceFacts, Unusable>, Problems) {
    let mut problems = Problems::new();
    let service: Service = serde_json::from_value(value).unwrap();
    (service_facts(service, &mut problems), problems)
}

fn good_service(value: Value) -> ServiceFacts {
    let (facts, problems) = service(value);
    assert_eq!(problems, Problems::new());
    facts.unwrap()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn condition(condition_type: &str, status: ConditionStatus) -> NodeCondition {
    NodeCondition {
        condition_type: condition_type.to_owned(),
        status,
        reason: String::new(),
    }
}

#[test]
fn a_node_gives_its_conditions_by_type_and_its_taints() {
    let mut value = fixtures::node("worker-1");
    value["status"]["conditions"] = json!([
        { "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown" },
        { "type": "NetworkUnavailable", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z" },
        { "type": "Odd", "status": "Perhaps" },
    ]);
    value["spec"]["taints"] = json!([
        { "key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute" },
        { "key": "example.com/own", "effect": "NoSchedule" },
    ]);
    let (facts, problems) = node(value);
    assert_eq!(problems, Problems::new());
    assert_eq!(
        facts.conditions,
        [
            condition("NetworkUnavailable", ConditionStatus::True),
            condition("Odd", ConditionStatus::Unknown),
            NodeCondition {
                reason: "NodeStatusUnknown".to_owned(),
                ..condition("Ready", ConditionStatus::Unknown)
            },
        ]
    );
    assert!(facts.network_unavailable() && !facts.ready);
    let taints: Vec<_> = facts
        .taints
        .iter()
        .map(|taint| format!("{}={}:{}", taint.key, taint.value, taint.effect))
        .collect();
    assert_eq!(
        taints,
        [
            "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
            "example.com/own=:NoSchedule",
        ]
    );
}

#[test]
fn a_node_has_all_its_addresses_in_the_network_and_no_names() {
    let mut problems = Problems::new();
    let node: Node = serde_json::from_value(fixtures::node("worker-1")).unwrap();
    let networks = node_networks(node, &mut problems);
    assert_eq!(
        networks.addresses,
        ips(&["192.168.83.11", "203.0.113.11", "fd00:83::11"])
    );
    assert_eq!(
        networks.pod_cidrs,
        prefixes(&["10.244.1.0/24", "fd00:10:244:1::/64"])
    );
    assert_eq!(problems, Problems::new());
}

#[test]
fn a_node_gives_its_addresses_pod_ranges_and_readiness() {
    let (facts, problems) = node(fixtures::node("worker-1"));
    assert_eq!(problems, Problems::new());
    assert_eq!(
        facts,
        NodeFacts {
            name: "worker-1".to_owned(),
            labels: [("rack".to_owned(), "a1".to_owned())].into(),
            annotations: StringMap::new(),
            internal_ips: ips(&["192.168.83.11", "fd00:83::11"]),
            external_ips: ips(&["203.0.113.11"]),
            pod_cidrs: prefixes(&["10.244.1.0/24", "fd00:10:244:1::/64"]),
            unschedulable: false,
            ready: true,
            conditions: vec![
                condition("MemoryPressure", ConditionStatus::False),
                condition("Ready", ConditionStatus::True),
            ],
            taints: Vec::new(),
            cluster_nodes: None,
            blocks: None,
        }
    );
}

#[test]
fn the_single_pod_range_counts_where_the_list_is_absent() {
    let mut value = fixtures::node("worker-1");
    value["spec"] = json!({ "podCIDR": "10.244.1.0/24", "podCIDRs": [] });
    assert_eq!(
        node(value.clone()).0.pod_cidrs,
        prefixes(&["10.244.1.0/24"])
    );
    value["spec"] = json!({ "podCIDR": "10.1.0.0/24", "podCIDRs": ["10.2.0.0/24"] });
    assert_eq!(node(value.clone()).0.pod_cidrs, prefixes(&["10.2.0.0/24"]));
    value["spec"] = json!({ "podCIDR": "" });
    assert_eq!(node(value).0.pod_cidrs, []);
}

#[test]
fn a_node_that_does_not_say_it_is_ready_is_not() {
    for status in ["False", "Unknown"] {
        let mut value = fixtures::node("worker-1");
        value["status"]["conditions"][1]["status"] = status.into();
        assert!(!node(value).0.ready);
    }
    let mut value = fixtures::node("worker-1");
    value["status"].take();
    value["spec"] = json!({ "unschedulable": true });
    let (facts, problems) = node(value);
    assert!(!facts.ready && facts.unschedulable && facts.internal_ips.is_empty());
    assert_eq!(problems, Problems::new());
}

#[test]
fn bad_values_of_a_node_are_left_out_and_named() {
    let mut value = fixtures::node("worker-1");
    value["spec"]["podCIDRs"] = json!(["10.244.1.0/24", "10.244.2.0/33", "10.244.3.0"]);
    value["status"]["addresses"] = json!([
        { "type": "InternalIP", "address": "192.168.83.11" },
        { "type": "InternalIP", "address": "worker-1" },
    ]);
    let (facts, problems) = node(value);
    assert_eq!(facts.pod_cidrs, prefixes(&["10.244.1.0/24"]));
    assert_eq!(facts.internal_ips, ips(&["192.168.83.11"]));
    assert_eq!(
        problems,
        [
            "status.addresses: \"worker-1\" is no IP address; it is left out",
            "spec.podCIDRs: \"10.244.2.0/33\" is no CIDR; it is left out",
            "spec.podCIDRs: \"10.244.3.0\" is no CIDR; it is left out",
        ]
    );
}

#[test]
fn a_service_gives_every_address_a_route_may_be_for() {
    let mut value = fixtures::service("web");
    value["spec"]["externalIPs"] = json!(["203.0.113.7", "::ffff:203.0.113.8", "203.0.113.7"]);
    value["spec"]["loadBalancerClass"] = "example.com/ours".into();
    value["spec"]["internalTrafficPolicy"] = "Local".into();
    value["status"]["loadBalancer"]["ingress"] = json!([
        { "ip": "198.51.100.10" },
        { "ip": "198.51.100.11", "ipMode": "Proxy" },
        { "ip": "2001:db8::10", "ipMode": "VIP" },
        { "hostname": "lb.example.com" },
    ]);
    let facts = good_service(value);
    assert_eq!(facts.key.to_string(), "default/web");
    assert_eq!(facts.service_type, ServiceType::LoadBalancer);
    assert_eq!(facts.external_traffic_policy, TrafficPolicy::Local);
    assert_eq!(facts.internal_traffic_policy, TrafficPolicy::Local);
    assert_eq!(
        facts.load_balancer_class.as_deref(),
        Some("example.com/ours")
    );
    assert!(!facts.headless && !facts.deleting);
    assert_eq!(facts.cluster_ips, ips(&["172.16.0.10", "fd00:10:96::10"]));
    assert_eq!(facts.external_ips, ips(&["203.0.113.7", "203.0.113.8"]));
    let ingress: Vec<_> = facts
        .load_balancer_ips
        .iter()
        .map(|ingress| (ingress.address.to_string(), ingress.mode))
        .collect();
    assert_eq!(
        ingress,
        [
            ("198.51.100.10".to_owned(), IpMode::VIP),
            ("198.51.100.11".to_owned(), IpMode::Proxy),
            ("2001:db8::10".to_owned(), IpMode::VIP),
        ]
    );
    assert_eq!(
        facts.ip_families,
        [Family::Ipv4Unicast, Family::Ipv6Unicast]
    );
    assert_eq!(
        facts.ports,
        [ServicePort {
            name: "http".to_owned(),
            protocol: "TCP".to_owned(),
            port: 80,
            node_port: Some(30080),
        }]
    );
}

#[test]
fn the_families_of_a_service_are_those_it_has_a_cluster_ip_of() {
    for (families, cluster_ips, expected) in [
        (
            json!(["IPv6", "IPv4"]),
            json!(["fd00::1", "10.0.0.1"]),
            &[Family::Ipv6Unicast, Family::Ipv4Unicast][..],
        ),
        // The second is not allocated yet.
        (
            json!(["IPv4", "IPv6"]),
            json!(["10.0.0.1"]),
            &[Family::Ipv4Unicast],
        ),
        (json!(null), json!(["fd00::1"]), &[Family::Ipv6Unicast]),
        (json!(["IPv9"]), json!(["10.0.0.1"]), &[]),
        (json!(["IPv4"]), json!(["None"]), &[]),
    ] {
        let mut value = fixtures::service("web");
        value["spec"]["ipFamilies"] = families;
        value["spec"]["clusterIP"] = cluster_ips[0].clone();
        value["spec"]["clusterIPs"] = cluster_ips;
        assert_eq!(good_service(value.clone()).ip_families, expected, "{value}");
    }
}

#[test]
fn what_else_policies_may_look_at_is_read() {
    let mut value = fixtures::service("web");
    value["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    value["spec"]["healthCheckNodePort"] = 32_000.into();
    value["spec"]["sessionAffinity"] = "ClientIP".into();
    value["spec"]["trafficDistribution"] = "PreferSameZone".into();
    value["spec"]["loadBalancerSourceRanges"] = json!([" 203.0.113.0/24 ", "203.0.113.1", "x"]);
    let (facts, problems) = service(value);
    let facts = facts.unwrap();
    assert_eq!(facts.created, 1_767_225_600);
    assert_eq!(facts.health_check_node_port, Some(32_000));
    assert_eq!(facts.session_affinity, SessionAffinity::ClientIP);
    assert_eq!(
        facts.traffic_distribution.as_deref(),
        Some("PreferSameZone")
    );
    assert_eq!(
        facts.load_balancer_source_ranges,
        prefixes(&["203.0.113.0/24"])
    );
    assert_eq!(
        problems,
        [
            "spec.loadBalancerSourceRanges: \"203.0.113.1\" is no CIDR; it is left out",
            "spec.loadBalancerSourceRanges: \"x\" is no CIDR; it is left out",
        ]
    );
}

#[test]
fn what_a_service_leaves_out_has_the_meaning_the_api_gives_it() {
    let facts = good_service(json!({ "metadata": { "name": "web", "namespace": "default" } }));
    assert_eq!(facts.service_type, ServiceType::ClusterIP);
    assert_eq!(facts.external_traffic_policy, TrafficPolicy::Cluster);
    assert_eq!(facts.internal_traffic_policy, TrafficPolicy::Cluster);
    assert_eq!(facts.cluster_ips, ips(&[]));
    assert!(!facts.headless);
}

#[test]
fn headless_unallocated_and_deleted_services_are_told_apart() {
    for (spec, headless, addresses) in [
        (
            json!({ "clusterIP": "None", "clusterIPs": ["None"] }),
            true,
            0,
        ),
        (json!({ "clusterIP": "None" }), true, 0),
        (json!({ "clusterIP": "" }), false, 0),
        (json!({ "clusterIP": "172.16.0.1" }), false, 1),
        (
            json!({ "type": "ExternalName", "externalName": "example.com" }),
            false,
            0,
        ),
    ] {
        let mut value = fixtures::service("web");
        value["spec"] = spec;
        let facts = good_service(value);
        assert_eq!(
            (facts.headless, facts.cluster_ips.len()),
            (headless, addresses)
        );
    }
    let mut value = fixtures::service("web");
    value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert!(good_service(value).deleting);
}

#[test]
fn bad_values_of_a_service_are_left_out_and_named() {
    let mut value = fixtures::service("web");
    value["spec"]["clusterIPs"] = json!(["172.16.0.10", "172.16.0.010"]);
    value["spec"]["ports"] = json!([{ "port": 80 }, { "port": 65536 }, { "port": 0 }]);
    value["status"]["loadBalancer"]["ingress"] = json!([{ "ip": "198.51.100.1/32" }]);
    let (facts, problems) = service(value);
    let facts = facts.unwrap();
    assert_eq!(facts.cluster_ips, ips(&["172.16.0.10"]));
    assert_eq!(facts.load_balancer_ips, []);
    assert_eq!(facts.ports.len(), 1);
    assert_eq!(
        problems,
        [
            "spec.clusterIPs: \"172.16.0.010\" is no IP address; it is left out",
            "status.loadBalancer.ingress: \"198.51.100.1/32\" is no IP address; it is left out",
            "spec.ports: 65536 is no port number; the port is left out",
            "spec.ports: 0 is no port number; the port is left out",
        ]
    );
}

#[test]
fn nothing_is_concluded_from_a_service_of_unknown_meaning() {
    for field in ["type", "externalTrafficPolicy", "internalTrafficPolicy"] {
        let mut value = fixtures::service("web");
        value["spec"][field] = "Sideways".into();
        let unusable = service(value).0.unwrap_err().to_string();
        assert!(
            unusable.contains(&format!("spec.{field}: \"Sideways\"")),
            "{unusable}"
        );
    }
}

#[test]
fn annotations_that_are_large_or_change_by_themselves_are_no_facts() {
    let mut value = fixtures::service("web");
    value["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "control-plane.alpha.kubernetes.io/leader": "{}",
        "example.com/community": "64512:7",
    });
    let kept: Vec<_> = good_service(value).annotations.into_keys().collect();
    assert_eq!(kept, ["example.com/community"]);
}

#[test]
fn an_endpoint_without_an_address_of_its_slices_type_is_left_out_and_named() {
    let value = fixtures::slice(
        "web-1",
        "web",
        "IPv4",
        vec![
            json!({ "addresses": [] }),
            json!({ "addresses": ["fd00::1"] }),
            json!({ "addresses": ["10.0.0.256"] }),
            fixtures::endpoint("10.0.0.1", fixtures::HERE),
        ],
    );
    let slice: EndpointSlice = serde_json::from_value(value).unwrap();
    let mut problems = Problems::new();
    let record = slice_record(&slice, fixtures::HERE, &mut problems)
        .unwrap()
        .unwrap();
    assert_eq!(
        *record.endpoints,
        [Endpoint {
            address: "10.0.0.1".parse().unwrap(),
            location: Location::Here,
            class: EndpointClass::Ready,
            terminating: false,
        }]
    );
    assert_eq!(
        problems,
        [
            "endpoints: one has no address; it is left out",
            "endpoints: \"fd00::1\" is no address of the slice's type; the endpoint is left out",
            "endpoints: \"10.0.0.256\" is no address of the slice's type; the endpoint is left out",
        ]
    );
}

#[test]
fn a_slice_of_unknown_type_is_unusable() {
    let value = fixtures::slice("web-1", "web", "MAC", vec![]);
    let slice: EndpointSlice = serde_json::from_value(value).unwrap();
    let unusable = slice_record(&slice, fixtures::HERE, &mut Problems::new()).unwrap_err();
    assert!(
        unusable
            .to_string()
            .starts_with("addressType: \"MAC\" is not known")
    );
}

fn kept_of(annotations: &[(&str, usize)]) -> StringMap {
    let mut value = fixtures::service("web");
    for (name, size) in annotations {
        value["metadata"]["annotations"][*name] = json!("x".repeat(*size));
    }
    good_service(value).annotations
}

#[test]
fn of_too_many_annotations_the_largest_are_left_out_and_that_is_said() {
    let half = ANNOTATION_BYTES_MAX / 2;
    let kept = kept_of(&[("a", half - 1), ("b", half - 1)]);
    assert!(kept.keys().eq(["a", "b"]), "as many as there may be");
    let kept = kept_of(&[("a", 10), ("b", 250_000), ("c", half), ("d", half)]);
    assert!(kept.keys().eq(["a", "d", ANNOTATIONS_DROPPED]), "{kept:?}");
    assert_eq!(kept[ANNOTATIONS_DROPPED], "2");
    let many: Vec<String> = (0..2000).map(|number| format!("{number:04}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), 100)).collect();
    let kept = kept_of(&many);
    let size: usize = kept
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let flag = ANNOTATIONS_DROPPED.len() + kept[ANNOTATIONS_DROPPED].len();
    assert!(size - flag <= ANNOTATION_BYTES_MAX, "{size}");
}

#[test]
fn nobody_else_says_that_annotations_are_left_out() {
    let kept = kept_of(&[("a", 10), (ANNOTATIONS_DROPPED, 1)]);
    assert!(kept.keys().eq(["a"]), "{kept:?}");
}

#[test]
fn a_node_with_too_many_annotations_keeps_its_small_ones_and_says_so() {
    let mut value = fixtures::node("worker-1");
    value["metadata"]["annotations"] = json!({
        (crate::types::ROUTER_ID_ANNOTATION): "192.0.2.1",
        "example.com/document": "x".repeat(100_000),
    });
    let (facts, problems) = node(value);
    let router_id = &facts.annotations[crate::types::ROUTER_ID_ANNOTATION];
    assert_eq!(
        (router_id.as_str(), facts.annotations.len()),
        ("192.0.2.1", 2)
    );
    assert_eq!(
        problems,
        ["metadata.annotations: more than 16384 octets; the largest 1 are left out"]
    );
}

/// What waits in a queue, and what is kept, is no larger for what tools write into the object.
#[test]
fn what_is_no_fact_does_not_wait_for_the_pipeline() {
    let mut value = fixtures::service("web");
    value["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(250_000),
        "example.com/kept": "y",
    });
    value["metadata"]["managedFields"] = json!([{
        "manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:metadata": "z".repeat(10_000) },
    }]);
    let mut service: Service = serde_json::from_value(value).unwrap();
    slim(&mut service.metadata);
    assert!(serde_json::to_string(&service).unwrap().len() < 2_000);
    assert_eq!(
        service.metadata.annotations.unwrap()["example.com/kept"],
        "y"
    );
}
