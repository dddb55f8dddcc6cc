//! A Node into [`NodeFacts`] where it is our own, and into [`NodeNetworks`] whichever it is.

use k8s_openapi::api::core::v1::{Node, NodeCondition as RawCondition, Taint as RawTaint};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Problems, addresses, annotations, parse_address};
use crate::facts::{
    ANNOTATION_BYTES_MAX, ANNOTATIONS_DROPPED, ConditionStatus, NodeCondition, NodeFacts,
    NodeNetworks, Taint,
};
use crate::types::Prefix;

/// Where Calico writes the addresses of a Node's sessions.
const ADDRESSES: [&str; 2] = [
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
];

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
    let conditions = conditions(status.conditions.clone());
    let annotations = annotations(node.metadata.annotations);
    if let Some(dropped) = annotations.get(ANNOTATIONS_DROPPED) {
        problems.push(format!(
            "metadata.annotations: more than {ANNOTATION_BYTES_MAX} octets; the largest {dropped} are left out"
        ));
    }
    NodeFacts {
        name: node.metadata.name.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default(),
        annotations,
        internal_ips: addresses("status.addresses", of_type("InternalIP"), problems),
        external_ips: addresses("status.addresses", of_type("ExternalIP"), problems),
        pod_cidrs: pod_cidrs(spec.pod_cidrs, spec.pod_cidr, problems),
        unschedulable: spec.unschedulable.unwrap_or(false),
        ready: conditions.iter().any(|condition| {
            condition.condition_type == "Ready" && condition.status == ConditionStatus::True
        }),
        conditions,
        taints: spec.taints.into_iter().flatten().map(taint).collect(),
        cluster_nodes: None,
        blocks: None,
    }
}

/// Whether the annotations of a Node say where it is for its peers.
pub(in crate::kube) fn is_placed(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations.is_some_and(|all| ADDRESSES.iter().any(|key| all.contains_key(*key)))
}

/// What a Node has of the network.
pub(in crate::kube) fn node_networks(node: Node, problems: &mut Problems) -> NodeNetworks {
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let texts = status.addresses.iter().flatten();
    // Host names and DNS names stand among them.
    let addresses = texts.filter_map(|address| parse_address(&address.address));
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    NodeNetworks {
        addresses,
        pod_cidrs: pod_cidrs(spec.pod_cidrs, spec.pod_cidr, problems),
    }
}

fn conditions(raw: Option<Vec<RawCondition>>) -> Vec<NodeCondition> {
    let mut conditions: Vec<_> = raw.into_iter().flatten().map(condition).collect();
    conditions.sort();
    conditions
}

fn condition(raw: RawCondition) -> NodeCondition {
    NodeCondition {
        condition_type: raw.type_,
        status: match raw.status.as_str() {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        reason: raw.reason.unwrap_or_default(),
    }
}

fn taint(raw: RawTaint) -> Taint {
    Taint {
        key: raw.key,
        value: raw.value.unwrap_or_default(),
        effect: raw.effect,
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
