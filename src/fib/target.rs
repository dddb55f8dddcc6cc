//! Where there must be no route, whatever BGP says; and why there is none elsewhere.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::types::Prefix;

/// Why there is no route to a prefix although BGP has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The node announces it itself, or has its pods there.
    #[error("it is in {within}, which is this node's own")]
    OwnPrefix {
        /// The node's prefix.
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
}

/// Why there must be no route to a prefix, whoever announces it.
pub(super) fn forbidden(
    prefix: Prefix,
    own: &BTreeSet<Prefix>,
    connected: &BTreeSet<Prefix>,
) -> Option<Unfit> {
    let own = covering(own, prefix).map(|within| Unfit::OwnPrefix { within });
    own.or_else(|| covering(connected, prefix).map(|within| Unfit::Connected { within }))
}

/// The shortest of the prefixes that `prefix` is, or is a part of.
fn covering(prefixes: &BTreeSet<Prefix>, prefix: Prefix) -> Option<Prefix> {
    let shortened = |length| {
        let net = IpNet::new(prefix.address(), length).expect("shorter than the prefix's own");
        Prefix::new(net)
    };
    (0..=prefix.length())
        .map(shortened)
        .find(|shorter| prefixes.contains(shorter))
}
