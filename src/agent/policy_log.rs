//! What policies write to the log, in the agent's own.
//!
//! A policy that writes all the time must not fill a disk, nor hide what others write: each may
//! write some lines at once, and then so many a second. What is dropped is told with the next line
//! that is not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::clock;
use crate::wasm::{LogLevel, LogSink};

/// Lines that a policy may write at once.
const BURST: u32 = 200;

/// One more may be written after so long.
const PAUSE: Duration = Duration::from_millis(100);

/// The sink of the agent's engine.
#[derive(Debug, Default)]
pub(super) struct PolicyLog {
    /// By the names of policies, of which a configuration has few.
    allowances: Mutex<BTreeMap<String, Allowance>>,
}

impl LogSink for PolicyLog {
    fn write(&self, module: &str, level: LogLevel, line: &str) {
        let now = clock::now();
        let dropped = {
            // A panic elsewhere while it was locked leaves numbers that are valid all the same.
            let mut allowances = self
                .allowances
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let allowance = allowances
                .entry(module.to_owned())
                .or_insert_with(|| Allowance::full(now));
            allowance.take(now)
        };
        match dropped {
            None => return,
            Some(0) => {}
            Some(dropped) => {
                warn!(
                    policy = module,
                    dropped, "it wrote more lines than are kept"
                );
            }
        }
        match level {
            LogLevel::Error => error!(policy = module, "{line}"),
            LogLevel::Warn => warn!(policy = module, "{line}"),
            LogLevel::Info => info!(policy = module, "{line}"),
            LogLevel::Debug => debug!(policy = module, "{line}"),
        }
    }
}

/// What one policy may still write.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// When `left` was last right.
    at: Instant,
    dropped: u64,
}

impl Allowance {
    fn full(now: Instant) -> Self {
        Self {
            left: BURST,
            at: now,
            dropped: 0,
        }
    }

    /// Takes a line, and how many were dropped before it; none if it is to be dropped as well.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let pauses = now.saturating_duration_since(self.at).as_nanos() / PAUSE.as_nanos();
        let earned = u32::try_from(pauses).unwrap_or(u32::MAX);
        if self.left.saturating_add(earned) >= BURST {
            self.left = BURST;
            self.at = now;
        } else {
            self.left += earned;
            self.at += PAUSE * earned;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_may_write_some_lines_at_once_and_then_one_a_pause() {
        let start = clock::now();
        let mut allowance = Allowance::full(start);
        for _ in 0..BURST {
            assert_eq!(allowance.take(start), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(allowance.take(start + PAUSE / 2), None);
        }
        assert_eq!(allowance.take(start + PAUSE), Some(1000));
        assert_eq!(allowance.take(start + PAUSE), None);
        // Halves of pauses add up.
        assert_eq!(allowance.take(start + PAUSE * 3 / 2), None);
        assert_eq!(allowance.take(start + PAUSE * 2), Some(2));
    }

    #[test]
    fn a_policy_that_was_silent_has_no_more_than_the_burst() {
        let start = clock::now();
        let mut allowance = Allowance::full(start);
        assert_eq!(allowance.take(start), Some(0));
        let later = start + Duration::from_secs(86_400);
        let written = (0..10_000).filter(|_| allowance.take(later).is_some());
        assert_eq!(written.count(), BURST as usize);
    }

    #[test]
    fn policies_do_not_share_what_they_may_write() {
        let log = PolicyLog::default();
        for _ in 0..=BURST {
            log.write("loud", LogLevel::Debug, "again");
        }
        log.write("quiet", LogLevel::Debug, "once");
        let allowances = log.allowances.lock().unwrap();
        assert_eq!(allowances["quiet"].left, BURST - 1);
        assert_eq!(allowances["quiet"].dropped, 0);
        // The clock may have moved on by some pauses.
        assert!(allowances["loud"].left < BURST / 2);
    }
}
