//! How often something may be done that others pay for: some of it at once, then one a pause.
//!
//! For lines in the log and Events: whoever causes them, a policy, a peer or the cluster, must not
//! fill a disk with them, nor hide what others say.

use std::time::{Duration, Instant};

/// How much at once, and how often after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) burst: u32,
    /// One more may be done after so long.
    pub(super) pause: Duration,
}

/// What may still be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    rate: Rate,
    left: u32,
    /// When `left` was last right.
    at: Instant,
    dropped: u64,
}

impl Allowance {
    /// All of the burst may be done.
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            left: rate.burst,
            at: now,
            dropped: 0,
        }
    }

    /// Takes one, and how many were dropped before it; none if it is to be dropped as well.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let Rate { burst, pause } = self.rate;
        let pauses = now.saturating_duration_since(self.at).as_nanos() / pause.as_nanos();
        let earned = u32::try_from(pauses).unwrap_or(u32::MAX);
        if self.left.saturating_add(earned) >= burst {
            self.left = burst;
            self.at = now;
        } else {
            self.left += earned;
            self.at += pause * earned;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.dropped))
            }
            None => {
                self.dropped += 1;
                None
            }
        }
    }

    /// What may be done at once, and was dropped.
    #[cfg(test)]
    pub(super) fn state(&self) -> (u32, u64) {
        (self.left, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock;
    use super::*;

    const RATE: Rate = Rate {
        burst: 200,
        pause: Duration::from_millis(100),
    };

    #[test]
    fn some_may_be_done_at_once_and_then_one_a_pause() {
        let Rate { burst, pause } = RATE;
        let start = clock::now();
        let mut allowance = Allowance::full(RATE, start);
        for _ in 0..burst {
            assert_eq!(allowance.take(start), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(allowance.take(start + pause / 2), None);
        }
        assert_eq!(allowance.take(start + pause), Some(1000));
        assert_eq!(allowance.take(start + pause), None);
        // Halves of pauses add up.
        assert_eq!(allowance.take(start + pause * 3 / 2), None);
        assert_eq!(allowance.take(start + pause * 2), Some(2));
    }

    #[test]
    fn whoever_was_silent_has_no_more_than_the_burst() {
        let start = clock::now();
        let mut allowance = Allowance::full(RATE, start);
        assert_eq!(allowance.take(start), Some(0));
        let later = start + Duration::from_secs(86_400);
        let done = (0..10_000).filter(|_| allowance.take(later).is_some());
        assert_eq!(done.count(), RATE.burst as usize);
    }
}
