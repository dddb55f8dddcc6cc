//! How long a watcher pauses before it tries again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Exponential, and spread so that the nodes of a cluster do not come back all at once. The
/// spread is a hash of who waits, so no randomness is needed.
#[derive(Debug)]
pub(super) struct Backoff {
    seed: u64,
    range: RangeInclusive<Duration>,
    /// Failures in a row.
    failures: u32,
}

impl Backoff {
    /// Pauses within `range`, spread by who waits.
    pub(super) fn new(who: impl Hash, range: RangeInclusive<Duration>) -> Self {
        let mut hasher = DefaultHasher::new();
        who.hash(&mut hasher);
        Self {
            seed: hasher.finish(),
            range,
            failures: 0,
        }
    }

    /// All is well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure, and pauses unless it is the first.
    pub(super) async fn pause_unless_first(&mut self) {
        if self.failures == 0 {
            self.failures = 1;
        } else {
            self.pause().await;
        }
    }

    /// Counts a failure, and pauses.
    pub(super) async fn pause(&mut self) {
        let delay = self.next_delay();
        tokio::time::sleep(delay).await;
    }

    /// From half to one and a half of an interval, by who waits.
    pub(super) fn spread(&self, interval: Duration) -> Duration {
        let spread = u32::try_from(self.seed % 1000).unwrap_or_default();
        interval / 2 + interval * spread / 1000
    }

    /// The upper half of what the exponential back-off says, at a point that depends on who waits
    /// and on how often it has waited.
    fn next_delay(&mut self) -> Duration {
        let (min, max) = (*self.range.start(), *self.range.end());
        let full = min
            .saturating_mul(2_u32.saturating_pow(self.failures))
            .min(max);
        let mut hasher = DefaultHasher::new();
        (self.seed, self.failures).hash(&mut hasher);
        let spread = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
        self.failures = self.failures.saturating_add(1);
        full / 2 + full / 2 * spread / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(15);

    fn delays(who: &str) -> Vec<Duration> {
        let mut backoff = Backoff::new(who, RANGE);
        (0..40).map(|_| backoff.next_delay()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_stay_in_the_upper_half() {
        for (attempt, delay) in delays("worker-1").into_iter().enumerate() {
            let doubled = RANGE.start().saturating_mul(1 << attempt.min(20));
            let full = doubled.min(*RANGE.end());
            assert!(delay >= full / 2 && delay <= full, "{attempt}: {delay:?}");
        }
    }

    #[test]
    fn nodes_wait_differently_and_a_node_always_the_same() {
        assert_eq!(delays("worker-1"), delays("worker-1"));
        assert_ne!(delays("worker-1"), delays("worker-2"));
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = Backoff::new("worker-1", RANGE);
        let first = backoff.next_delay();
        backoff.next_delay();
        backoff.reset();
        assert_eq!(backoff.next_delay(), first);
    }
}
