//! The one clock. Everything else is told what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic time, for timers and ages.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day in whole seconds since 1970, for people.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub(crate) fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// When, in seconds since 1970, the moment `ago` before the present was.
pub(crate) fn unix_time_before(ago: Duration) -> u64 {
    unix_time().saturating_sub(ago.as_secs())
}
