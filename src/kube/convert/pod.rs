//! The addresses of the own node's Pods.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use super::{Problems, addresses};

/// The addresses that a Pod has of its own on this node.
pub(in crate::kube) fn pod_addresses(
    pod: &Pod,
    node_name: &str,
    problems: &mut Problems,
) -> Vec<IpAddr> {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else {
        return Vec::new();
    };
    let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let of_node = spec.host_network == Some(true);
    if is_over || of_node || spec.node_name.as_deref() != Some(node_name) {
        return Vec::new();
    }
    let listed = status.pod_ips.iter().flatten().map(|it| it.ip.as_str());
    let texts = listed.chain(status.pod_ip.as_deref());
    let texts = texts.filter(|text| !text.is_empty());
    addresses("status.podIPs", texts, problems)
}
