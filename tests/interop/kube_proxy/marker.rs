//! A Service that is created after everything else of a round, and what it is good for: whoever
//! knows it knows everything before.

use rutter::types::Family;
use serde_json::json;

use super::addresses;
use super::generate::Step;
use super::lab::pods_of;
use super::objects::{Endpoint, FINALIZER, Hints, NAMESPACE, NODES, Slice, SlicePort};
use super::traffic::POD_PORTS;

/// Creates the marker of a round. An endpoint on each node is what its external IPs are served and
/// announced for; the slices come last, so that the Service alone does not pass for both.
pub(super) fn marker(round: u16) -> Vec<Step> {
    let name = format!("marker-{round}");
    let external = Family::ALL.map(|family| addresses::marker(family, round));
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": NAMESPACE, "name": name, "finalizers": [FINALIZER] },
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "RequireDualStack",
            "externalIPs": external,
            "externalTrafficPolicy": "Local",
            "ports": [{ "port": 80 }],
        },
    });
    let slices = Family::ALL.map(|family| {
        let endpoints = NODES.map(|node| Endpoint {
            address: pods_of(node, family)[0],
            node: Some(node),
            ready: Some(true),
            serving: None,
            terminating: None,
            hints: Hints::None,
        });
        let slice = Slice {
            name: match family {
                Family::Ipv4Unicast => format!("{name}-ipv4"),
                Family::Ipv6Unicast => format!("{name}-ipv6"),
            },
            owner: Some(name.clone()),
            labels: Vec::new(),
            family,
            ports: vec![SlicePort {
                name: None,
                transport: None,
                number: Some(*POD_PORTS.start()),
            }],
            endpoints: endpoints.to_vec(),
        };
        Step::Create(slice.object())
    });
    [Step::Create(service)].into_iter().chain(slices).collect()
}

/// Takes a marker away.
pub(super) fn without_marker(round: u16) -> Vec<Step> {
    let mut steps = Vec::new();
    for step in marker(round) {
        let Step::Create(object) = step else {
            unreachable!("a marker is created");
        };
        steps.push(Step::Delete(object.clone()));
        if object["kind"] == "Service" {
            steps.push(Step::Release(object));
        }
    }
    steps
}
