//! That a thread which asks policies gets on: it counts the calls that have ended.
//!
//! Whoever wants to know of a thread has it [`count`]; [`made`] is called wherever a call of a policy
//! ends, on whatever thread that is. A count and no time: this has no clock.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many steps a thread has done, for others to see that it does some.
pub type Steps = Arc<AtomicU64>;

thread_local! {
    static STEPS: RefCell<Option<Steps>> = const { RefCell::new(None) };
}

/// From now on, the steps of this thread are counted there.
pub fn count(steps: Steps) {
    STEPS.set(Some(steps));
}

/// This thread has done a step.
pub fn made() {
    STEPS.with_borrow(|steps| {
        if let Some(steps) = steps {
            steps.fetch_add(1, Ordering::Relaxed);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_counts_its_own_steps_only() {
        let steps = Steps::default();
        count(Arc::clone(&steps));
        made();
        let other = std::thread::spawn(made);
        other.join().unwrap();
        assert_eq!(steps.load(Ordering::Relaxed), 1);
    }
}
