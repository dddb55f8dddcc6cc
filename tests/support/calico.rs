//! Calico's kinds on a real API server: definitions that take any form, and objects of them as
//! somebody writes them.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;

const CRD: (&str, &str) = ("crd.projectcalico.org", "v1");
const NATIVE: (&str, &str) = ("projectcalico.org", "v3");

/// Kind and plural; none of them has a namespace.
const KINDS: [(&str, &str); 7] = [
    ("BGPConfiguration", "bgpconfigurations"),
    ("BGPPeer", "bgppeers"),
    ("BGPFilter", "bgpfilters"),
    ("IPPool", "ippools"),
    ("BlockAffinity", "blockaffinities"),
    ("Node", "nodes"),
    ("CalicoNodeStatus", "caliconodestatuses"),
];

/// Far above what it takes.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Which of Calico's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Crd,
    Native,
}

impl Group {
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Crd => CRD,
            Self::Native => NATIVE,
        }
    }
}

/// Has the API server serve every kind of a group that it can have.
pub(crate) async fn define_all(client: &Client, group: Group) {
    for (kind, _) in KINDS {
        // The older group leaves these to Kubernetes.
        if (group, kind) != (Group::Crd, "Node") {
            define(client, group, kind).await;
        }
    }
}

/// Has the API server serve one kind, and waits until it does.
pub(crate) async fn define(client: &Client, group: Group, kind: &str) {
    let (group_name, version) = group.parts();
    let plural = plural(kind);
    let definition = json!({
        "metadata": { "name": format!("{plural}.{group_name}") },
        "spec": {
            "group": group_name,
            "names": { "kind": kind, "plural": plural },
            "scope": "Cluster",
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                } },
                "subresources": if kind == "CalicoNodeStatus" { json!({ "status": {} }) } else { json!({}) },
            }],
        },
    });
    let definition: CustomResourceDefinition = serde_json::from_value(definition).unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PostParams::default();
    definitions.create(&params, &definition).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    let objects = api(client, group, kind);
    while let Err(error) = objects.list(&ListParams::default()).await {
        assert!(Instant::now() < deadline, "{kind} is not served: {error}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The objects of a kind.
pub(crate) fn api(client: &Client, group: Group, kind: &str) -> Api<DynamicObject> {
    let (group, version) = group.parts();
    let gvk = GroupVersionKind::gvk(group, version, kind);
    Api::all_with(
        client.clone(),
        &ApiResource::from_gvk_with_plural(&gvk, plural(kind)),
    )
}

fn plural(kind: &str) -> &'static str {
    let mut kinds = KINDS.into_iter();
    kinds.find(|(one, _)| *one == kind).unwrap().1
}

/// Applies every document of a text as `kubectl apply --server-side` would.
pub(crate) async fn apply(client: &Client, text: &str) {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    for document in documents {
        let group = match document["apiVersion"].as_str().unwrap() {
            "crd.projectcalico.org/v1" => Group::Crd,
            "projectcalico.org/v3" => Group::Native,
            other => panic!("{other} is none of Calico's groups"),
        };
        let kind = document["kind"].as_str().unwrap();
        let name = document["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("test").force();
        let (api, patch) = (api(client, group, kind), Patch::Apply(&document));
        api.patch(name, &params, &patch).await.unwrap();
    }
}

/// Deletes an object.
pub(crate) async fn delete(client: &Client, group: Group, kind: &str, name: &str) {
    let api = api(client, group, kind);
    let _ = api.delete(name, &DeleteParams::default()).await.unwrap();
}
