//! Kubernetes objects as JSON, fit both for a file of manifests and for the API server; and a
//! directory of manifests to put them in.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::netns::Host;

/// An endpoint of a Service, ready or not.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) node: &'static str,
    pub(crate) readiness: Readiness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    Unready,
}

/// A Node with these pod CIDRs, whose InternalIPs are the host's addresses.
pub(crate) fn node(name: &str, host: &Host, pod_cidrs: &[String], labels: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels },
        "spec": { "podCIDR": pod_cidrs[0], "podCIDRs": pod_cidrs },
        "status": {
            "addresses": [
                { "type": "Hostname", "address": name },
                { "type": "InternalIP", "address": host.ipv4 },
                { "type": "InternalIP", "address": host.ipv6 },
            ],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// A Service with this `spec`, and these load-balancer addresses in its status.
pub(crate) fn service(namespace: &str, name: &str, spec: Value, ingress: &[&str]) -> Value {
    let ingress: Vec<Value> = ingress.iter().map(|ip| json!({ "ip": ip })).collect();
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": namespace, "name": name },
        "spec": spec,
    });
    if service["spec"]["type"] != "ExternalName" {
        service["spec"]["ports"] = json!([{ "name": "http", "protocol": "TCP", "port": 80 }]);
    }
    if !ingress.is_empty() {
        service["status"] = json!({ "loadBalancer": { "ingress": ingress } });
    }
    service
}

/// The slice of a Service's endpoints of one family. All must be of it.
pub(crate) fn slice(namespace: &str, service: &str, family: &str, of: &[Endpoint]) -> Value {
    let endpoints: Vec<Value> = of
        .iter()
        .map(|endpoint| {
            let ready = endpoint.readiness == Readiness::Ready;
            json!({
                "addresses": [endpoint.address],
                "nodeName": endpoint.node,
                "conditions": { "ready": ready, "serving": ready, "terminating": false },
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": format!("{service}-{}", family.to_lowercase()),
            "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [{ "name": "http", "protocol": "TCP", "port": 8080 }],
    })
}

/// A directory of manifests, one object a file. Any number of agents may read it.
#[derive(Debug)]
pub(crate) struct Manifests {
    folder: TempDir,
}

impl Manifests {
    /// With these objects in it.
    pub(crate) fn new<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let manifests = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(manifests.path()).unwrap();
        for object in objects {
            manifests.apply(object);
        }
        manifests
    }

    /// The directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// Adds or replaces an object, in one step.
    pub(crate) fn apply(&self, object: &Value) {
        let text = serde_json::to_vec_pretty(object).unwrap();
        replace(self.folder.path(), &self.file(object), &text);
    }

    /// Takes an object away.
    pub(crate) fn delete(&self, object: &Value) {
        fs::remove_file(self.file(object)).unwrap();
    }

    fn file(&self, object: &Value) -> PathBuf {
        let part = |value: &Value| value.as_str().unwrap_or("cluster").to_lowercase();
        let metadata = &object["metadata"];
        let kind = part(&object["kind"]);
        let name = format!(
            "{kind}_{}_{}.json",
            part(&metadata["namespace"]),
            part(&metadata["name"])
        );
        self.path().join(name)
    }
}

/// Replaces `file` in one step, so that nobody reads half of it. `scratch` is a directory of the
/// same file system that nobody watches.
pub(crate) fn replace(scratch: &Path, file: &Path, content: &[u8]) {
    let new = scratch.join(".new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, file).unwrap();
}
