//! A recording run through a chain: what replay, diff and explain have in common.
//!
//! It is decided by the agent's own [`Exports`] and [`Imports`](crate::policy::Imports), so that
//! what is told here is what a node would announce, and use. A policy that fails makes the command fail: what a chain makes of a failure is for
//! the agent.

mod learned;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::decisions;
use super::module::{self, SettingsArg};
use super::workbench::LIMITS;
use crate::agent::clock;
use crate::api::DecisionReport;
use crate::candidates::{CandidateChange, CandidateKey};
use crate::cases::{Asks, CaseFile, Scene, UsedPolicy};
use crate::policy::{
    Audience, Directed, Exports, ImportLink, ImportPolicy, Link, Mode, OnError, PeerGroups,
    RoutePolicy,
};
use crate::types::GroupId;
use crate::wasm::{Engine, Module, ModuleError, Purpose, WasmImportPolicy, WasmPolicy};

pub(super) use learned::{LearnedReport, play as play_learned};

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

/// What is to run: nothing is asked about routes that there are no policies for.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// About candidates.
    pub(super) announced: Vec<Link>,
    /// About learned routes.
    pub(super) learned: Vec<ImportLink>,
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
    /// The chains to run a recording through.
    ///
    /// # Errors
    /// A module does not load or refuses its settings, or there is no such policy.
    pub(super) fn chains(&self, engine: &Engine, file: &CaseFile) -> anyhow::Result<Chains> {
        match &self.module {
            Some(module) => chains(
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
                    !file.policies.is_empty() || !file.import_policies.is_empty(),
                    "{} has no policies: name a module with --module",
                    file.name
                );
                recorded(engine, file)
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

/// The chains with the chosen module in them, for what it decides on.
///
/// # Errors
/// As [`ChainArgs::chains`]; or the recording has nothing that the module decides on.
pub(super) fn chains(
    engine: &Engine,
    file: &CaseFile,
    chosen: Chosen<'_>,
) -> anyhow::Result<Chains> {
    let loaded = module::load(engine, chosen.module)?;
    let purpose = loaded.purpose();
    let chains = match chosen.place {
        None => alone_in(file, &loaded, chosen)?,
        Some(place) => in_place(engine, file, &loaded, chosen, place)?,
    };
    let has = |asked| match asked {
        Purpose::Announce => !file.scenes.is_empty(),
        Purpose::Learn => !file.learned.is_empty(),
        Purpose::Both => !file.scenes.is_empty() || !file.learned.is_empty(),
    };
    anyhow::ensure!(
        has(purpose),
        "{} has no {purpose}, which {} decides on",
        file.name,
        loaded.description().name
    );
    Ok(chains)
}

/// The module without any other.
fn alone_in(file: &CaseFile, loaded: &Module, chosen: Chosen<'_>) -> anyhow::Result<Chains> {
    let Chosen {
        module, settings, ..
    } = chosen;
    let written = file
        .questions()
        .first()
        .and_then(|question| question.settings().cloned());
    let settings = match written {
        Some(written) if !settings.is_given() => written.into(),
        Some(_) | None => settings.read()?,
    };
    let mut chains = Chains::default();
    if loaded.purpose().serves(Purpose::Announce) {
        chains.announced.push(alone(loaded, module, &settings)?);
    }
    if loaded.purpose().serves(Purpose::Learn) {
        chains.learned.push(alone(loaded, module, &settings)?);
    }
    Ok(chains)
}

/// The recorded chains that have a policy of this name and that the module can serve in, with it
/// in that policy's place.
fn in_place(
    engine: &Engine,
    file: &CaseFile,
    loaded: &Module,
    chosen: Chosen<'_>,
    place: &str,
) -> anyhow::Result<Chains> {
    let has = |policies: &[UsedPolicy]| policies.iter().any(|policy| policy.name == place);
    let places = [
        (has(&file.policies), Purpose::Announce),
        (has(&file.import_policies), Purpose::Learn),
    ];
    let places = places.into_iter().filter(|(has, _)| *has);
    let places: Vec<Purpose> = places.map(|(_, purpose)| purpose).collect();
    let all = || file.policies.iter().chain(&file.import_policies);
    let names: Vec<&str> = all().map(|policy| policy.name.as_str()).collect();
    anyhow::ensure!(
        !places.is_empty(),
        "no policy of {} is called {place:?}; there are: {}",
        file.name,
        names.join(", ")
    );
    let purpose = loaded.purpose();
    let served = |asked: Purpose| places.contains(&asked) && purpose.serves(asked);
    anyhow::ensure!(
        places.iter().any(|asked| served(*asked)),
        "policy {place:?} of {} decides on {}, and {} on {purpose}",
        file.name,
        places[0],
        loaded.description().name
    );
    let mut chains = Chains::default();
    if served(Purpose::Announce) {
        chains.announced = replaced(engine, &file.policies, loaded, chosen, place)?;
    }
    if served(Purpose::Learn) {
        chains.learned = replaced(engine, &file.import_policies, loaded, chosen, place)?;
    }
    Ok(chains)
}

/// A recorded chain with the module in the place of one of its policies.
fn replaced<P: Compiled>(
    engine: &Engine,
    policies: &[UsedPolicy],
    loaded: &Module,
    chosen: Chosen<'_>,
    place: &str,
) -> anyhow::Result<Vec<Link<P>>> {
    let in_chain = |policy: &UsedPolicy| {
        if policy.name != place {
            return recorded_link(engine, policy);
        }
        let settings = if chosen.settings.is_given() {
            chosen.settings.read()?
        } else {
            policy.settings.clone().into()
        };
        link(loaded, deciding(policy), chosen.module, &settings)
            .with_context(|| format!("in the place of {} `{place}`", P::DIRECTION.noun()))
    };
    policies.iter().map(in_chain).collect()
}

/// A place in which a module is to be seen deciding, whether the recorded policy did or not.
fn deciding(policy: &UsedPolicy) -> UsedPolicy {
    UsedPolicy {
        mode: Mode::Enforce,
        ..policy.clone()
    }
}

fn recorded(engine: &Engine, file: &CaseFile) -> anyhow::Result<Chains> {
    let exports = file.policies.iter();
    let imports = file.import_policies.iter();
    Ok(Chains {
        announced: exports
            .map(|policy| recorded_link(engine, policy))
            .collect::<anyhow::Result<_>>()?,
        learned: imports
            .map(|policy| recorded_link(engine, policy))
            .collect::<anyhow::Result<_>>()?,
    })
}

fn recorded_link<P: Compiled>(engine: &Engine, policy: &UsedPolicy) -> anyhow::Result<Link<P>> {
    let settings = policy.settings.clone().into();
    module::load(engine, &policy.module)
        .and_then(|loaded| link(&loaded, policy.clone(), &policy.module, &settings))
        .with_context(|| format!("the recorded {} `{}`", P::DIRECTION.noun(), policy.name))
}

/// A policy that a module can be.
trait Compiled: Directed {
    /// The module with these settings.
    ///
    /// # Errors
    /// It is no policy of this direction, or does not take its settings.
    fn of_module(module: &Module, settings: &serde_json::Value) -> Result<Self, ModuleError>;
}

impl Compiled for Arc<dyn RoutePolicy> {
    fn of_module(module: &Module, settings: &serde_json::Value) -> Result<Self, ModuleError> {
        Ok(Arc::new(WasmPolicy::new(module, settings, LIMITS)?))
    }
}

impl Compiled for Arc<dyn ImportPolicy> {
    fn of_module(module: &Module, settings: &serde_json::Value) -> Result<Self, ModuleError> {
        Ok(Arc::new(WasmImportPolicy::new(module, settings, LIMITS)?))
    }
}

/// A module by itself, called as it calls itself.
fn alone<P: Compiled>(
    loaded: &Module,
    module: &str,
    settings: &serde_json::Value,
) -> anyhow::Result<Link<P>> {
    Ok(Link {
        name: loaded.description().name.as_str().into(),
        module: module.to_owned(),
        settings: Arc::new(settings.clone()),
        policy: P::of_module(loaded, settings)?,
        on_error: OnError::default(),
        limits: LIMITS,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    })
}

/// A module in the place of a recorded policy.
fn link<P: Compiled>(
    loaded: &Module,
    place: UsedPolicy,
    module: &str,
    settings: &serde_json::Value,
) -> anyhow::Result<Link<P>> {
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
        ..alone(loaded, module, settings)?
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
