//! How this machine reaches an address: a kernel's answer, in words of our own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Prefix;

/// The kernel's number of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceIndex(pub u32);

/// One way out of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// A neighbour on the interface's network.
    pub gateway: IpAddr,
    /// The interface.
    pub interface: InterfaceIndex,
}

/// How the kernel would reach an address by the routes that are not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// As a neighbour on this interface.
    OnLink(InterfaceIndex),
    /// It is the node's own.
    Own,
    /// By routers.
    Routed {
        /// Which, at least one.
        hops: BTreeSet<Hop>,
        /// The route that says so.
        by: Prefix,
    },
    /// No route leads there.
    NoRoute,
    /// Not at all, whatever other routes there are; the kernel's words.
    Refused(String),
}
