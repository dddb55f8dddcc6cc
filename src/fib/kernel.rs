//! What a kernel holds and can be told, in words of our own.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Hop, InterfaceIndex, Prefix};

/// What tells the routes of one table apart. Of those to one prefix the kernel uses the one with
/// the lowest metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// Where to.
    pub prefix: Prefix,
    /// The kernel's priority: lower is preferred.
    pub metric: u32,
}

/// What becomes of a packet by a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// It goes by one of these, at least one; traffic is spread over all.
    Hops(BTreeSet<Hop>),
    /// The same, and the interface is a tunnel: whoever is named there is taken for a neighbour
    /// on it, whatever networks it has.
    Tunnel(BTreeSet<Hop>),
    /// It is discarded.
    Blackhole,
}

/// What the kernel says, all of it at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelView {
    /// The routes of our protocol in our table.
    pub routes: BTreeMap<RouteKey, Target>,
    /// The node's own addresses and the networks that it reaches without a gateway. Never a
    /// prefix of length zero.
    pub connected: BTreeSet<Prefix>,
    /// The interface of the name [`TUNNEL`](super::TUNNEL), where there is one.
    pub tunnel: Option<InterfaceIndex>,
}

impl Target {
    /// Where it goes: nowhere, if it is discarded.
    #[must_use]
    pub fn hops(&self) -> Option<&BTreeSet<Hop>> {
        match self {
            Self::Hops(hops) | Self::Tunnel(hops) => Some(hops),
            Self::Blackhole => None,
        }
    }

    /// Whether a packet may go by a way of this one that the other has, too.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Hops(one), Self::Hops(other)) | (Self::Tunnel(one), Self::Tunnel(other)) => {
                !one.is_disjoint(other)
            }
            (Self::Blackhole, Self::Blackhole) => true,
            (Self::Hops(_) | Self::Tunnel(_) | Self::Blackhole, _) => false,
        }
    }

    /// Whether every way of this one is the other's, too.
    #[must_use]
    pub fn is_part_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Hops(one), Self::Hops(other)) | (Self::Tunnel(one), Self::Tunnel(other)) => {
                one.is_subset(other)
            }
            (Self::Blackhole, Self::Blackhole) => true,
            (Self::Hops(_) | Self::Tunnel(_) | Self::Blackhole, _) => false,
        }
    }
}

/// One thing to do to the kernel's table. Each is a single step for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is no route of this prefix and metric, and is to be one. Must fail where there is
    /// one after all, for it is not ours.
    Add {
        /// Which.
        key: RouteKey,
        /// Where to.
        target: Target,
    },
    /// Our route is to lead elsewhere, at every moment somewhere.
    Replace {
        /// Which.
        key: RouteKey,
        /// Where to.
        target: Target,
    },
    /// Our route is to go.
    Remove(RouteKey),
}

impl Change {
    /// Which route it is about.
    #[must_use]
    pub fn key(&self) -> RouteKey {
        match self {
            Self::Add { key, .. } | Self::Replace { key, .. } | Self::Remove(key) => *key,
        }
    }
}
