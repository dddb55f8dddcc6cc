//! BGP sessions: from octets and timers to routes, one peer at a time.
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | the codec |
//! | `connection` | the FSM of one TCP connection: OpenSent, OpenConfirm, Established |
//! | `peer` | one peer: dialling, pauses, at most two connections and their collision |
//! | `ending` | every way a connection ends: what the peer is told, what the operator reads |
//! | `restart` | what of routes outlives a session: graceful restart |
//! | `timers`, `random` | named timers; jitter |
//!
//! RFC 4271 section 8 describes one FSM for each connection, Idle, Connect and Active included.
//! Those three are about having no connection, so they are the peer's here; what is left of the
//! FSM belongs to a connection and dies with it. The [`speaker`](crate::speaker) owns the peers,
//! feeds them and takes their outputs. Nothing in here knows a socket, a clock or a RIB.

pub mod wire;

mod connection;
mod ending;
mod peer;
mod random;
mod restart;
mod timers;

use std::fmt;

pub(crate) use connection::{Negotiated, OpenParameters, Refresh};
pub(crate) use ending::Ending;
pub(crate) use peer::{ConnectionIds, Context, Peer, PeerOutput, PeerSettings};
pub use peer::{NotificationCounts, SessionEnd, SessionHistory};
pub use random::Random;
pub(crate) use restart::{Deferral, Helper, OwnRestart, Task};
pub use timers::Deadline;

/// One TCP connection, dialled or accepted, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The state of a session (RFC 4271 section 8.2.2); of a peer with two connections, that of
/// the further one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Nobody dials before a pause ends, or ever.
    Idle,
    /// A dial is under way.
    Connect,
    /// Waiting for the peer to dial, or for the time to dial again.
    Active,
    /// A connection is open; the peer's OPEN is awaited.
    OpenSent,
    /// OPENs are exchanged; the peer's KEEPALIVE is awaited.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}
