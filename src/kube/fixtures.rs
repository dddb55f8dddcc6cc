//! Objects for the tests of this module, written as the API has them.

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::{CalicoKind, Kind, Object, ObjectRef};

/// The node that the agent of the tests runs on.
pub(crate) const HERE: &str = "worker-1";

/// Reads an object of any of the kinds.
pub(crate) fn object(mut value: Value) -> Object {
    match value["kind"].as_str() {
        Some("Node") => Object::Node(Box::new(serde_json::from_value::<Node>(value).unwrap())),
        Some("Service") => {
            Object::Service(Box::new(serde_json::from_value::<Service>(value).unwrap()))
        }
        Some("EndpointSlice") => {
            let slice = serde_json::from_value::<EndpointSlice>(value).unwrap();
            Object::EndpointSlice(Box::new(slice))
        }
        // A Node as the list of all of them shows it.
        Some("ClusterNode") => {
            value["kind"] = "Node".into();
            let node = serde_json::from_value::<Node>(value).unwrap();
            Object::ClusterNode(Box::new(node))
        }
        Some("Namespace") => {
            let namespace = serde_json::from_value::<Namespace>(value).unwrap();
            Object::Namespace(Box::new(namespace))
        }
        Some("Pod") => Object::Pod(Box::new(serde_json::from_value::<Pod>(value).unwrap())),
        Some(kind) if CalicoKind::of(value["apiVersion"].as_str().unwrap(), kind).is_some() => {
            let kind = CalicoKind::of(value["apiVersion"].as_str().unwrap(), kind).unwrap();
            Object::Calico(kind, Box::new(serde_json::from_value(value).unwrap()))
        }
        other => panic!("{other:?} is no kind of ours"),
    }
}

/// A Node with everything that facts are made of.
pub(crate) fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": { "rack": "a1" } },
        "spec": { "podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"] },
        "status": {
            "addresses": [
                { "type": "Hostname", "address": name },
                { "type": "InternalIP", "address": "192.168.83.11" },
                { "type": "InternalIP", "address": "fd00:83::11" },
                { "type": "ExternalIP", "address": "203.0.113.11" },
            ],
            "conditions": [
                { "type": "MemoryPressure", "status": "False" },
                { "type": "Ready", "status": "True" },
            ],
        },
    })
}

/// A Node as the list of all of them shows it.
pub(crate) fn cluster_node(mut node: Value) -> Value {
    node["kind"] = "ClusterNode".into();
    node
}

/// A Namespace with a label.
pub(crate) fn namespace(name: &str, tier: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "labels": { "tier": tier } },
    })
}

/// A dual-stack Local load balancer in the namespace `default`.
pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "clusterIP": "172.16.0.10",
            "clusterIPs": ["172.16.0.10", "fd00:10:96::10"],
            "ports": [{ "name": "http", "port": 80, "nodePort": 30080 }],
        },
        "status": { "loadBalancer": { "ingress": [{ "ip": "198.51.100.10" }] } },
    })
}

/// A slice of a Service's endpoints.
pub(crate) fn slice(name: &str, service: &str, family: &str, endpoints: Vec<Value>) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
    })
}

/// A ready endpoint.
pub(crate) fn endpoint(address: &str, node: &str) -> Value {
    json!({ "addresses": [address], "nodeName": node, "conditions": { "ready": true } })
}

/// The name of an object in the namespace `default`.
pub(crate) fn named(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef::new(kind, "default", name)
}

/// A block that a node has, as the older of Calico's groups has it.
pub(crate) fn block(node: &str, cidr: &str) -> Value {
    let name = format!("{node}-{}", cidr.replace(['.', ':', '/'], "-"));
    json!({
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "BlockAffinity",
        "metadata": { "name": name },
        "spec": { "state": "confirmed", "node": node, "cidr": cidr, "deleted": "false" },
    })
}

/// A pool, as the newer of Calico's groups has it.
pub(crate) fn pool(name: &str, cidr: &str) -> Value {
    json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": "IPPool",
        "metadata": { "name": name },
        "spec": { "cidr": cidr },
    })
}

/// A Pod with an address on a node.
pub(crate) fn pod(name: &str, node: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": "default", "name": name },
        "spec": { "nodeName": node },
        "status": { "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }] },
    })
}
