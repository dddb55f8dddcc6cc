//! What a file may hold, and what is said about one that may not.

use super::*;
use crate::kube::files::manifest;

fn parse(text: &str) -> Result<Vec<Object>, String> {
    manifest::parse(text, Calico::Watched)
}

fn names(text: &str) -> Vec<String> {
    let objects = parse(text).unwrap();
    objects
        .iter()
        .map(|object| object.object_ref().to_string())
        .collect()
}

#[test]
fn documents_lists_and_json_are_read_and_other_kinds_are_not() {
    let text = "\
# Two documents, an empty one, and some that are none of our business.
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop}
---
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: {replicas: not checked here}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: not-a-core-service}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: {name: worker-1}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: b}
- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a-1}, addressType: IPv4, endpoints: []}
---
{\"apiVersion\": \"v1\", \"kind\": \"ServiceList\", \"items\": [{\"metadata\": {\"name\": \"c\"}}]}
---
{\"apiVersion\": \"v1\", \"kind\": \"NodeList\", \"items\": null}
";
    assert_eq!(
        names(text),
        [
            "Service shop/a",
            "Node worker-1",
            "EndpointSlice default/a-1",
            "Service default/c",
        ]
    );
    assert_eq!(names(""), [""; 0]);
    assert_eq!(names("# nothing yet\n"), [""; 0]);
}

#[test]
fn what_kubectl_prints_reads_as_it_was() {
    for value in [
        node(HERE),
        service("web"),
        slice("web-1", "web", "IPv4", vec![endpoint("10.0.0.1", HERE)]),
    ] {
        let objects = parse(&yaml(std::slice::from_ref(&value))).unwrap();
        assert_eq!(objects, [crate::kube::fixtures::object(value)]);
    }
}

#[test]
fn a_mistake_is_told_with_its_line() {
    for (text, expected) in [
        (
            "kind: Service\nmetadata: [oops\n",
            "unclosed bracket '[' at line 2, column 11",
        ),
        (
            "a: 1\na: 2\n",
            "duplicate mapping key: a not allowed here at line 2, column 1",
        ),
        (
            "kind: Node\napiVersion: v1\n---\nname: x\n",
            "line 1: a Node without metadata.name",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: Service\n",
            "line 4: a Service without metadata.name",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: x}]}",
            "line 1: Service web: invalid type: string \"x\", expected i32",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: 3\n",
            "line 1: items of a List are no list",
        ),
        (
            "just text",
            "line 1: a document without a kind is no Kubernetes object",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn calicos_resources_and_pods_are_read_where_they_count() {
    let text = "\
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: tor}
spec: {peerIP: 192.168.83.1}
---
apiVersion: crd.projectcalico.org/v1
kind: BlockAffinityList
items: [{metadata: {name: a-10-0-0-0-26}}]
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: a}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: not-ours}
---
apiVersion: v1
kind: PodList
items: [{metadata: {name: web}}]
";
    let read = [
        "BGPPeer tor",
        "BlockAffinity a-10-0-0-0-26",
        "Calico Node a",
        "Pod default/web",
    ];
    assert_eq!(names(text), read);
    assert_eq!(manifest::parse(text, Calico::Ignored), Ok(Vec::new()));
}
