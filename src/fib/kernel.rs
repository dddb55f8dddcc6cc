//! What a kernel holds and can be told, in words of our own.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Hop, Prefix};

/// What tells the routes of one table apart. Of those to one prefix the kernel uses the one with
/// the lowest metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// Where to.
    pub prefix: Prefix,
    /// The kernel's priority: lower is preferred.
    pub metric: u32,
}

/// What the kernel says, all of it at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelView {
    /// The routes of our protocol in our table.
    pub routes: BTreeMap<RouteKey, BTreeSet<Hop>>,
    /// The node's own addresses and the networks that it reaches without a gateway. Never a
    /// prefix of length zero.
    pub connected: BTreeSet<Prefix>,
}

/// One thing to do to the kernel's table. Each is a single step for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is no route of this prefix and metric, and is to be one. Must fail where there is
    /// one after all, for it is not ours.
    Add {
        /// Which.
        key: RouteKey,
        /// By these, at least one; traffic is spread over all.
        hops: BTreeSet<Hop>,
    },
    /// Our route is to have other next hops, at no moment none.
    Replace {
        /// Which.
        key: RouteKey,
        /// By these, at least one.
        hops: BTreeSet<Hop>,
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
