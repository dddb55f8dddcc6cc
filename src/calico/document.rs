//! Objects as documents have them: by themselves, or in Lists as `kubectl get -o yaml` prints them.

use serde_json::Value;

use super::{ApiGroup, Kind};

/// Lists in Lists, which nobody writes.
const DEPTH_MAX: usize = 4;

/// The objects of a document that are read; others are none of our business. In a List that is
/// named for its kind, items may leave out what they are.
#[must_use]
pub fn objects_in(document: Value) -> Vec<(Kind, ApiGroup, Value)> {
    let mut objects = Vec::new();
    collect(document, DEPTH_MAX, &mut objects);
    objects
}

fn collect(mut document: Value, depth: usize, objects: &mut Vec<(Kind, ApiGroup, Value)>) {
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if let Some((kind, group)) = Kind::of(&api_version, &kind) {
        objects.push((kind, group, document));
        return;
    }
    let (Some(of_items), Some(depth)) = (kind.strip_suffix("List"), depth.checked_sub(1)) else {
        return;
    };
    let Value::Array(items) = document["items"].take() else {
        return;
    };
    for mut item in items {
        if let (false, Value::Object(fields)) = (of_items.is_empty(), &mut item) {
            fields.entry("kind").or_insert_with(|| of_items.into());
            let version = || api_version.clone().into();
            fields.entry("apiVersion").or_insert_with(version);
        }
        collect(item, depth, objects);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(document: Value) -> Vec<String> {
        let objects = objects_in(document).into_iter();
        let line = objects.map(|(kind, group, object)| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            format!("{kind} {name} of {}", group.api_version())
        });
        line.collect()
    }

    #[test]
    fn objects_are_found_by_themselves_and_in_lists() {
        let named = |name: &str| json!({"metadata": {"name": name}});
        let peer = |name: &str| {
            let mut peer = named(name);
            peer["apiVersion"] = json!("crd.projectcalico.org/v1");
            peer["kind"] = json!("BGPPeer");
            peer
        };
        assert_eq!(found(peer("a")), ["BGPPeer a of crd.projectcalico.org/v1"]);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            peer("a"),
            {"apiVersion": "v1", "kind": "Service"},
            {"apiVersion": "projectcalico.org/v3", "kind": "IPPoolList", "items": [named("p")]},
            "nothing",
            named("of no kind"),
        ]});
        assert_eq!(
            found(list),
            [
                "BGPPeer a of crd.projectcalico.org/v1",
                "IPPool p of projectcalico.org/v3",
            ]
        );
        for nothing in [
            json!(null),
            json!({"kind": "List"}),
            json!({"kind": "List", "items": 1}),
        ] {
            assert_eq!(found(nothing), [""; 0]);
        }
        // Neither is the one group's in the other.
        let node = json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "Node"});
        assert_eq!(found(node), [""; 0]);
    }

    #[test]
    fn lists_of_lists_end() {
        let mut list = json!({"kind": "List", "items": []});
        for _ in 0..10_000 {
            list = json!({"kind": "List", "items": [list]});
        }
        let objects = objects_in(list.clone());
        // Nor is it taken apart one in the other.
        while let Some(inner) = list["items"].as_array_mut().and_then(Vec::pop) {
            list = inner;
        }
        assert!(objects.is_empty());
    }
}
