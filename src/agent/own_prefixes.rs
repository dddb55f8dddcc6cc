//! What is not left to BGP on its way from the pipeline to the kernel's task: whole once, and from
//! then on what changed.
//!
//! The pipeline adds and never waits; what nobody took yet is merged, so there is never more than
//! the node has prefixes and lost meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::fib::{Ownership, Pools};
use crate::types::Prefix;

/// What is told of the node's own prefixes. Cheap to clone; one task takes.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnPrefixes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_wanted: bool,
    told: OwnNews,
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnNews {
    /// They are these, whatever they were before.
    pub(super) whole: Option<BTreeMap<Prefix, Ownership>>,
    /// And after that, these are what they were not; some, left to BGP.
    pub(super) changes: BTreeMap<Prefix, Option<Ownership>>,
    /// The pools are these.
    pub(super) pools: Option<Arc<Pools>>,
}

impl OwnPrefixes {
    /// From now on somebody takes what is told.
    pub(super) fn want(&self) {
        self.lock().is_wanted = true;
    }

    /// Whether somebody does.
    pub(super) fn is_wanted(&self) -> bool {
        self.lock().is_wanted
    }

    /// Tells what became of them.
    pub(super) fn tell(&self, news: OwnNews) {
        let OwnNews {
            whole,
            changes,
            pools,
        } = news;
        let mut state = self.lock();
        if let Some(whole) = whole {
            state.told.whole = Some(whole);
            state.told.changes.clear();
        }
        state.told.changes.extend(changes);
        if let Some(pools) = pools {
            state.told.pools = Some(pools);
        }
        drop(state);
        self.0.news.notify_one();
    }

    /// Takes what was told since the last time.
    pub(super) fn take(&self) -> OwnNews {
        std::mem::take(&mut self.lock().told)
    }

    /// Waits until something is told. Cancel-safe: what is told while nobody waits is heard by
    /// whoever waits next.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder panics")
    }
}
