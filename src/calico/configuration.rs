//! BGPConfiguration: `default` for the cluster, `node.NAME` for a few things of one node.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fields::OF_NODE_CONFIGURATION;
use super::object::{Reader, Unreadable, shown};
use super::scalar::{self, AsNumber};
use crate::config;
use crate::topology::PeerOptions;
use crate::types::{Asn, BGP_PORT, Community, LargeCommunity, Prefix};

/// What Calico has where nothing is written.
const ASN_DEFAULT: Asn = Asn(64512);

/// What `default` says, and what is so without it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClusterConfiguration {
    pub(super) asn: Asn,
    pub(super) listen_port: u16,
    pub(super) mesh: Option<PeerOptions>,
    pub(super) bind: Bind,
    pub(super) service_cluster_cidrs: Vec<Prefix>,
    pub(super) service_external_cidrs: Vec<Prefix>,
    pub(super) service_load_balancer_cidrs: Vec<Prefix>,
    pub(super) load_balancer_aggregation: LoadBalancerAggregation,
    pub(super) prefix_communities: Vec<PrefixCommunities>,
}

/// What `node.NAME` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeConfiguration {
    pub(super) listen_port: Option<u16>,
    /// In the place of the cluster's, where there are any.
    pub(super) prefix_communities: Option<Vec<PrefixCommunities>>,
}

/// `bindMode`: where the speaker listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Bind {
    /// At every address.
    #[default]
    Everywhere,
    /// At the node's own.
    NodeAddresses,
}

/// `serviceLoadBalancerAggregation`: whether the ranges of load-balancer addresses are announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancerAggregation {
    /// They are, and an address of a Service beside them only where not every node serves it.
    #[default]
    Enabled,
    /// They are not, and every address is announced by itself.
    Disabled,
}

/// One of `prefixAdvertisements`: what the node's own routes in a range are marked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixCommunities {
    /// Of the routes.
    pub cidr: Prefix,
    /// Standard and large ones, as they are written; not empty.
    pub communities: BTreeSet<String>,
}

impl Default for ClusterConfiguration {
    fn default() -> Self {
        Self {
            asn: ASN_DEFAULT,
            listen_port: BGP_PORT,
            mesh: Some(PeerOptions::default()),
            bind: Bind::default(),
            service_cluster_cidrs: Vec::new(),
            service_external_cidrs: Vec::new(),
            service_load_balancer_cidrs: Vec::new(),
            load_balancer_aggregation: LoadBalancerAggregation::default(),
            prefix_communities: Vec::new(),
        }
    }
}

/// `default`. Unreadable where it is not known whom to peer with and as what.
pub(super) fn cluster(reader: &mut Reader<'_>) -> Result<ClusterConfiguration, Unreadable> {
    let default = ClusterConfiguration::default();
    let asn = match reader.field::<AsNumber>("asNumber") {
        Ok(Some(number)) => reader.checked("asNumber", number.read()),
        Ok(None) => Ok(None),
        Err(unreadable) => Err(unreadable),
    };
    let listen_port = listen_port(reader);
    let enabled = reader.field("nodeToNodeMeshEnabled");
    let mesh = mesh(reader);
    let bind = reader.choice(
        "bindMode",
        &[("None", Bind::Everywhere), ("NodeIP", Bind::NodeAddresses)],
    );
    let aggregation = reader.choice(
        "serviceLoadBalancerAggregation",
        &[
            ("Enabled", LoadBalancerAggregation::Enabled),
            ("Disabled", LoadBalancerAggregation::Disabled),
        ],
    );
    let service_cluster_cidrs = ranges("serviceClusterIPs", reader);
    let service_external_cidrs = ranges("serviceExternalIPs", reader);
    let service_load_balancer_cidrs = ranges("serviceLoadBalancerIPs", reader);
    let prefix_communities = prefix_communities(reader);
    Ok(ClusterConfiguration {
        asn: asn?.unwrap_or(default.asn),
        listen_port: listen_port?.unwrap_or(default.listen_port),
        mesh: match enabled?.unwrap_or(true) {
            // A mesh whose key is not known is none.
            true => Some(mesh?),
            false => None,
        },
        bind: bind?.unwrap_or_default(),
        service_cluster_cidrs,
        service_external_cidrs,
        service_load_balancer_cidrs,
        load_balancer_aggregation: aggregation.ok().flatten().unwrap_or_default(),
        prefix_communities: prefix_communities.unwrap_or_default(),
    })
}

/// `node.NAME`.
pub(super) fn node(reader: &mut Reader<'_>) -> Result<NodeConfiguration, Unreadable> {
    if let Value::Object(fields) = reader.value("") {
        for key in fields.keys() {
            if !OF_NODE_CONFIGURATION.contains(&key.as_str()) {
                reader.problem(key, "is heeded in the BGPConfiguration `default` only");
            }
        }
    }
    let listen_port = listen_port(reader);
    let prefix_communities = prefix_communities(reader);
    Ok(NodeConfiguration {
        listen_port: listen_port?,
        prefix_communities,
    })
}

fn listen_port(reader: &mut Reader<'_>) -> Result<Option<u16>, Unreadable> {
    let port = reader.field::<u16>("listenPort")?;
    Ok(port.filter(|port| *port > 0))
}

fn mesh(reader: &mut Reader<'_>) -> Result<PeerOptions, Unreadable> {
    let restart_time = reader.text("nodeMeshMaxRestartTime", scalar::duration);
    let password = super::peer::password("nodeMeshPassword", reader);
    Ok(PeerOptions {
        restart_time: restart_time?,
        password: password?,
        ..PeerOptions::default()
    })
}

/// Those of a list of ranges that are any.
fn ranges(key: &str, reader: &mut Reader<'_>) -> Vec<Prefix> {
    let mut ranges = Vec::new();
    for (index, element) in reader.list(key).unwrap_or_default().iter().enumerate() {
        let read = match element["cidr"].as_str() {
            Some(text) => config::service_range(text, &ranges),
            None => Err(format!("is {}; write a range", shown(&element["cidr"]))),
        };
        match read {
            Ok(range) => ranges.push(range),
            Err(words) => reader.problem(&format!("{key}[{index}].cidr"), words),
        }
    }
    ranges
}

/// `prefixAdvertisements` with the names of `communities` resolved; nothing where there are none.
fn prefix_communities(reader: &mut Reader<'_>) -> Option<Vec<PrefixCommunities>> {
    const KEY: &str = "prefixAdvertisements";
    let mut names = BTreeMap::new();
    for (index, element) in reader.list("communities").ok()?.iter().enumerate() {
        match (element["name"].as_str(), element["value"].as_str()) {
            (Some(name), Some(value)) if is_community(value) => {
                names.insert(name, value);
            }
            (Some(_) | None, Some(_) | None) => {
                let words = format!(
                    "is {}; write a name and 64512:1 or 64512:1:2",
                    shown(element)
                );
                reader.problem(&format!("communities[{index}]"), words);
            }
        }
    }
    if reader.value(KEY).is_null() {
        return None;
    }
    let mut all = Vec::new();
    for (index, element) in reader.list(KEY).ok()?.iter().enumerate() {
        let cidr = element["cidr"].as_str().unwrap_or_default();
        let Ok(cidr) = cidr.parse::<Prefix>() else {
            let words = format!("is {}; write a range", shown(&element["cidr"]));
            reader.problem(&format!("{KEY}[{index}].cidr"), words);
            continue;
        };
        let mut communities = BTreeSet::new();
        let texts = element["communities"].as_array();
        for (place, text) in texts.into_iter().flatten().enumerate() {
            let written = text.as_str().unwrap_or_default();
            if is_community(written) {
                communities.insert(written.to_owned());
            } else if let Some(value) = names.get(written) {
                communities.insert((*value).to_owned());
            } else {
                let words = format!(
                    "is {}, which is no community and the name of none; write 64512:1, 64512:1:2 \
                     or a name from communities",
                    shown(text)
                );
                reader.problem(&format!("{KEY}[{index}].communities[{place}]"), words);
            }
        }
        if !communities.is_empty() {
            all.push(PrefixCommunities { cidr, communities });
        }
    }
    Some(all)
}

fn is_community(text: &str) -> bool {
    text.parse::<Community>().is_ok() || text.parse::<LargeCommunity>().is_ok()
}
