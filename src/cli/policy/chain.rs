//! A recording run through a chain: what replay, diff and explain have in common.
//!
//! It is decided by the agent's own [`Exports`], so that what is told here is what a node would
//! announce. A policy that fails makes the command fail: what a chain makes of a failure is for
//! the agent.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::decisions::{self, LIMITS};
use super::module::{self, SettingsArg};
use crate::agent::clock;
use crate::api::DecisionReport;
use crate::candidates::{CandidateChange, CandidateKey};
use crate::cases::{Asks, CaseFile, Scene, UsedPolicy};
use crate::policy::{Audience, Exports, Link, Mode, OnError, PeerGroups};
use crate::types::GroupId;
use crate::wasm::{Engine, WasmPolicy};

/// Which chain to run: the recorded one, one module alone, or the one with the module in it.
#[derive(Clone, Debug, Args)]
pub(super) struct ChainArgs {
    /// A module to run alone, or in the place that --as names; without it the recorded chain runs
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,

    #[command(flatten)]
    settings: SettingsArg,

    /// Run the recorded chain with --module in place of this policy, with its settings unless
    /// there are others
    #[arg(long = "as", value_name = "POLICY", requires = "module")]
    place: Option<String>,
}

/// A module that is to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen<'a> {
    /// As the command line names it.
    pub(super) module: &'a str,
    pub(super) settings: &'a SettingsArg,
    /// The recorded policy that it takes the place of; alone where absent.
    pub(super) place: Option<&'a str>,
}

/// The one group of a scene.
const GROUP: GroupId = GroupId(0);

/// A scene, decided.
#[derive(Debug)]
pub(super) struct Played<'a> {
    pub(super) scene: &'a Scene,
    exports: Exports,
}

impl ChainArgs {
    /// The chain to run a recording through.
    ///
    /// # Errors
    /// A module does not load or refuses its settings, or there is no such policy.
    pub(super) fn links(&self, engine: &Engine, file: &CaseFile) -> anyhow::Result<Vec<Link>> {
        match &self.module {
            Some(module) => links(
                engine,
                file,
                Chosen {
                    module,
                    settings: &self.settings,
                    place: self.place.as_deref(),
                },
            ),
            None => {
                anyhow::ensure!(
                    !self.settings.is_given(),
                    "--settings are those of --module: name one"
                );
                anyhow::ensure!(
                    !file.policies.is_empty(),
                    "{} has no policies: name a module with --module",
                    file.name
                );
                recorded(engine, &file.policies)
            }
        }
    }
}

/// Reads a recording.
///
/// # Errors
/// It cannot be read, is not valid, or is a file of cases.
pub(super) fn read(path: &Path) -> anyhow::Result<CaseFile> {
    let file = decisions::read(path)?;
    match file.asks {
        Asks::Everything => Ok(file),
        Asks::Cases => anyhow::bail!(
            "{} has cases, which `rutter policy test` runs; name a file without, as `rutter \
             policy record` makes it",
            file.name
        ),
    }
}

/// The chain with the chosen module in it.
///
/// # Errors
/// As [`ChainArgs::links`].
pub(super) fn links(
    engine: &Engine,
    file: &CaseFile,
    chosen: Chosen<'_>,
) -> anyhow::Result<Vec<Link>> {
    let Chosen {
        module,
        settings,
        place,
    } = chosen;
    let Some(place) = place else {
        let written = file.scenes.first().and_then(|scene| scene.settings.clone());
        let settings = match written {
            Some(written) if !settings.is_given() => written.into(),
            Some(_) | None => settings.read()?,
        };
        return Ok(vec![alone(engine, module, &settings)?]);
    };
    let names: Vec<&str> = file.policies.iter().map(|p| p.name.as_str()).collect();
    anyhow::ensure!(
        names.contains(&place),
        "no policy of {} is called {place:?}; there are: {}",
        file.name,
        names.join(", ")
    );
    let in_chain = |policy: &UsedPolicy| {
        if policy.name != place {
            return recorded_link(engine, policy);
        }
        let settings = if settings.is_given() {
            settings.read()?
        } else {
            policy.settings.clone().into()
        };
        // It is to be seen deciding, whether its place decides or not.
        let policy = UsedPolicy {
            mode: Mode::Enforce,
            ..policy.clone()
        };
        link(engine, policy, module, &settings)
    };
    file.policies.iter().map(in_chain).collect()
}

fn recorded(engine: &Engine, policies: &[UsedPolicy]) -> anyhow::Result<Vec<Link>> {
    let links = policies.iter().map(|policy| recorded_link(engine, policy));
    links.collect()
}

fn recorded_link(engine: &Engine, policy: &UsedPolicy) -> anyhow::Result<Link> {
    let settings = policy.settings.clone().into();
    link(engine, policy.clone(), &policy.module, &settings)
        .with_context(|| format!("the recorded policy `{}`", policy.name))
}

/// A module by itself, called as it calls itself.
fn alone(engine: &Engine, module: &str, settings: &serde_json::Value) -> anyhow::Result<Link> {
    let loaded = module::load(engine, module)?;
    Ok(Link {
        name: loaded.description().name.as_str().into(),
        module: module.to_owned(),
        policy: Arc::new(WasmPolicy::new(&loaded, settings, LIMITS)?),
        on_error: OnError::default(),
        limits: LIMITS,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    })
}

/// A module in the place of a recorded policy.
fn link(
    engine: &Engine,
    place: UsedPolicy,
    module: &str,
    settings: &serde_json::Value,
) -> anyhow::Result<Link> {
    let UsedPolicy {
        name,
        module: _,
        on_error,
        mode,
        peers,
        settings: _,
    } = place;
    Ok(Link {
        name: name.into(),
        on_error,
        audience: peers.map_or(Audience::Everyone, Audience::Only),
        mode,
        ..alone(engine, module, settings)?
    })
}

/// Decides a scene as an agent would that has just started.
///
/// # Errors
/// A policy fails.
pub(super) fn play<'a>(
    file: &CaseFile,
    links: &[Link],
    scene: &'a Scene,
) -> anyhow::Result<Played<'a>> {
    let now = clock::now();
    let mut exports = Exports::new(scene.asn);
    exports.set_default(now, file.policy_default);
    let groups = PeerGroups {
        groups: [(GROUP, scene.peer_group.clone())].into(),
        ..PeerGroups::default()
    };
    exports.set_groups(now, groups);
    exports.replace_chain(now, links.iter().cloned());
    let candidates = scene.candidates.iter().cloned();
    exports.update(
        now,
        Some(Arc::clone(&scene.node)),
        candidates.map(CandidateChange::Upsert).collect(),
    );
    for link in exports.links() {
        if let Some(failure) = link.error {
            return Err(failure.clone())
                .with_context(|| format!("policy `{}` {}", link.name, scene.name));
        }
    }
    Ok(Played { scene, exports })
}

impl Played<'_> {
    /// The end of the chain for each candidate, ordered by key.
    pub(super) fn decisions(&self) -> impl Iterator<Item = (&CandidateKey, DecisionReport)> {
        self.exports.outcomes(GROUP).map(|(key, outcome)| {
            let steps = self.exports.steps(GROUP, key);
            (key, DecisionReport::new(outcome, &steps))
        })
    }
}
