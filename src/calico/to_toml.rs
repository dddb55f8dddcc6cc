//! What the resources mean for one node, as the text of a configuration file.
//!
//! It is for whoever moves from the resources to a file: the peers are written out one by one, as
//! they are at present. What a file cannot say is told beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};

use super::NodeConfig;
use super::configuration::{LoadBalancerAggregation, PrefixCommunities};
use super::filter::Filter;
use crate::policy::Direction;
use crate::topology::{PasswordSource, Peering};
use crate::types::{
    BGP_PORT, ConnectMode, Encapsulation, Family, HoldTime, IpPool, NextHopMode, PoolRoutes,
    Prefix, Reflection, RestartTime, Tunnelled,
};

/// Where a Secret is expected to be mounted.
const SECRETS: &str = "/etc/rutter/secrets";

/// The policy that holds routes to the rules of a BGPFilter, and marks those in a range.
const FILTER: &str = "builtin:calico-filter";

/// A configuration file for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeToml {
    /// The file.
    pub text: String,
    /// What is not in it, or has to be done beside it; a sentence each.
    pub notes: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    import_policy_default: Option<&'static str>,
    bgp: Bgp,
    advertise: Advertise,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ip_pools: Vec<Pool>,
    peers: Vec<Peer>,
    policies: Vec<Policy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    import_policies: Vec<Policy>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Bgp {
    asn: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    listen: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Advertise {
    service_cluster_cidrs: Vec<String>,
    service_external_cidrs: Vec<String>,
    service_load_balancer_cidrs: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Peer {
    name: String,
    address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    asn: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    passive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    route_reflector_client: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_hop: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_asn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_own_asn: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_security: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keepalive_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_time: Option<String>,
}

#[derive(Serialize)]
struct Pool {
    cidr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipip: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vxlan: Option<&'static str>,
    routes: &'static str,
}

#[derive(Serialize)]
struct Policy {
    name: String,
    module: &'static str,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    peers: BTreeSet<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    settings: Value,
}

impl NodeConfig {
    /// The same as a configuration file, which says no more than what is true at present: nodes
    /// that come later are in no file.
    #[must_use]
    pub fn to_toml(&self) -> NodeToml {
        let mut notes = Vec::new();
        let peerings = &self.peerings;
        let peers = peerings.peers.iter();
        let peers = peers.map(|peering| peer(peering, &mut notes)).collect();
        let texts = |prefixes: &[Prefix]| {
            let texts = prefixes.iter().map(ToString::to_string);
            texts.collect::<Vec<_>>()
        };
        match self.load_balancer_aggregation {
            LoadBalancerAggregation::Enabled => {}
            LoadBalancerAggregation::Disabled => notes.push(
                "serviceLoadBalancerAggregation is Disabled, which a file cannot say: ranges of \
                 service-load-balancer-cidrs are announced as well; reject them by a policy"
                    .to_owned(),
            ),
        }
        let mut policies = self.filter_policies(Direction::Export);
        policies.push(Policy {
            name: "default".to_owned(),
            module: "builtin:default",
            peers: BTreeSet::new(),
            settings: Value::Null,
        });
        let marks = self.prefix_communities.iter().zip(1..);
        policies.extend(marks.map(|(marks, number)| community_policy(marks, number)));
        let import_policies = self.filter_policies(Direction::Import);
        let file = File {
            // As Calico has it: what no rule is about is used.
            import_policy_default: (!import_policies.is_empty()).then_some("accept"),
            bgp: Bgp {
                asn: peerings.asn.0,
                cluster_id: peerings.cluster_id.map(|id| id.0.to_string()),
                listen: self.listen.iter().map(ToString::to_string).collect(),
            },
            advertise: Advertise {
                service_cluster_cidrs: texts(&self.service_cluster_cidrs),
                service_external_cidrs: texts(&self.service_external_cidrs),
                service_load_balancer_cidrs: texts(&self.service_load_balancer_cidrs),
            },
            ip_pools: self.pools.iter().map(pool).collect(),
            peers,
            policies,
            import_policies,
        };
        let text = toml::to_string(&file).expect("keys are texts, and no value is null");
        notes.sort();
        notes.dedup();
        NodeToml { text, notes }
    }

    /// A policy for each filter of each list of filters that peers have, in the list's order.
    fn filter_policies(&self, direction: Direction) -> Vec<Policy> {
        let mut lists: BTreeMap<&[String], BTreeSet<String>> = BTreeMap::new();
        for peering in &self.peerings.peers {
            let groups = lists.entry(&peering.filters).or_default();
            groups.insert(template_of(peering).to_owned());
        }
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        let mut policies = Vec::new();
        for (list, groups) in lists {
            let filters = list.iter();
            let filters = filters.filter_map(|name| Some((name, self.filters.get(name)?)));
            for (name, filter) in filters {
                let Some(settings) = filter.settings(direction) else {
                    continue;
                };
                let count = uses.entry(name).or_default();
                *count += 1;
                policies.push(Policy {
                    name: match count {
                        1 => format!("bgp-filter {name}"),
                        count => format!("bgp-filter {name} ({count})"),
                    },
                    module: FILTER,
                    peers: groups.clone(),
                    settings: Filter::without_nulls(settings),
                });
            }
        }
        policies
    }
}

/// Adds communities to own routes in a range, whoever announces them to whom.
fn community_policy(marks: &PrefixCommunities, number: usize) -> Policy {
    let PrefixCommunities { cidr, communities } = marks;
    let list = match cidr.family() {
        Family::Ipv4Unicast => "exportV4",
        Family::Ipv6Unicast => "exportV6",
    };
    let communities = communities.iter();
    let add = communities.map(|community| json!({"addCommunity": {"value": community}}));
    Policy {
        name: format!("prefix-advertisement {number}"),
        module: FILTER,
        peers: BTreeSet::new(),
        settings: json!({ list: [{
            "action": "Accept",
            "cidr": cidr.to_string(),
            "matchOperator": "In",
            "operations": add.collect::<Vec<_>>(),
        }]}),
    }
}

fn pool(pool: &IpPool) -> Pool {
    let IpPool {
        cidr,
        encapsulation,
        routes,
    } = pool;
    let mode = |tunnelled: &Tunnelled| match tunnelled {
        Tunnelled::Always => "always",
        Tunnelled::CrossSubnet => "cross-subnet",
    };
    let (ipip, vxlan) = match encapsulation {
        Encapsulation::None => (None, None),
        Encapsulation::IpInIp(tunnelled) => (Some(mode(tunnelled)), None),
        Encapsulation::Vxlan(tunnelled) => (None, Some(mode(tunnelled))),
    };
    Pool {
        cidr: cidr.to_string(),
        ipip,
        vxlan,
        routes: match routes {
            PoolRoutes::Bgp => "bgp",
            PoolRoutes::Felix => "felix",
        },
    }
}

/// What peers of one template are called together.
fn template_of(peering: &Peering) -> &str {
    let name = &peering.name;
    name.split_once('/').map_or(name, |(template, _)| template)
}

fn peer(peering: &Peering, notes: &mut Vec<String>) -> Peer {
    let Peering {
        name,
        peer_type: _,
        node: _,
        address,
        port,
        asn,
        connect_mode,
        reflection,
        next_hop_mode,
        local_address,
        local_asn,
        own_asn_allowed,
        ttl_security,
        keepalive_time,
        restart_time,
        password,
        filters: _,
    } = peering;
    // What a hold time of 90 seconds allows.
    let usual = 1..u64::from(HoldTime::DEFAULT.as_secs());
    let keepalive = keepalive_time.map(|time| time.as_secs());
    if let Some(seconds) = keepalive.filter(|seconds| !usual.contains(seconds)) {
        notes.push(format!(
            "peer {name} is to be sent a KEEPALIVE every {seconds} seconds, which bgp.hold-time does \
             not allow"
        ));
    }
    let template = template_of(peering);
    Peer {
        name: name.clone(),
        address: *address,
        port: (*port != BGP_PORT).then_some(*port),
        asn: asn.0,
        local_address: *local_address,
        password_file: password.as_ref().map(|password| match password {
            PasswordSource::File(file) => file.display().to_string(),
            PasswordSource::Secret { name: secret, key } => {
                let file = format!("{SECRETS}/{secret}/{key}");
                notes.push(format!(
                    "the key of peer {name} is `{key}` of the Secret {secret}: mount that at \
                     {SECRETS}/{secret}"
                ));
                file
            }
        }),
        passive: *connect_mode == ConnectMode::Passive,
        group: (template != name).then(|| template.to_owned()),
        route_reflector_client: *reflection == Reflection::Client,
        next_hop: match next_hop_mode {
            NextHopMode::Auto => None,
            NextHopMode::SelfAddress => Some("self"),
            NextHopMode::Keep => Some("keep"),
        },
        local_asn: local_asn.map(|asn| asn.0),
        allow_own_asn: (*own_asn_allowed > 0).then_some(*own_asn_allowed),
        ttl_security: ttl_security.map(std::num::NonZeroU8::get),
        keepalive_time: keepalive
            .filter(|seconds| usual.contains(seconds))
            .map(|seconds| format!("{seconds}s")),
        restart_time: restart_time.map(|time| format!("{}s", RestartTime::nearest(time).as_secs())),
    }
}
