//! The chains that the agent starts with: those configured and, where modules cannot be had, what
//! stands in for their policies.
//!
//! A policy may be all that keeps a route from being announced, so that the chain without it is no
//! substitute. See [`OnStartFailure`] for what is.

use super::clock;
use super::decider::{Exporting, Importing};
use super::events::{Notice, Notices};
use super::last::Last;
use super::links::{Chains, LoadedLink, Plan, RefusedVersions, Without};
use super::load::{self, Loaded};
use crate::api::StandIn;
use crate::config::OnStartFailure;
use crate::policy::NextLink;
use crate::wasm::Engine;
use tracing::warn;

/// The chains of both directions that the agent starts with.
pub(super) struct FirstChains {
    pub(super) exports: Vec<NextLink<Exporting>>,
    pub(super) imports: Vec<NextLink<Importing>>,
    pub(super) in_force: Chains,
    /// Why modules do not run that are configured.
    pub(super) refused: RefusedVersions,
    /// Why the built-in default runs in the place of the configured chain, where it does.
    pub(super) fallback: Option<String>,
}

/// The configured chains, with whatever stands in.
///
/// # Errors
/// Only where a packager embedded something that is no policy.
pub(super) fn chains(engine: &Engine, loaded: &Loaded) -> anyhow::Result<FirstChains> {
    let config = &loaded.config;
    let (last, builtin) = match config.policy.on_start_failure {
        OnStartFailure::KeepLast => (Last::of(config), false),
        OnStartFailure::Builtin => (Last::NONE, true),
    };
    let (none, modules) = (RefusedVersions::new(), &loaded.modules);
    let stand_in = Without::Last(&last);
    let without = if builtin { Without::Refused } else { stand_in };
    let exports = Plan::make(
        engine,
        &config.policies,
        &modules.exports,
        &[],
        &none,
        without,
    );
    let (exports, fallback) = match exports {
        Ok(plan) => (plan, None),
        Err(refusal) => {
            let text = format!("{refusal:#}; the built-in default runs in its place");
            (builtin_instead(engine)?, Some(text))
        }
    };
    let imports = Plan::make(
        engine,
        &config.import_policies,
        &modules.imports,
        &[],
        &none,
        stand_in,
    )?;
    let refused = exports.refused.into_iter().chain(imports.refused);
    Ok(FirstChains {
        exports: exports.links,
        imports: imports.links,
        in_force: Chains {
            exports: exports.loaded,
            imports: imports.loaded,
        },
        refused: refused.collect(),
        fallback,
    })
}

fn builtin_instead(engine: &Engine) -> anyhow::Result<Plan<Exporting>> {
    let (config, link) = load::fallback(engine)?;
    let loaded = LoadedLink {
        config,
        stand_in: Some(StandIn::Builtin),
        digest: None,
        loaded_at: clock::unix_time(),
    };
    Ok(Plan {
        links: vec![link.into()],
        loaded: vec![loaded],
        refused: RefusedVersions::new(),
    })
}

/// Says what stands in.
pub(super) fn tell(
    chains: &Chains,
    refused: &RefusedVersions,
    fallback: Option<&str>,
    notices: &Notices,
) {
    let stood_in = chains.links().filter_map(|(direction, link)| {
        let version = refused.get(&(direction, link.name().to_owned()))?;
        Some(format!("{}; {}", version.reason, link.meanwhile(direction)))
    });
    for error in fallback.map(str::to_owned).into_iter().chain(stood_in) {
        warn!("{error}");
        notices.tell(Notice::PolicyFallback { error });
    }
}
