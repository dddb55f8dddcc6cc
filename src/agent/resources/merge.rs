//! One configuration of the file's and what Calico's resources say. Pure.
//!
//! | of what | which counts |
//! |---|---|
//! | our cluster id | the file's, if it has one |
//! | our AS | the resources': every node's agent has to agree about it |
//! | peers | both; of two with one address, the file's |
//! | where we listen | the file's, if it says another than the default; else the resources' |
//! | Service ranges | both; cluster ranges of the environment replace the resources', too |
//! | all else | the file's |
//!
//! What does not count and would have been different is told as a conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::Said;
use crate::calico::{LoadBalancerAggregation, NodeConfig};
use crate::config::{BgpConfig, CalicoResources, Config, Overrides, Peer};
use crate::topology::{PasswordSource, Peering};
use crate::types::{Asn, FirstAs, Prefix, ReceiveLimits, RestartTime};

/// The file's and the resources'.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::agent) struct Merged {
    pub(in crate::agent) config: Config,
    /// The peers that have a key in a Secret, by name, with where it is.
    pub(in crate::agent) secrets: BTreeMap<String, SecretKey>,
    /// Peers that are neither dialled nor accepted, by name, and why.
    pub(in crate::agent) barred: BTreeMap<String, String>,
    /// What of the one is not as the other says; a sentence each.
    pub(in crate::agent) conflicts: Vec<String>,
}

/// A key of a Secret in the agent's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::agent) struct SecretKey {
    /// `metadata.name`.
    pub(in crate::agent) name: String,
    /// Which of its `data`.
    pub(in crate::agent) key: String,
}

/// Both as one. `environment` has the cluster ranges where it says something of them.
pub(in crate::agent) fn merged(file: &Config, said: &Said, environment: Environment) -> Merged {
    let mut merged = Merged {
        config: file.clone(),
        secrets: BTreeMap::new(),
        barred: BTreeMap::new(),
        conflicts: Vec::new(),
    };
    merged.config.calico.resources = CalicoResources::Merged;
    let Some(node) = &said.node else {
        // Not even the file's: the AS of all of them is not known.
        merged.config.calico.resources = CalicoResources::Awaited;
        let words = "there are no sessions: Calico's resources do not say what our AS is";
        merged.conflicts.push(words.to_owned());
        return merged;
    };
    merged.take_own(node);
    merged.take_ranges(node, environment);
    merged.take_peers(node);
    merged
}

/// Whether the environment has cluster ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum Environment {
    HasClusterRanges,
    Silent,
}

impl Environment {
    /// What of the variables is of consequence here.
    pub(in crate::agent) fn of(overrides: &Overrides) -> Self {
        let Overrides {
            rutter_advertise_cluster_ips,
            calico_advertise_cluster_ips,
        } = overrides;
        let variables = [rutter_advertise_cluster_ips, calico_advertise_cluster_ips];
        let mut texts = variables.into_iter().flatten();
        match texts.any(|text| text.contains('/')) {
            true => Self::HasClusterRanges,
            false => Self::Silent,
        }
    }
}

impl Merged {
    fn take_own(&mut self, node: &NodeConfig) {
        let default = BgpConfig::default();
        let bgp = &mut self.config.bgp;
        let asn = node.peerings.asn;
        if bgp.asn != asn && bgp.asn != default.asn {
            let Asn(file) = bgp.asn;
            let Asn(used) = asn;
            self.conflicts.push(format!(
                "bgp.asn is {file}, and by Calico's resources this node is in AS {used}, which counts: \
                 remove bgp.asn"
            ));
        }
        bgp.asn = asn;
        match (bgp.cluster_id, node.peerings.cluster_id) {
            (None, resources) => bgp.cluster_id = resources,
            (Some(file), Some(resources)) if file != resources => {
                self.conflicts.push(format!(
                    "bgp.cluster-id is {}, and by Calico's resources it is {}; bgp.cluster-id counts: remove it",
                    file.0, resources.0
                ));
            }
            (Some(_), _) => {}
        }
        if bgp.listen == default.listen {
            bgp.listen.clone_from(&node.listen);
        } else if as_set(&bgp.listen) != as_set(&node.listen) {
            self.conflicts.push(
                "bgp.listen is not where Calico's resources have this node listen; bgp.listen counts: \
                 remove it, or their listenPort and bindMode"
                    .to_owned(),
            );
        }
        if !node.prefix_communities.is_empty() {
            self.conflicts.push(
                "prefixAdvertisements of BGPConfigurations are not heeded: use the policy \
                 `communities`"
                    .to_owned(),
            );
        }
        let conflicts = node.peerings.conflicts.iter();
        self.conflicts.extend(conflicts.map(ToString::to_string));
    }

    fn take_ranges(&mut self, node: &NodeConfig, environment: Environment) {
        let advertise = &mut self.config.advertise;
        match environment {
            Environment::HasClusterRanges => {}
            Environment::Silent => {
                add(
                    &mut advertise.service_cluster_cidrs,
                    &node.service_cluster_cidrs,
                );
            }
        }
        add(
            &mut advertise.service_external_cidrs,
            &node.service_external_cidrs,
        );
        add(
            &mut advertise.service_load_balancer_cidrs,
            &node.service_load_balancer_cidrs,
        );
        match node.load_balancer_aggregation {
            LoadBalancerAggregation::Enabled => {}
            LoadBalancerAggregation::Disabled => self.conflicts.push(
                "serviceLoadBalancerAggregation of BGPConfiguration default is Disabled, which is not \
                 heeded: the ranges are announced as well; reject them by a policy"
                    .to_owned(),
            ),
        }
    }

    fn take_peers(&mut self, node: &NodeConfig) {
        let of_file = &self.config.peers;
        let addresses: BTreeMap<_, _> = of_file
            .iter()
            .map(|peer| (peer.address, peer.name.clone()))
            .collect();
        let mut names: BTreeSet<String> = of_file
            .iter()
            .flat_map(|peer| [Some(peer.name.clone()), peer.group.clone()])
            .flatten()
            .collect();
        for peering in &node.peerings.peers {
            if let Some(of_file) = addresses.get(&peering.address) {
                let Peering { name, address, .. } = peering;
                self.conflicts.push(format!(
                    "{name} of Calico's resources and the peer {of_file} of the file are both about \
                     {address}; the file's counts: remove one of them"
                ));
                continue;
            }
            let group = free(template_of(&peering.name), &names);
            let name = match peering.name.strip_prefix(template_of(&peering.name)) {
                Some(rest) => free(&format!("{group}{rest}"), &names),
                None => group.clone(),
            };
            names.insert(name.clone());
            match &peering.password {
                Some(PasswordSource::Secret { name: secret, key }) => {
                    let key = SecretKey {
                        name: secret.clone(),
                        key: key.clone(),
                    };
                    self.secrets.insert(name.clone(), key);
                }
                Some(PasswordSource::File(_)) | None => {}
            }
            if !peering.filters.is_empty() {
                let filters = peering.filters.join(", ");
                self.barred.insert(
                    name.clone(),
                    format!(
                        "peer `{name}` is to be filtered by BGPFilter {filters}, which is not done from \
                         resources: write it as a policy calico-filter and the peer into the file"
                    ),
                );
            }
            let advertise = &mut self.config.advertise;
            advertise
                .peer_addresses
                .insert(peering.address, name.clone());
            advertise.own_addresses.extend(peering.local_address);
            let usual = self.config.bgp.restart_time;
            let peer = peer(name, group, peering, usual);
            self.config.peers.push(peer);
        }
    }
}

/// What a template is called whose peering has this name.
fn template_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(template, _)| template)
}

/// The name, or one like it that nobody has.
fn free(name: &str, taken: &BTreeSet<String>) -> String {
    let mut name = name.to_owned();
    while taken.contains(&name) {
        name.push_str("-calico");
    }
    name
}

/// All peerings of one template are decided about together.
fn peer(name: String, group: String, peering: &Peering, usual: Option<RestartTime>) -> Peer {
    let Peering {
        name: _,
        peer_type,
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
    Peer {
        name,
        peer_type: *peer_type,
        address: *address,
        port: *port,
        asn: *asn,
        local_address: *local_address,
        password_file: match password {
            Some(PasswordSource::File(file)) => Some(file.clone()),
            Some(PasswordSource::Secret { .. }) | None => None,
        },
        connect_mode: *connect_mode,
        group: Some(group),
        labels: BTreeMap::new(),
        reflection: *reflection,
        next_hop_mode: *next_hop_mode,
        local_asn: *local_asn,
        own_asn_allowed: *own_asn_allowed,
        ttl_security: *ttl_security,
        keepalive_time: *keepalive_time,
        // Who switched it off in the file wants none.
        restart_time: usual.map(|usual| restart_time.map_or(usual, RestartTime::nearest)),
        first_as: FirstAs::Peers,
        limits: ReceiveLimits::DEFAULT,
    }
}

fn add(ranges: &mut Vec<Prefix>, more: &[Prefix]) {
    for range in more {
        if !ranges.contains(range) {
            ranges.push(*range);
        }
    }
}

fn as_set(addresses: &[SocketAddr]) -> BTreeSet<SocketAddr> {
    addresses.iter().copied().collect()
}
