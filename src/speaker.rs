//! The speaker: sessions, RIBs and import rules composed into one sans-IO machine.
//!
//! **Feed one input (or a timeout), then drain [`Speaker::poll_output`] until it is empty, then
//! wait for input or for [`Speaker::poll_timeout`], whichever comes first.** Time is an argument
//! and randomness an owned seeded generator, so a run is a function of inputs, times and seed.
//! Drivers (the agent's sockets, the simulation's network) hold no decisions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::types::{
    Asn, ConnectMode, GroupId, HoldTime, Password, PeerId, Prefix, RouteAttributes, RouterId,
};

/// Everything the operator decides about the speaker. Given whole; the speaker works out what
/// differs and touches only the sessions whose own part changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerConfig {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Next hops for routes of the family that a session's own addresses are not of.
    pub next_hops: NextHops,
    /// Peers, each id once.
    pub peers: Vec<PeerConfig>,
}

/// Our own address in each family, where the node has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// For IPv4 routes over IPv6 sessions.
    pub ipv4: Option<Ipv4Addr>,
    /// For IPv6 routes over IPv4 sessions.
    pub ipv6: Option<Ipv6Addr>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Stable for as long as this peer exists; the owner gives the same peer the same id.
    pub id: PeerId,
    /// For people.
    pub name: String,
    /// Its address; also what its own connections come from.
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// The AS its OPEN must name.
    pub asn: Asn,
    /// Which export decisions apply to it.
    pub group: GroupId,
    /// Whether we dial.
    pub connect_mode: ConnectMode,
    /// What we propose.
    pub hold_time: HoldTime,
    /// Our end of dialled connections; the kernel chooses where absent.
    pub local_address: Option<IpAddr>,
    /// Signs every segment (RFC 2385).
    pub password: Option<Password>,
}

/// One TCP connection, dialled or accepted, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The configuration is to be this.
    Configure(SpeakerConfig),
    /// A connection asked for by [`Output::Connect`] is open.
    Connected {
        /// The one asked for.
        connection: ConnectionId,
        /// Our end.
        local: SocketAddr,
    },
    /// A connection asked for could not be opened.
    ConnectFailed {
        /// The one asked for.
        connection: ConnectionId,
        /// The system's words.
        error: String,
    },
    /// Somebody dialled us.
    Accepted {
        /// From [`Speaker::allocate_connection`].
        connection: ConnectionId,
        /// Our end.
        local: SocketAddr,
        /// Their end.
        remote: SocketAddr,
    },
    /// Octets arrived.
    Received {
        /// Where.
        connection: ConnectionId,
        /// In order, in pieces of any size.
        octets: Vec<u8>,
    },
    /// Octets of [`Output::Transmit`] were taken by the kernel.
    Transmitted {
        /// Where.
        connection: ConnectionId,
        /// How many.
        octets: usize,
    },
    /// The connection ended, by the peer or by an error.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// The system's words; `None` for an orderly end of stream.
        error: Option<String>,
    },
    /// Export decisions of one peer group: newest wins, prefix by prefix.
    Export {
        /// Which peers.
        group: GroupId,
        /// Announce with these attributes, or withdraw.
        changes: Vec<(Prefix, Option<Arc<RouteAttributes>>)>,
    },
    /// The first complete set of export decisions has been given. Until then nothing is
    /// announced to anybody; after it each session's initial table ends with an End-of-RIB.
    ExportsComplete,
    /// Every session is to end with Cease/Administrative Shutdown and this text (RFC 9003).
    Shutdown {
        /// Why; cut at 128 octets.
        message: String,
    },
}

/// What the driver must do or may want to know.
#[derive(Clone, Debug)]
pub enum Output {
    /// Dial; answer with `Connected` or `ConnectFailed`.
    Connect {
        /// The name to answer with.
        connection: ConnectionId,
        /// For whom.
        peer: PeerId,
        /// Where to.
        remote: SocketAddr,
        /// Where from.
        local: Option<IpAddr>,
        /// To sign with.
        password: Option<Password>,
    },
    /// Send, in order; report with `Transmitted`.
    Transmit {
        /// Where.
        connection: ConnectionId,
        /// What.
        octets: Vec<u8>,
    },
    /// Send what was handed over, then close. The speaker has forgotten the connection: no input
    /// about it is owed, and any is ignored.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// The best paths to a prefix changed.
    RouteChange {
        /// Where to.
        prefix: Prefix,
    },
    /// Something worth a log line or a metric.
    Event(Event),
}

/// Something worth a log line or a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session reached Established.
    Established {
        /// With whom.
        peer: PeerId,
    },
    /// An established session ended.
    Down {
        /// With whom.
        peer: PeerId,
        /// Why, in words an operator understands.
        reason: String,
    },
    /// An attempt at a session failed before it was established.
    AttemptFailed {
        /// With whom.
        peer: PeerId,
        /// Why.
        reason: String,
    },
    /// Somebody dialled whom no peer is configured for.
    Stranger {
        /// Their end.
        remote: SocketAddr,
    },
    /// The peer sent something wrong that the session survived (RFC 7606).
    Tolerated {
        /// Who.
        peer: PeerId,
        /// What, and what was done about it.
        what: String,
    },
    /// A route cannot be sent to a peer: there is no own address of its family to be its next hop.
    NoNextHop {
        /// To whom.
        peer: PeerId,
        /// What.
        prefix: Prefix,
    },
}

/// When the speaker wants to be woken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The time to call [`Speaker::handle_timeout`].
    pub at: Instant,
    /// For the log.
    pub reason: &'static str,
}
