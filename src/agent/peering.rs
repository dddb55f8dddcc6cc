//! From configuration and node to what the speaker and the policies are told about peers: pure,
//! but for what must stay the same while the process runs.

mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::router_id::OwnRouterId;
use crate::config::{Config, Peer, RouterIdConfig};
use crate::facts::NodeFacts;
use crate::policy::{PeerGroup, PeerGroups, PeerKind};
use crate::speaker::{Learning, NextHops, PeerConfig, SpeakerConfig};
use crate::types::{GroupId, OverNotification, PeerId, RouterId};
pub(super) use keys::{Passwords, PeerKey};

/// What peers are called from one configuration to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Peering {
    ids: BTreeMap<(IpAddr, u16), PeerId>,
    groups: BTreeMap<GroupKey, GroupId>,
    /// The group of each peer of the configuration that was taken into use last.
    members: BTreeMap<PeerId, GroupId>,
    /// Taken from the Node once and then kept: an address that changes its place in the Node's
    /// list must not restart every session.
    node_router_id: Option<OwnRouterId>,
}

/// What makes a group the same as before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum GroupKey {
    /// A peer without a group, whatever it is called and labelled.
    Alone(PeerId),
    /// Peers that policies cannot tell apart.
    Shared(PeerGroup),
}

impl Peering {
    /// Our BGP Identifier; none while it is to come from the Node, and the Node is unknown.
    pub(super) fn router_id(
        &mut self,
        config: &Config,
        node: Option<&NodeFacts>,
    ) -> Option<OwnRouterId> {
        match config.bgp.router_id {
            RouterIdConfig::Fixed(id) => Some(OwnRouterId::configured(id)),
            RouterIdConfig::Auto => {
                if self.node_router_id.is_none() {
                    self.node_router_id = node.map(OwnRouterId::of_node);
                }
                self.node_router_id.clone()
            }
        }
    }

    /// What the speaker is to be.
    pub(super) fn speaker_config(
        &mut self,
        config: &Config,
        passwords: &Passwords,
        node: Option<&NodeFacts>,
        router_id: RouterId,
    ) -> SpeakerConfig {
        let peers = config.peers.iter().map(|peer| PeerConfig {
            id: self.id(peer),
            name: peer.name.clone(),
            address: peer.address,
            port: peer.port,
            asn: peer.asn,
            group: self.group(config, peer),
            connect_mode: peer.connect_mode,
            hold_time: config.bgp.hold_time,
            local_address: peer.local_address,
            password: passwords.key(&peer.name).cloned(),
            barred: passwords.missing(&peer.name).map(str::to_owned),
            first_as: peer.first_as,
            limits: peer.limits,
            reflection: peer.reflection,
            next_hop_mode: peer.next_hop_mode,
            local_asn: peer.local_asn,
            own_asn_allowed: peer.own_asn_allowed,
            ttl_security: peer.ttl_security,
            keepalive_time: peer.keepalive_time,
            restart_time: peer.restart_time,
            // A node that is cut off or dead must not draw traffic for longer than the hold time.
            over_notification: OverNotification::Drop,
        });
        let peers = peers.collect();
        SpeakerConfig {
            asn: config.bgp.asn,
            router_id,
            cluster_id: config.bgp.cluster_id,
            next_hops: next_hops(node),
            addresses: node.map(own_addresses).unwrap_or_default(),
            // The pipeline knows what decides.
            learning: Learning::Everything,
            peers,
        }
    }

    /// The groups of a configuration that is taken into use.
    pub(super) fn take_groups(&mut self, config: &Config) -> PeerGroups {
        let before = std::mem::take(&mut self.members);
        let existing: BTreeSet<GroupId> = before.values().copied().collect();
        let mut taken = PeerGroups::default();
        for peer in &config.peers {
            let (id, group) = (self.id(peer), self.group(config, peer));
            self.members.insert(id, group);
            taken.groups.insert(group, peer_group(config, peer));
            if let Some(former) = before.get(&id)
                && !existing.contains(&group)
            {
                taken.heirs.entry(group).or_insert(*former);
            }
        }
        taken
    }

    /// Takes over the names that a copy of this gave to peers and groups.
    pub(super) fn take_ids(&mut self, copy: Self) {
        let Self {
            ids,
            groups,
            members,
            // The Node may have been seen since.
            node_router_id: _,
        } = copy;
        self.ids = ids;
        self.groups = groups;
        self.members = members;
    }

    /// The group whose decisions a peer is sent.
    fn group(&mut self, config: &Config, peer: &Peer) -> GroupId {
        let key = match peer.group {
            Some(_) => GroupKey::Shared(peer_group(config, peer)),
            None => GroupKey::Alone(self.id(peer)),
        };
        let next = u32::try_from(self.groups.len()).expect("fewer than 2^32 groups");
        *self.groups.entry(key).or_insert(GroupId(next))
    }

    /// The group of a peer of the configuration in force.
    pub(super) fn group_of(&self, peer: PeerId) -> Option<GroupId> {
        self.members.get(&peer).copied()
    }

    /// The peer's id: the same for the same address and port, whatever else changes.
    pub(super) fn id(&mut self, peer: &Peer) -> PeerId {
        let next = u32::try_from(self.ids.len()).expect("fewer than 2^32 peers");
        *self
            .ids
            .entry((peer.address, peer.port))
            .or_insert(PeerId(next))
    }

    /// The id given to a peer earlier.
    pub(super) fn known_id(&self, peer: &Peer) -> Option<PeerId> {
        self.ids.get(&(peer.address, peer.port)).copied()
    }
}

/// What policies are told of a peer.
pub(super) fn peer_group(config: &Config, peer: &Peer) -> PeerGroup {
    PeerGroup {
        name: peer.group_name().to_owned(),
        asn: peer.asn,
        kind: peer_kind(config, peer),
        labels: peer.labels.clone(),
    }
}

/// Internal where it is in our AS.
pub(super) fn peer_kind(config: &Config, peer: &Peer) -> PeerKind {
    if peer.asn == peer.local_asn(&config.bgp) {
        PeerKind::Ibgp
    } else {
        PeerKind::Ebgp
    }
}

fn own_addresses(node: &NodeFacts) -> BTreeSet<IpAddr> {
    let addresses = node.internal_ips.iter().chain(&node.external_ips);
    addresses.copied().collect()
}

fn next_hops(node: Option<&NodeFacts>) -> NextHops {
    NextHops {
        ipv4: node.and_then(first_ipv4),
        ipv6: node.and_then(first_ipv6),
    }
}

fn first_ipv4(node: &NodeFacts) -> Option<Ipv4Addr> {
    node.internal_ips.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
}

fn first_ipv6(node: &NodeFacts) -> Option<Ipv6Addr> {
    node.internal_ips.iter().find_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    })
}

#[cfg(test)]
mod tests;
