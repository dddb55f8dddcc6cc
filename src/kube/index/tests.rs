//! The index, fed by hand: no API server.

mod ipam;
mod order;

use serde_json::{Value, json};

use super::*;
use crate::facts::{ServiceFacts, TrafficPolicy};
use crate::kube::fixtures::{
    HERE, cluster_node, endpoint, named, namespace, node, object, service, slice,
};
use crate::types::Family;

fn applied(value: Value) -> SourceEvent {
    SourceEvent::Applied(object(value))
}

/// An index that has listed the own Node, the Service `web`, and these slices.
fn index_with(slices: impl IntoIterator<Item = Value>) -> Index {
    let mut index = Index::new(HERE);
    list(&mut index, Kind::Node, [node(HERE)]);
    list(&mut index, Kind::ClusterNode, [cluster_node(node(HERE))]);
    list(&mut index, Kind::Namespace, []);
    list(&mut index, Kind::EndpointSlice, slices);
    list(&mut index, Kind::Service, [service("web")]);
    assert_eq!(index.waiting_for(), None);
    index
}

fn list(
    index: &mut Index,
    kind: Kind,
    objects: impl IntoIterator<Item = Value>,
) -> Vec<ClusterChange> {
    let mut changes = index.handle(SourceEvent::ListStarted(kind)).changes;
    for value in objects {
        let outcome = index.handle(SourceEvent::Listed(object(value)));
        changes.extend(outcome.changes);
    }
    changes.extend(index.handle(SourceEvent::ListCompleted(kind)).changes);
    changes
}

fn web(index: &Index) -> &ServiceFacts {
    &index.view().services[&ServiceKey::new("default", "web")]
}

fn web_changed() -> Vec<ClusterChange> {
    vec![ClusterChange::Service(ServiceKey::new("default", "web"))]
}

/// Usable IPv4 endpoints of `web`: on this node, and in the cluster.
fn usable(index: &Index) -> (u32, u32) {
    let facts = web(index);
    (
        facts.node_endpoints.ipv4.usable(),
        facts.cluster_endpoints.ipv4.usable(),
    )
}

mod conditions {
    //! Every combination of conditions against a second writing of kube-proxy's rule.

    use super::*;

    /// One endpoint, by what decides whether it gets traffic.
    #[derive(Clone, Copy, Debug)]
    struct Case {
        ready: Option<bool>,
        serving: Option<bool>,
        terminating: Option<bool>,
        node: Option<&'static str>,
    }

    fn cases() -> Vec<Case> {
        const STATES: [Option<bool>; 3] = [None, Some(true), Some(false)];
        let mut cases = Vec::new();
        for ready in STATES {
            for serving in STATES {
                for terminating in STATES {
                    for node in [None, Some(HERE), Some("worker-2")] {
                        cases.push(Case {
                            ready,
                            serving,
                            terminating,
                            node,
                        });
                    }
                }
            }
        }
        cases
    }

    impl Case {
        fn endpoint(self, address: &str) -> Value {
            json!({
                "addresses": [address],
                "nodeName": self.node,
                "conditions": {
                    "ready": self.ready,
                    "serving": self.serving,
                    "terminating": self.terminating,
                },
            })
        }
    }

    /// `CategorizeEndpoints` of kube-proxy, of whose outcome only the number matters here.
    fn kube_proxy_sends_to<'a>(endpoints: impl Iterator<Item = &'a Case> + Clone) -> u32 {
        let is_ready = |case: &&Case| case.ready != Some(false);
        let is_serving = |case: &&Case| case.serving != Some(false);
        let is_terminating = |case: &&Case| case.terminating == Some(true);
        let ready = endpoints.clone().filter(is_ready).count();
        let fallback = endpoints.filter(is_serving).filter(is_terminating).count();
        u32::try_from(if ready > 0 { ready } else { fallback }).unwrap()
    }

    fn check(family: Family, endpoints: &[Case]) {
        let (address_type, network) = match family {
            Family::Ipv4Unicast => ("IPv4", "10.0.0."),
            Family::Ipv6Unicast => ("IPv6", "fd00::"),
        };
        let raw = endpoints.iter().enumerate();
        let raw = raw.map(|(n, case)| case.endpoint(&format!("{network}{n}")));
        let index = index_with([slice("web-1", "web", address_type, raw.collect())]);
        let local = endpoints.iter().filter(|case| case.node == Some(HERE));
        let facts = web(&index);
        for checked in Family::ALL {
            let (here, anywhere) = if checked == family {
                (
                    kube_proxy_sends_to(local.clone()),
                    kube_proxy_sends_to(endpoints.iter()),
                )
            } else {
                (0, 0)
            };
            let node = facts.node_endpoints.of(checked);
            let cluster = facts.cluster_endpoints.of(checked);
            assert_eq!(node.usable(), here, "{checked} here: {endpoints:?}");
            assert_eq!(cluster.usable(), anywhere, "{checked}: {endpoints:?}");
        }
    }

    #[test]
    fn one_endpoint_is_usable_exactly_when_kube_proxy_uses_it() {
        for case in cases() {
            for family in Family::ALL {
                check(family, &[case]);
            }
        }
    }

    #[test]
    fn of_two_endpoints_those_are_usable_that_kube_proxy_uses() {
        for first in cases() {
            for second in cases() {
                check(Family::Ipv4Unicast, &[first, second]);
            }
        }
    }
}

#[test]
fn each_step_of_a_rolling_update_changes_what_it_should() {
    // The old pod on this node gives way to a new one, also on this node.
    let step = |old: Option<Value>, new: Option<Value>| {
        let pod = |address: &str, conditions: Value| json!({ "addresses": [address], "nodeName": HERE, "conditions": conditions });
        let old = old.map(|conditions| pod("10.0.0.1", conditions));
        let new = new.map(|conditions| pod("10.0.0.2", conditions));
        let endpoints = old.into_iter().chain(new).collect();
        applied(slice("web-1", "web", "IPv4", endpoints))
    };
    let ready = || Some(json!({ "ready": true, "serving": true, "terminating": false }));
    let starting = || Some(json!({ "ready": false, "serving": false, "terminating": false }));
    let draining = || Some(json!({ "ready": false, "serving": true, "terminating": true }));
    let stopped = || Some(json!({ "ready": false, "serving": false, "terminating": true }));

    let mut index = index_with([]);
    for (what, event, changes, here) in [
        ("the old pod runs", step(ready(), None), true, 1),
        ("nothing new", step(ready(), None), false, 1),
        ("the new pod starts", step(ready(), starting()), true, 1),
        ("the new pod is ready", step(ready(), ready()), true, 2),
        ("the old pod drains", step(draining(), ready()), true, 1),
        ("the new pod fails", step(draining(), starting()), true, 1),
        ("the old pod stops", step(stopped(), starting()), true, 0),
        (
            "stopped is as unready",
            step(starting(), starting()),
            false,
            0,
        ),
        ("the new pod is back", step(stopped(), ready()), true, 1),
        ("the old pod is gone", step(None, ready()), true, 1),
        ("the last pod goes", step(None, None), true, 0),
    ] {
        let outcome = index.handle(event);
        assert_eq!(
            outcome.changes,
            if changes { web_changed() } else { vec![] },
            "{what}"
        );
        assert_eq!(usable(&index).0, here, "{what}");
    }
}

#[test]
fn all_slices_of_a_service_together_decide() {
    let mut index = index_with([
        slice("web-1", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]),
        slice("web-2", "web", "IPv4", vec![endpoint("10.0.0.2", HERE)]),
        slice(
            "web-3",
            "web",
            "IPv6",
            vec![endpoint("fd00::3", "worker-2")],
        ),
    ]);
    assert_eq!(usable(&index), (2, 2));
    assert_eq!(web(&index).node_endpoints.ipv6.usable(), 0);
    assert_eq!(web(&index).cluster_endpoints.ipv6.usable(), 1);

    let outcome = index.handle(SourceEvent::Deleted(named(Kind::EndpointSlice, "web-1")));
    assert_eq!(outcome.changes, web_changed());
    assert_eq!(usable(&index), (1, 1));

    index.handle(applied(slice("web-2", "web", "IPv4", vec![])));
    assert_eq!(usable(&index), (0, 0));
}

#[test]
fn a_slice_that_changes_hands_is_taken_from_one_service_and_given_to_the_other() {
    let endpoints = || vec![endpoint("10.0.0.1", HERE)];
    let mut index = index_with([slice("moved", "web", "IPv4", endpoints())]);
    index.handle(applied(service("shop")));

    let outcome = index.handle(applied(slice("moved", "shop", "IPv4", endpoints())));
    let shop = ServiceKey::new("default", "shop");
    assert_eq!(outcome.changes[0], ClusterChange::Service(shop.clone()));
    assert_eq!(outcome.changes[1..], web_changed());
    assert_eq!(usable(&index), (0, 0));
    assert_eq!(index.view().services[&shop].node_endpoints.ipv4.ready, 1);

    let mut unlabelled = slice("moved", "shop", "IPv4", endpoints());
    unlabelled["metadata"]["labels"].take();
    let outcome = index.handle(applied(unlabelled));
    assert_eq!(outcome.changes, [ClusterChange::Service(shop.clone())]);
    assert_eq!(index.view().services[&shop].node_endpoints.ipv4.ready, 0);
}

#[test]
fn slices_of_no_service_and_of_names_are_ignored() {
    let mut unlabelled = slice("one", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]);
    unlabelled["metadata"]["labels"].take();
    let unnamed = slice("two", "", "IPv4", vec![endpoint("10.0.0.1", HERE)]);
    let names = slice(
        "three",
        "web",
        "FQDN",
        vec![endpoint("db.example.com", HERE)],
    );
    let mut elsewhere = slice("four", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]);
    elsewhere["metadata"]["namespace"] = "other".into();
    let mut index = index_with([]);
    for ignored in [unlabelled, unnamed, names, elsewhere] {
        assert_eq!(index.handle(applied(ignored)), Outcome::default());
    }
    assert_eq!(usable(&index), (0, 0));
}

#[test]
fn slices_and_their_service_come_and_go_in_any_order() {
    let endpoints = || vec![endpoint("10.0.0.1", HERE)];
    let mut index = index_with([]);
    index.handle(SourceEvent::Deleted(named(Kind::Service, "web")));
    let early = index.handle(applied(slice("web-1", "web", "IPv4", endpoints())));
    assert_eq!(early, Outcome::default());

    let outcome = index.handle(applied(service("web")));
    assert_eq!(outcome.changes, web_changed());
    assert_eq!(usable(&index), (1, 1));

    let outcome = index.handle(SourceEvent::Deleted(named(Kind::Service, "web")));
    assert_eq!(outcome.changes, web_changed());
    assert!(index.view().services.is_empty());

    let late = index.handle(SourceEvent::Deleted(named(Kind::EndpointSlice, "web-1")));
    assert_eq!(late, Outcome::default());
    index.handle(applied(service("web")));
    assert_eq!(usable(&index), (0, 0));
}

#[test]
fn an_endpoint_counts_once_however_often_it_is_listed() {
    let mut many = endpoint("10.0.0.1", HERE);
    many["addresses"] = json!(["10.0.0.1", "10.0.0.2"]);
    let index = index_with([slice("web-1", "web", "IPv4", vec![many])]);
    assert_eq!(usable(&index), (1, 1));
}

/// A record of the address 10.0.0.1.
fn record(node: Option<&str>, conditions: Value) -> Value {
    json!({ "addresses": ["10.0.0.1"], "nodeName": node, "conditions": conditions })
}

/// A slice with one record, of this version.
fn versioned(name: &str, version: &str, record: Value) -> Value {
    let mut slice = slice(name, "web", "IPv4", vec![record]);
    slice["metadata"]["resourceVersion"] = version.into();
    slice
}

#[test]
fn of_two_records_of_an_address_the_one_that_does_not_terminate_counts_as_a_whole() {
    let ending = || {
        record(
            Some(HERE),
            json!({ "ready": false, "serving": true, "terminating": true }),
        )
    };
    let running = || record(Some("worker-2"), json!({ "ready": true }));
    let together = |first, second| vec![slice("one", "web", "IPv4", vec![first, second])];
    let apart = |first, second| vec![versioned("one", "1", first), versioned("two", "2", second)];
    for slices in [
        together(ending(), running()),
        together(running(), ending()),
        apart(ending(), running()),
        apart(running(), ending()),
    ] {
        // Neither its node nor its readiness is taken from the other.
        assert_eq!(usable(&index_with(slices)), (0, 1));
    }
    // Even one that is not ready, if it does not terminate.
    let starting = || record(Some("worker-2"), json!({ "ready": false }));
    let ready_and_ending = || record(Some(HERE), json!({ "ready": true, "terminating": true }));
    for slices in [
        together(ready_and_ending(), starting()),
        together(starting(), ready_and_ending()),
        apart(starting(), ready_and_ending()),
    ] {
        assert_eq!(usable(&index_with(slices)), (0, 0));
    }
}

#[test]
fn of_two_records_alike_the_newer_slice_counts_and_within_one_the_place() {
    let here = || record(Some(HERE), json!({ "ready": true }));
    let there = || record(Some("worker-2"), json!({ "ready": true }));
    for (names, newer_here, (here_version, there_version)) in [
        (["one", "two"], 1, ("10", "9")),
        (["two", "one"], 1, ("10", "9")),
        (["one", "two"], 0, ("9", "10")),
        (["two", "one"], 0, ("9", "10")),
    ] {
        let index = index_with([
            versioned(names[0], here_version, here()),
            versioned(names[1], there_version, there()),
        ]);
        assert_eq!(usable(&index), (newer_here, 1), "{names:?}");
    }
    let one = |records| index_with([slice("one", "web", "IPv4", records)]);
    assert_eq!(usable(&one(vec![here(), there()])), (0, 1), "the last");
    assert_eq!(usable(&one(vec![there(), here()])), (1, 1), "the last");
    let ending = |node| {
        record(
            Some(node),
            json!({ "ready": false, "serving": true, "terminating": true }),
        )
    };
    let records = vec![ending(HERE), ending("worker-2")];
    assert_eq!(usable(&one(records)), (1, 1), "the first, while all end");

    // Files have no versions.
    let created = |name: &str, time: &str, record| {
        let mut slice = slice(name, "web", "IPv4", vec![record]);
        slice["metadata"]["creationTimestamp"] = time.into();
        slice
    };
    let index = index_with([
        created("one", "2026-01-01T00:00:00Z", here()),
        created("two", "2026-01-02T00:00:00Z", there()),
    ]);
    assert_eq!(usable(&index), (0, 1));
}

#[test]
fn an_endpoint_counts_for_ports_that_its_slice_has_by_name_and_protocol() {
    let with_ports = |ports: Value| {
        let mut slice = slice("one", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]);
        slice["ports"] = ports;
        usable(&index_with([slice]))
    };
    assert_eq!(
        with_ports(json!([{ "name": "http", "port": 8080 }])),
        (1, 1)
    );
    let both = json!([{ "name": "http", "port": 8080 }, { "name": "x", "port": 1 }]);
    assert_eq!(with_ports(both), (1, 1));
    for none in [
        json!([]),
        json!(null),
        json!([{ "name": "https", "port": 8080 }]),
        json!([{ "port": 8080 }]),
        json!([{ "name": "http", "port": 8080, "protocol": "UDP" }]),
        json!([{ "name": "http" }]),
        json!([{ "name": "http", "port": 0 }]),
    ] {
        assert_eq!(with_ports(none.clone()), (0, 0), "{none}");
    }
    // A Service whose port has no name takes slices whose port has none.
    let mut unnamed = service("web");
    unnamed["spec"]["ports"] = json!([{ "port": 80 }]);
    let mut slice = slice("one", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]);
    slice["ports"] = json!([{ "name": "", "port": 8080 }]);
    let mut index = index_with([slice]);
    assert_eq!(usable(&index), (0, 0));
    index.handle(applied(unnamed));
    assert_eq!(
        usable(&index),
        (1, 1),
        "a change of the Service's ports counts anew"
    );
}

#[test]
fn the_same_address_on_two_ports_is_two_endpoints_with_a_record_each() {
    let on_port = |name: &str, port: u16, record: Value| {
        let mut slice = slice(name, "web", "IPv4", vec![record]);
        slice["ports"] = json!([{ "name": "http", "port": port }]);
        slice
    };
    let index = index_with([
        on_port(
            "one",
            8080,
            record(Some(HERE), json!({ "ready": true, "terminating": true })),
        ),
        on_port(
            "two",
            8081,
            record(Some("worker-2"), json!({ "ready": true })),
        ),
    ]);
    assert_eq!(usable(&index), (1, 1), "here on one, in the cluster once");
}

#[test]
fn endpoints_without_a_node_are_counted_apart() {
    let index = index_with([slice(
        "one",
        "web",
        "IPv4",
        vec![
            record(None, json!({ "ready": true })),
            endpoint("10.0.0.2", "worker-2"),
        ],
    )]);
    assert_eq!(usable(&index), (0, 2));
    assert_eq!(web(&index).unplaced_endpoints.ipv4.ready, 1);
}

#[test]
fn slices_of_headless_services_are_for_no_proxy_and_other_proxies_names_are_no_matter() {
    let labelled = |label: &str| {
        let mut slice = slice("one", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]);
        slice["metadata"]["labels"][label] = "x".into();
        usable(&index_with([slice]))
    };
    assert_eq!(labelled("service.kubernetes.io/headless"), (0, 0));
    assert_eq!(labelled("service.kubernetes.io/service-proxy-name"), (1, 1));
}

#[test]
fn the_nodes_of_the_cluster_are_those_of_the_last_list() {
    let mut index = index_with([]);
    assert_eq!(index.view().node.as_ref().unwrap().cluster_nodes, Some(1));
    let both = || [cluster_node(node(HERE)), cluster_node(node("worker-2"))];
    let changes = list(&mut index, Kind::ClusterNode, both());
    assert_eq!(changes, [ClusterChange::Networks, ClusterChange::Node]);
    assert_eq!(index.view().node.as_ref().unwrap().cluster_nodes, Some(2));
    assert_eq!(list(&mut index, Kind::ClusterNode, both()), []);
    // A later event about the own Node does not forget it.
    assert_eq!(index.handle(applied(node(HERE))), Outcome::default());

    let [own, mut other] = both();
    other["status"]["addresses"][1]["address"] = "192.168.83.12".into();
    let changes = list(&mut index, Kind::ClusterNode, [own.clone(), other]);
    assert_eq!(changes, [ClusterChange::Networks]);
    let changes = list(&mut index, Kind::ClusterNode, [own]);
    assert_eq!(changes, [ClusterChange::Node, ClusterChange::Networks]);
    assert_eq!(index.view().nodes.len(), 1);
}

#[test]
fn a_list_of_nodes_that_breaks_off_forgets_none() {
    let mut index = index_with([]);
    let both = [cluster_node(node(HERE)), cluster_node(node("worker-2"))];
    list(&mut index, Kind::ClusterNode, both);
    index.handle(SourceEvent::ListStarted(Kind::ClusterNode));
    let outcome = index.handle(SourceEvent::Listed(object(cluster_node(node(HERE)))));
    assert_eq!(outcome, Outcome::default());
    index.handle(SourceEvent::ListStarted(Kind::ClusterNode));
    assert_eq!(index.view().nodes.len(), 2);
    assert_eq!(index.view().node.as_ref().unwrap().cluster_nodes, Some(2));
}

#[test]
fn services_have_the_labels_of_their_namespace() {
    let mut index = index_with([]);
    assert!(web(&index).namespace_labels.is_empty());
    let outcome = index.handle(applied(namespace("default", "gold")));
    assert_eq!(outcome.changes, web_changed());
    assert_eq!(web(&index).namespace_labels["tier"], "gold");
    // One that comes later has them, too, and another Namespace is another's.
    index.handle(applied(service("shop")));
    let shop = &index.view().services[&ServiceKey::new("default", "shop")];
    assert_eq!(shop.namespace_labels["tier"], "gold");
    let outcome = index.handle(applied(namespace("default-2", "silver")));
    assert_eq!(outcome, Outcome::default());
    assert_eq!(
        index.handle(applied(namespace("default", "gold"))),
        Outcome::default()
    );

    let gone = ObjectRef::new(Kind::Namespace, "", "default");
    assert_eq!(index.handle(SourceEvent::Deleted(gone)).changes.len(), 2);
    assert!(web(&index).namespace_labels.is_empty());
}

#[test]
fn where_the_source_asks_is_an_api_server_whatever_its_endpoints() {
    let mut index = Index::new(HERE);
    let asked = "192.168.83.100".parse().unwrap();
    index.set_api_server(Some(asked));
    assert_eq!(index.view().api_servers, [asked].into());
    let endpoints = vec![endpoint("192.168.83.1", HERE)];
    index.handle(applied(slice(
        "kubernetes",
        "kubernetes",
        "IPv4",
        endpoints,
    )));
    assert_eq!(index.view().api_servers.len(), 2);
    let gone = named(Kind::EndpointSlice, "kubernetes");
    index.handle(SourceEvent::Deleted(gone));
    assert_eq!(index.view().api_servers, [asked].into());
}

#[test]
fn api_servers_are_the_endpoints_of_their_service() {
    let mut index = index_with([]);
    let mut servers = slice(
        "kubernetes",
        "kubernetes",
        "IPv4",
        vec![endpoint("192.168.83.1", HERE)],
    );
    let outcome = index.handle(applied(servers.clone()));
    assert_eq!(outcome.changes, [ClusterChange::Networks]);
    let found: Vec<_> = index
        .view()
        .api_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, ["192.168.83.1"]);
    servers["metadata"]["namespace"] = "shop".into();
    assert_eq!(index.handle(applied(servers)), Outcome::default());
    let gone = named(Kind::EndpointSlice, "kubernetes");
    let outcome = index.handle(SourceEvent::Deleted(gone));
    assert_eq!(outcome.changes, [ClusterChange::Networks]);
    assert!(index.view().api_servers.is_empty());
}

#[test]
fn what_a_complete_list_does_not_show_is_gone() {
    let mut index = index_with([
        slice("web-1", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]),
        slice("web-2", "web", "IPv4", vec![endpoint("10.0.0.2", HERE)]),
    ]);
    let kept = slice("web-2", "web", "IPv4", vec![endpoint("10.0.0.2", HERE)]);
    assert_eq!(list(&mut index, Kind::EndpointSlice, [kept]), web_changed());
    assert_eq!(usable(&index), (1, 1));
    assert_eq!(list(&mut index, Kind::Service, []), web_changed());
    assert_eq!(list(&mut index, Kind::Node, []), [ClusterChange::Node]);
    assert!(index.view().node.is_none());
}

#[test]
fn a_list_that_breaks_off_takes_nothing_away() {
    let slices = || {
        [
            slice("web-1", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]),
            slice("web-2", "web", "IPv4", vec![endpoint("10.0.0.2", HERE)]),
        ]
    };
    let mut index = index_with(slices());
    let kind = Kind::EndpointSlice;
    let [first, _] = slices();
    for event in [
        SourceEvent::ListStarted(kind),
        SourceEvent::Listed(object(first)),
        SourceEvent::ListStarted(kind),
    ] {
        assert_eq!(index.handle(event), Outcome::default());
    }
    for value in slices() {
        let outcome = index.handle(SourceEvent::Listed(object(value)));
        assert_eq!(outcome, Outcome::default());
    }
    let outcome = index.handle(SourceEvent::ListCompleted(kind));
    assert_eq!(outcome, Outcome::default());
    assert_eq!(usable(&index), (2, 2));
}

#[test]
fn a_list_of_what_is_known_changes_nothing() {
    let slices = || {
        [slice(
            "web-1",
            "web",
            "IPv4",
            vec![endpoint("10.0.0.1", HERE)],
        )]
    };
    let mut index = index_with(slices());
    assert_eq!(list(&mut index, Kind::Node, [node(HERE)]), []);
    assert_eq!(list(&mut index, Kind::EndpointSlice, slices()), []);
    assert_eq!(list(&mut index, Kind::Service, [service("web")]), []);
}

#[test]
fn what_is_no_fact_changes_nothing() {
    let mut index = index_with([]);
    let mut beat = node(HERE);
    beat["metadata"]["resourceVersion"] = "2".into();
    beat["metadata"]["managedFields"] = json!([{ "manager": "kubelet", "operation": "Update" }]);
    beat["metadata"]["annotations"] = json!({ "node.alpha.kubernetes.io/ttl": "15" });
    beat["status"]["conditions"][1]["lastHeartbeatTime"] = "2026-01-01T00:00:00Z".into();
    beat["status"]["images"] = json!([{ "names": ["example.com/app:1"] }]);
    assert_eq!(index.handle(applied(beat)), Outcome::default());

    let mut touched = service("web");
    touched["metadata"]["resourceVersion"] = "3".into();
    touched["metadata"]["annotations"] =
        json!({ "kubectl.kubernetes.io/last-applied-configuration": "{}" });
    touched["status"]["conditions"] = json!([]);
    assert_eq!(index.handle(applied(touched)), Outcome::default());
}

#[test]
fn only_the_own_node_counts() {
    let mut index = index_with([]);
    let mut other = node("worker-2");
    other["spec"]["podCIDRs"] = json!(["not a CIDR"]);
    assert_eq!(index.handle(applied(other)), Outcome::default());
    let other = ObjectRef::new(Kind::Node, "", "worker-2");
    assert_eq!(
        index.handle(SourceEvent::Deleted(other)),
        Outcome::default()
    );
    assert_eq!(index.view().node.as_ref().unwrap().name, HERE);
}

#[test]
fn nothing_may_be_announced_before_every_kind_was_listed_and_the_node_was_seen() {
    let mut index = Index::new(HERE);
    assert_eq!(index.waiting_for(), Some("the own Node"));
    index.handle(applied(node(HERE)));
    assert_eq!(index.waiting_for(), Some("the own Node"));
    list(&mut index, Kind::Node, []);
    assert_eq!(index.waiting_for(), Some("the list of Nodes"));
    list(&mut index, Kind::ClusterNode, []);
    assert_eq!(index.waiting_for(), Some("the list of Namespaces"));
    list(&mut index, Kind::Namespace, []);
    assert_eq!(index.waiting_for(), Some("the list of EndpointSlices"));
    list(&mut index, Kind::EndpointSlice, []);
    assert_eq!(index.waiting_for(), Some("the list of Services"));
    list(&mut index, Kind::Service, []);
    assert_eq!(index.waiting_for(), None, "the Node had been seen");

    // Later trouble does not make known facts unknown.
    index.handle(SourceEvent::ListStarted(Kind::Service));
    index.handle(SourceEvent::Deleted(ObjectRef::new(Kind::Node, "", HERE)));
    assert_eq!(index.waiting_for(), None);
}

#[test]
fn a_node_name_that_no_node_has_is_waited_for() {
    let mut index = Index::new("wroker-1");
    for kind in Kind::ALL {
        list(&mut index, kind, []);
    }
    index.handle(applied(node(HERE)));
    assert_eq!(index.waiting_for(), Some("a Node of the name in NODE_NAME"));
}

#[test]
fn an_unusable_object_keeps_its_last_facts_and_is_reported_once() {
    let mut index = index_with([]);
    let mut unknown = service("web");
    unknown["spec"]["externalTrafficPolicy"] = "Nearby".into();
    let outcome = index.handle(applied(unknown.clone()));
    assert_eq!(outcome.changes, []);
    assert_eq!(
        outcome.malformed[0].to_string(),
        "Service default/web: spec.externalTrafficPolicy: \"Nearby\" is not known to this \
         version; its last facts stand"
    );
    assert_eq!(web(&index).external_traffic_policy, TrafficPolicy::Local);
    assert_eq!(index.handle(applied(unknown)), Outcome::default());

    let unreadable = || Object::Unreadable(named(Kind::Service, "web"), "no port".to_owned());
    let outcome = index.handle(SourceEvent::Applied(unreadable()));
    assert_eq!(outcome.changes, []);
    assert_eq!(
        outcome.malformed[0].to_string(),
        "Service default/web: it cannot be read: no port; its last facts stand"
    );
    // A list that shows it shows that it exists.
    index.handle(SourceEvent::ListStarted(Kind::Service));
    assert_eq!(
        index.handle(SourceEvent::Listed(unreadable())),
        Outcome::default()
    );
    let outcome = index.handle(SourceEvent::ListCompleted(Kind::Service));
    assert_eq!(outcome, Outcome::default());
}

#[test]
fn a_problem_that_was_mended_and_comes_back_is_reported_again() {
    let mut index = index_with([]);
    let mut bad = service("web");
    bad["spec"]["externalIPs"] = json!(["198.51.100.1", "198.51.100"]);
    let outcome = index.handle(applied(bad.clone()));
    assert_eq!(outcome.changes, web_changed());
    assert_eq!(
        outcome.malformed[0].to_string(),
        "Service default/web: spec.externalIPs: \"198.51.100\" is no IP address; it is left out"
    );
    assert_eq!(
        web(&index).external_ips,
        ["198.51.100.1".parse::<std::net::IpAddr>().unwrap()]
    );

    bad["metadata"]["labels"] = json!({ "tier": "front" });
    assert_eq!(index.handle(applied(bad.clone())).malformed, []);
    assert_eq!(index.handle(applied(service("web"))).malformed, []);
    assert_eq!(index.handle(applied(bad.clone())).malformed.len(), 1);

    index.handle(SourceEvent::Deleted(named(Kind::Service, "web")));
    assert_eq!(index.handle(applied(bad)).malformed.len(), 1);
}

#[test]
fn many_problems_of_one_object_are_reported_in_few_lines() {
    let mut index = index_with([]);
    let endpoints = (0..100)
        .map(|n| endpoint(&format!("bad-{n}"), HERE))
        .collect();
    let outcome = index.handle(applied(slice("web-1", "web", "IPv4", endpoints)));
    assert_eq!(outcome.malformed.len(), PROBLEMS_REPORTED_MAX + 1);
    let last = &outcome.malformed[PROBLEMS_REPORTED_MAX].what;
    assert_eq!(last, "and 95 more problems of the kind");
}
