//! Whether the pipeline's thread gets on, by what it has done and not by how long it takes: a policy
//! that is slow has the thread busy for as long as there are routes, and ending the process for that
//! would end its sessions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::policy::progress::{self, Steps};

/// A thread that was busy for longer without a step is stuck. The longest single step is one call of
/// a policy, which has its time limit twice, of ten seconds at most, and ends twenty milliseconds
/// after it; or the comparison of a large table with itself between two calls, on a node that has
/// little time to spare.
const STEP_TIME_MAX: Duration = Duration::from_secs(120);

/// The thread's own side and that of whoever asks for it. A clone is of the same thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse {
    steps: Steps,
    busy: Arc<AtomicBool>,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// What was seen of the thread while it was busy.
#[derive(Clone, Copy, Debug)]
struct Seen {
    steps: u64,
    /// When there were so many for the first time, as far as anybody looked.
    at: Instant,
}

impl Pulse {
    /// Policies that this thread asks count as its steps.
    pub(super) fn of_this_thread(&self) {
        progress::count(Arc::clone(&self.steps));
    }

    /// The thread has something to do.
    pub(super) fn begin(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.busy.store(true, Ordering::Release);
    }

    /// The thread waits.
    pub(super) fn end(&self) {
        self.busy.store(false, Ordering::Release);
    }

    /// Whether the thread does not get on. To be asked now and then: what nobody looks at is not
    /// known to stand still.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let mut seen = self.seen.lock().expect("no holder panics");
        if !self.busy.load(Ordering::Acquire) {
            *seen = None;
            return false;
        }
        let steps = self.steps.load(Ordering::Relaxed);
        let still = seen.filter(|seen| seen.steps == steps);
        let Seen { at, .. } = *seen.insert(still.unwrap_or(Seen { steps, at: now }));
        now.saturating_duration_since(at) > STEP_TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock;

    /// Looks every ten seconds for this long, and tells whether the thread was ever found stuck.
    fn is_ever_stuck(pulse: &Pulse, now: &mut Instant, time: Duration, step: impl Fn()) -> bool {
        let end = *now + time;
        let mut ever = false;
        while *now < end {
            *now += Duration::from_secs(10);
            step();
            ever |= pulse.is_stuck(*now);
        }
        ever
    }

    #[test]
    fn a_round_that_gets_on_is_never_stuck_however_long_it_takes() {
        let (pulse, mut now) = (Pulse::default(), clock::now());
        pulse.of_this_thread();
        pulse.begin();
        let hours = Duration::from_secs(3600 * 5);
        assert!(!is_ever_stuck(&pulse, &mut now, hours, progress::made));
    }

    #[test]
    fn a_call_that_never_ends_is_stuck_and_no_sooner_than_it_may_take() {
        let (pulse, mut now) = (Pulse::default(), clock::now());
        pulse.of_this_thread();
        pulse.begin();
        assert!(!is_ever_stuck(&pulse, &mut now, STEP_TIME_MAX, || {}));
        let little = Duration::from_secs(20);
        assert!(is_ever_stuck(&pulse, &mut now, little, || {}));
        progress::made();
        assert!(!pulse.is_stuck(now), "it was slow after all");
    }

    #[test]
    fn a_thread_that_waits_is_not_stuck_and_begins_anew() {
        let (pulse, mut now) = (Pulse::default(), clock::now());
        let hour = Duration::from_secs(3600);
        pulse.begin();
        pulse.end();
        assert!(!is_ever_stuck(&pulse, &mut now, hour, || {}));
        pulse.begin();
        assert!(!pulse.is_stuck(now), "it has only just begun");
    }
}
