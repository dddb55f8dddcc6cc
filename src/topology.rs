//! Who peers with whom in a cluster: from templates of peerings, a mesh and the cluster's nodes to
//! the peers of one node.
//!
//! Templates come from the configuration file and from Calico's resources; whoever reads those
//! makes a [`Topology`] of them and of the nodes, and [`peerings`] says what it means for one
//! node. That is a pure function, the same for every order in which its input became known, and
//! each node that works it out for itself agrees with all others.
//!
//! **Both ends.** A template says which nodes hold the peering and with whom. Where the other end
//! is a node, too, that node holds the reverse peering, unless the template says
//! [`Reverse::Manual`]. The mesh is between all nodes that have no cluster id: reflectors stay out
//! of it on both sides.
//!
//! **Which wins.** One address and port is one peering. A template for all nodes wins over one for
//! some, what a template says over what another implies by its reverse, both over the mesh, and of
//! two equals the first by name. As a session is known by the address it comes from, of two
//! peerings with one address only the first is held. What loses and would have been different is
//! told as a [`Conflict`].

mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use resolve::peerings;

pub use crate::types::{ClusterId, NextHopMode, Reflection};

use crate::selector::Selector;
use crate::types::{Asn, ConnectMode, Family, PeerType};

/// Everything that decides who peers with whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// The AS of every node that has none of its own.
    pub asn: Asn,
    /// Where every node listens that has no port of its own.
    pub listen_port: u16,
    /// What the node-to-node mesh is like; none where there is none.
    pub mesh: Option<PeerOptions>,
    /// In any order; names are unique.
    pub templates: Vec<PeerTemplate>,
    /// Every node of the cluster, by name.
    pub nodes: BTreeMap<String, ClusterNode>,
}

/// What there is to know of a node for its peerings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNode {
    /// What selectors look at.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Its end of IPv4 sessions.
    pub ipv4: Option<Ipv4Addr>,
    /// Its end of IPv6 sessions.
    pub ipv6: Option<Ipv6Addr>,
    /// Its AS, where it has one of its own.
    pub asn: Option<Asn>,
    /// It is a route reflector of this cluster.
    pub cluster_id: Option<ClusterId>,
    /// Where it listens, where that is a port of its own.
    pub listen_port: Option<u16>,
}

/// A peering of many nodes at once.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerTemplate {
    /// For people, and what templates are ordered by.
    pub name: String,
    /// Where it is written, in words that begin a sentence: `BGPPeer tor`, `peers[3]`.
    pub origin: String,
    /// Who holds it.
    pub nodes: Nodes,
    /// With whom.
    pub target: Target,
    /// Whether nodes that are a target hold it, too.
    pub reverse: Reverse,
    /// What it is like.
    pub options: PeerOptions,
}

/// Which nodes hold a peering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// All, which makes it a global peer.
    All,
    /// The one of this name.
    Named(String),
    /// Those with such labels, be it all of them.
    Selected(Selector),
}

/// Whom a peering is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One address, a node's or somebody else's.
    Address {
        /// Where it is.
        address: IpAddr,
        /// Where it listens; absent: where that node does which has the address and the AS, or the
        /// usual port.
        port: Option<u16>,
        /// Its AS; absent: the cluster's.
        asn: Option<Asn>,
    },
    /// Other nodes, at every address that both ends have the family of.
    Nodes(Selector),
}

/// Whether a template implies peerings of the nodes that it is about the other end of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reverse {
    /// It does.
    #[default]
    Auto,
    /// Another template is there for that.
    Manual,
}

/// What is the same for every peering of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerOptions {
    /// What becomes of next hops.
    pub next_hop: NextHop,
    /// What our AS is to this peer, where it is another than usual.
    pub local_asn: Option<Asn>,
    /// How often our own AS may stand in the paths of its routes.
    pub own_asn_allowed: u8,
    /// How many hops away it is, where that is to be checked (RFC 5082).
    pub ttl_security: Option<NonZeroU8>,
    /// How often we send a KEEPALIVE, where that is not a third of the hold time.
    pub keepalive_time: Option<Duration>,
    /// How long it is waited for after a restart of it (RFC 4724), where that is not as usual.
    pub restart_time: Option<Duration>,
    /// Our end of the connections that we dial.
    pub source_address: SourceAddress,
    /// Where the key of TCP MD5 signatures is.
    pub password: Option<PasswordSource>,
    /// BGPFilters by name, in their order.
    pub filters: Vec<String>,
}

/// What a template says of next hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// To all peers the same.
    Mode(NextHopMode),
    /// Kept to peers in another AS, as usual to those in ours.
    KeepToExternal,
}

/// Our end of the connections that we dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceAddress {
    /// The node's own address of the family.
    #[default]
    Node,
    /// Whatever the kernel chooses.
    Kernel,
}

/// Where a key of TCP MD5 signatures is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PasswordSource {
    /// In this file.
    File(PathBuf),
    /// In a Secret of the agent's own namespace.
    Secret {
        /// `metadata.name`.
        name: String,
        /// Which of its `data`.
        key: String,
    },
}

/// What a node has with its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peerings {
    /// The node's own AS.
    pub asn: Asn,
    /// Where it is to listen.
    pub listen_port: u16,
    /// It is a route reflector of this cluster.
    pub cluster_id: Option<ClusterId>,
    /// Ordered by address, each address once.
    pub peers: Vec<Peering>,
    /// What is not as it was written, and why; ordered, each once.
    pub conflicts: Vec<Conflict>,
}

/// One peer of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peering {
    /// Unique: the template's name, followed by `/` and the address if it can mean several.
    pub name: String,
    /// Why there is this peering.
    pub peer_type: PeerType,
    /// The node at the other end, if it is one.
    pub node: Option<String>,
    /// Where it is.
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// Its AS.
    pub asn: Asn,
    /// Whether we dial.
    pub connect_mode: ConnectMode,
    /// What it is to us where we are a reflector.
    pub reflection: Reflection,
    /// What becomes of next hops.
    pub next_hop_mode: NextHopMode,
    /// Our end of the connections that we dial; the kernel chooses where absent.
    pub local_address: Option<IpAddr>,
    /// What our AS is to this peer, where it is another than usual.
    pub local_asn: Option<Asn>,
    /// How often our own AS may stand in the paths of its routes.
    pub own_asn_allowed: u8,
    /// How many hops away it is, where that is to be checked.
    pub ttl_security: Option<NonZeroU8>,
    /// How often we send a KEEPALIVE.
    pub keepalive_time: Option<Duration>,
    /// How long it is waited for after a restart of it.
    pub restart_time: Option<Duration>,
    /// Where the key of TCP MD5 signatures is.
    pub password: Option<PasswordSource>,
    /// BGPFilters by name, in their order.
    pub filters: Vec<String>,
}

/// Something that was asked for and is not so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// Two say different things about one peering.
    Differs {
        /// Whose word counts.
        used: String,
        /// Whose does not.
        ignored: String,
        /// With whom.
        address: IpAddr,
        /// At which port.
        port: u16,
    },
    /// A second session with one address.
    SecondPort {
        /// Which is held.
        used: String,
        /// Which is not.
        ignored: String,
        /// With whom.
        address: IpAddr,
        /// The port of the one that is held.
        port: u16,
    },
    /// The node has no address that it could dial from.
    NoAddress {
        /// Which is not held.
        ignored: String,
        /// With whom.
        address: IpAddr,
    },
}

impl Default for NextHop {
    fn default() -> Self {
        Self::Mode(NextHopMode::default())
    }
}

impl ClusterNode {
    /// Its end of sessions of this family.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Ipv4Unicast => self.ipv4.map(IpAddr::V4),
            Family::Ipv6Unicast => self.ipv6.map(IpAddr::V6),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs {
                used,
                ignored,
                address,
                port,
            } => write!(
                f,
                "{ignored} says otherwise than {used} about the peer {address} port {port}; {used} \
                 counts: remove one of them"
            ),
            Self::SecondPort {
                used,
                ignored,
                address,
                port,
            } => write!(
                f,
                "{ignored} asks for a second session with {address}, which {used} has at port \
                 {port}; one address is one session: remove one of them"
            ),
            Self::NoAddress { ignored, address } => write!(
                f,
                "{ignored} asks for a session with {address}, and this node has no address of that \
                 family: give it one, or have the peering on other nodes only"
            ),
        }
    }
}
