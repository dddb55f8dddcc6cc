//! A Node into [`NodeFacts`].

use k8s_openapi::api::core::v1::Node;

use super::{Problems, addresses, annotations};
use crate::facts::NodeFacts;
use crate::types::Prefix;

/// The facts of a Node.
pub(in crate::kube) fn node_facts(node: Node, problems: &mut Problems) -> NodeFacts {
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let of_type = |wanted| {
        let addresses = status.addresses.iter().flatten();
        addresses
            .filter(move |address| address.type_ == wanted)
            .map(|address| address.address.as_str())
    };
    NodeFacts {
        name: node.metadata.name.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default(),
        annotations: annotations(node.metadata.annotations),
        internal_ips: addresses("status.addresses", of_type("InternalIP"), problems),
        external_ips: addresses("status.addresses", of_type("ExternalIP"), problems),
        pod_cidrs: pod_cidrs(spec.pod_cidrs, spec.pod_cidr, problems),
        unschedulable: spec.unschedulable.unwrap_or(false),
        ready: status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
    }
}

/// `spec.podCIDRs`, or `spec.podCIDR` where a server older than dual stack left the list out.
fn pod_cidrs(
    list: Option<Vec<String>>,
    single: Option<String>,
    problems: &mut Problems,
) -> Vec<Prefix> {
    let texts = match list {
        Some(list) if !list.is_empty() => list,
        Some(_) | None => single.filter(|text| !text.is_empty()).into_iter().collect(),
    };
    let mut prefixes = Vec::new();
    for text in texts {
        match text.parse::<Prefix>() {
            // A bare address would read as a host route; it is no CIDR.
            Ok(prefix) if text.contains('/') => {
                if !prefixes.contains(&prefix) {
                    prefixes.push(prefix);
                }
            }
            Ok(_) | Err(_) => {
                problems.push(format!(
                    "spec.podCIDRs: {text:?} is no CIDR; it is left out"
                ));
            }
        }
    }
    prefixes
}
