//! What the API tells of learned routes in the kernel.

use std::collections::BTreeSet;

use super::KernelRoutes;
use crate::api::{KernelPath, KernelStatus};
use crate::config::{KernelConfig, LearnedRoutes};
use crate::fib::{Counts, PathState};
use crate::types::{Hop, Prefix};

impl KernelRoutes {
    /// The kernel's part of `/v1/status`.
    pub(in crate::agent) fn status(&self) -> KernelStatus {
        let KernelConfig {
            learned_routes,
            table,
            metric,
            protocol,
        } = self.config;
        let shared = self.lock();
        let Counts {
            routes,
            leftovers,
            unfit,
            refused,
            failures,
        } = shared.fib.counts();
        let first = shared.fib.first_refusal();
        KernelStatus {
            installs: learned_routes == LearnedRoutes::Install,
            table,
            metric,
            protocol,
            waits_for_facts: !shared.fib.is_ready(),
            routes: routes as u64,
            leftovers: leftovers as u64,
            unfit: unfit as u64,
            refused: refused as u64,
            refusal: first.map(|(prefix, refusal)| format!("{prefix}: {}", refusal.words)),
            failures,
            error: shared.trouble.as_ref().map(|trouble| trouble.words.clone()),
        }
    }

    /// What became of a path that the kernel may have and that leads these ways.
    pub(in crate::agent) fn path(&self, prefix: Prefix, hops: &BTreeSet<Hop>) -> KernelPath {
        let shared = self.lock();
        match (shared.fib.path_state(prefix, hops), &shared.trouble) {
            (PathState::Installed, _) => KernelPath::Installed,
            (PathState::Unfit(reason), _) => KernelPath::Unfit { reason },
            (PathState::Refused(reason), _) => KernelPath::Refused { reason },
            (PathState::Pending, Some(trouble)) => KernelPath::Refused {
                reason: trouble.words.clone(),
            },
            (PathState::Pending, None) => KernelPath::Pending,
        }
    }
}
