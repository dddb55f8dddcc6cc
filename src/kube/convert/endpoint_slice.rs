//! An EndpointSlice into what is kept of it: whose it is, and its endpoints by address.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint as RawEndpoint, EndpointConditions, EndpointSlice};

use super::{Problems, Unusable, parse_address};
use crate::facts::ServiceKey;
use crate::types::Family;

/// The label that says whose endpoints a slice holds.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// What is kept of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kube) struct SliceRecord {
    /// The Service its label names, in its own namespace.
    pub(in crate::kube) service: ServiceKey,
    /// `endpoints`, those with a usable address; its family is the slice's `addressType`.
    pub(in crate::kube) endpoints: Box<[Endpoint]>,
}

/// What is kept of an endpoint. The address is its identity: while the controller moves an
/// endpoint from slice to slice, both list it, and kube-proxy too counts it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kube) struct Endpoint {
    /// The first of its addresses; kube-proxy ignores the others, and so does the API.
    pub(in crate::kube) address: IpAddr,
    /// Whether `nodeName` is this node.
    pub(in crate::kube) location: Location,
    /// What its conditions make of it.
    pub(in crate::kube) class: EndpointClass,
}

/// Where an endpoint is. Ordered: the greater counts where two slices disagree, as kube-proxy
/// takes an endpoint for local when any slice says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kube) enum Location {
    /// On another node, or on none.
    Elsewhere,
    /// On this node.
    Here,
}

/// The classes of [`EndpointCounts`](crate::facts::EndpointCounts). Ordered: the greater counts
/// where two slices disagree, so that a stale copy never takes an endpoint away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kube) enum EndpointClass {
    /// Takes no traffic.
    Unready,
    /// Takes traffic when no endpoint is ready (KEP-1669).
    ServingTerminating,
    /// Takes traffic.
    Ready,
}

/// What is kept of a slice, seen from `node_name`; `None` when it belongs to no Service or holds
/// no addresses (`FQDN`).
///
/// # Errors
/// Its address type is not known.
pub(in crate::kube) fn slice_record(
    slice: &EndpointSlice,
    node_name: &str,
    problems: &mut Problems,
) -> Result<Option<SliceRecord>, Unusable> {
    let labels = slice.metadata.labels.as_ref();
    let service = labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL));
    let Some(service) = service.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let Some(family) = address_family(&slice.address_type)? else {
        return Ok(None);
    };
    let endpoints = slice
        .endpoints
        .iter()
        .filter_map(|raw| endpoint(raw, family, node_name, problems))
        .collect();
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    Ok(Some(SliceRecord {
        service: ServiceKey::new(namespace, service),
        endpoints,
    }))
}

fn address_family(address_type: &str) -> Result<Option<Family>, Unusable> {
    match address_type {
        "IPv4" => Ok(Some(Family::Ipv4Unicast)),
        "IPv6" => Ok(Some(Family::Ipv6Unicast)),
        "FQDN" => Ok(None),
        other => Err(Unusable {
            field: "addressType",
            value: other.to_owned(),
        }),
    }
}

fn endpoint(
    raw: &RawEndpoint,
    family: Family,
    node_name: &str,
    problems: &mut Problems,
) -> Option<Endpoint> {
    let Some(text) = raw.addresses.first() else {
        problems.push("endpoints: one has no address; it is left out".to_owned());
        return None;
    };
    let Some(address) = parse_address(text).filter(|address| Family::of(*address) == family) else {
        problems.push(format!(
            "endpoints: {text:?} is no address of the slice's type; the endpoint is left out"
        ));
        return None;
    };
    Some(Endpoint {
        address,
        location: if raw.node_name.as_deref() == Some(node_name) {
            Location::Here
        } else {
            Location::Elsewhere
        },
        class: class(raw.conditions.as_ref()),
    })
}

/// Absent conditions mean: ready, serving, not terminating (API reference, EndpointConditions).
fn class(conditions: Option<&EndpointConditions>) -> EndpointClass {
    let condition = |pick: fn(&EndpointConditions) -> Option<bool>| conditions.and_then(pick);
    let ready = condition(|conditions| conditions.ready).unwrap_or(true);
    let serving = condition(|conditions| conditions.serving).unwrap_or(true);
    let terminating = condition(|conditions| conditions.terminating).unwrap_or(false);
    if ready {
        EndpointClass::Ready
    } else if serving && terminating {
        EndpointClass::ServingTerminating
    } else {
        EndpointClass::Unready
    }
}
