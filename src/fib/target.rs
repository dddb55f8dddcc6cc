//! Where there must be no route, whatever BGP says; and why there is none elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::pools::TUNNEL;
use crate::types::Prefix;

/// Whose the traffic to a prefix is, where it is not left to BGP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// A block that the node announces for its pods: what none of them has is
    /// [to be discarded](crate::types::OwnBlocks).
    Block,
    /// The node's pods are there.
    Pods,
    /// The cluster's Services are there, announced by this node or by none: every node answers
    /// for them itself.
    Services,
}

/// Why there is no route to a prefix although BGP has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The node announces it for its pods, or has them there.
    #[error("it is in {within}, which is this node's own")]
    OwnPrefix {
        /// The node's prefix.
        within: Prefix,
    },
    /// The node's own service proxy answers.
    #[error("it is in {within}, which is of the cluster's Services: this node answers itself")]
    Services {
        /// The address of a Service, or the range.
        within: Prefix,
    },
    /// The node reaches it without a router.
    #[error("it is in {within}, which this node is connected to")]
    Connected {
        /// The network, or an address of the node's.
        within: Prefix,
    },
    /// Next hops are taken for reachable, but nobody could tell by which way.
    #[error("the way to its next hop is not known")]
    UnknownWay,
    /// BGP makes no routes of the pool.
    #[error("it is in the IPPool {pool}, whose routes Felix makes")]
    FelixPool {
        /// The pool's range.
        pool: Prefix,
    },
    /// The pool's traffic goes by a tunnel, and there is none.
    #[error("it is in the IPPool {pool}, whose traffic goes by {TUNNEL}, which Felix has to make")]
    NoTunnel {
        /// The pool's range.
        pool: Prefix,
    },
}

/// Why there must be no route to a prefix, whoever announces it.
pub(super) fn forbidden(
    prefix: Prefix,
    own: &BTreeMap<Prefix, Ownership>,
    connected: &BTreeSet<Prefix>,
) -> Option<Unfit> {
    let owned = shortened(prefix).find_map(|within| Some((within, own.get(&within)?)));
    if let Some((within, ownership)) = owned {
        return Some(match ownership {
            Ownership::Block | Ownership::Pods => Unfit::OwnPrefix { within },
            Ownership::Services => Unfit::Services { within },
        });
    }
    let within = shortened(prefix).find(|shorter| connected.contains(shorter))?;
    Some(Unfit::Connected { within })
}

/// The prefixes that `prefix` is, or is a part of, the shortest first.
fn shortened(prefix: Prefix) -> impl Iterator<Item = Prefix> {
    (0..=prefix.length()).map(move |length| {
        let net = IpNet::new(prefix.address(), length).expect("shorter than the prefix's own");
        Prefix::new(net)
    })
}
