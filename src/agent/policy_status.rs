//! How each policy of a chain is, as the API tells it.

use super::clock;
use super::shadow::{self, ShadowHandle};
use super::state::ChainState;
use crate::api::PolicyStatus;
use crate::policy::{Directed, LinkStatus, Mode};

/// The policies of one direction, in the chain's order.
pub(super) fn all<'l, P: Directed>(
    links: impl Iterator<Item = LinkStatus<'l>>,
    shadows: &ShadowHandle<P>,
    state: &ChainState,
) -> Vec<PolicyStatus> {
    links
        .map(|link| match link.mode {
            Mode::Enforce => enforced(link, state),
            Mode::Shadow => in_shadow(link, shadows, state),
        })
        .collect()
}

/// A policy that decides.
fn enforced(link: LinkStatus<'_>, state: &ChainState) -> PolicyStatus {
    let now = clock::now();
    let module = state.modules.get(link.name);
    PolicyStatus {
        digest: module.and_then(|module| module.digest.clone()),
        loaded_at: module.map(|module| module.loaded_at),
        refused: module.and_then(|module| module.refused.clone()),
        name: link.name.to_owned(),
        module: link.module.to_owned(),
        on_error: link.on_error,
        limits: link.limits.into(),
        mode: link.mode,
        shadow: None,
        error: link
            .error
            .map(ToString::to_string)
            .or_else(|| state.error.clone()),
        failures: link.failures,
        retry_in: link
            .retry_at
            .map(|at| at.saturating_duration_since(now).as_secs()),
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
