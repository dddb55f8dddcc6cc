//! Nodes: Kubernetes' with what Calico writes into annotations, and Calico's own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use serde_json::Value;

use super::ApiGroup;
use super::object::{Reader, Unreadable, shown};
use super::scalar::{self, AsNumber};
use crate::topology::ClusterId;
use crate::types::{Asn, shortened};

const IPV4: &str = "projectcalico.org/IPv4Address";
const IPV6: &str = "projectcalico.org/IPv6Address";
const ASN: &str = "projectcalico.org/ASNumber";
const CLUSTER_ID: &str = "projectcalico.org/RouteReflectorClusterID";
const LABELS: &str = "projectcalico.org/labels";

/// What one object says of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeParts {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
    pub(super) asn: Option<Asn>,
    pub(super) cluster_id: Option<ClusterId>,
}

impl NodeParts {
    /// With what another object says where this says nothing.
    pub(super) fn or(self, other: &Self) -> Self {
        let Self {
            mut labels,
            ipv4,
            ipv6,
            asn,
            cluster_id,
        } = self;
        for (key, value) in &other.labels {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Self {
            labels,
            ipv4: ipv4.or(other.ipv4),
            ipv6: ipv6.or(other.ipv6),
            asn: asn.or(other.asn),
            cluster_id: cluster_id.or(other.cluster_id),
        }
    }
}

/// A Node of the group; `reader` has its `spec`.
pub(super) fn read(
    group: ApiGroup,
    object: &Value,
    reader: &mut Reader<'_>,
) -> Result<NodeParts, Unreadable> {
    match group {
        ApiGroup::Core => kubernetes(object, reader),
        ApiGroup::Crd | ApiGroup::V3 => calicos(object, reader),
    }
}

fn calicos(object: &Value, reader: &mut Reader<'_>) -> Result<NodeParts, Unreadable> {
    let ipv4 = reader.text("bgp.ipv4Address", scalar::address);
    let ipv6 = reader.text("bgp.ipv6Address", scalar::address);
    let asn = match reader.field::<AsNumber>("bgp.asNumber") {
        Ok(Some(number)) => reader.checked("bgp.asNumber", number.read()),
        Ok(None) => Ok(None),
        Err(unreadable) => Err(unreadable),
    };
    let cluster_id = reader.text("bgp.routeReflectorClusterID", cluster_id);
    Ok(NodeParts {
        labels: strings(&object["metadata"]["labels"]),
        ipv4: ipv4?,
        ipv6: ipv6?,
        asn: asn?,
        cluster_id: cluster_id?,
    })
}

fn kubernetes(object: &Value, reader: &mut Reader<'_>) -> Result<NodeParts, Unreadable> {
    let metadata = &object["metadata"];
    let annotations = &metadata["annotations"];
    let mut labels = strings(&metadata["labels"]);
    // Those that Calico keeps beside Kubernetes' own, which count where both have one.
    if let Some(text) = annotations[LABELS].as_str() {
        match serde_json::from_str::<BTreeMap<String, String>>(text) {
            Ok(more) => {
                for (key, value) in more {
                    labels.entry(key).or_insert(value);
                }
            }
            Err(error) => {
                let text = shortened(text, 200);
                note(LABELS, format!("is {text:?}: {error}"), reader);
            }
        }
    }
    let ipv4 = annotation(annotations, IPV4, scalar::address, reader);
    let ipv6 = annotation(annotations, IPV6, scalar::address, reader);
    let asn = annotation(
        annotations,
        ASN,
        |text| AsNumber::Text(text.to_owned()).read(),
        reader,
    );
    let cluster_id = annotation(annotations, CLUSTER_ID, cluster_id, reader);
    let parts = NodeParts {
        labels,
        ipv4: ipv4?,
        ipv6: ipv6?,
        asn: asn?.flatten(),
        cluster_id: cluster_id?,
    };
    if parts.ipv4.is_some() || parts.ipv6.is_some() {
        return Ok(parts);
    }
    // Nobody has looked for the addresses of sessions: those that Kubernetes has will do.
    let addresses: Vec<_> = internal_addresses(&object["status"]["addresses"]).collect();
    let mut addresses = addresses.into_iter();
    Ok(NodeParts {
        ipv4: addresses.clone().find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }),
        ipv6: addresses.find_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }),
        ..parts
    })
}

fn annotation<T>(
    annotations: &Value,
    key: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
    reader: &mut Reader<'_>,
) -> Result<Option<T>, Unreadable> {
    match annotations[key].as_str() {
        Some(text) if !text.is_empty() => match read(text) {
            Ok(value) => Ok(Some(value)),
            Err(words) => {
                note(key, words, reader);
                Err(Unreadable)
            }
        },
        Some(_) | None => Ok(None),
    }
}

fn note(key: &str, words: String, reader: &mut Reader<'_>) {
    reader.note(format!("metadata.annotations[{key}]"), words);
}

fn cluster_id(text: &str) -> Result<ClusterId, String> {
    match text.parse() {
        Ok(address) => Ok(ClusterId(address)),
        Err(_) => Err(format!("is {text:?}; write four numbers as 244.0.0.1")),
    }
}

fn internal_addresses(addresses: &Value) -> impl Iterator<Item = IpAddr> {
    #[derive(Deserialize)]
    struct Address {
        #[serde(rename = "type")]
        address_type: String,
        address: String,
    }
    let addresses = Vec::<Address>::deserialize(addresses).unwrap_or_default();
    let internal = addresses
        .into_iter()
        .filter(|address| address.address_type == "InternalIP");
    internal.filter_map(|address| address.address.parse().ok())
}

/// Labels; those that were written by hand may be of another type, and mean their text.
fn strings(labels: &Value) -> BTreeMap<String, String> {
    let labels = labels.as_object().into_iter().flatten();
    let text = |value: &Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => shown(value),
    };
    labels
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}
