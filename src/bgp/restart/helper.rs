//! The helper of a peer's restart (RFC 4724 section 4.2), and of its answers to a ROUTE-REFRESH
//! (RFC 7313 section 4): which families' routes are stale, and until when.
//!
//! | a family's routes | session lost, kept | lost, not kept | back, F | back without F | End-of-RIB | BoRR | EoRR | time is up |
//! |---|---|---|---|---|---|---|---|---|
//! | fresh | all stale | all go | | | | all stale | | |
//! | stale, peer away | | | the peer's turn | go | | | | go |
//! | stale, peer back | go; the others stale | all go | | | go | | | go |
//! | stale by BoRR | go; the others stale | all go | | | | all stale | go | go |
//!
//! "Go" means those that are stale still. A peer's second loss lets nothing from before the first
//! live on: a route is never older than one absence.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::bgp::wire::{Forwarding, GracefulRestart};
use crate::types::Family;

/// What is to be done with the routes of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// All there are are stale from here on.
    Mark(Family),
    /// Those that are stale go.
    Sweep(Family),
    /// All there are go.
    Forget(Family),
}

/// Which of a peer's routes are stale.
#[derive(Clone, Debug, Default)]
pub(crate) struct Helper(BTreeMap<Family, Stale>);

/// The stale routes of a family.
#[derive(Clone, Copy, Debug)]
struct Stale {
    cause: Cause,
    since: Instant,
    /// When those go that are stale still.
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The session they came by is lost.
    Loss,
    /// The peer says all of them again.
    Refresh,
}

impl Helper {
    /// The session is lost. `kept` is what the peer said of its restart, where the way in which the
    /// session ended lets routes outlive it.
    pub(crate) fn lost(&mut self, now: Instant, kept: Option<&GracefulRestart>) -> Vec<Task> {
        let mut tasks = Vec::new();
        for family in Family::ALL {
            let was_stale = self.0.remove(&family).is_some();
            let kept = kept.filter(|offer| {
                offer.families.contains_key(&family) && !offer.restart_time.is_zero()
            });
            let Some(offer) = kept else {
                tasks.push(Task::Forget(family));
                continue;
            };
            if was_stale {
                tasks.push(Task::Sweep(family));
            }
            tasks.push(Task::Mark(family));
            let stale = Stale {
                cause: Cause::Loss,
                since: now,
                until: now + offer.restart_time,
            };
            self.0.insert(family, stale);
        }
        tasks
    }

    /// There is a session again, for these families. `offer` is what the peer says of the restart
    /// that lies behind it; `patience`, how long it has to say its routes again.
    pub(crate) fn back(
        &mut self,
        now: Instant,
        offer: Option<&GracefulRestart>,
        families: &[Family],
        patience: Duration,
    ) -> Vec<Task> {
        let preserved = |family: &Family| {
            families.contains(family)
                && offer
                    .is_some_and(|offer| offer.families.get(family) == Some(&Forwarding::Preserved))
        };
        let mut tasks = Vec::new();
        self.0.retain(|family, stale| {
            let stays = preserved(family);
            if stays {
                stale.until = now + patience;
            } else {
                tasks.push(Task::Sweep(*family));
            }
            stays
        });
        tasks
    }

    /// The peer has said all that it has of a family.
    pub(crate) fn end_of_rib(&mut self, family: Family) -> Option<Task> {
        self.end(family, Cause::Loss)
    }

    /// The peer begins to say a family's routes again. What it has yet to say after a loss is ended
    /// by its End-of-RIB alone (RFC 7313 section 4).
    pub(crate) fn refresh_begins(
        &mut self,
        now: Instant,
        family: Family,
        patience: Duration,
    ) -> Option<Task> {
        if self.0.get(&family).map(|stale| stale.cause) == Some(Cause::Loss) {
            return None;
        }
        let stale = Stale {
            cause: Cause::Refresh,
            since: now,
            until: now + patience,
        };
        self.0.insert(family, stale);
        Some(Task::Mark(family))
    }

    /// That was all of them.
    pub(crate) fn refresh_ends(&mut self, family: Family) -> Option<Task> {
        self.end(family, Cause::Refresh)
    }

    /// What has been stale for long enough.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Task> {
        let mut tasks = Vec::new();
        self.0.retain(|family, stale| {
            let expired = stale.until <= now;
            if expired {
                tasks.push(Task::Sweep(*family));
            }
            !expired
        });
        tasks
    }

    /// When to call [`expire`](Self::expire).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|stale| stale.until).min()
    }

    /// Since when routes are stale for the loss of a session, and until when at most.
    pub(crate) fn lost_since(&self) -> Option<(Instant, Instant)> {
        let lost = self.0.values().filter(|stale| stale.cause == Cause::Loss);
        lost.map(|stale| (stale.since, stale.until)).max()
    }

    /// Whether anything is stale.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    fn end(&mut self, family: Family, cause: Cause) -> Option<Task> {
        if self.0.get(&family)?.cause != cause {
            return None;
        }
        self.0.remove(&family);
        Some(Task::Sweep(family))
    }
}

#[cfg(test)]
mod tests;
