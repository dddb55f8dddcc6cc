//! What policies write to the log, in the agent's own.
//!
//! A policy that writes all the time must not fill a disk, nor hide what others write: each may
//! write some lines at once, and then so many a second. What is dropped is told with the next line
//! that is not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::allowance::{Allowance, Rate};
use super::clock;
use crate::wasm::{LogLevel, LogSink};

/// The lines that a policy may write.
const RATE: Rate = Rate {
    burst: 200,
    pause: Duration::from_millis(100),
};

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
                .or_insert_with(|| Allowance::full(RATE, now));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_do_not_share_what_they_may_write() {
        let log = PolicyLog::default();
        for _ in 0..=RATE.burst {
            log.write("loud", LogLevel::Debug, "again");
        }
        log.write("quiet", LogLevel::Debug, "once");
        let allowances = log.allowances.lock().unwrap();
        assert_eq!(allowances["quiet"].state(), (RATE.burst - 1, 0));
        // The clock may have moved on by some pauses.
        assert!(allowances["loud"].state().0 < RATE.burst / 2);
    }
}
