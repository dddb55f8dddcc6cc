//! Prefixes whose best paths changed, for whoever follows the Loc-RIB.
//!
//! The speaker's driver adds to them and never waits; changes of one prefix that nobody took yet
//! are one. So there are never more than the speaker has routes, however slow the other side is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::types::Prefix;

/// Prefixes whose best paths changed since they were last taken. Cheap to clone; one task takes.
#[derive(Clone, Debug, Default)]
pub struct ChangedRoutes(Arc<Changed>);

#[derive(Debug, Default)]
struct Changed {
    prefixes: Mutex<BTreeSet<Prefix>>,
    added: Notify,
}

impl ChangedRoutes {
    /// Adds one.
    pub(super) fn add(&self, prefix: Prefix) {
        let mut prefixes = self.0.prefixes.lock().expect("no holder panics");
        prefixes.insert(prefix);
        drop(prefixes);
        self.0.added.notify_one();
    }

    /// Waits until there are some. Cancel-safe: what is added while nobody waits is heard by
    /// whoever waits next.
    pub async fn wait(&self) {
        while self.0.prefixes.lock().expect("no holder panics").is_empty() {
            self.0.added.notified().await;
        }
    }

    /// Takes some `max` of them, in order; none if there are none.
    #[must_use]
    pub fn take(&self, max: usize) -> Vec<Prefix> {
        let mut prefixes = self.0.prefixes.lock().expect("no holder panics");
        let taken = std::iter::from_fn(|| prefixes.pop_first());
        taken.take(max).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_of_one_prefix_are_one_and_none_is_lost() {
        let changed = ChangedRoutes::default();
        let prefixes: [Prefix; 3] =
            ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"].map(|prefix| prefix.parse().unwrap());
        for prefix in prefixes.iter().chain(&prefixes[..1]) {
            changed.add(*prefix);
        }
        changed.wait().await;
        assert_eq!(changed.take(2), prefixes[..2]);
        changed.wait().await;
        assert_eq!(changed.take(2), prefixes[2..]);
        assert_eq!(changed.take(2), []);
        changed.add(prefixes[0]);
        changed.wait().await;
        assert_eq!(changed.take(2), prefixes[..1]);
    }
}
