//! What an IPAM that gives nodes blocks of addresses says: Calico's BlockAffinities and IPPools, and
//! the addresses of Pods.

use std::net::IpAddr;

use ::kube::core::DynamicObject;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde_json::Value;

use super::{Problems, addresses};
use crate::types::Prefix;

/// A block that a node has for sure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kube) struct Block {
    pub(in crate::kube) node: String,
    pub(in crate::kube) cidr: Prefix,
}

/// A range that blocks are cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kube) struct Pool {
    pub(in crate::kube) cidr: Prefix,
    pub(in crate::kube) export: Export,
}

/// Whether what is in a pool may be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kube) enum Export {
    Enabled,
    Disabled,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AffinitySpec {
    state: String,
    node: String,
    cidr: String,
    /// A string in one of the groups, a truth value in the other.
    deleted: Value,
    /// `host` where it is said; others are no nodes.
    #[serde(rename = "type")]
    affinity_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PoolSpec {
    cidr: String,
    #[serde(rename = "disableBGPExport")]
    disable_bgp_export: bool,
}

/// The block of a BlockAffinity; none while the node may not use it.
///
/// # Errors
/// What cannot be used of it, and that its last facts stand.
pub(in crate::kube) fn block(object: &DynamicObject) -> Result<Option<Block>, String> {
    let AffinitySpec {
        state,
        node,
        cidr,
        deleted,
        affinity_type,
    } = spec(object)?;
    if affinity_type.is_some_and(|it| it != "host") || is_true(&deleted) {
        return Ok(None);
    }
    match state.as_str() {
        "" | "confirmed" => {}
        "pending" | "pendingDeletion" => return Ok(None),
        other => return Err(stands("spec.state", other)),
    }
    if node.is_empty() {
        return Err(stands("spec.node", &node));
    }
    Ok(Some(Block {
        node,
        cidr: parse_cidr(&cidr)?,
    }))
}

/// The range of an IPPool.
///
/// # Errors
/// As for [`block`].
pub(in crate::kube) fn pool(object: &DynamicObject) -> Result<Pool, String> {
    let PoolSpec {
        cidr,
        disable_bgp_export,
    } = spec(object)?;
    Ok(Pool {
        cidr: parse_cidr(&cidr)?,
        export: if disable_bgp_export {
            Export::Disabled
        } else {
            Export::Enabled
        },
    })
}

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

fn spec<T: for<'de> Deserialize<'de>>(object: &DynamicObject) -> Result<T, String> {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    serde_json::from_value(spec).map_err(|error| format!("spec: {error}; its last facts stand"))
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

fn parse_cidr(text: &str) -> Result<Prefix, String> {
    match text.parse::<Prefix>() {
        // A bare address would read as a host route; it is no CIDR.
        Ok(prefix) if text.contains('/') => Ok(prefix),
        Ok(_) | Err(_) => Err(stands("spec.cidr", text)),
    }
}

fn stands(field: &str, value: &str) -> String {
    format!("{field}: {value:?} cannot be used; its last facts stand")
}
