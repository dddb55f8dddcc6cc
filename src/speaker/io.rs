//! What goes into a [`Speaker`](super::Speaker) and what comes out: the whole of its contract
//! with a driver.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use super::config::SpeakerConfig;
use super::import::Import;
use super::limits::Quota;
use super::tolerated::Tolerated;
use super::view::NotSent;
use crate::bgp::ConnectionId;
use crate::rib::{Resolution, Unresolved};
use crate::types::{GroupId, Password, PeerId, Prefix, Reachability, RouteAttributes};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The configuration is to be this.
    ///
    /// A peer that is moved to another group keeps the routes it has until that group has its
    /// first [`Export`](Self::Export); to change both at once, give the export first.
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
        /// From [`Speaker::allocate_connection`](super::Speaker::allocate_connection).
        connection: ConnectionId,
        /// Our end.
        local: SocketAddr,
        /// Their end.
        remote: SocketAddr,
    },
    /// Octets arrived.
    ///
    /// Whoever drives gives all that was received before it calls
    /// [`handle_timeout`](super::Speaker::handle_timeout): a peer whose KEEPALIVE lies unread is
    /// not silent.
    Received {
        /// Where.
        connection: ConnectionId,
        /// In order, in pieces of any size.
        octets: Vec<u8>,
    },
    /// Octets have arrived that cannot be given yet. The hold timer of the connection is judged
    /// later, as those may hold the KEEPALIVE it waits for; see
    /// [`overdue`](super::Speaker::overdue).
    Arriving {
        /// Where.
        connection: ConnectionId,
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
    ///
    /// A group's first one is complete, and may be empty: what a peer has from the group it was
    /// in before, and this does not name, is withdrawn.
    Export {
        /// Which peers.
        group: GroupId,
        /// Announce with these attributes, or withdraw.
        changes: Vec<(Prefix, Option<Arc<RouteAttributes>>)>,
    },
    /// Decisions about learned routes, under [`Learning::Decided`](super::Learning::Decided).
    Import(Vec<Import>),
    /// What next hops are reached by, from now on: whether somebody answers [`Output::NextHops`].
    Resolution(Resolution),
    /// How next hops are reached, by the routes of the node that are not ours. To be given again
    /// whenever an answer has changed.
    NextHops(BTreeMap<IpAddr, Reachability>),
    /// The first complete set of export decisions has been given. Until then nothing is
    /// announced to anybody; after it each session's initial table ends with an End-of-RIB.
    ExportsComplete,
    /// The process ends and another will take its place: sessions with peers that keep our routes
    /// meanwhile (RFC 4724) are closed without a word, all others with Cease/Administrative Shutdown
    /// and this text (RFC 9003).
    Restart {
        /// Why; cut at 128 octets.
        message: String,
    },
    /// The node is to be gone from its peers: what they were sent is withdrawn; once that has left,
    /// or after three seconds, every session ends with Cease/Administrative Shutdown and this text.
    /// None begins before a [`Join`](Self::Join).
    Leave {
        /// Why; cut at 128 octets.
        message: String,
    },
    /// Sessions are wanted again after [`Leave`](Self::Leave).
    Join,
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
        /// From how many hops away the peer's segments may come at most (RFC 5082).
        ttl_security: Option<NonZeroU8>,
    },
    /// Send, in order; report with `Transmitted`.
    Transmit {
        /// Where.
        connection: ConnectionId,
        /// What.
        octets: Vec<u8>,
    },
    /// Send what was handed over, then close; stop dialling, where that was still under way. The
    /// speaker has forgotten the connection: no input about it is owed, and any is ignored. A peer
    /// that takes no octets must not keep the driver waiting: after a few seconds it gives up.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Learned routes changed and are to be decided about: take them with
    /// [`take_undecided`](super::Speaker::take_undecided) in good time, and answer with
    /// [`Input::Import`].
    Undecided,
    /// There are next hops that nobody looked up: take them with
    /// [`unanswered_next_hops`](super::Speaker::unanswered_next_hops) until there are none, and
    /// answer with [`Input::NextHops`]. Paths by them wait for it; where it cannot be had, an
    /// [`Input::Resolution`] must say so.
    NextHops,
    /// The best paths to a prefix changed, or the way to one of them, or whether the kernel may have
    /// one of them.
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
    /// The session is lost, and what the peer sent is kept until it says it again (RFC 4724).
    RoutesKept {
        /// Whose.
        peer: PeerId,
        /// How many.
        routes: usize,
        /// For how long at most.
        time: Duration,
    },
    /// What was kept has gone: the peer did not come back in time, or did not say it again.
    RoutesExpired {
        /// Whose.
        peer: PeerId,
        /// How many.
        routes: usize,
    },
    /// A peer's sessions or attempts ended in a row: nobody dials for a while, and what the peer
    /// dials is closed. [`Speaker::admissions`](super::Speaker::admissions) has changed.
    Paused {
        /// Which.
        peer: PeerId,
        /// For how long.
        pause: Duration,
        /// Ends in a row.
        ends: u32,
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
        tolerated: Tolerated,
    },
    /// A peer comes near what it may have us keep. Said once for a session and a limit.
    NearLimit {
        /// Who.
        peer: PeerId,
        /// Of what.
        quota: Quota,
        /// How much it has us keep.
        held: usize,
        /// How much it may.
        limit: usize,
    },
    /// Paths are not used, because there is no way to their next hops. Said of those that an answer
    /// is about.
    Unresolved {
        /// Why the first is not.
        first: Unresolved,
        /// To how many prefixes there is such a path.
        paths: usize,
    },
    /// A route cannot be sent to a peer as its policy wants it. Said once for a session and a
    /// reason, of the first prefix concerned.
    CannotSend {
        /// To whom.
        peer: PeerId,
        /// What.
        prefix: Prefix,
        /// Why.
        reason: NotSent,
    },
    /// Routes of a family cannot be sent to a peer: there is no own address of that family to be
    /// their next hop. Said once for a session and a family, of the first prefix concerned.
    NoNextHop {
        /// To whom.
        peer: PeerId,
        /// What.
        prefix: Prefix,
    },
}
