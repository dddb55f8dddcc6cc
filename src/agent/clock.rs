//! The one clock. Everything else is told what time it is.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the time of day may run away from the monotonic clock before the two are related
/// anew: more than jitter, less than what a person would notice in a table.
const STEP: Duration = Duration::from_secs(2);

/// A moment in both clocks. Kept, so that the same moment is told as the same second each time.
static ANCHOR: Mutex<Option<(Instant, SystemTime)>> = Mutex::new(None);

/// The monotonic time, for timers and ages.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day in whole seconds since 1970, for people.
pub(crate) fn unix_time() -> u64 {
    seconds(time_of_day())
}

/// How long the machine has been up; for ever where that cannot be told.
pub(crate) fn uptime() -> Duration {
    std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| parse_uptime(&text))
        .unwrap_or(Duration::MAX)
}

/// Seconds with a fraction, and what does not matter.
fn parse_uptime(text: &str) -> Option<Duration> {
    let seconds = text.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A moment of the monotonic clock in whole seconds since 1970, for people.
pub(crate) fn unix_time_of(moment: Instant) -> u64 {
    let (now, time) = (now(), time_of_day());
    let mut anchor = ANCHOR.lock().expect("no holder panics");
    let kept = anchor.filter(|kept| distance(place(*kept, now), time) <= STEP);
    seconds(place(*anchor.insert(kept.unwrap_or((now, time))), moment))
}

#[expect(clippy::disallowed_methods, reason = "the one clock")]
fn time_of_day() -> SystemTime {
    SystemTime::now()
}

/// The time of day at `moment`, if the two clocks ran alike between it and the anchor.
fn place((instant, time): (Instant, SystemTime), moment: Instant) -> SystemTime {
    let placed = match moment.checked_duration_since(instant) {
        Some(after) => time.checked_add(after),
        None => time.checked_sub(instant.duration_since(moment)),
    };
    placed.unwrap_or(UNIX_EPOCH)
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other)
        .unwrap_or_else(|error| error.duration())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_the_same_second_each_time() {
        let moment = now() - Duration::from_millis(1_500);
        let told = unix_time_of(moment);
        assert!((0..10_000).all(|_| unix_time_of(moment) == told));
        assert!(unix_time().abs_diff(told) <= 3);
    }

    #[test]
    fn the_machine_is_up_for_as_long_as_the_kernel_says() {
        let half = Duration::from_millis(12_500);
        assert_eq!(parse_uptime("12.50 49.21\n"), Some(half));
        assert_eq!(parse_uptime("-1 0"), None);
        assert_eq!(parse_uptime(""), None);
        assert!(uptime() > Duration::ZERO);
    }

    #[test]
    fn moments_before_and_after_the_anchor_have_their_places() {
        let anchor = (now(), UNIX_EPOCH + Duration::from_secs(100));
        let second = Duration::from_secs(1);
        assert_eq!(seconds(place(anchor, anchor.0 + second)), 101);
        assert_eq!(seconds(place(anchor, anchor.0 - second)), 99);
        assert_eq!(distance(anchor.1, anchor.1 + second), second);
    }
}
