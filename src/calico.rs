//! Calico's resources: what they say about BGP, as this program has it.
//!
//! [`Resources`] is an index of the objects as they are served: whoever watches them applies and
//! deletes, in any order, and [`Resources::node`] says what all of them mean for one node. It is
//! pure, and the answer depends on the objects alone, never on the way there.
//!
//! Two groups of the API carry the same kinds ([`ApiGroup`]); what is served natively is read from
//! there alone. Each field of each kind stands in one table (`fields`): it is read, it is about
//! something else than BGP, or it is refused. What is refused, unknown or wrong is told as a
//! [`Problem`] that names the object and the field, and costs no more than it has to: a wrong
//! element its place in the list, a wrong object itself. What is not known of an AS is never
//! guessed: where the `default` BGPConfiguration does not say in a readable way which one it is,
//! there are no peers, and a node that does not is nobody's peer.

mod configuration;
mod document;
mod fields;
mod filter;
mod ipam;
mod node;
mod node_config;
mod object;
mod peer;
mod resources;
mod scalar;
#[cfg(test)]
mod tests;

use std::fmt;

pub use configuration::{LoadBalancerAggregation, PrefixCommunities};
pub use document::objects_in;
pub use filter::Filter;
pub use ipam::{Block, BlockState, Encapsulation, IpPool};
pub use node_config::NodeConfig;
pub use resources::{Effect, Resources};

/// A kind of object that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The cluster's AS, mesh and Service ranges, or a node's own settings.
    BgpConfiguration,
    /// A peering of nodes.
    BgpPeer,
    /// Rules on routes, which peerings name.
    BgpFilter,
    /// Addresses, labels and AS of a node; Kubernetes' or Calico's.
    Node,
    /// Which addresses pods have.
    IpPool,
    /// Which of those a node has.
    BlockAffinity,
}

/// Where an object is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiGroup {
    /// Kubernetes' own `v1`, which has Nodes.
    Core,
    /// `crd.projectcalico.org/v1`: what Calico keeps its resources as, in Kubernetes.
    Crd,
    /// `projectcalico.org/v3`: what people and `calicoctl` write.
    V3,
}

/// Something about an object that is not as it was written. Prints as
/// `BGPPeer tor: spec.reachableBy is not supported: ...`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Of what kind the object is.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
    /// The path of the field; empty where it is about the whole object.
    pub field: String,
    /// What is wrong with it and what becomes of it, to be read after the field.
    pub words: String,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::BgpConfiguration,
        Self::BgpPeer,
        Self::BgpFilter,
        Self::Node,
        Self::IpPool,
        Self::BlockAffinity,
    ];

    /// `kind` of an object.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BgpConfiguration => "BGPConfiguration",
            Self::BgpPeer => "BGPPeer",
            Self::BgpFilter => "BGPFilter",
            Self::Node => "Node",
            Self::IpPool => "IPPool",
            Self::BlockAffinity => "BlockAffinity",
        }
    }

    /// What it is called in paths of the API.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::BgpConfiguration => "bgpconfigurations",
            Self::BgpPeer => "bgppeers",
            Self::BgpFilter => "bgpfilters",
            Self::Node => "nodes",
            Self::IpPool => "ippools",
            Self::BlockAffinity => "blockaffinities",
        }
    }

    /// The kind and the group that an object says it is of; nothing for those that are not read.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<(Self, ApiGroup)> {
        let kind = Self::ALL.into_iter().find(|known| known.name() == kind)?;
        let mut groups = ApiGroup::ALL.into_iter();
        let group = groups.find(|group| group.api_version() == api_version)?;
        kind.is_in(group).then_some((kind, group))
    }

    /// Whether this group has the kind.
    #[must_use]
    pub fn is_in(self, group: ApiGroup) -> bool {
        match group {
            ApiGroup::Core => self == Self::Node,
            ApiGroup::Crd => self != Self::Node,
            ApiGroup::V3 => true,
        }
    }
}

impl ApiGroup {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Core, Self::Crd, Self::V3];

    /// `apiVersion` of an object.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Core => "v1",
            Self::Crd => "crd.projectcalico.org/v1",
            Self::V3 => "projectcalico.org/v3",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            name,
            field,
            words,
        } = self;
        match field.is_empty() {
            true => write!(f, "{kind} {name} {words}"),
            false => write!(f, "{kind} {name}: {field} {words}"),
        }
    }
}
