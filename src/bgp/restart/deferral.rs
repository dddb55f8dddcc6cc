//! The restarting speaker's wait for one peer (RFC 4724 section 4.1): until it has said all that it
//! has, nothing is decided by its silence. Bounded for each peer.
//!
//! | the peer | up | up, without capability or with R | End-of-RIB of all families | down | time is up |
//! |---|---|---|---|---|---|
//! | absent | speaking | not waited for | | | missed |
//! | speaking | | | settled | absent | missed |
//! | not waited for, settled, missed | | | | | |
//!
//! A peer that lacks graceful restart may never say that it is done, and one that restarts itself
//! says it only after us: neither is waited for, and both are told our routes at once.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::bgp::wire::GracefulRestart;
use crate::types::{Family, RestartTime};

/// Whether a peer's table is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Deferral {
    state: State,
    until: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// No session yet, or none any more.
    Absent,
    /// End-of-RIB of these families is awaited.
    Speaking(BTreeSet<Family>),
    /// It is not waited for.
    Excused,
    /// It has said all.
    Settled,
    /// It took too long.
    Missed,
}

impl Deferral {
    /// The peer was configured. It is not waited for where graceful restart is off.
    pub(crate) fn new(now: Instant, time: Option<RestartTime>) -> Self {
        match time {
            Some(time) => Self {
                state: State::Absent,
                until: now + time.duration(),
            },
            None => Self {
                state: State::Excused,
                until: now + RestartTime::DEFAULT.duration(),
            },
        }
    }

    /// There is a session for these families; `offer` is what the peer says of its own restart.
    pub(crate) fn up(&mut self, offer: Option<&GracefulRestart>, families: &[Family]) {
        if self.state == State::Absent {
            self.state = match offer {
                Some(offer) if !offer.restarted => {
                    State::Speaking(families.iter().copied().collect())
                }
                Some(_) | None => State::Excused,
            };
        }
    }

    /// The peer has said all that it has of a family.
    pub(crate) fn end_of_rib(&mut self, family: Family) {
        if let State::Speaking(awaited) = &mut self.state {
            awaited.remove(&family);
            if awaited.is_empty() {
                self.state = State::Settled;
            }
        }
    }

    /// The session is lost.
    pub(crate) fn down(&mut self) {
        if matches!(self.state, State::Speaking(_)) {
            self.state = State::Absent;
        }
    }

    /// Gives the peer up, if its time is up.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.is_waiting() && self.until <= now {
            self.state = State::Missed;
        }
    }

    /// Whether the peer is waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.state {
            State::Absent | State::Speaking(_) => true,
            State::Excused | State::Settled | State::Missed => false,
        }
    }

    /// Whether nobody needs to wait for the peer any more, whatever it says and whyever: a peer that
    /// is not waited for may still be about to say something.
    pub(crate) fn is_past(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// When to call [`expire`](Self::expire).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.is_waiting().then_some(self.until)
    }
}

#[cfg(test)]
mod tests;
