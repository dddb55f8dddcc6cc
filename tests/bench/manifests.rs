//! The large cluster as manifests, as the API server would list them.

use std::fs;
use std::path::Path;

use rutter::facts::{ServiceFacts, TrafficPolicy};
use serde_json::{Value, json};

use crate::cluster;

/// The node that the agent is on.
pub(crate) const NODE: &str = "worker-1";

/// In one file.
const SERVICES_EACH: u32 = 1000;

/// Writes a Node and so many Services with their endpoints into a directory.
pub(crate) fn write(directory: &Path, services: u32) {
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": NODE },
        "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.1" }] },
    });
    write_list(directory, "node", vec![node]);
    for first in (0..services).step_by(SERVICES_EACH as usize) {
        let numbers = first..services.min(first + SERVICES_EACH);
        let facts = numbers.map(cluster::service);
        let objects = facts.flat_map(|facts| [service(&facts), slice(&facts)]);
        write_list(directory, &format!("services-{first}"), objects.collect());
    }
}

fn write_list(directory: &Path, name: &str, items: Vec<Value>) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let file = directory.join(format!("{name}.json"));
    fs::write(file, list.to_string()).expect("the folder takes files");
}

fn service(facts: &ServiceFacts) -> Value {
    let ports = facts.ports.iter().map(|port| {
        json!({ "name": port.name, "protocol": port.protocol, "port": port.port,
            "nodePort": port.node_port })
    });
    let policy = match facts.external_traffic_policy {
        TrafficPolicy::Local => "Local",
        TrafficPolicy::Cluster => "Cluster",
    };
    let ingress = facts.load_balancer_ips.iter();
    let ingress: Vec<Value> = ingress.map(|it| json!({ "ip": it.address })).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "namespace": facts.key.namespace,
            "name": facts.key.name,
            "labels": facts.labels,
            "annotations": facts.annotations,
        },
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            "clusterIP": facts.cluster_ips[0],
            "clusterIPs": facts.cluster_ips,
            "ports": ports.collect::<Vec<_>>(),
        },
        "status": { "loadBalancer": { "ingress": ingress } },
    })
}

/// As many endpoints as the facts count, those of this node first.
fn slice(facts: &ServiceFacts) -> Value {
    let here = facts.node_endpoints.ipv4.ready;
    let endpoint = |number: u32| {
        let node = if number < here { NODE } else { "worker-2" };
        json!({ "addresses": [format!("10.244.0.{}", number + 1)], "nodeName": node,
            "conditions": { "ready": true } })
    };
    let endpoints = (0..facts.cluster_endpoints.ipv4.ready).map(endpoint);
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": facts.key.namespace,
            "name": format!("{}-1", facts.key.name),
            "labels": { "kubernetes.io/service-name": facts.key.name },
        },
        "addressType": "IPv4",
        "endpoints": endpoints.collect::<Vec<_>>(),
        "ports": facts
            .ports
            .iter()
            .map(|port| json!({ "name": port.name, "protocol": port.protocol, "port": 8080 }))
            .collect::<Vec<_>>(),
    })
}
