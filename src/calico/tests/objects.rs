//! Objects to make configurations of.

use serde_json::{Value, json};

use crate::calico::{ApiGroup, Kind, Resources};

/// An object of Calico's own API.
pub(super) fn calico(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// A Kubernetes Node that Calico has seen.
pub(super) fn node(name: &str, ipv4: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"projectcalico.org/IPv4Address": format!("{ipv4}/24")},
        },
        "spec": {"podCIDR": "10.0.0.0/24"},
    })
}

/// The index of these.
pub(super) fn applied(objects: &[Value]) -> Resources {
    let mut resources = Resources::default();
    for object in objects {
        let text = |key: &str| object[key].as_str().unwrap();
        let (kind, group) = Kind::of(text("apiVersion"), text("kind")).unwrap();
        resources.apply(kind, group, object);
    }
    resources
}

/// Objects of every kind and group, good and bad, and more than one version of some.
pub(super) fn spec_of_each_kind() -> Vec<(Kind, ApiGroup, Value)> {
    let named = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let off = || {
        named(
            "default",
            json!({"nodeToNodeMeshEnabled": false, "asNumber": 65001}),
        )
    };
    let mut reflector = node("b", "192.0.2.2");
    reflector["metadata"]["labels"] = json!({"reflector": ""});
    reflector["metadata"]["annotations"]["projectcalico.org/RouteReflectorClusterID"] =
        json!("244.0.0.1");
    let tor = |asn: u32| {
        named(
            "tor",
            json!({"peerIP": "192.0.2.9", "asNumber": asn, "filters": ["f"]}),
        )
    };
    let filter = |action: &str| named("f", json!({"exportV4": [{"action": action}]}));
    let block = |state: &str| {
        named(
            "1",
            json!({"node": "a", "cidr": "10.0.0.0/26", "state": state}),
        )
    };
    let pool = |cidr: &str| named("p", json!({"cidr": cidr}));
    let port = |port: Value| named("node.a", json!({"listenPort": port}));
    let to = |selector: &str| named("rr", json!({"peerSelector": selector}));
    let (crd, v3) = (ApiGroup::Crd, ApiGroup::V3);
    vec![
        (Kind::Node, ApiGroup::Core, node("a", "192.0.2.1")),
        (Kind::Node, ApiGroup::Core, node("b", "192.0.2.2")),
        (Kind::Node, ApiGroup::Core, reflector),
        (Kind::Node, ApiGroup::Core, node("c", "nowhere")),
        (
            Kind::Node,
            v3,
            named("a", json!({"bgp": {"asNumber": 65002}})),
        ),
        (
            Kind::Node,
            v3,
            named("c", json!({"bgp": {"ipv4Address": "192.0.2.3/24"}})),
        ),
        (Kind::BgpConfiguration, crd, off()),
        (Kind::BgpConfiguration, v3, named("default", json!({}))),
        (
            Kind::BgpConfiguration,
            v3,
            named("default", json!({"asNumber": "x"})),
        ),
        (Kind::BgpConfiguration, v3, port(json!(1790))),
        (Kind::BgpConfiguration, v3, port(json!("x"))),
        (Kind::BgpConfiguration, v3, named("other", json!({}))),
        (Kind::BgpPeer, crd, tor(65000)),
        (Kind::BgpPeer, v3, tor(65003)),
        (Kind::BgpPeer, v3, tor(23456)),
        (Kind::BgpPeer, v3, to("has(reflector)")),
        (Kind::BgpPeer, v3, to("has(")),
        (Kind::BgpFilter, v3, filter("Accept")),
        (Kind::BgpFilter, v3, filter("Reject")),
        (Kind::BlockAffinity, crd, block("confirmed")),
        (Kind::BlockAffinity, crd, block("pending")),
        (Kind::BlockAffinity, v3, block("confirmed")),
        (Kind::IpPool, v3, pool("10.0.0.0/16")),
        (Kind::IpPool, v3, pool("10.0.0.0/99")),
    ]
}
