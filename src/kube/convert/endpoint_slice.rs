//! An EndpointSlice into what is kept of it: whose it is, and its endpoints by address.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{
    Endpoint as RawEndpoint, EndpointConditions, EndpointPort, EndpointSlice,
};

use super::{Problems, Unusable, parse_address};
use crate::facts::ServiceKey;
use crate::types::Family;

/// The label that says whose endpoints a slice holds.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The label of slices that kube-proxy leaves to DNS.
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// What is kept of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kube) struct SliceRecord {
    /// The Service its label names, in its own namespace.
    pub(in crate::kube) service: ServiceKey,
    /// How new it is.
    pub(in crate::kube) age: Age,
    /// `ports`, those with a number.
    pub(in crate::kube) ports: Box<[SlicePort]>,
    /// `endpoints`, those with a usable address; its family is the slice's `addressType`.
    pub(in crate::kube) endpoints: Box<[Endpoint]>,
}

/// How new a slice is: ordered, the newest last.
///
/// `metadata.resourceVersion` as a number, which it is in every API server (KEP-5504); objects in
/// files have none, and are as new as they were created.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kube) struct Age {
    version: u64,
    created: i64,
}

/// A port that a slice's endpoints answer on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kube) struct SlicePort {
    /// The name of the Service's port; empty where that has none.
    pub(in crate::kube) name: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub(in crate::kube) protocol: Box<str>,
    /// Where the endpoint listens.
    pub(in crate::kube) number: i32,
}

/// What is kept of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kube) struct Endpoint {
    /// The first of its addresses; kube-proxy ignores the others, and so does the API.
    pub(in crate::kube) address: IpAddr,
    /// Where it is, by `nodeName`.
    pub(in crate::kube) location: Location,
    /// What its conditions make of it.
    pub(in crate::kube) class: EndpointClass,
    /// Whether it is `terminating`: another record of its address comes before it.
    pub(in crate::kube) terminating: bool,
}

/// Where an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kube) enum Location {
    /// It does not say.
    Unplaced,
    /// On another node.
    Elsewhere,
    /// On this node.
    Here,
}

/// The classes of [`EndpointCounts`](crate::facts::EndpointCounts). Ordered: an address that is in
/// several on several ports counts in the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kube) enum EndpointClass {
    /// Takes no traffic.
    Unready,
    /// Takes traffic when no endpoint is ready (KEP-1669).
    ServingTerminating,
    /// Takes traffic.
    Ready,
}

/// What is kept of a slice, seen from `node_name`. That it may name a service proxy, as its Service
/// does, is nothing to kube-proxy: only the Service's label counts. `None` when it belongs to no Service, holds no
/// addresses (`FQDN`), or is of a headless Service and so for no proxy.
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
    if labels.is_some_and(|labels| labels.contains_key(HEADLESS_LABEL)) {
        return Ok(None);
    }
    let Some(family) = address_family(&slice.address_type)? else {
        return Ok(None);
    };
    let endpoints = slice
        .endpoints
        .iter()
        .filter_map(|raw| endpoint(raw, family, node_name, problems))
        .collect();
    let metadata = &slice.metadata;
    let version = metadata.resource_version.as_deref();
    let created = metadata.creation_timestamp.as_ref();
    Ok(Some(SliceRecord {
        service: ServiceKey::new(metadata.namespace.as_deref().unwrap_or_default(), service),
        age: Age {
            version: version.and_then(|text| text.parse().ok()).unwrap_or(0),
            created: created.map_or(0, |time| time.0.as_second()),
        },
        ports: slice.ports.iter().flatten().filter_map(port).collect(),
        endpoints,
    }))
}

/// As kube-proxy reads it: one without a number is for no proxy.
fn port(raw: &EndpointPort) -> Option<SlicePort> {
    Some(SlicePort {
        name: raw.name.as_deref().unwrap_or_default().into(),
        protocol: raw.protocol.as_deref().unwrap_or("TCP").into(),
        number: raw.port.filter(|number| *number != 0)?,
    })
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
    let (class, terminating) = class(raw.conditions.as_ref());
    Some(Endpoint {
        address,
        location: match raw.node_name.as_deref() {
            Some(name) if name == node_name => Location::Here,
            Some(name) if !name.is_empty() => Location::Elsewhere,
            Some(_) | None => Location::Unplaced,
        },
        class,
        terminating,
    })
}

/// The class, and whether it is terminating. Absent conditions mean: ready, serving, not
/// terminating (API reference, EndpointConditions).
fn class(conditions: Option<&EndpointConditions>) -> (EndpointClass, bool) {
    let condition = |pick: fn(&EndpointConditions) -> Option<bool>| conditions.and_then(pick);
    let ready = condition(|conditions| conditions.ready).unwrap_or(true);
    let serving = condition(|conditions| conditions.serving).unwrap_or(true);
    let terminating = condition(|conditions| conditions.terminating).unwrap_or(false);
    let class = if ready {
        EndpointClass::Ready
    } else if serving && terminating {
        EndpointClass::ServingTerminating
    } else {
        EndpointClass::Unready
    };
    (class, terminating)
}
