//! Graceful restart (RFC 4724, RFC 8538): what of routes outlives the session they came by.
//!
//! | module | whose restart | what it answers |
//! |---|---|---|
//! | `helper` | the peer's | which of its routes are stale, and when they go |
//! | `deferral` | ours | whether the peer's table is still waited for |
//!
//! Each is one peer's machine without sockets, clock or RIB: the [`speaker`](crate::speaker) tells it
//! what happens and does what it answers. A session that ends in the middle of anything, a peer that
//! never returns, and both ends restarting at once are ordinary inputs.
//!
//! # Our own restart
//!
//! The kernel forwards, not this process: while an agent is away, packets to the node's addresses
//! take the way they took before. So every OPEN says that forwarding was preserved (F), with one
//! exception: after a boot nothing is in the kernel yet. A process cannot know whether there was
//! another before it, nor need it: what peers may still hold of a former one is no older than the
//! restart time that they were told. A machine that has been up for longer was not booted within
//! it, and one that has not is taken to have been: the routes then go, and come again.
//!
//! That we restarted (R) is said from the first OPEN until the restart is over, whether there was a
//! process before or not: it keeps a peer that restarts as well from waiting for us, and costs
//! nothing where there was none (RFC 4724 section 4.1 asks no more than that the speaker started
//! anew).

mod deferral;
mod helper;

pub(crate) use deferral::Deferral;
pub(crate) use helper::{Helper, Task};

use super::wire::Forwarding;

/// What our OPENs say of our own restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnRestart {
    /// This process has yet to say all that it has to say (R). Whether packets went on meanwhile is
    /// F.
    UnderWay(Forwarding),
    /// Over, or there was none: sessions that are lost from here on are lost for other reasons.
    Over,
}

impl OwnRestart {
    /// R.
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::UnderWay(_))
    }

    /// F, the same for every family: one kernel forwards them all.
    pub(super) fn forwarding(self) -> Forwarding {
        match self {
            Self::UnderWay(forwarding) => forwarding,
            Self::Over => Forwarding::Preserved,
        }
    }
}
