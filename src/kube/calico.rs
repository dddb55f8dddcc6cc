//! Calico's resources as kinds of object: how the API server is asked for them.
//!
//! A cluster may serve either of the two groups, both, or some kinds of one: a kind that is not served
//! is no trouble, and has no objects.

use std::fmt;

use ::kube::core::{ApiResource, GroupVersionKind};

use crate::calico::{self, ApiGroup};

/// A kind of Calico's resources in one of its API groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalicoKind {
    /// What.
    pub kind: calico::Kind,
    /// Where.
    pub group: ApiGroup,
}

impl CalicoKind {
    /// All that may be served: there are no Nodes in the older group, which has Kubernetes' own.
    pub const ALL: [Self; 11] = {
        use ApiGroup::{Crd, V3};
        use calico::Kind::{BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, IpPool, Node};
        [
            Self::new(Crd, IpPool),
            Self::new(V3, IpPool),
            Self::new(Crd, BlockAffinity),
            Self::new(V3, BlockAffinity),
            Self::new(Crd, BgpFilter),
            Self::new(V3, BgpFilter),
            Self::new(V3, Node),
            Self::new(Crd, BgpConfiguration),
            Self::new(V3, BgpConfiguration),
            Self::new(Crd, BgpPeer),
            Self::new(V3, BgpPeer),
        ]
    };

    const fn new(group: ApiGroup, kind: calico::Kind) -> Self {
        Self { kind, group }
    }

    /// What a manifest of this `apiVersion` and `kind` is.
    pub(super) fn of(api_version: &str, kind: &str) -> Option<Self> {
        let (kind, group) = calico::Kind::of(api_version, kind)?;
        let one = Self { kind, group };
        Self::ALL.contains(&one).then_some(one)
    }

    /// How the API server is asked for it.
    pub(super) fn api_resource(self) -> ApiResource {
        let api_version = self.group.api_version();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = GroupVersionKind::gvk(group, version, self.kind.name());
        ApiResource::from_gvk_with_plural(&kind, self.kind.plural())
    }

    /// What health calls all objects of it.
    pub(super) fn subject(self) -> &'static str {
        use ApiGroup::{Core, Crd, V3};
        use calico::Kind::{BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, IpPool, Node};
        match (self.group, self.kind) {
            (Crd, BgpConfiguration) => "BGPConfigurations (crd.projectcalico.org/v1)",
            (Crd, BgpPeer) => "BGPPeers (crd.projectcalico.org/v1)",
            (Crd, BgpFilter) => "BGPFilters (crd.projectcalico.org/v1)",
            (Crd, IpPool) => "IPPools (crd.projectcalico.org/v1)",
            (Crd, BlockAffinity) => "BlockAffinities (crd.projectcalico.org/v1)",
            (V3, BgpConfiguration) => "BGPConfigurations (projectcalico.org/v3)",
            (V3, BgpPeer) => "BGPPeers (projectcalico.org/v3)",
            (V3, BgpFilter) => "BGPFilters (projectcalico.org/v3)",
            (V3, Node) => "Nodes (projectcalico.org/v3)",
            (V3, IpPool) => "IPPools (projectcalico.org/v3)",
            (V3, BlockAffinity) => "BlockAffinities (projectcalico.org/v3)",
            (Crd, Node)
            | (Core, BgpConfiguration | BgpPeer | BgpFilter | Node | IpPool | BlockAffinity) => {
                "what Calico does not have"
            }
        }
    }
}

impl fmt::Display for CalicoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Kubernetes has a Node, too.
        match self.kind {
            calico::Kind::Node => f.write_str("Calico Node"),
            calico::Kind::BgpConfiguration
            | calico::Kind::BgpPeer
            | calico::Kind::BgpFilter
            | calico::Kind::IpPool
            | calico::Kind::BlockAffinity => self.kind.fmt(f),
        }
    }
}
