//! Calico's resources as kinds of object: what they are called where the API serves them.
//!
//! Two API groups carry the same kinds. A cluster may serve either, both, or some kinds of one: a kind
//! that is not served is no trouble, and has no objects.

use std::fmt;

use ::kube::core::{ApiResource, GroupVersionKind};

/// A kind of Calico's resources in one of its API groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalicoKind {
    /// Where.
    pub group: CalicoGroup,
    /// What.
    pub resource: CalicoResource,
}

/// An API group of Calico's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CalicoGroup {
    /// `crd.projectcalico.org/v1`: what `calicoctl` writes to.
    Crd,
    /// `projectcalico.org/v3`: served by Calico's API server, or as resources of its own.
    Native,
}

/// What can be read of Calico's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CalicoResource {
    /// What all sessions have in common.
    BgpConfiguration,
    /// Who peers with whom.
    BgpPeer,
    /// Which routes sessions carry.
    BgpFilter,
    /// What BGP has of a Node.
    Node,
    /// Where pods have their addresses from.
    IpPool,
    /// Which node has which part of that.
    BlockAffinity,
}

impl CalicoKind {
    /// All that may be served: there are no Nodes in the older group, which has Kubernetes' own.
    pub const ALL: [Self; 11] = {
        use CalicoGroup::{Crd, Native};
        use CalicoResource::{BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, IpPool, Node};
        [
            Self::new(Crd, IpPool),
            Self::new(Native, IpPool),
            Self::new(Crd, BlockAffinity),
            Self::new(Native, BlockAffinity),
            Self::new(Crd, BgpFilter),
            Self::new(Native, BgpFilter),
            Self::new(Native, Node),
            Self::new(Crd, BgpConfiguration),
            Self::new(Native, BgpConfiguration),
            Self::new(Crd, BgpPeer),
            Self::new(Native, BgpPeer),
        ]
    };

    const fn new(group: CalicoGroup, resource: CalicoResource) -> Self {
        Self { group, resource }
    }

    /// What a manifest of this `apiVersion` and `kind` is.
    pub(super) fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|one| one.group.api_version() == api_version && one.resource.kind() == kind)
    }

    /// How the API server is asked for it.
    pub(super) fn api_resource(self) -> ApiResource {
        let (group, version) = self.group.parts();
        let kind = GroupVersionKind::gvk(group, version, self.resource.kind());
        ApiResource::from_gvk_with_plural(&kind, self.resource.plural())
    }

    /// What health calls all objects of it.
    pub(super) fn subject(self) -> &'static str {
        use CalicoGroup::{Crd, Native};
        use CalicoResource::{BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, IpPool, Node};
        match (self.group, self.resource) {
            (Crd, BgpConfiguration) => "BGPConfigurations (crd.projectcalico.org/v1)",
            (Crd, BgpPeer) => "BGPPeers (crd.projectcalico.org/v1)",
            (Crd, BgpFilter) => "BGPFilters (crd.projectcalico.org/v1)",
            (Crd, Node) => "Nodes (crd.projectcalico.org/v1)",
            (Crd, IpPool) => "IPPools (crd.projectcalico.org/v1)",
            (Crd, BlockAffinity) => "BlockAffinities (crd.projectcalico.org/v1)",
            (Native, BgpConfiguration) => "BGPConfigurations (projectcalico.org/v3)",
            (Native, BgpPeer) => "BGPPeers (projectcalico.org/v3)",
            (Native, BgpFilter) => "BGPFilters (projectcalico.org/v3)",
            (Native, Node) => "Nodes (projectcalico.org/v3)",
            (Native, IpPool) => "IPPools (projectcalico.org/v3)",
            (Native, BlockAffinity) => "BlockAffinities (projectcalico.org/v3)",
        }
    }
}

impl CalicoGroup {
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Crd => ("crd.projectcalico.org", "v1"),
            Self::Native => ("projectcalico.org", "v3"),
        }
    }

    /// As objects say it.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Crd => "crd.projectcalico.org/v1",
            Self::Native => "projectcalico.org/v3",
        }
    }
}

impl CalicoResource {
    /// As objects say it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::BgpConfiguration => "BGPConfiguration",
            Self::BgpPeer => "BGPPeer",
            Self::BgpFilter => "BGPFilter",
            Self::Node => "Node",
            Self::IpPool => "IPPool",
            Self::BlockAffinity => "BlockAffinity",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::BgpConfiguration => "bgpconfigurations",
            Self::BgpPeer => "bgppeers",
            Self::BgpFilter => "bgpfilters",
            Self::Node => "nodes",
            Self::IpPool => "ippools",
            Self::BlockAffinity => "blockaffinities",
        }
    }
}

impl fmt::Display for CalicoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Kubernetes has a Node, too.
        match self.resource {
            CalicoResource::Node => f.write_str("Calico Node"),
            CalicoResource::BgpConfiguration
            | CalicoResource::BgpPeer
            | CalicoResource::BgpFilter
            | CalicoResource::IpPool
            | CalicoResource::BlockAffinity => f.write_str(self.resource.kind()),
        }
    }
}
