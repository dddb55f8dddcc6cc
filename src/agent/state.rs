//! How the configuration stands, for status: written by the reload task, read by reports.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::links::{InForce, LoadedLink, RefusedVersions};
use crate::api::HeldChange;
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
    /// What waits for approval.
    pub(super) held: Option<HeldChange>,
}

/// The chain of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainState {
    /// Why the configured one does not run.
    pub(super) error: Option<String>,
    /// The modules that run, by their policy's name; none while something stands in.
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
}

impl ConfigState {
    pub(super) fn chain(&mut self, direction: Direction) -> &mut ChainState {
        match direction {
            Direction::Export => &mut self.exports,
            Direction::Import => &mut self.imports,
        }
    }
}

impl ChainState {
    /// A chain as the agent starts with it.
    pub(super) fn first(direction: Direction, chain: &InForce, error: Option<String>) -> Self {
        Self {
            error,
            modules: modules(direction, chain, &RefusedVersions::new()),
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
        let refused = refused.get(&key);
        let state = ModuleState {
            digest: link.digest.clone(),
            loaded_at: link.loaded_at,
            refused: refused.map(|refused| refused.reason.clone()),
        };
        (link.name().to_owned(), state)
    };
    chain.links().iter().map(module).collect()
}
