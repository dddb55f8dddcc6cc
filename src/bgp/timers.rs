//! A table of named timers: which run, which is next, and why the speaker wants to be woken.
//!
//! Every machine in `bgp` owns one table and starts, stops and asks it; none of them keeps an
//! `Instant` of its own that means "wake me". A table never reads a clock.

use std::time::Instant;

/// When the speaker wants to be woken, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The time to call [`Speaker::handle_timeout`](crate::speaker::Speaker::handle_timeout).
    pub at: Instant,
    /// For the log.
    pub reason: &'static str,
}

/// The timers of RFC 4271 section 8.1.3 that we use, and those of later RFCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Until the next dial, or the end of a dial that nobody answers (RFC 4271 section 8).
    ConnectRetry,
    /// Until anybody may dial after an error (RFC 4271 section 8.1.1, DampPeerOscillations).
    IdleHold,
    /// Until the peer's silence ends the session (RFC 4271 section 6.5).
    Hold,
    /// Until our next KEEPALIVE (RFC 4271 section 4.4).
    Keepalive,
    /// Until a peer that takes no octets ends the session (RFC 9687).
    SendHold,
}

impl Timer {
    const ALL: [Self; 5] = [
        Self::ConnectRetry,
        Self::IdleHold,
        Self::Hold,
        Self::Keepalive,
        Self::SendHold,
    ];

    /// The RFCs' name.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::ConnectRetry => "ConnectRetryTimer",
            Self::IdleHold => "IdleHoldTimer",
            Self::Hold => "HoldTimer",
            Self::Keepalive => "KeepaliveTimer",
            Self::SendHold => "SendHoldTimer",
        }
    }
}

/// The running timers of one machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Starts a timer, or starts it anew.
    pub(super) fn start(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Stops a timer; one that does not run stays so.
    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// Whether it runs.
    pub(super) fn runs(&self, timer: Timer) -> bool {
        self.at(timer).is_some()
    }

    /// When it expires, if it runs.
    pub(super) fn at(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    /// The timer that expires first; of several at once the first of [`Timer::ALL`].
    pub(super) fn next(&self) -> Option<(Instant, Timer)> {
        Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((self.0[timer as usize]?, timer)))
            .min_by_key(|(at, _)| *at)
    }

    /// The first timer that has expired by `now`; it stops.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }

    /// Whether this timer has expired by `now`; if so it stops. For the one that must not wait
    /// for the others.
    pub(super) fn expire_one(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.0[timer as usize].is_some_and(|at| at <= now);
        if due {
            self.stop(timer);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn timers_expire_in_the_order_of_their_times_and_once() {
        let start = epoch();
        let mut timers = Timers::default();
        timers.start(Timer::Keepalive, start + Duration::from_secs(2));
        timers.start(Timer::Hold, start + Duration::from_secs(1));
        assert_eq!(timers.expire(start), None);
        let late = start + Duration::from_secs(3);
        assert_eq!(timers.expire(late), Some(Timer::Hold));
        assert_eq!(timers.expire(late), Some(Timer::Keepalive));
        assert_eq!(timers.expire(late), None);
    }

    #[test]
    fn a_timer_started_anew_forgets_its_old_time() {
        let start = epoch();
        let mut timers = Timers::default();
        timers.start(Timer::Hold, start);
        timers.start(Timer::Hold, start + Duration::from_secs(9));
        assert_eq!(timers.expire(start), None);
        assert!(timers.runs(Timer::Hold));
        timers.stop(Timer::Hold);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn one_timer_can_be_asked_for_alone() {
        let start = epoch();
        let mut timers = Timers::default();
        timers.start(Timer::Hold, start);
        timers.start(Timer::Keepalive, start);
        assert!(timers.expire_one(Timer::Keepalive, start));
        assert!(!timers.expire_one(Timer::Keepalive, start));
        assert!(timers.runs(Timer::Hold));
    }
}
