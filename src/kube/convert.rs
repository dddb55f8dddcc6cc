//! Objects into facts: pure, one file a kind. Called by the index; knows no other object than
//! the one it is given.
//!
//! A value that cannot be used (a bad address, a port out of range) is left out and noted in
//! [`Problems`]. An object whose meaning is in doubt as a whole (an unknown type of Service) is
//! [`Unusable`]: nothing may be concluded from it, so its last facts must stand.

mod endpoint_slice;
mod node;
mod pod;
mod service;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::facts::{ANNOTATION_BYTES_MAX, ANNOTATIONS_DROPPED, StringMap};

pub(super) use endpoint_slice::{Endpoint, EndpointClass, Location, SliceRecord, slice_record};
pub(super) use node::{is_placed, node_facts, node_networks};
pub(super) use pod::pod_addresses;
pub(super) use service::service_facts;

/// What is wrong with parts of an object, each a sentence for [`Malformed`](super::Malformed).
pub(super) type Problems = Vec<String>;

/// Why a whole object cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value:?} is not known to this version; its last facts stand")]
pub(super) struct Unusable {
    field: &'static str,
    value: String,
}

/// Annotations that are no facts about the object: too large, or changing by themselves, so that
/// every change would ask the policies again for nothing.
const IGNORED_ANNOTATIONS: [&str; 5] = [
    // The whole object once more.
    "kubectl.kubernetes.io/last-applied-configuration",
    // Leases renewed every few seconds.
    "control-plane.alpha.kubernetes.io/leader",
    // Follows the number of nodes in the cluster.
    "node.alpha.kubernetes.io/ttl",
    // Sums over the node's pods.
    "management.cattle.io/pod-limits",
    "management.cattle.io/pod-requests",
];

/// Takes from an object what is never a fact and may be large, so that it need not wait in a queue.
pub(super) fn slim(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|key, _| !IGNORED_ANNOTATIONS.contains(&key.as_str()));
    }
}

/// The annotations that are facts: not more than [`ANNOTATION_BYTES_MAX`] of them. The largest go
/// first, of equal ones those whose name sorts first; how many, [`ANNOTATIONS_DROPPED`] says.
fn annotations(all: Option<StringMap>) -> StringMap {
    let mut annotations = all.unwrap_or_default();
    let is_fact = |key: &str| !IGNORED_ANNOTATIONS.contains(&key) && key != ANNOTATIONS_DROPPED;
    annotations.retain(|key, _| is_fact(key));
    let size = |(key, value): (&String, &String)| key.len() + value.len();
    let mut total: usize = annotations.iter().map(size).sum();
    if total <= ANNOTATION_BYTES_MAX {
        return annotations;
    }
    let sizes = annotations
        .iter()
        .map(|it| (Reverse(size(it)), it.0.clone()));
    let mut largest: Vec<_> = sizes.collect();
    largest.sort_unstable();
    let mut dropped = 0;
    for (Reverse(size), key) in largest {
        if total <= ANNOTATION_BYTES_MAX {
            break;
        }
        annotations.remove(&key);
        total -= size;
        dropped += 1;
    }
    annotations.insert(ANNOTATIONS_DROPPED.to_owned(), dropped.to_string());
    annotations
}

/// The addresses among `texts`, in order, each once.
fn addresses<'a>(
    field: &str,
    texts: impl IntoIterator<Item = &'a str>,
    problems: &mut Problems,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for text in texts {
        match parse_address(text) {
            Some(address) if addresses.contains(&address) => {}
            Some(address) => addresses.push(address),
            None => problems.push(format!(
                "{field}: {text:?} is no IP address; it is left out"
            )),
        }
    }
    addresses
}

/// Reads an address as kube-proxy does: the IPv4-mapped form is the IPv4 address.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}
