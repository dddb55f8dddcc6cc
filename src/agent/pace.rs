//! How often something is read that others change: when changes have settled, no more often than
//! once a second, and in any case from time to time. And how long what failed is left alone.

use std::time::{Duration, Instant};

/// Changes come in groups: an interface that comes up brings addresses and routes.
const SETTLE: Duration = Duration::from_millis(100);
/// However much others change, it is read no more often than this.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// The kernel takes routes away with an interface and does not always say so. All it says is
/// listened to; this is for what it does not say.
const AUDIT_INTERVAL: Duration = Duration::from_secs(300);
/// Between attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// When to read next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    at: Instant,
    last: Option<Instant>,
}

/// When something that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) at: Instant,
    pause: Duration,
}

impl Pace {
    /// To be read at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            last: None,
        }
    }

    /// Something has changed.
    pub(super) fn soon(&mut self, now: Instant) {
        let allowed = self.last.map_or(now, |last| last + READ_INTERVAL);
        self.at = self.at.min(allowed.max(now + SETTLE));
    }

    /// It was read.
    pub(super) fn was_read(&mut self, now: Instant) {
        self.last = Some(now);
        self.at = now + AUDIT_INTERVAL;
    }

    /// When to read next.
    pub(super) fn at(&self) -> Instant {
        self.at
    }
}

impl Retry {
    /// After another failure; the pause grows.
    pub(super) fn after(before: Option<Self>, now: Instant) -> Self {
        let pause = before.map_or(PAUSE.0, |before| (before.pause * 2).min(PAUSE.1));
        Self {
            at: now + pause,
            pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock;

    #[test]
    fn changes_are_read_when_settled_and_once_a_second_at_most() {
        let start = clock::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.at(), start);
        pace.was_read(start);
        assert_eq!(pace.at(), start + AUDIT_INTERVAL);
        pace.soon(start);
        assert_eq!(pace.at(), start + READ_INTERVAL);
        pace.soon(start + READ_INTERVAL);
        assert_eq!(pace.at(), start + READ_INTERVAL, "no later for more news");
        pace.was_read(start + READ_INTERVAL);
        let later = start + 10 * READ_INTERVAL;
        pace.soon(later);
        assert_eq!(pace.at(), later + SETTLE);
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let now = clock::now();
        let mut retry = None;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            retry = Some(Retry::after(retry, now));
            let at = retry.map(|retry| retry.at);
            assert_eq!(at, Some(now + Duration::from_secs(seconds)));
        }
    }
}
