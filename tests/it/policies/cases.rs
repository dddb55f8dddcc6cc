//! What compiled modules are asked, and what they have to answer.

use std::sync::Arc;

use rutter::candidates::{AddressKind, AdvertiseConfig, Candidate, CandidateKey, Origin, serving};
use rutter::facts::{
    EndpointCounts, FamilyCounts, NodeFacts, ServiceFacts, ServiceKey, ServicePort, ServiceType,
};
use rutter::types::{Family, Prefix};
use serde_json::{Value, json};

/// One question and its answer.
pub(super) struct Case {
    pub(super) module: &'static str,
    pub(super) settings: Value,
    pub(super) node: NodeFacts,
    pub(super) candidate: Candidate,
    /// `"abstain"`, `"reject"`, or the attributes it accepts with.
    pub(super) verdict: Value,
    pub(super) reason: Option<&'static str>,
}

/// The settings that each module is asked with.
pub(super) fn settings() -> [(&'static str, Value); 8] {
    [
        (
            "allow-list",
            json!({"tenants": [
                {"name": "shop", "namespaces": ["shop"], "ranges": ["192.0.2.0/25"]},
                {"name": "bank", "namespaces": ["bank-*"], "ranges": ["192.0.2.128/25"]},
            ]}),
        ),
        ("allowed-ports", json!({"tcp": [80, 443], "udp": [53]})),
        (
            "anycast-med",
            json!({
                "steps": [{"endpoints": 1, "med": 100}, {"endpoints": 2, "med": 10}],
                "sites": {"node-label": "site", "primary": "a",
                    "backup": {"med": 500, "prepend": 3}},
            }),
        ),
        (
            "calico-filter",
            json!({"exportV4": [
                {"action": "Accept", "cidr": "10.1.0.0/16", "matchOperator": "In",
                    "prefixLength": {"min": 24, "max": 24}, "peerType": "eBGP",
                    "operations": [{"addCommunity": {"value": "64512:7"}},
                        {"prependASPath": {"prefix": [64512, 64512]}}]},
                {"action": "Reject", "cidr": "10.0.0.0/8", "matchOperator": "In"},
            ]}),
        ),
        (
            "communities",
            json!({
                "rules": [
                    {"match": {"namespaces": ["shop"]}, "add": ["64512:1", "64512:1:2"]},
                    {"match": {"labels": {"internal": "*"}}, "add": ["no-export"]},
                ],
                "annotation": {"key": "communities", "allow": ["64512:50"]},
            }),
        ),
        (
            "graceful-drain",
            json!({
                "shutdown": {"labels": {"drain": "soon"}, "cordoned": true},
                "withdraw": {"labels": {"drain": "now"}},
            }),
        ),
        (
            "name-rules",
            json!({"rules": [
                {"namespace": "^bank-", "annotations": {"communities": "64512:\\d+"},
                    "then": "reject", "reason": "banks keep to themselves"},
                {"labels": {"internal": ""}, "then": "abstain"},
                {"name": "^web$", "then": "accept"},
            ]}),
        ),
        ("weighted-ecmp", json!({"match": {"namespaces": ["shop"]}})),
    ]
}

/// Every case; those of one module come together.
pub(super) fn every_case() -> Vec<Case> {
    let [
        allow_list,
        allowed_ports,
        anycast_med,
        calico_filter,
        communities,
        drain,
        name_rules,
        ecmp,
    ] = settings().map(|(module, settings)| Of { module, settings });
    let site = |name| node(&[("site", name)]);
    let cordoned = NodeFacts {
        unschedulable: true,
        ..node(&[])
    };
    let shop = |ready| address("192.0.2.1/32", service("shop/web", ready));
    let labelled = {
        let mut service = service("bank-eu/api", 0);
        service.labels = [("internal".to_owned(), String::new())].into();
        service.annotations = [("communities".to_owned(), "64512:50,1:1".to_owned())].into();
        address("192.0.2.200/32", service)
    };
    let bank = |host| address(host, service("bank-eu/api", 1));
    vec![
        allow_list.case(node(&[]), shop(1), json!("abstain"), Some("in a range of tenant `shop`")),
        allow_list.case(
            node(&[]),
            bank("192.0.2.1/32"),
            json!("reject"),
            Some("namespace `bank-eu` may announce only from 192.0.2.128/25"),
        ),
        allow_list.case(node(&[]), pod_cidr("10.1.2.0/24"), json!("abstain"), None),
        allowed_ports.case(node(&[]), ports(&[("TCP", 443), ("UDP", 53)]), json!("abstain"), None),
        allowed_ports.case(
            node(&[]),
            ports(&[("TCP", 443), ("UDP", 443)]),
            json!("reject"),
            Some("shop/web has port 443/udp, which is not allowed"),
        ),
        allowed_ports.case(
            node(&[]),
            ports(&[("QUIC", 443)]),
            json!("reject"),
            Some("shop/web has port 443/QUIC, which is not allowed"),
        ),
        allowed_ports.case(node(&[]), pod_cidr("10.1.2.0/24"), json!("abstain"), None),
        anycast_med.case(
            site("a"),
            shop(3),
            json!({"med": 10}),
            Some("usable endpoints on this node: 3, step of 2; MED 10, prepend 0, local preference none"),
        ),
        anycast_med.case(site("a"), shop(0), json!("abstain"), None),
        anycast_med.case(
            site("b"),
            shop(0),
            json!({"med": 500, "prepend": 3}),
            Some("this is a backup site; MED 500, prepend 3, local preference none"),
        ),
        calico_filter.case(
            node(&[]),
            pod_cidr("10.1.2.0/24"),
            json!({"prepend": 2, "communities": ["64512:7"]}),
            Some("accepted by exportV4[0]"),
        ),
        calico_filter.case(
            node(&[]),
            pod_cidr("10.2.2.0/24"),
            json!("reject"),
            Some("rejected by exportV4[1]"),
        ),
        calico_filter.case(node(&[]), shop(0), json!("abstain"), None),
        calico_filter.case(node(&[]), pod_cidr("2001:db8::/64"), json!("abstain"), None),
        communities.case(
            node(&[]),
            shop(0),
            json!({"communities": ["64512:1"], "large-communities": ["64512:1:2"]}),
            Some("adds 64512:1, 64512:1:2"),
        ),
        communities.case(
            node(&[]),
            labelled.clone(),
            json!({"communities": ["64512:50", "65535:65281"]}),
            Some("adds 64512:50, 65535:65281; ignores `1:1` of the annotation, which is not allowed"),
        ),
        communities.case(node(&[]), pod_cidr("10.1.2.0/24"), json!("abstain"), None),
        drain.case(
            cordoned,
            pod_cidr("10.1.2.0/24"),
            json!({"communities": ["65535:0"]}),
            Some("this node is being drained: it is cordoned"),
        ),
        drain.case(
            node(&[("drain", "now")]),
            shop(1),
            json!("reject"),
            Some("this node is drained: label drain"),
        ),
        drain.case(node(&[]), shop(1), json!("abstain"), None),
        name_rules.case(node(&[]), shop(1), json!("accept"), Some("rules[2] matches")),
        name_rules.case(
            node(&[]),
            labelled,
            json!("reject"),
            Some("banks keep to themselves"),
        ),
        name_rules.case(node(&[]), bank("192.0.2.1/32"), json!("abstain"), None),
        name_rules.case(node(&[]), pod_cidr("10.1.2.0/24"), json!("abstain"), None),
        ecmp.case(
            node(&[]),
            shop(3),
            json!({"extended-communities": [[0x00, 0x04, 0xFC, 0x00, 0x4D, 0xB2, 0xD0, 0x5E]]}),
            Some("usable endpoints on this node: 3; link bandwidth 3000 Mbit/s"),
        ),
        ecmp.case(
            node(&[]),
            shop(0),
            json!("abstain"),
            Some("no usable endpoint on this node, so no link bandwidth"),
        ),
        ecmp.case(node(&[]), bank("192.0.2.200/32"), json!("abstain"), None),
    ]
}

/// An address of a Service of its own, with as many labels and annotations as Services have; the
/// annotation `example.com/owner` is as given.
pub(super) fn crowded(number: usize, owner: &str) -> Case {
    let mut facts = service(&format!("team-{number}/app-{number}"), 1);
    let entry = |key: &str| (format!("example.com/{key}"), format!("value-{number}"));
    facts.labels = [
        "app",
        "component",
        "instance",
        "managed-by",
        "part-of",
        "version",
    ]
    .map(entry)
    .into();
    facts.annotations = ["cost-centre", "checksum", "revision"].map(entry).into();
    facts
        .annotations
        .insert("example.com/owner".into(), owner.into());
    let host = std::net::Ipv4Addr::from_bits(0xC612_0000 + u32::try_from(number).unwrap());
    Case {
        module: "",
        settings: json!({}),
        node: node(&[]),
        candidate: address(&format!("{host}/32"), facts),
        verdict: json!("abstain"),
        reason: None,
    }
}

/// A module with its settings.
struct Of {
    module: &'static str,
    settings: Value,
}

impl Of {
    fn case(
        &self,
        node: NodeFacts,
        candidate: Candidate,
        verdict: Value,
        reason: Option<&'static str>,
    ) -> Case {
        Case {
            module: self.module,
            settings: self.settings.clone(),
            node,
            candidate,
            verdict,
            reason,
        }
    }
}

fn node(labels: &[(&str, &str)]) -> NodeFacts {
    NodeFacts {
        name: "worker-1".into(),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ready: true,
        ..NodeFacts::default()
    }
}

fn pod_cidr(prefix: &str) -> Candidate {
    Candidate {
        key: CandidateKey {
            prefix: prefix.parse().unwrap(),
            origin: Origin::PodCidr,
        },
        service: None,
        covered_by: None,
        serving: None,
    }
}

fn address(host: &str, service: ServiceFacts) -> Candidate {
    let kind = AddressKind::LoadBalancerIp;
    let prefix: Prefix = host.parse().unwrap();
    let config = AdvertiseConfig::default();
    Candidate {
        key: CandidateKey {
            prefix,
            origin: Origin::ServiceAddress {
                service: service.key.clone(),
                address: kind,
            },
        },
        serving: Some(serving(&service, kind, prefix.address(), &config)),
        service: Some(Arc::new(service)),
        covered_by: None,
    }
}

/// An address of a Service with ports of these protocols and numbers.
fn ports(ports: &[(&str, u16)]) -> Candidate {
    let ports = ports.iter().map(|(protocol, port)| ServicePort {
        name: String::new(),
        protocol: (*protocol).to_owned(),
        port: *port,
        node_port: None,
    });
    let service = ServiceFacts {
        ports: ports.collect(),
        ..service("shop/web", 1)
    };
    address("192.0.2.1/32", service)
}

/// With so many ready endpoints on this node.
fn service(key: &str, ready: u32) -> ServiceFacts {
    let (namespace, name) = key.split_once('/').unwrap();
    let counts = FamilyCounts {
        ipv4: EndpointCounts {
            ready,
            ..EndpointCounts::default()
        },
        ipv6: EndpointCounts::default(),
    };
    ServiceFacts {
        service_type: ServiceType::LoadBalancer,
        ip_families: vec![Family::Ipv4Unicast],
        node_endpoints: counts,
        cluster_endpoints: counts,
        ..ServiceFacts::named(ServiceKey::new(namespace, name))
    }
}
