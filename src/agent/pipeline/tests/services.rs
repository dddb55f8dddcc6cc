//! What is told of routes for Services besides the routes.

use super::*;
use crate::agent::service_routes;
use crate::api::Withheld;

/// A rule like the default policy's about nodes: what it rejects is told by the label alone.
fn relabelled(pipeline: &mut Pipeline, labels: serde_json::Value) {
    let mut node = node(HERE);
    node["metadata"]["labels"] = labels;
    pipeline.on_events([SourceEvent::Applied(object(node))]);
}

#[test]
fn an_address_of_a_node_is_refused_told_to_its_owner_once_and_counted() {
    let mut pipeline = announcing(Rule::Accept);
    let mut thief = service("thief");
    // The own node's ExternalIP, within the load-balancer range, and one of its own.
    thief["status"]["loadBalancer"]["ingress"] =
        serde_json::json!([{ "ip": "198.51.100.11" }, { "ip": "198.51.100.12" }]);
    let mut other = cluster_node(node("worker-2"));
    other["status"]["addresses"] =
        serde_json::json!([{ "type": "InternalIP", "address": "198.51.100.11" }]);
    pipeline.on_events([
        SourceEvent::Applied(object(other)),
        SourceEvent::Applied(object(thief)),
    ]);
    pipeline.notices.clear();
    service_routes::log_news(&mut pipeline, &[]);
    let [Notice::AddressRefused { service, refusal }] = &pipeline.notices[..] else {
        panic!("{:?}", pipeline.notices)
    };
    assert_eq!(service.to_string(), "default/thief");
    assert!(
        refusal.contains("198.51.100.11") && refusal.contains("node worker-2's"),
        "{refusal}"
    );
    let routes = service_routes::of(&pipeline);
    assert_eq!(routes.concerns["address-refused"], 1);
    let prefixes: Vec<String> = pipeline
        .exports
        .candidates()
        .map(|candidate| candidate.key.prefix.to_string())
        .collect();
    assert!(
        prefixes.contains(&"198.51.100.12/32".to_owned()),
        "the rest of the Service goes on"
    );
    assert!(!prefixes.contains(&"198.51.100.11/32".to_owned()));

    pipeline.notices.clear();
    service_routes::log_news(&mut pipeline, &[]);
    assert_eq!(pipeline.notices, []);
}

#[test]
fn a_label_that_keeps_all_routes_for_services_back_is_told_and_one_that_does_not_is_not() {
    let mut pipeline = announcing(Rule::Accept);
    let label = serde_json::json!({ crate::facts::EXCLUDE_LABEL: "" });
    relabelled(&mut pipeline, label.clone());
    let routes = service_routes::of(&pipeline);
    assert!(routes.offered > 0);
    assert_eq!(routes.withheld, None, "the policy does not mind the label");

    let mut pipeline = announcing(Rule::Reject);
    assert_eq!(service_routes::of(&pipeline).withheld, None);
    relabelled(&mut pipeline, label);
    let routes = service_routes::of(&pipeline);
    assert_eq!(routes.withheld, Some(Withheld::ExcludeLabel));
    let candidates = routes.candidates;
    assert_eq!(
        routes.withheld_text().unwrap(),
        format!(
            "0 of {candidates} Service routes offered: the node is labelled \
             node.kubernetes.io/exclude-from-external-load-balancers"
        )
    );
    service_routes::log_news(&mut pipeline, &[]);
    assert_eq!(pipeline.told_withheld, Some(Withheld::ExcludeLabel));
    relabelled(&mut pipeline, serde_json::json!({}));
    service_routes::log_news(&mut pipeline, &[]);
    assert_eq!(pipeline.told_withheld, None);
}
