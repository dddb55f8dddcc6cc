//! What a topology means for one node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{
    ClusterNode, Conflict, NextHop, Nodes, PeerOptions, PeerTemplate, PeerType, Peering, Peerings,
    Reverse, SourceAddress, Target, Topology,
};
use crate::types::{Asn, BGP_PORT, ConnectMode, Family, NextHopMode, Reflection};

/// The name of the mesh in those of its peers and in conflicts.
const MESH: &str = "mesh";

/// The peers of the node of this name; nothing while that is not known, for neither its AS nor its
/// addresses are then.
#[must_use]
pub fn peerings(topology: &Topology, name: &str) -> Option<Peerings> {
    let (name, node) = topology.nodes.get_key_value(name)?;
    let own = Own {
        topology,
        name,
        node,
        asn: topology.asn_of(node),
    };
    let mut claims = Claims::default();
    let mut templates: Vec<_> = topology.templates.iter().collect();
    templates.sort_by(|a, b| (&a.name, &a.origin).cmp(&(&b.name, &b.origin)));
    let (global, some): (Vec<_>, Vec<_>) = templates
        .iter()
        .partition(|template| template.nodes == Nodes::All);
    for template in global.into_iter().chain(some) {
        own.explicit(template, &mut claims);
    }
    for template in templates {
        own.reverse(template, &mut claims);
    }
    if let Some(options) = &topology.mesh {
        own.mesh(options, &mut claims);
    }
    let (peers, conflicts) = claims.into_peers();
    Some(Peerings {
        asn: own.asn,
        listen_port: topology.port_of(node),
        cluster_id: node.cluster_id,
        peers,
        conflicts,
    })
}

impl Topology {
    fn asn_of(&self, node: &ClusterNode) -> Asn {
        node.asn.unwrap_or(self.asn)
    }

    fn port_of(&self, node: &ClusterNode) -> u16 {
        node.listen_port.unwrap_or(self.listen_port)
    }

    /// The first node that has this address.
    fn node_at(&self, address: IpAddr) -> Option<(&String, &ClusterNode)> {
        let family = Family::of(address);
        self.nodes
            .iter()
            .find(|(_, node)| node.address(family) == Some(address))
    }
}

impl Nodes {
    fn include(&self, name: &str, node: &ClusterNode) -> bool {
        match self {
            Self::All => true,
            Self::Named(wanted) => wanted == name,
            Self::Selected(selector) => selector.matches(&node.labels),
        }
    }

    fn peer_type(&self) -> PeerType {
        match self {
            Self::All => PeerType::GlobalPeer,
            Self::Named(_) | Self::Selected(_) => PeerType::NodePeer,
        }
    }
}

/// The node whose peerings are looked for.
struct Own<'t> {
    topology: &'t Topology,
    name: &'t String,
    node: &'t ClusterNode,
    asn: Asn,
}

/// The other end of a peering.
struct Remote<'t> {
    address: IpAddr,
    port: u16,
    asn: Asn,
    node: Option<(&'t String, &'t ClusterNode)>,
}

impl<'t> Own<'t> {
    /// What the template says for this node.
    fn explicit(&self, template: &PeerTemplate, claims: &mut Claims) {
        if !template.nodes.include(self.name, self.node) {
            return;
        }
        let peer_type = template.nodes.peer_type();
        match &template.target {
            Target::Address { address, port, asn } => {
                let family = Family::of(*address);
                if self.node.address(family) == Some(*address) {
                    return;
                }
                let asn = asn.unwrap_or(self.topology.asn);
                let node = self.topology.node_at(*address);
                let listens = node.filter(|(_, node)| self.topology.asn_of(node) == asn);
                let remote = Remote {
                    address: *address,
                    port: port.unwrap_or_else(|| {
                        listens.map_or(BGP_PORT, |(_, node)| self.topology.port_of(node))
                    }),
                    asn,
                    node,
                };
                let Some(peering) = self.peering(&template.options, &remote) else {
                    claims.conflicts.push(Conflict::NoAddress {
                        ignored: template.origin.clone(),
                        address: *address,
                    });
                    return;
                };
                // The reverse of this, at the node that has the address, dials.
                let yields = match (template.nodes == Nodes::All, template.reverse) {
                    (true, Reverse::Auto) => node.is_some() && self.yields_to(*address),
                    (true, Reverse::Manual) | (false, Reverse::Auto | Reverse::Manual) => false,
                };
                let peering = Peering {
                    name: template.name.clone(),
                    peer_type,
                    connect_mode: connect_mode(yields),
                    ..peering
                };
                claims.add(&template.origin, Rank::of(peer_type), peering);
            }
            Target::Nodes(selector) => {
                let matches = |node: &ClusterNode| selector.matches(&node.labels);
                for remote in self.other_nodes(|_, node| matches(node)) {
                    self.claim(template, Rank::of(peer_type), peer_type, &remote, claims);
                }
            }
        }
    }

    /// What the template implies for this node by being about it.
    fn reverse(&self, template: &PeerTemplate, claims: &mut Claims) {
        match template.reverse {
            Reverse::Auto => {}
            Reverse::Manual => return,
        }
        let families: &[Family] = match &template.target {
            Target::Address { address, port, asn } => {
                let family = Family::of(*address);
                let is_this = self.node.address(family) == Some(*address)
                    && asn.unwrap_or(self.topology.asn) == self.asn
                    && port.is_none_or(|port| port == self.topology.port_of(self.node));
                if !is_this {
                    return;
                }
                match family {
                    Family::Ipv4Unicast => &[Family::Ipv4Unicast],
                    Family::Ipv6Unicast => &[Family::Ipv6Unicast],
                }
            }
            Target::Nodes(selector) if selector.matches(&self.node.labels) => &Family::ALL,
            Target::Nodes(_) => return,
        };
        let holders = self.other_nodes(|name, node| template.nodes.include(name, node));
        for remote in holders {
            if families.contains(&Family::of(remote.address)) {
                let remote = Remote {
                    // What the other end says it is.
                    asn: template.options.local_asn.unwrap_or(remote.asn),
                    ..remote
                };
                let peer_type = PeerType::NodePeer;
                self.claim(template, Rank::Reverse, peer_type, &remote, claims);
            }
        }
    }

    fn mesh(&self, options: &PeerOptions, claims: &mut Claims) {
        if self.node.cluster_id.is_some() {
            return;
        }
        for remote in self.other_nodes(|_, node| node.cluster_id.is_none()) {
            let Some(peering) = self.peering(options, &remote) else {
                continue;
            };
            let peering = Peering {
                name: format!("{MESH}/{}", remote.address),
                peer_type: PeerType::NodeMesh,
                connect_mode: connect_mode(self.yields_to(remote.address)),
                ..peering
            };
            claims.add(MESH, Rank::Mesh, peering);
        }
    }

    /// The peering with another node that a template is about.
    fn claim(
        &self,
        template: &PeerTemplate,
        rank: Rank,
        peer_type: PeerType,
        remote: &Remote<'_>,
        claims: &mut Claims,
    ) {
        let reversed;
        let options = match rank {
            Rank::Global | Rank::Some | Rank::Mesh => &template.options,
            Rank::Reverse => {
                reversed = PeerOptions {
                    local_asn: None,
                    ..template.options.clone()
                };
                &reversed
            }
        };
        // Where one end lacks the family there is nothing that the template asked for.
        let Some(peering) = self.peering(options, remote) else {
            return;
        };
        let peering = Peering {
            name: format!("{}/{}", template.name, remote.address),
            peer_type,
            ..peering
        };
        claims.add(&template.origin, rank, peering);
    }

    /// Every address of the other nodes that are wanted.
    fn other_nodes(
        &self,
        wanted: impl Fn(&str, &ClusterNode) -> bool,
    ) -> impl Iterator<Item = Remote<'t>> {
        let topology = self.topology;
        let others = topology.nodes.iter();
        let others = others.filter(move |(name, node)| *name != self.name && wanted(name, node));
        others.flat_map(move |(name, node)| {
            let addresses = Family::ALL.into_iter();
            let addresses = addresses.filter_map(|family| node.address(family));
            addresses.map(move |address| Remote {
                address,
                port: topology.port_of(node),
                asn: topology.asn_of(node),
                node: Some((name, node)),
            })
        })
    }

    /// With neither name nor type yet, and dialled; none where we have no address of the family.
    fn peering(&self, options: &PeerOptions, remote: &Remote<'_>) -> Option<Peering> {
        let address = self.node.address(Family::of(remote.address))?;
        let PeerOptions {
            next_hop,
            local_asn,
            own_asn_allowed,
            ttl_security,
            keepalive_time,
            restart_time,
            source_address,
            password,
            filters,
        } = options.clone();
        let is_internal = local_asn.unwrap_or(self.asn) == remote.asn;
        let other_cluster = remote.node.and_then(|(_, node)| node.cluster_id);
        let is_client =
            is_internal && self.node.cluster_id.is_some() && other_cluster != self.node.cluster_id;
        Some(Peering {
            name: String::new(),
            peer_type: PeerType::NodePeer,
            node: remote.node.map(|(name, _)| name.clone()),
            address: remote.address,
            port: remote.port,
            asn: remote.asn,
            connect_mode: ConnectMode::Active,
            reflection: if is_client {
                Reflection::Client
            } else {
                Reflection::NonClient
            },
            next_hop_mode: match next_hop {
                NextHop::Mode(mode) => mode,
                NextHop::KeepToExternal if is_internal => NextHopMode::Auto,
                NextHop::KeepToExternal => NextHopMode::Keep,
            },
            local_address: match source_address {
                SourceAddress::Node => Some(address),
                SourceAddress::Kernel => None,
            },
            local_asn,
            own_asn_allowed,
            ttl_security,
            keepalive_time,
            restart_time,
            password,
            filters,
        })
    }

    /// Whether the other of two ends that both could is the one that dials. Both work that out for
    /// themselves, as text, which is how Calico does: nodes of either kind agree.
    fn yields_to(&self, address: IpAddr) -> bool {
        let own = self.node.address(Family::of(address));
        own.is_some_and(|own| address.to_string() > own.to_string())
    }
}

fn connect_mode(yields: bool) -> ConnectMode {
    if yields {
        ConnectMode::Passive
    } else {
        ConnectMode::Active
    }
}

/// What wins over what, the first over the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Global,
    Some,
    Reverse,
    Mesh,
}

impl Rank {
    fn of(peer_type: PeerType) -> Self {
        match peer_type {
            PeerType::GlobalPeer => Self::Global,
            PeerType::NodePeer => Self::Some,
            PeerType::NodeMesh => Self::Mesh,
        }
    }
}

/// What was asked for so far, in the order in which it wins.
#[derive(Default)]
struct Claims {
    held: BTreeMap<IpAddr, (String, Rank, Peering)>,
    conflicts: Vec<Conflict>,
}

impl Claims {
    /// Takes what nothing else was there before, and notes what somebody wrote in vain.
    fn add(&mut self, origin: &str, rank: Rank, peering: Peering) {
        let address = peering.address;
        let Some((used, used_rank, held)) = self.held.get(&address) else {
            let claim = (origin.to_owned(), rank, peering);
            self.held.insert(address, claim);
            return;
        };
        // What nobody wrote gives way without a word, and so does a template to itself.
        let is_written = rank <= Rank::Some;
        if !is_written || used == origin {
            return;
        }
        let (used, ignored, port) = (used.clone(), origin.to_owned(), held.port);
        if peering.port != port {
            self.conflicts.push(Conflict::SecondPort {
                used,
                ignored,
                address,
                port,
            });
        } else if *used_rank == rank && !held.is_as(&peering) {
            self.conflicts.push(Conflict::Differs {
                used,
                ignored,
                address,
                port,
            });
        }
    }

    fn into_peers(self) -> (Vec<Peering>, Vec<Conflict>) {
        let peers = self.held.into_values().map(|(_, _, peering)| peering);
        let mut conflicts = self.conflicts;
        conflicts.sort();
        conflicts.dedup();
        (peers.collect(), conflicts)
    }
}

impl Peering {
    /// Whether it is the same but for its name.
    fn is_as(&self, other: &Self) -> bool {
        let other = Self {
            name: self.name.clone(),
            ..other.clone()
        };
        *self == other
    }
}
