//! Waiting without sleeping: conditions with a deadline. Every test that needs the world to come
//! to some state uses these; none sleeps for a time it hopes is long enough.

use std::panic::Location;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How often a condition is looked at. Each look may start a process.
const INTERVAL: Duration = Duration::from_millis(100);

/// Looks at `condition` until it holds and returns what it gives.
///
/// # Panics
/// It does not hold within `limit`; the message is the condition's last error.
#[track_caller]
pub(crate) fn eventually<T>(
    limit: Duration,
    mut condition: impl FnMut() -> Result<T, String>,
) -> T {
    let caller = Location::caller();
    let deadline = Instant::now() + limit;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(error) if Instant::now() >= deadline => {
                panic!("{caller}: not within {limit:?}: {error}")
            }
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}

/// Looks at `condition` for as long as `span`: it must hold each time.
///
/// # Panics
/// It fails once.
#[track_caller]
pub(crate) fn throughout(span: Duration, mut condition: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    loop {
        let elapsed = start.elapsed();
        if let Err(error) = condition() {
            panic!("failed {elapsed:?} into {span:?}: {error}");
        }
        if elapsed >= span {
            return;
        }
        thread::sleep(INTERVAL);
    }
}

/// An error unless `left` equals `right`, for use in a condition.
///
/// # Errors
/// They differ; the text shows both.
pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(left: T, right: T) -> Result<(), String> {
    if left == right {
        Ok(())
    } else {
        Err(format!("{left:?} is not {right:?}"))
    }
}

/// An error unless `text` contains `words`, for use in a condition.
///
/// # Errors
/// It does not; the text shows both.
pub(crate) fn contains(text: &str, words: &str) -> Result<(), String> {
    if text.contains(words) {
        Ok(())
    } else {
        Err(format!("`{text}` does not say `{words}`"))
    }
}
