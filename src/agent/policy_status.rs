//! How each policy of a chain is, as the API tells it.

use super::clock;
use super::shadow::{self, ShadowHandle};
use super::state::ChainState;
use crate::api::{HeldRoute, PolicyStatus};
use crate::policy::{self, Directed, LinkStatus, Mode, Table};

/// How many routes are named of those that a policy fails on.
const HELD_MAX: usize = 10;

/// The policies of one direction, in the chain's order.
pub(super) fn all<P: Directed>(
    table: &Table<P>,
    shadows: &ShadowHandle<P>,
    state: &ChainState,
) -> Vec<PolicyStatus> {
    let links = table.links();
    links
        .map(|link| match link.mode {
            Mode::Enforce => PolicyStatus {
                held_routes: held(table, link.name),
                ..enforced(link, state)
            },
            Mode::Shadow => in_shadow(link, shadows, state),
        })
        .collect()
}

/// The first routes that a policy fails on.
fn held<P: Directed>(table: &Table<P>, policy: &str) -> Vec<HeldRoute> {
    let now = clock::now();
    let route = |held: policy::HeldRoute<'_, P>| {
        let peer = P::peer(held.peers);
        HeldRoute {
            prefix: P::prefix(held.key),
            service: P::service(held.key).cloned(),
            peers: peer.unwrap_or(&P::peer_group(held.peers).name).to_owned(),
            error: held.error.to_string(),
            retry_in: held.retry_at.saturating_duration_since(now).as_secs(),
        }
    };
    let held = table.held().filter(|held| held.policy == policy);
    held.take(HELD_MAX).map(route).collect()
}

/// A policy that decides.
fn enforced(link: LinkStatus<'_>, state: &ChainState) -> PolicyStatus {
    let now = clock::now();
    let module = state.modules.get(link.name);
    PolicyStatus {
        digest: module.and_then(|module| module.digest.clone()),
        loaded_at: module.map(|module| module.loaded_at),
        // Of one that is closed it is the error.
        refused: module
            .filter(|module| module.closed.is_none())
            .and_then(|module| module.refused.clone()),
        stand_in: module.and_then(|module| module.stand_in),
        name: link.name.to_owned(),
        module: link.module.to_owned(),
        on_error: link.on_error,
        limits: link.limits.into(),
        mode: link.mode,
        shadow: None,
        error: module
            .and_then(|module| module.closed.clone())
            .or_else(|| link.error.map(ToString::to_string))
            .or_else(|| state.error.clone()),
        failures: link.failed(),
        retry_in: link
            .retry_at
            .map(|at| at.saturating_duration_since(now).as_secs()),
        held: link.held as u64,
        held_routes: Vec::new(),
    }
}

/// A policy in shadow mode: how it is, is told by the thread that asks it.
fn in_shadow<P: Directed>(
    link: LinkStatus<'_>,
    shadows: &ShadowHandle<P>,
    state: &ChainState,
) -> PolicyStatus {
    let summary = shadows.summary(link.name);
    let fault = summary.as_ref().and_then(|summary| summary.fault.as_ref());
    PolicyStatus {
        error: fault.map(|fault| shadow::told(fault, link.name)),
        failures: summary.as_ref().map_or(0, |summary| summary.failures),
        retry_in: fault.map(|fault| {
            let pause = fault.retry_at.saturating_duration_since(clock::now());
            pause.as_secs()
        }),
        shadow: summary.map(|summary| summary.counts),
        ..enforced(link, state)
    }
}
