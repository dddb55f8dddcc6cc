//! Rules of the SDK: indexes, interning, settings, and what a policy may ask of the facts.

use serde::Deserialize;

use crate::{
    AddressKind, Candidate, ConditionStatus, Context, Decision, Description, EndpointCounts,
    Family, IpMode, NoSettings, NodeAddressKind, Policy, Protocol, RouteAttributes, Service,
    ServiceIp, Serving, SessionAffinity, UnservedReason, Verdict, evaluate, testing,
    validate_settings,
};

/// Prepends by a setting, explains with the Service's name.
struct Prepend(u8);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrependSettings {
    times: u8,
}

impl Policy for Prepend {
    type Settings = PrependSettings;

    fn describe() -> Description {
        crate::description!("Prepends", r#"{"type":"object"}"#)
    }

    fn new(settings: PrependSettings) -> Result<Self, String> {
        match settings.times {
            0..=16 => Ok(Self(settings.times)),
            more => Err(format!("times = {more} is above 16")),
        }
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let Some(service) = candidate.service() else {
            return Decision::abstain();
        };
        Decision::accept_with(RouteAttributes {
            prepend: self.0,
            ..candidate.attributes.clone()
        })
        .because(context.explain(|| format!("an address of {service}")))
    }
}

fn two_addresses_and_a_pod_cidr() -> testing::BatchBuilder {
    let web = testing::service("shop/web");
    testing::batch()
        .settings(r#"{"times": 3}"#)
        .address("192.0.2.1/32", AddressKind::ClusterIp, web.clone())
        .pod_cidr("10.0.0.0/24")
        .address("192.0.2.2/32", AddressKind::ClusterIp, web)
}

#[test]
fn equal_reasons_and_attribute_sets_cross_once() {
    let answer = evaluate::<Prepend>(&two_addresses_and_a_pod_cidr().build()).unwrap();
    assert_eq!(answer.decisions.len(), 3);
    assert_eq!(answer.reasons, ["an address of shop/web"]);
    assert_eq!(answer.attribute_sets.len(), 1);
    assert_eq!(answer.attribute_sets[0].prepend, 3);
}

#[test]
fn decisions_are_the_same_without_reasons() {
    let batch = two_addresses_and_a_pod_cidr();
    let with = batch.clone().decide::<Prepend>().unwrap();
    let without = batch.without_reasons().decide::<Prepend>().unwrap();
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with.verdict, without.verdict);
        assert_eq!(without.reason, None);
    }
    assert_eq!(with[1].verdict, Verdict::Abstain);
}

#[test]
fn a_policy_changes_only_the_attributes_it_wants() {
    let decisions = testing::batch()
        .settings(r#"{"times": 2}"#)
        .proposed(RouteAttributes {
            med: Some(7),
            ..RouteAttributes::default()
        })
        .address(
            "192.0.2.1/32",
            AddressKind::ClusterIp,
            testing::service("a/b"),
        )
        .decide::<Prepend>()
        .unwrap();
    assert_eq!(
        decisions[0].verdict,
        Verdict::Accept(Some(RouteAttributes {
            med: Some(7),
            prepend: 2,
            ..RouteAttributes::default()
        }))
    );
}

#[test]
fn an_index_that_names_nothing_is_an_error() {
    let mut batch = two_addresses_and_a_pod_cidr().build();
    batch.services.pop();
    let error = evaluate::<Prepend>(&batch).unwrap_err();
    assert_eq!(error, "the batch has no entry that 192.0.2.2/32 names");
}

#[test]
fn wrong_settings_are_named_without_a_position_in_the_json() {
    let check = |json| validate_settings::<Prepend>(json).unwrap_err();
    assert_eq!(check(r#"{"times": 17}"#), "times = 17 is above 16");
    assert_eq!(
        check(r#"{"times": 1, "time": 2}"#),
        "unknown field `time`, expected `times`"
    );
    assert_eq!(check("[3]"), "settings must be a JSON object");
    assert_eq!(
        check(r#"{"times": "many"}"#),
        "times: invalid type: string \"many\", expected u8"
    );
    assert_eq!(check(r#"{"times": 1} x"#), "trailing characters");
    assert_eq!(check("{}"), "missing field `times`");
}

#[test]
fn no_settings_names_the_key_it_does_not_know() {
    let parse = |json| serde_json::from_str::<NoSettings>(json);
    assert_eq!(parse("{}").unwrap(), NoSettings);
    let error = parse(r#"{"speed": [1, {}]}"#).unwrap_err().to_string();
    assert!(error.starts_with("unknown setting `speed`: this policy has no settings"));
}

#[test]
fn endpoints_that_serve_while_they_terminate_count_only_when_none_is_ready() {
    let counts = |ready, serving_terminating| EndpointCounts {
        ready,
        serving_terminating,
        unready: 9,
    };
    assert_eq!(counts(2, 5).usable(), 2);
    assert_eq!(counts(0, 5).usable(), 5);
    assert_eq!(counts(0, 0).usable(), 0);
}

#[test]
fn a_prefix_covers_its_parts_and_no_other_family() {
    let covers = |wide, narrow| testing::prefix(wide).covers(&testing::prefix(narrow));
    assert!(covers("10.0.0.0/8", "10.1.2.3/32"));
    assert!(covers("10.0.0.0/8", "10.0.0.0/8"));
    assert!(covers("0.0.0.0/0", "203.0.113.0/24"));
    assert!(covers("::/0", "2001:db8::1/128"));
    assert!(covers("2001:db8::/32", "2001:db8:1::/48"));
    assert!(!covers("10.0.0.0/8", "11.0.0.0/8"));
    assert!(!covers("10.1.0.0/16", "10.0.0.0/8"));
    assert!(!covers("0.0.0.0/0", "::/0"));
}

#[test]
fn labels_are_found_by_key() {
    let node = testing::node("a")
        .with_label("zone", "x")
        .with_label("zone", "y");
    assert_eq!(node.label("zone"), Some("y"));
    assert_eq!(node.label("missing"), None);
}

#[test]
fn a_service_reads_from_the_batchs_tables() {
    let other = testing::service("shop/api")
        .with_label("tier", "iron")
        .with_port("grpc", 9000);
    let mut web = testing::service("shop/web")
        .with_label("tier", "gold")
        .with_label("app", "web")
        .with_annotation("k", "")
        .with_port("http", 80)
        .with_address(AddressKind::ExternalIp, "2001:db8::7");
    web.load_balancer_class = Some("example.com/lb".into());
    web.ports[0].protocol = "QUIC".into();
    let batch = testing::batch()
        .address("192.0.2.1/32", AddressKind::ClusterIp, other)
        .address("192.0.2.2/32", AddressKind::ClusterIp, web)
        .build();
    let [other, web] = [0, 1].map(|index| Service::new(&batch, index).unwrap());

    assert_eq!(web.to_string(), "shop/web");
    assert_eq!((web.label("tier"), web.label("k")), (Some("gold"), None));
    assert_eq!(web.annotation("k"), Some(""));
    assert_eq!(other.label("tier"), Some("iron"));
    assert!(web.labels().eq([("app", "web"), ("tier", "gold")]));
    assert_eq!(web.load_balancer_class(), Some("example.com/lb"));
    assert_eq!(other.load_balancer_class(), None);
    let port = web.ports().next().unwrap();
    assert_eq!(
        (port.name, port.protocol),
        ("http", Protocol::Other("QUIC"))
    );
    assert_eq!(other.ports().next().unwrap().protocol, Protocol::Tcp);
    let address = "2001:db8::7".parse().unwrap();
    let external = ServiceIp {
        kind: AddressKind::ExternalIp,
        address,
        mode: IpMode::Vip,
    };
    assert!(web.addresses().eq([external]));
    assert_eq!(other.addresses().count(), 0);
    assert!(Service::new(&batch, 2).is_none());
}

#[test]
fn what_else_a_service_says_is_read_from_the_tables() {
    let plain = testing::service("shop/api");
    let mut web = testing::service("shop/web")
        .with_label("service.kubernetes.io/service-proxy-name", "mesh")
        .with_namespace_label("team", "shop")
        .with_source_range("198.51.100.0/24")
        .with_endpoints_without_node(Family::Ipv4, testing::ready(2));
    web.families = vec![Family::Ipv6];
    web.session_affinity = SessionAffinity::ClientIp;
    web.traffic_distribution = Some("PreferClose".into());
    web.health_check_node_port = Some(30_000);
    web.created = 1_700_000_000;
    let batch = testing::batch()
        .address("192.0.2.1/32", AddressKind::ClusterIp, plain)
        .address("192.0.2.2/32", AddressKind::ClusterIp, web)
        .build();
    let [plain, web] = [0, 1].map(|index| Service::new(&batch, index).unwrap());

    assert_eq!(web.proxy_name(), Some("mesh"));
    assert_eq!(web.namespace_label("team"), Some("shop"));
    assert_eq!(web.label("team"), None);
    let ranges = web.load_balancer_source_ranges();
    assert_eq!(ranges, [testing::prefix("198.51.100.0/24")]);
    assert!(web.has_family(Family::Ipv6) && !web.has_family(Family::Ipv4));
    assert_eq!(web.session_affinity(), SessionAffinity::ClientIp);
    assert_eq!(web.traffic_distribution(), Some("PreferClose"));
    assert_eq!(web.health_check_node_port(), Some(30_000));
    assert_eq!(web.created(), 1_700_000_000);
    assert_eq!(web.unplaced_endpoints(Family::Ipv4).usable(), 2);
    assert_eq!(web.cluster_endpoints(Family::Ipv4).usable(), 2);
    assert_eq!(web.node_endpoints(Family::Ipv4).usable(), 0);

    assert_eq!(plain.proxy_name(), None);
    assert_eq!(plain.namespace_labels().count(), 0);
    assert!(plain.load_balancer_source_ranges().is_empty());
    assert!(plain.has_family(Family::Ipv4) && plain.has_family(Family::Ipv6));
    assert_eq!(plain.session_affinity(), SessionAffinity::None);
    assert_eq!(plain.traffic_distribution(), None);
}

/// Tells by its reason what is served with how many endpoints.
struct Tells;

impl Policy for Tells {
    type Settings = NoSettings;

    fn describe() -> Description {
        crate::description!("Tells")
    }

    fn new(NoSettings: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn decide(&self, _context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let (served, usable) = (candidate.is_served(), candidate.usable_endpoints_here());
        Decision::abstain().because(format!("{served} {usable}"))
    }
}

#[test]
fn endpoints_of_an_address_that_is_not_served_are_not_usable() {
    let web = testing::service("shop/web").with_endpoints_here(Family::Ipv4, testing::ready(2));
    let address = |serving| {
        testing::batch()
            .address("192.0.2.1/32", AddressKind::ClusterIp, web.clone())
            .serving(serving)
    };
    let told = |batch: testing::BatchBuilder| {
        let mut decisions = batch.decide::<Tells>().unwrap();
        decisions.remove(0).reason.unwrap().into_owned()
    };
    assert_eq!(told(address(Serving::AnyNode)), "true 2");
    assert_eq!(told(address(Serving::ThisNode)), "true 2");
    let other_proxy = Serving::Unserved(UnservedReason::OtherProxy);
    assert_eq!(told(address(other_proxy)), "false 0");
    assert_eq!(told(testing::batch().pod_cidr("10.1.0.0/24")), "false 0");
}

#[test]
fn conditions_and_taints_of_a_node_are_found() {
    let node = testing::node("a");
    assert_eq!(node.network_unavailable(), None);
    for status in [ConditionStatus::False, ConditionStatus::Unknown] {
        let node = node.clone().with_condition("NetworkUnavailable", status);
        assert_eq!(node.condition("NetworkUnavailable").unwrap().status, status);
        assert_eq!(node.network_unavailable(), None);
    }
    let node = node
        .with_condition("NetworkUnavailable", ConditionStatus::True)
        .with_taint(
            "node.kubernetes.io/out-of-service",
            "nodeshutdown",
            "NoExecute",
        );
    assert!(node.network_unavailable().is_some());
    assert_eq!(
        node.condition("Ready").unwrap().status,
        ConditionStatus::True
    );
    let taint = node.taint("node.kubernetes.io/out-of-service").unwrap();
    assert_eq!(taint.effect, "NoExecute");
    assert_eq!(node.taint("other"), None);
}

#[test]
fn a_nodes_addresses_are_told_apart() {
    let node = testing::node("a")
        .with_address(NodeAddressKind::InternalIp, "10.0.0.1")
        .with_address(NodeAddressKind::ExternalIp, "203.0.113.1");
    let external: Vec<_> = node.addresses_of(NodeAddressKind::ExternalIp).collect();
    assert_eq!(
        external,
        ["203.0.113.1".parse::<std::net::IpAddr>().unwrap()]
    );
}

#[test]
fn addresses_and_prefixes_print_as_people_write_them() {
    assert_eq!(testing::prefix("10.0.0.0/8").to_string(), "10.0.0.0/8");
    assert_eq!(
        testing::prefix("2001:db8::/32").to_string(),
        "2001:db8::/32"
    );
    assert_eq!(testing::prefix("2001:db8::/32").family(), Family::Ipv6);
}

#[test]
fn the_description_has_the_crates_own_name_and_version() {
    let description = Prepend::describe();
    assert_eq!(description.name, "rutter-policy");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        description.settings_schema.as_deref(),
        Some(r#"{"type":"object"}"#)
    );
}
