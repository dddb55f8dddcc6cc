//! What a peer is to us beyond its address and its AS: client or not, and whose next hops it is
//! told.

use std::fmt;
use std::net::Ipv4Addr;

/// Names the routers that reflect for one cluster (RFC 4456 section 7). Whoever has one is a route
/// reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub Ipv4Addr);

/// What an internal peer is to a reflector (RFC 4456 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflection {
    /// It is reflected to and from.
    Client,
    /// It is not: it peers with everyone who is not a client, either.
    #[default]
    NonClient,
}

/// What becomes of the next hops of routes that are sent to a peer. Own routes have our address
/// whatever it is, unless a policy says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextHopMode {
    /// Learned ones as they were to an internal peer, and our own address to an external one.
    #[default]
    Auto,
    /// Our own address.
    SelfAddress,
    /// Learned ones as they were.
    Keep,
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
