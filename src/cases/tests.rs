//! What a file means, what it leaves out, and the words for every mistake.

mod learned;

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::candidates::{AdvertiseConfig, CandidateKey, Candidates, PodCidrs};
use crate::facts::{
    ClusterChange, ClusterView, ConditionStatus, EndpointCounts, FamilyCounts, IpMode,
    LoadBalancerIngress, NodeCondition, NodeFacts, ServiceFacts, ServiceKey, ServicePort,
    ServiceType, SessionAffinity, Taint, TrafficPolicy,
};
use crate::policy::{ChainDefault, Mode, OnError, PeerGroup, PeerKind};
use crate::types::{Asn, ExtendedCommunity, Family};

fn parse(text: &str) -> CaseFile {
    match CaseFile::parse("cases/a.toml", text) {
        Ok(file) => file,
        Err(errors) => panic!("{errors}"),
    }
}

/// What is wrong with a text; after each text its errors.
fn catalogue(texts: &[&str]) -> String {
    let mut catalogue = String::new();
    for text in texts {
        let errors = CaseFile::parse("a.toml", text).map(drop).unwrap_err();
        catalogue.push_str(&format!("{}\n=> {errors}\n\n", text.trim()));
    }
    catalogue
}

fn keys(scene: &Scene) -> Vec<String> {
    let key = |key: &CandidateKey| format!("{}, {}", key.prefix, key.origin);
    scene.candidates.iter().map(|c| key(&c.key)).collect()
}

#[test]
fn candidates_are_worked_out_as_the_agent_does() {
    let file = parse(
        r#"
        [advertise]
        service-load-balancer-cidrs = ["192.0.2.0/24"]
        [node]
        pod-cidrs = ["10.244.1.0/24"]
        [[services]]
        name = "shop/web"
        type = "LoadBalancer"
        cluster-ips = ["10.96.0.10"]
        load-balancer-ips = ["192.0.2.10", "203.0.113.1"]
        [[services]]
        name = "shop/gone"
        deleting = true
        load-balancer-ips = ["192.0.2.11"]
        "#,
    );
    let [scene] = file.scenes.as_slice() else {
        panic!("{:?}", file.scenes);
    };
    assert_eq!(scene.name, "towards peer");
    assert_eq!(scene.check, Check::Snapshot);
    assert_eq!(
        keys(scene),
        [
            "10.244.1.0/24, pod CIDR",
            "192.0.2.0/24, service load-balancer range",
            "192.0.2.10/32, load-balancer IP of shop/web",
        ]
    );
    let covered = scene.candidates[2].covered_by;
    assert_eq!(covered, Some("192.0.2.0/24".parse().unwrap()));
}

#[test]
fn what_is_left_out_has_the_meaning_it_has_in_kubernetes() {
    let file = parse("[[services]]\nname = 'a/b'\nexternal-ips = ['203.0.113.1']");
    let scene = &file.scenes[0];
    assert!(scene.node.ready && !scene.node.unschedulable);
    assert_eq!(scene.asn, Asn(64512));
    assert_eq!(scene.peer_group.kind, PeerKind::Ebgp);
    assert_eq!(scene.settings, None);
    assert_eq!(keys(scene), [""; 0]);
    let advertise = "[advertise]\nservice-external-cidrs = ['203.0.113.1/32']\n";
    let file = parse(&format!(
        "{advertise}[[services]]\nname = 'a/b'\nexternal-ips = ['203.0.113.1']"
    ));
    let service = file.scenes[0].candidates[0].service.clone().unwrap();
    assert_eq!(service.service_type, ServiceType::ClusterIP);
    assert_eq!(service.external_traffic_policy, TrafficPolicy::Cluster);
    assert_eq!(service.cluster_endpoints, FamilyCounts::default());
}

#[test]
fn a_case_says_only_what_differs() {
    let file = parse(
        r#"
        settings = { step = 1 }
        [node]
        name = "worker-1"
        labels = { site = "a" }
        [advertise]
        service-load-balancer-cidrs = ["192.0.2.10/32"]
        [[peer-groups]]
        name = "tor"
        asn = 64513
        [[peer-groups]]
        name = "mesh"
        asn = 64512
        [[services]]
        name = "shop/web"
        type = "LoadBalancer"
        load-balancer-ips = ["192.0.2.10"]
        endpoints-here = 1
        [[cases]]
        name = "as it is"
        [[cases]]
        name = "other"
        peer-group = "mesh"
        settings = { step = 2 }
        proposed = { communities = ["64512:2", "64512:1"] }
        node = { unschedulable = true }
        services = [{ name = "shop/web", endpoints-here = 3 }, { name = "shop/more" }]
        "#,
    );
    let [first, other] = file.scenes.as_slice() else {
        panic!("{:?}", file.scenes);
    };
    let here = |scene: &Scene| {
        let service = scene.candidates[0].service.as_ref().unwrap();
        assert_eq!(service.service_type, ServiceType::LoadBalancer);
        service.node_endpoints
    };
    let ready = |ready| FamilyCounts {
        ipv4: EndpointCounts {
            ready,
            ..EndpointCounts::default()
        },
        ipv6: EndpointCounts::default(),
    };
    assert_eq!((here(first), here(other)), (ready(1), ready(3)));
    assert_eq!(first.peer_group.name, "tor");
    assert_eq!(other.peer_group.kind, PeerKind::Ibgp);
    assert_eq!(
        serde_json::to_value(&other.settings).unwrap(),
        json!({"step": 2})
    );
    assert!(!first.node.unschedulable && other.node.unschedulable);
    assert_eq!(other.node.labels, first.node.labels);
    let communities = &other.proposed.communities;
    assert!(communities.is_sorted() && communities.len() == 2);
}

#[test]
fn groups_of_one_name_are_told_apart() {
    let group = |asn| format!("[[peer-groups]]\nname = 'tors'\nasn = {asn}\n");
    let file = parse(&format!("{}{}", group(64513), group(64514)));
    let names: Vec<_> = file.scenes.iter().map(|scene| &scene.name).collect();
    assert_eq!(names, ["towards tors", "towards tors (2)"]);
}

#[test]
fn endpoints_are_counted_by_family_and_condition() {
    let file = parse(
        r#"
        [advertise]
        service-load-balancer-cidrs = ["192.0.2.10/32", "2001:db8::10/128"]
        [[services]]
        name = "shop/web"
        type = "LoadBalancer"
        load-balancer-ips = ["192.0.2.10", "2001:db8::10"]
        endpoints-here = { ipv4 = { ready = 1, serving-terminating = 2, unready = 3 } }
        endpoints-elsewhere = 4
        "#,
    );
    let service = file.scenes[0].candidates[0].service.clone().unwrap();
    let counts = |ready, serving_terminating, unready| EndpointCounts {
        ready,
        serving_terminating,
        unready,
    };
    assert_eq!(service.node_endpoints.ipv4, counts(1, 2, 3));
    assert_eq!(service.node_endpoints.ipv6, counts(0, 0, 0));
    assert_eq!(service.cluster_endpoints.ipv4, counts(5, 2, 3));
    assert_eq!(service.cluster_endpoints.ipv6, counts(4, 0, 0));
}

#[test]
fn an_expectation_finds_the_candidate_it_means() {
    let file = parse(
        r#"
        [advertise]
        service-external-cidrs = ["192.0.2.1/32"]
        [[services]]
        name = "a/one"
        external-ips = ["192.0.2.1"]
        [[services]]
        name = "a/two"
        external-ips = ["192.0.2.1"]
        [[cases]]
        name = "shared"
        expect = [
            { prefix = "192.0.2.1/32", service = "a/two", verdict = "accept", reason = "why",
              attributes = { med = 5, extended-communities = ["0x0004fc004db2d05e"] } },
        ]
        "#,
    );
    let Check::Decisions(expected) = &file.scenes[0].check else {
        panic!("{:?}", file.scenes[0].check);
    };
    let [expected] = expected.as_slice() else {
        panic!("{expected:?}");
    };
    assert_eq!(expected.line, 13);
    assert_eq!(
        expected.candidate.origin.service(),
        Some(&ServiceKey::new("a", "two"))
    );
    assert_eq!(expected.attributes.med, Some(5));
    assert_eq!(
        expected.attributes.extended_communities,
        [ExtendedCommunity([
            0x00, 0x04, 0xFC, 0x00, 0x4D, 0xB2, 0xD0, 0x5E
        ])]
    );
}

#[test]
fn the_examples_of_the_guide_are_valid() {
    let guide = include_str!("../../policies/README.md");
    let blocks = guide.split("```toml\n").skip(1);
    let examples = blocks.filter_map(|block| block.split("```").next());
    let examples: Vec<_> = examples.filter(|text| text.contains("[[cases]]")).collect();
    assert!(!examples.is_empty());
    for example in examples {
        assert!(parse(example).questions().len() > 1);
    }
}

#[test]
fn the_words_for_what_is_not_in_the_form() {
    insta::assert_snapshot!(catalogue(&[
        "[node]\nready = ",
        "colour = 1",
        "[[services]]\n",
        "[[services]]\nname = 'web'",
        "[[services]]\nname = 'a/b'\ntype = 'Loadbalancer'",
        "[[services]]\nname = 'a/b'\nendpoints-here = 'many'",
        "[[services]]\nname = 'a/b'\nendpoints-here = -1",
        "[[services]]\nname = 'a/b'\nendpoints-here = { ipv4 = { redy = 1 } }",
        "[node]\nname = 'a'\npod-cidrs = ['10.0.0.0']",
        "[[cases]]\nname = 'a'\nexpect = [{ prefix = '10.0.0.0/8', verdict = 'maybe' }]",
        "[[cases]]\nname = 'a'\nproposed = { comunities = [] }",
        "[[cases]]\nname = 'a'\nproposed = { extended-communities = ['64512:1'] }",
    ]));
}

#[test]
fn the_words_for_what_makes_no_sense() {
    const SERVICES: &str = "[advertise]\nservice-external-cidrs = ['192.0.2.1/32']\n\
        [[services]]\nname = 'a/one'\nexternal-ips = ['192.0.2.1', '192.0.2.2']\n\
        [[services]]\nname = 'a/two'\nexternal-ips = ['192.0.2.1']\n";
    let expecting = |expect: &str| format!("{SERVICES}[[cases]]\nname = 'x'\nexpect = [{expect}]");
    let texts = [
        "[[services]]\nname = 'a/b'\n[[services]]\nname = 'a/b'".to_owned(),
        "[[cases]]\n[[cases]]\nname = 'a'\n[[cases]]\nname = 'a'".to_owned(),
        "[[cases]]\nname = 'a'\npeer-group = 'tor'".to_owned(),
        "[[cases]]\nname = 'a'\nrefused = 'x'\nexpect = []".to_owned(),
        expecting(""),
        expecting("{ prefix = '192.0.2.1/32', verdict = 'accept' }"),
        expecting("{ prefix = '192.0.2.2/32', verdict = 'accept' }"),
        expecting("{ prefix = '192.0.2.3/32', verdict = 'accept' }"),
        expecting(
            "{ prefix = '192.0.2.1/32', service = 'a/one', verdict = 'reject', \
             attributes = { med = 1 } }",
        ),
        expecting(
            "{ prefix = '192.0.2.1/32', service = 'a/one', verdict = 'reject' },\n\
             { prefix = '192.0.2.1/32', service = 'a/one', verdict = 'accept' }",
        ),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(catalogue(&texts));
}

/// A Service with a value in every field.
fn service() -> ServiceFacts {
    let counts = |ready| FamilyCounts {
        ipv4: EndpointCounts {
            ready,
            serving_terminating: 1,
            unready: 2,
        },
        ipv6: EndpointCounts::default(),
    };
    ServiceFacts {
        key: ServiceKey::new("shop", "web"),
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
        annotations: [("example.com/a".to_owned(), "line\nline".to_owned())].into(),
        service_type: ServiceType::LoadBalancer,
        external_traffic_policy: TrafficPolicy::Local,
        internal_traffic_policy: TrafficPolicy::Cluster,
        load_balancer_class: Some("example.com/ours".to_owned()),
        headless: false,
        deleting: false,
        cluster_ips: vec!["10.96.0.1".parse().unwrap()],
        external_ips: Vec::new(),
        load_balancer_ips: vec![
            LoadBalancerIngress {
                address: "192.0.2.10".parse().unwrap(),
                mode: IpMode::VIP,
            },
            LoadBalancerIngress {
                address: "192.0.2.11".parse().unwrap(),
                mode: IpMode::Proxy,
            },
        ],
        ip_families: vec![Family::Ipv4Unicast],
        health_check_node_port: Some(32_000),
        session_affinity: SessionAffinity::ClientIP,
        traffic_distribution: Some("PreferSameZone".to_owned()),
        load_balancer_source_ranges: vec!["203.0.113.0/24".parse().unwrap()],
        created: 1_700_000_000,
        namespace_labels: Arc::new([("tenant".to_owned(), "a".to_owned())].into()),
        ports: vec![ServicePort {
            name: String::new(),
            protocol: "UDP".to_owned(),
            port: 53,
            node_port: Some(30053),
        }],
        node_endpoints: counts(1),
        cluster_endpoints: counts(4),
        unplaced_endpoints: FamilyCounts {
            ipv4: EndpointCounts {
                ready: 2,
                ..EndpointCounts::default()
            },
            ipv6: EndpointCounts::default(),
        },
    }
}

/// A recording, the candidates of its view, and the groups that it was made for.
#[test]
fn a_recording_asks_what_the_node_asked() {
    let node = NodeFacts {
        name: "worker-1".to_owned(),
        labels: [("site".to_owned(), "a".to_owned())].into(),
        annotations: [("example.com/b".to_owned(), "c".to_owned())].into(),
        internal_ips: vec!["192.168.83.11".parse().unwrap()],
        external_ips: vec!["203.0.113.11".parse().unwrap()],
        pod_cidrs: vec!["10.244.1.0/24".parse().unwrap()],
        unschedulable: true,
        ready: false,
        conditions: ["NetworkUnavailable", "Ready"]
            .map(|condition_type| NodeCondition {
                condition_type: condition_type.to_owned(),
                status: ConditionStatus::False,
                reason: "KubeletNotReady".to_owned(),
            })
            .into(),
        taints: vec![Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        }],
        cluster_nodes: Some(3),
        blocks: None,
    };
    let advertise = AdvertiseConfig {
        pod_cidrs: PodCidrs::Advertise,
        service_cluster_cidrs: vec!["10.96.0.0/12".parse().unwrap()],
        service_external_cidrs: Vec::new(),
        service_load_balancer_cidrs: vec!["192.0.2.0/24".parse().unwrap()],
        load_balancer_classes: Some(vec!["example.com/ours".to_owned()]),
        service_proxy_names: vec!["other-proxy".to_owned()],
        ..AdvertiseConfig::default()
    };
    let group = |name: &str, asn, kind| PeerGroup {
        name: name.to_owned(),
        asn: Asn(asn),
        kind,
        labels: [("site".to_owned(), name.to_owned())].into(),
    };
    let groups = vec![
        group("mesh", 65000, PeerKind::Ibgp),
        group("tor", 64513, PeerKind::Ebgp),
    ];
    let facts = service();
    let settings = json!({"rules": [{"add": ["64512:1"]}]});
    let document = Document::from(Recorded {
        asn: Asn(65000),
        node: &node,
        advertise: &advertise,
        peer_groups: groups.clone(),
        policies: vec![UsedPolicy {
            name: "communities".to_owned(),
            module: "/etc/rutter/communities.wasm".to_owned(),
            on_error: OnError::Skip,
            mode: Mode::Shadow,
            peers: Some(["tor".to_owned()].into()),
            settings: UsedPolicy::settings_of(&settings),
        }],
        policy_default: ChainDefault::Accept,
        services: vec![&facts],
    });
    // As the agent answers, as the command line writes it.
    let answered: Document =
        serde_json::from_value(serde_json::to_value(&document).unwrap()).unwrap();
    assert_eq!(answered, document);
    let text = toml::to_string_pretty(&answered).unwrap();
    insta::assert_snapshot!(text);

    let file = parse(&text);
    assert_eq!(file.policies, document.policies);
    assert_eq!(file.policy_default, ChainDefault::Accept);
    let view = ClusterView {
        node: Some(Arc::new(node.clone())),
        services: [(facts.key.clone(), Arc::new(facts))].into(),
        ..ClusterView::default()
    };
    let mut candidates = Candidates::new(advertise);
    candidates.apply(&view, &[ClusterChange::Node]);
    let candidates: Vec<_> = candidates.iter().cloned().collect();
    assert_eq!(file.scenes.len(), groups.len());
    for (scene, group) in file.scenes.iter().zip(groups) {
        assert_eq!(scene.name, format!("towards {}", group.name));
        assert_eq!(scene.peer_group, group);
        assert_eq!(*scene.node, node);
        assert_eq!(scene.candidates, candidates);
    }
}
