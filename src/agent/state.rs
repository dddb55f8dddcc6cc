//! How the configuration stands, for status: written by the reload task, read by reports.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::links::{InForce, LoadedLink, RefusedVersions};
use crate::api::{HeldChange, StandIn};
use crate::policy::Direction;

/// The configuration as it stands.
#[derive(Clone, Debug)]
pub(super) struct ConfigState {
    pub(super) path: PathBuf,
    /// In seconds since 1970.
    pub(super) loaded_at: u64,
    /// Why a newer file was refused, or what of it waits for a restart.
    pub(super) error: Option<String>,
    pub(super) exports: ChainState,
    pub(super) imports: ChainState,
    /// What is wrong with Calico's resources, or is not as the file says; a sentence each.
    pub(super) resources: Vec<String>,
    /// What waits for approval.
    pub(super) held: Option<HeldChange>,
}

/// The chain of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainState {
    /// Why the built-in default runs in its place.
    pub(super) error: Option<String>,
    /// The modules that run, by their policy's name.
    pub(super) modules: BTreeMap<String, ModuleState>,
}

/// One policy's module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModuleState {
    /// Absent where a policy in shadow mode has none that can be read.
    pub(super) digest: Option<String>,
    /// In seconds since 1970.
    pub(super) loaded_at: u64,
    /// Why a newer version is not in force.
    pub(super) refused: Option<String>,
    pub(super) stand_in: Option<StandIn>,
    /// Why no route is let through, and whose.
    pub(super) closed: Option<String>,
}

impl ConfigState {
    pub(super) fn chain(&mut self, direction: Direction) -> &mut ChainState {
        match direction {
            Direction::Export => &mut self.exports,
            Direction::Import => &mut self.imports,
        }
    }

    /// Why routes are let through to nobody, or from nobody, if that is so.
    pub(super) fn closed(&self) -> Option<String> {
        let chains = [&self.exports, &self.imports].into_iter();
        let modules = chains.flat_map(|chain| chain.modules.values());
        let closed: Vec<_> = modules.filter_map(|it| it.closed.as_deref()).collect();
        (!closed.is_empty()).then(|| closed.join("; "))
    }
}

impl ChainState {
    /// A chain as the agent starts with it.
    pub(super) fn first(
        direction: Direction,
        chain: &InForce,
        refused: &RefusedVersions,
        error: Option<String>,
    ) -> Self {
        Self {
            error,
            modules: modules(direction, chain, refused),
        }
    }
}

/// What there is to say of a chain's modules.
pub(super) fn modules(
    direction: Direction,
    chain: &InForce,
    refused: &RefusedVersions,
) -> BTreeMap<String, ModuleState> {
    let module = |link: &LoadedLink| {
        let key = (direction, link.name().to_owned());
        let refused = refused.get(&key).map(|refused| refused.reason.clone());
        let closed = match link.stand_in {
            None | Some(StandIn::Last | StandIn::Builtin) => None,
            Some(StandIn::Closed) => {
                let words = refused
                    .clone()
                    .into_iter()
                    .chain([link.meanwhile(direction)]);
                Some(words.collect::<Vec<_>>().join("; "))
            }
        };
        let state = ModuleState {
            digest: link.digest.clone(),
            loaded_at: link.loaded_at,
            refused,
            stand_in: link.stand_in,
            closed,
        };
        (link.name().to_owned(), state)
    };
    chain.iter().map(module).collect()
}
