//! What the API tells of learned routes in the kernel.

use super::KernelRoutes;
use crate::api::{KernelPath, KernelStatus};
use crate::config::{KernelConfig, LearnedRoutes};
use crate::fib::{Counts, PathState, PathWay};
use crate::types::Prefix;

impl KernelRoutes {
    /// The kernel's part of `/v1/status`.
    pub(in crate::agent) fn status(&self) -> KernelStatus {
        let KernelConfig {
            learned_routes,
            own_blocks: _,
            table,
            metric,
            protocol,
        } = self.config;
        let shared = self.lock();
        let Counts {
            routes,
            blackholes,
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
            blackholes: blackholes as u64,
            leftovers: leftovers as u64,
            unfit: unfit as u64,
            refused: refused as u64,
            refusal: first.map(|(prefix, refusal)| format!("{prefix}: {}", refusal.words)),
            failures,
            error: shared.trouble.as_ref().map(|trouble| trouble.words.clone()),
        }
    }

    /// What became of a path that the kernel may have and that leads this way.
    pub(in crate::agent) fn path(&self, prefix: Prefix, way: PathWay) -> KernelPath {
        let shared = self.lock();
        let target = shared.pools.target(&prefix, vec![way], shared.fib.tunnel());
        match (shared.fib.path_state(prefix, &target), &shared.trouble) {
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
